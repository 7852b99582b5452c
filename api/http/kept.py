"""Answers that are kept, and sent again while their user has changed nothing.

Promise: a kept answer reflects every event that any answer before it reflected, and every write
that was answered. It is sent only if the server knows the event of the highest position it has
sent, and if no event after the position of the kept answer may have changed what its user sees.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.projections.serving import Projections

MAX_BYTES: Final = 16 * 2**20
"""Bytes of all kept answers of a server. The ones that were sent least recently go first."""
MAX_ASKED: Final = 10_000
"""Questions that are remembered as asked once."""
ENTRY: Final = 1_024
"""Bytes that a kept answer takes besides its body and the target of its request, about."""


class Answer(NamedTuple):
    """A JSON body, the position that it reflects, and its headers."""

    body: bytes
    position: int
    headers: Mapping[str, str]


class Question(NamedTuple):
    """What an answer depends on, besides the position: owner, path with query, and generation."""

    user_id: str
    target: str
    generation: int


class KeptAnswers:
    """The kept answers of one server, for its event loop. `used` counts those that were sent."""

    def __init__(self, projections: Projections, feed: LiveFeed) -> None:
        self._projections, self._feed = projections, feed
        self._kept: OrderedDict[Question, Answer] = OrderedDict()
        self._asked: set[int] = set()
        self._sent = 0
        self.bytes = self.used = 0

    def question(self, user_id: str, target: str) -> Question | None:
        """Return the question of a request. Ask for it before reading the answer.

        None if other servers write to the same tables: this one learns of their events too late.
        None the first time, too: most answers are asked for once, and would take the place of
        others.
        """
        if self._projections.is_shared:
            return None
        question = Question(user_id, target, self._projections.generation.number)
        asked = hash(question)
        if asked in self._asked:
            return question
        if len(self._asked) >= MAX_ASKED:
            self._asked.clear()
        self._asked.add(asked)
        return None

    def note(self, position: int) -> None:
        """Note the position of an answer, before the first byte of it is sent."""
        self._sent = max(self._sent, position)

    def find(self, question: Question) -> Answer | None:
        """Return the kept answer to a question, at the position of the tables; None without one."""
        kept = self._kept.get(question)
        position = self._projections.position
        if kept is None or not kept.position <= position <= self._feed.head():
            return None
        if self._sent > position or self._feed.changed(question.user_id) > kept.position:
            return None
        self._kept.move_to_end(question)
        self.used += 1
        return Answer(kept.body, position, kept.headers)

    def keep(self, question: Question, answer: Answer) -> None:
        """Keep an answer that one statement has read, unless the tables were replaced since."""
        if question.generation != self._projections.generation.number:
            return
        self._remove(question)
        self._kept[question] = answer
        self.bytes += _size(question, answer)
        while self.bytes > MAX_BYTES:
            self._remove(next(iter(self._kept)))

    def _remove(self, question: Question) -> None:
        if (kept := self._kept.pop(question, None)) is not None:
            self.bytes -= _size(question, kept)


def _size(question: Question, answer: Answer) -> int:
    return len(answer.body) + len(question.target) + ENTRY
