"""What guards found, written down in the background: nobody waits for it, and a normal stop loses none of it."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from athanor.errors import AthanorError
from athanor.guards.policy import Going
from athanor.observe import Metrics
from athanor.store import Appender, Store
from athanor.types import Decision, Finding, GuardEvent, Origin, new_id

log = logging.getLogger(__name__)

ALIKE = 10
"""Events kept of one category in one text; the last of them says how many more there were."""
WAITING = 20_000
"""Events that may wait for the store; further ones are counted and not kept."""


class Recorder:
    """Makes events of findings, counts them, and hands them to the store's writer.

    Args:
        key: for the digests of the characters that findings span.
    """

    def __init__(self, store: Store | None, metrics: Metrics, key: bytes) -> None:
        self._store = store
        self._key = key
        self._lock = threading.Lock()
        self._waiting: list[GuardEvent] = []
        self._findings = metrics.counter(
            "athanor_guard_findings_total", "Findings of guards that a policy acted on.", ("category", "action")
        )
        self._lost = metrics.counter("athanor_guard_events_lost_total", "Guards' events that were not stored.")

    def record(
        self,
        found: Sequence[tuple[Finding, str]],
        going: Going,
        *,
        origin: Origin,
        place: str = "",
        actions: Sequence[Decision],
        counts: Counter[str] | None = None,
    ) -> None:
        """Keep findings.

        Args:
            found: each with its characters, of which only a keyed hash is kept.
            actions: what was done about each.
            counts: of each category so far, where a text comes in pieces.
        """
        now, ctx = time.time(), going.ctx
        before = Counter() if counts is None else counts
        total = before + Counter(finding.category for finding, _ in found)
        events = []
        for (finding, said), action in zip(found, actions, strict=True):
            self._findings.add(category=finding.category, action=action.value)
            before[finding.category] += 1
            number = before[finding.category]
            if number > ALIKE:
                continue
            more = total[finding.category] - ALIKE if number == ALIKE else 0
            events.append(
                GuardEvent(
                    id=new_id("ge"),
                    at=now,
                    trace=ctx.trace,
                    principal=ctx.principal.id,
                    key=None if ctx.key is None else ctx.key.id,
                    door=ctx.door,
                    origin=origin,
                    place=place,
                    model=going.model,
                    base=going.base,
                    guard=finding.guard,
                    category=finding.category,
                    score=finding.score,
                    decision=finding.decision,
                    action=action,
                    start=finding.start,
                    end=finding.end,
                    digest=self.digest(said),
                    policy=going.policies.version,
                    reason=f"{finding.reason} (and {more} more)" if more > 0 else finding.reason,
                )
            )
        if events:
            self._put(events)

    def digest(self, text: str) -> str:
        """Keyed: the same characters give the same digest, and only here."""
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:32]

    def _put(self, events: Sequence[GuardEvent]) -> None:
        if self._store is None:
            return
        with self._lock:
            first = not self._waiting
            room = max(0, WAITING - len(self._waiting))
            self._waiting += events[:room]
        if room < len(events):
            self._lost.add(len(events) - room)
        if not first:
            return  # whoever was first has asked the writer, who takes all that waits when its turn comes
        taken: list[GuardEvent] = []
        try:
            future = self._store.writer.append(partial(self._take, self._store, taken))
        except AthanorError as error:
            self._lose(self._drained(), error)
        else:
            future.add_done_callback(partial(self._done, taken))

    def _take(self, store: Store, taken: list[GuardEvent], into: Appender) -> None:
        taken += self._drained()
        store.guard_events.insert(taken, into=into)

    def _drained(self) -> list[GuardEvent]:
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    def _done(self, taken: list[GuardEvent], future: Future[None]) -> None:
        error = future.exception()
        if error is not None:
            # Where no transaction could be begun, nothing was taken: the next one would wait for ever.
            self._lose(taken or self._drained(), error)

    def _lose(self, events: Sequence[GuardEvent], error: BaseException) -> None:
        self._lost.add(len(events))
        log.error("%d guard events were not stored: %s", len(events), error)
