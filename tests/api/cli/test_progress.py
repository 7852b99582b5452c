"""The progress of a start without a terminal, in its log."""

import logging

import pytest

from asset_ledger.api.cli.progress import LoggedProgress


def test_lines_of_a_log_have_a_distance(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    often, seldom = LoggedProgress(every=0), LoggedProgress(every=3_600)
    for done in (1_000, 2_000):
        often("reading", done, 2_000)
        seldom("reading", done, 2_000)

    assert [each.message for each in caplog.records] == [
        "reading: 1,000 of 2,000",
        "reading: 2,000 of 2,000",
    ]


def test_a_new_step_has_a_line_at_once_after_the_first_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = LoggedProgress()
    progress("reading", 1, 9)
    now = 10.0
    progress("reading", 9, 9)
    progress("indexing", 9, 9)

    assert [each.message for each in caplog.records] == ["reading: 9 of 9", "indexing: 9 of 9"]
