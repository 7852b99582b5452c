"""What the measurements of one report share: sizes, rounds, and the ledgers that they read."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from benchmarks.fill import ledger
from benchmarks.servers import product_command, serving


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. `large` is in MiB, `seconds` and `sustained` are lengths of a turn."""

    assets: int = 1_000_000
    few: int = 10_000
    rounds: int = 5
    seconds: int = 3
    sustained: int = 60
    large: int = 1_024


@dataclass(slots=True)
class Bench:
    """One run. `folder` is on a disk, and holds the ledgers and all that is written."""

    folder: Path
    sizes: Sizes
    progress: Progress
    into_many: bool = False
    """Upload into the ledger of many assets instead of an empty one."""
    _with_tables: set[Path] = field(default_factory=set)

    def say(self, line: str) -> None:
        """Print a line beside the progress."""
        self.progress.console.print(line)

    def log_of(self, assets: int) -> Path:
        """Return a data folder with the log of so many assets."""
        return ledger(self.folder, assets, self.progress)

    def many(self) -> Path:
        """Return the data folder of many assets, with its tables."""
        return self._ledger(self.sizes.assets)

    def few(self) -> Path:
        """Return the data folder of few assets, with its tables."""
        return self._ledger(self.sizes.few)

    def _ledger(self, assets: int) -> Path:
        data_dir = self.log_of(assets)
        if data_dir not in self._with_tables:
            start = time.monotonic()
            with serving("product", product_command(data_dir)):
                self._with_tables.add(data_dir)
            self.say(f"{assets:,} assets: tables made in {time.monotonic() - start:.1f} s")
        return data_dir
