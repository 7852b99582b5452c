# Everything runs from .venv, made from the hashed locks. `make serve` installs what serving needs,
# every other target adds the tools; each lock has its stamp, so that a new lock means a new install.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := $(BIN)/pip-compile --quiet --all-build-deps --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header

# Some environments forbid bytecode: then each of the hundreds of processes that the suites start
# compiles every module that it loads.
unexport PYTHONDONTWRITEBYTECODE

SLOW := -m "slow or property" --hypothesis-profile full
ON_POSTGRES := --engine postgres $(addprefix tests/api/http/test_,$(addsuffix .py, \
	events folders lineage replacing session tokens))
# They measure how long the event loop stands still, so nothing may run beside them.
TIMED := $(addprefix tests/journeys/test_bounded_,work.py successes.py)
report = $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml)

# The console runs as it is written; npm brings only the programs that check it.
NPM := $(shell command -v npm)
WEB_TOOLS := $(if $(NPM),tools/web/node_modules/stamp)

.PHONY: serve demo test check lint lint-web types slow slow-floors slow-web slow-journeys slow-postgres chaos fuzz bench bench-compare slopes dist sbom lock vendor clean
.NOTPARALLEL:

serve: .venv/runtime.stamp  ## the service on 127.0.0.1:7777 with ./data; ARGS="--port 8000" for another
	@exec $(BIN)/asset-ledger serve $(ARGS)

demo: .venv/runtime.stamp  ## a server with a ledger to look at, in a temporary folder; Ctrl-C ends it
	@exec $(BIN)/python -m examples.demo $(ARGS)

test: .venv/dev.stamp  ## the fast suite
	$(BIN)/pytest -n 2 $(call report,fast) $(PYTEST_ARGS)

check: lint types test  ## what has to hold before a commit lands

lint: .venv/dev.stamp lint-web
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-web: $(WEB_TOOLS)  ## types and style of the console, where npm is
ifdef NPM
	cd tools/web && node_modules/.bin/tsc --project . && node_modules/.bin/biome ci --error-on-warnings . ../../api/http/web ../../tests/web
else
	@echo "no npm here: the types and the style of the console are not checked" >&2
endif

types: .venv/dev.stamp
	$(BIN)/mypy

slow: slow-floors slow-web slow-journeys slow-postgres  ## journeys with real processes, kills and large files; many random histories; `make -k slow` goes on after a failure

slow-floors: .venv/dev.stamp
	$(BIN)/pytest -n 2 $(SLOW) $(call report,slow) --ignore tests/web --ignore tests/journeys tests

slow-web: .venv/dev.stamp $(WEB_TOOLS)
	$(BIN)/pytest $(SLOW) $(call report,web) tests/web $(TIMED)

slow-journeys: .venv/dev.stamp
	$(BIN)/pytest -n 2 --dist loadfile $(SLOW) $(call report,journeys) $(addprefix --ignore=,$(TIMED)) tests/journeys

slow-postgres: .venv/dev.stamp
	$(BIN)/pytest -n 2 $(call report,postgres) $(ON_POSTGRES)

chaos: .venv/dev.stamp fuzz  ## the kills and power cuts again, many more of them
	$(BIN)/pytest -m chaos $(PYTEST_ARGS)
	$(BIN)/pytest -n 2 --engine postgres tests/api/http tests/api/s3

fuzz: .venv/fuzz.stamp  ## each parser for a minute; ARGS="form --seconds 600" for one
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: .venv/dev.stamp  ## every bar of docs/performance.md in bench/report.md; some fifteen minutes
	$(BIN)/python -m benchmarks.report $(ARGS)

bench-compare: .venv/dev.stamp  ## this checkout against BASE=<commit>, in turns, in bench/compare.md
	$(BIN)/python -m benchmarks.compare $(BASE) $(ARGS)

slopes: .venv/dev.stamp  ## every bar from ten thousand to ten million assets, in bench/slopes.md; hours
	$(BIN)/python -m benchmarks.slopes $(ARGS)

dist: .venv/dev.stamp  ## sdist and wheel in ./dist, each tried in a fresh environment; the node for ComfyUI
	$(BIN)/python -m tests.distribution dist
	$(BIN)/asset-ledger watch comfyui --print-node > dist/asset_ledger_node.py

sbom: .venv/runtime.stamp  ## what an installation runs, as a CycloneDX bill of materials in ./dist
	$(BIN)/python -m tools.sbom dist/asset-ledger.cdx.json

lock: .venv/dev.stamp  ## both locks anew, with the oldest Python we support
	$(COMPILE) --upgrade --output-file requirements.lock pyproject.toml
	$(COMPILE) --upgrade --all-extras --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

vendor:  ## the console's libraries anew, as their lock names them; needs npm
	$(PYTHON) tools/vendor.py

clean:  ## everything that can be made again; ./data stays
	rm -rf .venv tools/web/node_modules build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Asset Ledger needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

# setuptools warns of a folder here with the name of the package: it is the package.
.venv/runtime.stamp: requirements.lock pyproject.toml | .venv/bin/pip
	@echo "installing requirements.lock into .venv"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@PYTHONWARNINGS="ignore:Editable installation" $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/runtime.stamp
	@echo "installing requirements-dev.lock into .venv"
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

# Atheris has wheels for Linux on x86-64 only, and no test of the suites needs it.
.venv/fuzz.stamp: requirements-fuzz.lock .venv/dev.stamp
	@echo "installing requirements-fuzz.lock into .venv"
	@$(PIP) install --require-hashes --requirement requirements-fuzz.lock
	@touch $@

tools/web/node_modules/stamp: tools/web/package-lock.json tools/web/package.json
	@echo "installing tools/web/package-lock.json"
	@npm --prefix tools/web ci --silent
	@touch $@
