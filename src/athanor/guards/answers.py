"""A request and its answer on their way through the guards."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from athanor.guards.judge import Judge
from athanor.guards.outgoing import Outgoing
from athanor.guards.policy import Direction, Going
from athanor.guards.pseudonyms import Pseudonyms
from athanor.guards.reveal import Revealer
from athanor.types import Event, Request


class Guarded:
    """One request on its way through the guards."""

    def __init__(self, request: Request, judge: Judge | None = None, going: Going | None = None) -> None:
        self.request = request
        """As it may go on: redacted where the policy says so."""
        self.names: Pseudonyms | None = None
        """What pseudonyms in it stand for."""
        self._judge = judge
        self._going = going

    def checked(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The answer as it may be recorded; pieces are held back until they are sure."""
        if self._judge is None or self._going is None:
            return events
        plan = self._judge.plan(self._going, Direction.MODEL)
        if not plan:
            return events
        plan = plan.bound(self.request, self._going.ctx)
        return Outgoing(
            self._judge, self._going, plan, whole=not self.request.stream, names=self._judge.vault.hashes()
        ).checked(events)

    def revealed(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The answer as its caller sees it: with what pseudonyms stand for."""
        if self.names is None:
            return events
        return Revealer(self.names, json=self.request.json_schema is not None).revealed(events)
