"""Campaigns: a mixed load, and the same fault again and again. After each, every acknowledged step
has happened, every other one has happened or not, and a retry of it happens once.

`python -m tests.journeys.test_campaigns kills|cuts|errors CYCLES [FIRST]` runs one and prints what
it did, for each 25 cycles; FIRST is the number of the first 25, by default 0.
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.journeys.audit import audit, events_in
from tests.journeys.mixed import RefusedForNowError, Team
from tests.journeys.power import Disk, disk
from tests.journeys.server import Server, run, serving

AT_ONCE: Final = 25
"""Cycles of one ledger: then a new one begins, so that checks stay quick."""


class LostError(AssertionError):
    """After a fault the ledger refuses or lacks what was acknowledged, or it is not whole."""


@dataclass
class Campaign:
    """A server under a mixed load, and a fault that it meets in each cycle."""

    server: Server
    team: Team
    dice: random.Random
    disk: Disk | None = None
    errors: Sequence[str] = ()
    starts: int = 0

    def cycle(self) -> None:
        """Let the fault happen, start again, and check everything."""
        try:
            with self.team.working(self.server.data_dir, self.server.port):
                self.team.wait_for_answers(self.dice.randrange(5, 80))
                self._strike()
            self._start()
            self.team.settle(self.server.port)
            self.team.check(self.server.port)
            audit(self.server.data_dir)
        except (AssertionError, RefusedForNowError) as error:
            raise LostError(str(error)) from error

    def _strike(self) -> None:
        if self.disk is not None and self.errors:
            self.disk.fail(self.dice.choice(self.errors))
            time.sleep(self.dice.uniform(0, 1))
        if self.disk is None or self.errors:
            time.sleep(self.dice.uniform(0, 0.05))
            self.server.kill()
        else:
            self.disk.cut_after(self.dice.randrange(60), str(self.dice.random()))
            self._lose_power(self.disk)

    def _lose_power(self, lost: Disk) -> None:
        """Wait for the power cut, end the server, and show what is left of the disk."""
        deadline = time.monotonic() + 5
        while not lost.is_dead:
            if time.monotonic() > deadline:  # a start may need fewer changes
                lost.cut_after(0, "late")
            time.sleep(0.001)
        time.sleep(self.dice.uniform(0, 0.05))
        self.server.close()
        lost.unmount()
        lost.mount()

    def _start(self) -> None:
        """Start the server; one time in four the fault happens during a start first."""
        if self.disk is not None:
            self.disk.fail("")
        while self.dice.random() < 0.25:
            self.starts += 1
            if self.disk is None or self.errors:
                self.server.launch()
                time.sleep(self.dice.uniform(0, 1.5))
                self.server.kill()
            else:
                self.disk.cut_after(self.dice.randrange(40), str(self.dice.random()))
                self.server.launch()
                self._lose_power(self.disk)
        self.server.start()


def kills(folder: Path, cycles: int, seed: str) -> str:
    """Kill a server again and again; return what happened."""
    team = Team(seed, folder / "backups")
    with serving(folder / "data") as server:
        campaign = Campaign(server, team, random.Random(seed))
        with noting(server):
            for _ in range(cycles):
                campaign.cycle()
            assert server.stop() == 0
            assert "Traceback" not in server.errors
    check_at_the_end(folder / "data", folder)
    return report(campaign, cycles)


def cuts(folder: Path, cycles: int, seed: str, *ignored: str) -> str:
    """Cut the power of a server again and again; return what happened."""
    with disk(folder, *ignored) as lost, serving(lost.folder) as server:
        campaign = Campaign(server, Team(seed), random.Random(seed), lost)
        with noting(server):
            for _ in range(cycles):
                campaign.cycle()
        check_at_the_end(server.data_dir, folder)
        server.close()
    return report(campaign, cycles)


ERRORS: Final = (
    "write EROFS,sync EROFS",  # the disk was remounted read-only
    "write ENOSPC",
    "write EIO",
    "sync EIO",
    "read EIO",
    "read EIO,write EIO,sync EIO",
)


def errors(folder: Path, cycles: int, seed: str) -> str:
    """Let the disk of a server fail again and again; return what happened."""
    with disk(folder) as failing, serving(failing.folder) as server:
        campaign = Campaign(server, Team(seed), random.Random(seed), failing, ERRORS)
        with noting(server):
            for _ in range(cycles):
                campaign.cycle()
        check_at_the_end(server.data_dir, folder)
        server.close()
    return report(campaign, cycles)


@contextmanager
def noting(server: Server) -> Iterator[None]:
    """Add what the server logged to an error of the block."""
    try:
        yield
    except AssertionError as error:
        error.add_note(server.errors[-8_000:])
        raise


def check_at_the_end(data_dir: Path, folder: Path) -> None:
    """Check a ledger with `verify`, and a restore of its backup."""
    for command in (
        ("verify", "--data-dir", data_dir),
        ("backup", "create", folder / "backups", "--data-dir", data_dir, "--with-key"),
        ("backup", "restore", folder / "backups", "--data-dir", folder / "restored"),
    ):
        done = run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert events_in(folder / "restored") == events_in(data_dir)


def report(campaign: Campaign, cycles: int) -> str:
    """Return what a campaign did."""
    steps = ", ".join(f"{count} {name}" for name, count in sorted(campaign.team.steps.items()))
    return f"{cycles} faults under load, {campaign.starts} during a start; steps: {steps}"


@pytest.mark.slow
def test_twenty_five_kills_under_a_mixed_load_lose_no_acknowledged_step(tmp_path: Path) -> None:
    kills(tmp_path, AT_ONCE, "slow")


@pytest.mark.chaos
@pytest.mark.parametrize("number", range(12))
def test_three_hundred_kills_under_a_mixed_load_lose_no_acknowledged_step(
    tmp_path: Path, number: int
) -> None:
    kills(tmp_path, AT_ONCE, f"chaos {number}")


@pytest.mark.slow
def test_ten_power_cuts_under_a_mixed_load_lose_no_acknowledged_step(tmp_path: Path) -> None:
    cuts(tmp_path, 10, "slow")


@pytest.mark.chaos
@pytest.mark.parametrize("number", range(8))
def test_two_hundred_power_cuts_under_a_mixed_load_lose_no_acknowledged_step(
    tmp_path: Path, number: int
) -> None:
    cuts(tmp_path, AT_ONCE, f"chaos {number}")


@pytest.mark.slow
def test_ten_errors_of_a_disk_under_a_mixed_load_lose_no_acknowledged_step(tmp_path: Path) -> None:
    errors(tmp_path, 10, "slow")


@pytest.mark.slow
@pytest.mark.parametrize("ignored", ["ledger.db", "/packs/", "/content/tmp/", "/objects/"])
def test_power_cuts_are_noticed_where_syncs_do_nothing(tmp_path: Path, ignored: str) -> None:
    with pytest.raises(LostError):
        cuts(tmp_path, AT_ONCE, "control", ignored)


def main() -> None:
    """Run a campaign in new folders, 25 cycles each, and print what it did."""
    kind, cycles, *start = sys.argv[1], *map(int, sys.argv[2:])
    campaign = {"kills": kills, "cuts": cuts, "errors": errors}[kind]
    for number, first in enumerate(range(0, cycles, AT_ONCE), *start):
        with tempfile.TemporaryDirectory() as folder:
            done = campaign(Path(folder), min(AT_ONCE, cycles - first), f"chaos {number}")
        print(f"{number}: {done}", flush=True)


if __name__ == "__main__":
    main()
