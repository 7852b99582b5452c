"""Deliver events to hooks: each in order, at least once, and none slower than its own receiver.

A message that does not arrive is sent again, later each time. Events after it wait. A hook that
failed for three days is disabled, and one whose receiver answers 410 at once.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple

from asset_ledger.api.hooks.messages import (
    LINEAGE,
    Messages,
    lineage_messages,
    webhook_messages,
)
from asset_ledger.api.hooks.sending import Message, Outcome, Sender, signed
from asset_ledger.api.hooks.store import TURN, Hook, Hooks
from asset_ledger.ledger.domain.event import iso, parse_time
from asset_ledger.ledger.errors import LedgerError
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.feed import LiveFeed

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 600.0
"""Seconds between two attempts: twice as many each time, and at random a little fewer."""
GIVE_UP: Final = timedelta(days=3)
SAVE: Final = 1.0
"""Seconds between two writes of the positions."""
BATCH: Final = 64
"""Events to read at a time: up to 4 MB."""

logger = logging.getLogger(__name__)


class Receiver(NamedTuple):
    """The setting `lineage_url`, and the token that it needs."""

    url: str | None
    token: str | None


class Deliveries:
    """The deliveries of a server. `run` them until it is cancelled."""

    def __init__(
        self, hooks: Hooks, feed: LiveFeed, replay: AsyncReplay, lineage: Receiver, *, private: bool
    ) -> None:
        self._hooks, self._feed, self._replay = hooks, feed, replay
        self._lineage, self._private = lineage, private
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._moved = False

    async def run(self) -> None:
        """Deliver to all hooks, to new ones too, while it is this server's turn."""
        while True:
            try:
                await self._run_a_turn()
            except LedgerError as error:
                logger.warning("webhooks wait: %s", error)
            await asyncio.sleep(TURN)

    async def _run_a_turn(self) -> None:
        await self._hooks.take_turn()
        both = {asyncio.create_task(each) for each in (self._deliver(), self._hooks.keep_turn())}
        try:
            ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            await self._hooks.end_turn()

    async def _deliver(self) -> None:
        await self._hooks.keep(LINEAGE, self._lineage.url, self._feed.head())
        public = Sender(private=self._private)
        chosen = Sender(private=True)  # the operator names the receiver of lineage
        try:
            while True:
                self._hooks.changed.clear()
                await self._follow_hooks(lambda hook: public if hook.secret else chosen)
                if not self._moved:  # else a write failed, or a hook moved during it
                    await self._hooks.changed.wait()
                if self._moved:
                    await asyncio.sleep(SAVE)
                    await self._save()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()
            await self._save()
            await public.close()
            await chosen.close()

    async def _follow_hooks(self, sender_of: Callable[[Hook], Sender]) -> None:
        """Start the tasks of new hooks, and cancel those of removed ones."""
        known = {hook.id: hook for hook in self._hooks.all()}
        for hook_id in self._tasks.keys() - known.keys():
            task = self._tasks.pop(hook_id)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for hook in known.values():
            if hook.id not in self._tasks:
                delivery = self._delivery(hook, sender_of(hook))
                self._tasks[hook.id] = asyncio.create_task(delivery.run())

    def _delivery(self, hook: Hook, sender: Sender) -> "_Delivery":
        if hook.secret:
            messages = webhook_messages(hook.id)
        else:
            messages = lineage_messages(self._replay, self._feed.log_id)
        return _Delivery(self, hook, sender, messages)

    def headers(self, hook: Hook, message: Message) -> dict[str, str]:
        """Return the headers that authenticate a message."""
        if hook.secret:
            return signed(message, hook.secret, self._hooks.clock())
        token = self._lineage.token
        return {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def hooks(self) -> Hooks:
        return self._hooks

    @property
    def feed(self) -> LiveFeed:
        return self._feed

    def moved(self) -> None:
        """Note that a hook has another position or state, which has to be written."""
        self._moved = True
        self._hooks.changed.set()

    async def _save(self) -> None:
        if not self._moved:
            return
        self._moved = False
        try:
            await self._hooks.save()
        except LedgerError as error:
            self.moved()
            logger.warning("%s", error)


class _Delivery:
    """The delivery of events to one hook."""

    def __init__(
        self, deliveries: Deliveries, hook: Hook, sender: Sender, messages: Messages
    ) -> None:
        self._all, self._hook, self._sender, self._messages = deliveries, hook, sender, messages
        self._filter, self._delay = hook.filter, FIRST_DELAY

    async def run(self) -> None:
        """Deliver until the hook is disabled or the server stops."""
        hook, feed = self._hook, self._all.feed
        if hook.position > feed.head() and not self._all.hooks.is_shared:  # of a restored backup
            hook.position = feed.head()
        while hook.disabled_at is None and not feed.ended:
            await feed.wait_beyond(hook.position)
            try:
                await self._deliver_next()
            except Exception as error:  # else the hook would stand still without a word
                logger.exception("webhook %s cannot read its next event", hook.id)
                await self._fail(Outcome(f"an event cannot be read: {error}"))

    async def _deliver_next(self) -> None:
        hook = self._hook
        for recorded in await asyncio.to_thread(self._all.feed.read, hook.position, BATCH):
            if self._filter.holds(recorded.event):
                for message in await self._messages(recorded):
                    await self._deliver(message)
            if hook.disabled_at is not None:
                return
            hook.position = recorded.position
            self._all.moved()

    async def _deliver(self, message: Message) -> None:
        """Send a message until it arrives, or the hook is disabled."""
        hook = self._hook
        while hook.disabled_at is None:
            headers = self._all.headers(hook, message)
            outcome = await self._sender.post(hook.url, message.body, headers)
            if outcome.refused and not hook.secret:  # it would hold up all later jobs
                logger.warning("%s does not take a lineage event: %s", hook.url, outcome.problem)
                hook.failed += 1
            elif outcome.problem is not None:
                await self._fail(outcome)
                continue
            else:
                hook.delivered += 1
            hook.failing_since = hook.error = None
            self._delay = FIRST_DELAY
            return

    async def _fail(self, outcome: Outcome) -> None:
        """Note a failed attempt, and wait until the next one; or disable the hook."""
        hook, moment = self._hook, self._all.hooks.clock()
        hook.failed += 1
        hook.error, hook.failing_since = outcome.problem, hook.failing_since or iso(moment)
        self._all.moved()
        gave_up = moment - parse_time(hook.failing_since) >= GIVE_UP
        if hook.secret and (outcome.gone or gave_up):
            hook.disabled_at = iso(moment)
            logger.warning("webhook %s is disabled: %s", hook.id, outcome.problem)
            return
        await asyncio.sleep(max(outcome.retry_after, self._delay * random.uniform(0.5, 1.0)))
        self._delay = min(2 * self._delay, LONGEST_DELAY)
