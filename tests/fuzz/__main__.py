"""`python -m tests.fuzz [TARGET ...] [--seconds N | --runs N] [--new FOLDER]`: fuzz the parsers of
what arrives from elsewhere, guided by the branches that the inputs reach (atheris).

Without a target, each of them for a minute. An input that ends a parser with a defect is printed,
and the exit code is 1. Inputs that reach new branches go to FOLDER, with that one.
"""

import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

import atheris

CORPUS: Final = Path(__file__).parent / "corpus"


def main() -> int:
    """Fuzz each target in a process of its own. Return the exit code."""
    options = arguments()
    if options.here:
        fuzz(options)
    names = options.targets or sorted(path.name for path in CORPUS.iterdir())
    failed = [name for name in names if not run(name, options)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--new", type=Path, help="where inputs that reach new branches go")
    parser.add_argument("--here", action="store_true", help="in this process")
    return parser.parse_args()


def run(name: str, options: Namespace) -> bool:
    """Fuzz one target. Return whether it found nothing."""
    flags = ["--seconds", str(options.seconds), "--runs", str(options.runs)]
    if options.new:
        flags += ["--new", str(options.new)]
    command = [sys.executable, "-m", "tests.fuzz", "--here", name, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    summary = [line for line in lines if line.startswith("Done ")]
    print(f"{name}: {summary[-1] if summary else 'no summary'}", flush=True)
    if done.returncode:
        print("\n".join(lines[-60:]), done.stdout[-2_000:], file=sys.stderr, flush=True)
    return done.returncode == 0


def fuzz(options: Namespace) -> None:
    """Fuzz one target in this process, which ends here."""
    with atheris.instrument_imports(include=["asset_ledger", "multipart"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    (name,) = options.targets
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as found:
        new = options.new / name if options.new else Path(found)
        new.mkdir(parents=True, exist_ok=True)
        flags = [f"-max_len={target.longest}", "-timeout=30", "-rss_limit_mb=4096"]
        flags += [f"-max_total_time={options.seconds}", f"-runs={options.runs}"]
        flags += [f"-artifact_prefix={new}/", "-print_final_stats=0"]
        atheris.Setup([sys.argv[0], *flags, str(new), str(CORPUS / name)], target.try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
