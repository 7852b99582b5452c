"""The attempts of a job: 1, 2, 3 ... Each begins with a start, after the attempt before it ended.

Attempt 1 needs no start: any event may name a job. The log keeps one `JobHead` a job, and stamps
every event of the job with its attempt.
"""

from typing import NamedTuple

from asset_ledger.ledger.domain.event import JobStamp, TaggedEvent
from asset_ledger.ledger.domain.job import JobFinished, JobStarted
from asset_ledger.ledger.errors import JobStateError


class JobHead(NamedTuple):
    """A job after an event: its `job_seq`, the last attempt, and whether that one ended."""

    seq: int = 0
    attempt: int = 1
    ended: bool = False

    def stamp(self, event: TaggedEvent) -> JobStamp:
        """Return the stamp of the next event. Its attempt is the one that it names, else the last.

        Raises JobStateError if the event names an attempt that has not begun.
        """
        attempt = event.attempt or self.attempt
        if attempt > self.attempt and not isinstance(event, JobStarted):
            raise JobStateError(
                f"attempt {attempt} of job {event.job_id} has not begun: start it first, or name"
                f" attempt {self.attempt}"
            )
        late = event.MAY_BE_LATE and (self.ended or attempt < self.attempt)
        return JobStamp(self.seq + 1, attempt, late)

    def after(self, event: TaggedEvent, stamp: JobStamp) -> "JobHead":
        """Return the head after an event."""
        match event:
            case JobStarted():
                return JobHead(stamp.job_seq, stamp.attempt, ended=False)
            case JobFinished():
                return JobHead(stamp.job_seq, self.attempt, ended=True)
        return self._replace(seq=stamp.job_seq)

    def allows(self, event: TaggedEvent, stamp: JobStamp) -> bool:
        """Return whether an event with this stamp may follow, for copies of a log."""
        match event:
            case JobStarted():
                due = stamp.attempt == self.attempt + 1 if self.ended else stamp.attempt == 1
            case JobFinished():
                due = stamp.attempt == self.attempt and not self.ended
            case _:
                due = 1 <= stamp.attempt <= self.attempt
        return due and stamp == self.stamp(event)
