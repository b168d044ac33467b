"""One text, one policy, one verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from athanor.config import GuardSettings
from athanor.guards.base import Guard
from athanor.guards.book import Book
from athanor.guards.events import Recorder
from athanor.guards.policy import Direction, Going
from athanor.guards.redact import redact
from athanor.guards.run import Looked, Plan, Runner, Work, direction_of
from athanor.guards.vault import Vault
from athanor.observe import Metrics
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Verdict

OFF = GuardSettings(mode="off")


class Judge:
    """Lets guards look, and says what follows.

    Args:
        guards: in the order in which they run.
        book: the policies; without it, the shipped ones.
        recorder: keeps events; without it, nothing is kept.
        missing: guards that are not there, and why.
        vault: keeps pseudonyms; without it, they live as long as this process.
    """

    def __init__(
        self,
        guards: Sequence[Guard] = (),
        *,
        settings: GuardSettings = OFF,
        book: Book | None = None,
        recorder: Recorder | None = None,
        metrics: Metrics | None = None,
        missing: dict[str, str] | None = None,
        vault: Vault | None = None,
    ) -> None:
        self.guards = tuple(guards)
        self.settings = settings
        self.missing = dict(missing or {})
        self.vault = vault or Vault()
        """Of pseudonyms, and what hashes are made by."""
        self.book = book or Book()
        metrics = metrics or Metrics()
        self.recorder = recorder or Recorder(None, metrics, b"")
        self.runner = Runner(
            metrics, remembered=settings.remembered, timeout=settings.timeout_s, longest=settings.longest
        )
        self._plans: dict[tuple[str, Direction], Plan] = {}
        self._version = ""

    @property
    def active(self) -> bool:
        """Is anything looked for at all."""
        return bool(self.guards) and self.settings.mode != "off"

    @property
    def observing(self) -> bool:
        return self.settings.mode == "observe"

    def categories(self) -> frozenset[str]:
        """Everything that can be found here: by the guards, and by the knowledge package."""
        return frozenset({"ungrounded"}).union(*(guard.categories for guard in self.guards))

    def forget(self) -> None:
        """Remember no verdict: what guards find may have changed."""
        self._plans.clear()
        self.runner.forget()

    def going(self, ctx: Context, *, model: str = "", base: str | None = None) -> Going:
        """By which policy the texts of a request go."""
        policies = self.book.current
        return Going(
            policies=policies, policy=policies.of(ctx, base=base, model=model), ctx=ctx, model=model, base=base
        )

    def plan(self, going: Going, direction: Direction) -> Plan:
        """What is looked for in one direction."""
        if self._version != going.policies.version:
            self.forget()
            self._version = going.policies.version
        found = self._plans.get((going.policy.name, direction))
        if found is None:
            leaves = direction in {Direction.MODEL, Direction.REMOTE, Direction.RECORDED}
            closed = self.settings.failures_out if leaves else self.settings.failures_in
            found = self._plans[going.policy.name, direction] = Plan(
                self.guards if self.active else (),
                going.policies.rules(going.policy, direction),
                version=going.policies.version,
                policy=going.policy.name,
                closed=closed == "closed",
            )
        return found

    async def check(
        self,
        text: str,
        origin: Origin,
        ctx: Context,
        *,
        model: str = "",
        base: str | None = None,
        place: str = "",
        direction: Direction | None = None,
        record: bool = True,
    ) -> Verdict:
        """What follows from one text. Its findings' decisions are what has to be done: flags alone, while observing.

        Args:
            place: where it stands, for the event: a chunk's id, `answer`, …
            direction: the policy's section that counts, where it is not that of `origin`.
            record: keep events of what is found.
        """
        going = self.going(ctx, model=model, base=base)
        plan = self.plan(going, direction or direction_of(origin))
        if not plan or not text:
            return NOTHING_FOUND
        looked = await self.runner.look(text, origin, ctx, plan, Work())
        return self.settled(text, looked.findings, going, origin=origin, place=place, record=record)

    async def look(self, text: str, origin: Origin, going: Going, plan: Plan, work: Work) -> Looked:
        """What follows from one text by a plan; nothing is recorded."""
        return await self.runner.look(text, origin, going.ctx, plan, work)

    def settled(
        self,
        text: str,
        findings: Sequence[Finding],
        going: Going,
        *,
        origin: Origin,
        place: str,
        record: bool = True,
    ) -> Verdict:
        """Decided findings as what has to be done; kept as events, if they are to be."""
        found = [(finding, text[finding.start : finding.end]) for finding in findings]
        return self.done(found, going, origin=origin, place=place, record=record)

    def done(
        self,
        found: Sequence[tuple[Finding, str]],
        going: Going,
        *,
        origin: Origin,
        place: str,
        record: bool = True,
        counts: Counter[str] | None = None,
    ) -> Verdict:
        """The same of findings with their characters."""
        kept = [(finding, said) for finding, said in found if finding.decision is not Decision.ALLOW]
        if not kept:
            return NOTHING_FOUND
        findings = [replace(f, decision=Decision.FLAG) if self.observing else f for f, _ in kept]
        if record:
            actions = [finding.decision for finding in findings]
            self.recorder.record(kept, going, origin=origin, place=place, actions=actions, counts=counts)
        return Verdict(findings=tuple(findings), policy=going.policies.version)

    def redacted(self, text: str, verdict: Verdict, plan: Plan) -> str:
        """`text` without what has to go."""
        return redact(text, verdict.findings, plan.how).text
