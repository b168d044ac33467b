"""Guards at work on one text: which of them a policy needs, what they find, and what is remembered of it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from copy import copy
from dataclasses import dataclass, field, replace

from anyio import to_thread

from athanor.errors import AthanorError
from athanor.guards.base import Guard
from athanor.guards.normalise import subject_of
from athanor.guards.policy import Direction, Rules
from athanor.guards.subject import Subject
from athanor.observe import Metrics
from athanor.types import Context, Decision, Finding, How, Origin, Request

log = logging.getLogger(__name__)

FAILED = "guard.failed"
"""The category of what a guard that failed leaves behind."""
OVERLAP = 1000
"""Characters that two pieces of a text share that is looked at in pieces."""
LARGE = 20_000
"""Characters from which a text is prepared in a thread, so that other requests do not wait for it."""
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0)
_QUIET_SECONDS = 60.0
"""Between two events, and two lines of the log, about the failures of one guard."""


class Plan:
    """What a policy asks for in one direction, of the guards that are there.

    Args:
        closed: refuse what a guard that could have changed or refused it has failed on.
    """

    def __init__(self, guards: Sequence[Guard], rules: Rules, *, version: str, policy: str, closed: bool) -> None:
        self.rules = rules
        self.version = version
        self.policy = policy
        self.guards = tuple(guard for guard in guards if rules.needs(guard.categories))
        self.lasting = tuple(guard for guard in self.guards if not getattr(guard, "contextual", False))
        """Whose findings depend on the text and its origin alone, and can be remembered."""
        self.holding = tuple(
            guard for guard in self.guards if rules.strongest(guard.categories).severity >= Decision.REDACT.severity
        )
        """Which an answer has to wait for, because they can change it."""
        self.contextual = tuple(guard for guard in self.guards if getattr(guard, "contextual", False))
        self._closed = frozenset(
            guard.name
            for guard in self.guards
            if closed and rules.strongest(guard.categories).severity >= Decision.REDACT.severity
        )

    def on_failure(self, guard: Guard) -> Decision:
        """What follows when `guard` fails."""
        return Decision.BLOCK if guard.name in self._closed else Decision.FLAG

    def how(self, finding: Finding) -> How:
        """What a redaction of `finding` leaves."""
        return self.rules.rule(finding.category).how

    def bound(self, request: Request, ctx: Context) -> Plan:
        """The plan for the answer to one request: guards with a method `bound(request, ctx)` give another guard of the
        same name, which knows that request."""
        own = {g.name: g.bound(request, ctx) for g in self.guards if hasattr(g, "bound")}
        if not own:
            return self
        plan = copy(self)
        for part in ("guards", "lasting", "holding", "contextual"):
            setattr(plan, part, tuple(own.get(guard.name, guard) for guard in getattr(self, part)))
        return plan

    def __bool__(self) -> bool:
        return bool(self.guards)


@dataclass(slots=True)
class Work:
    """What was done for one request, for its trace."""

    texts: int = 0
    remembered: int = 0
    """Of these: not looked at again."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Guard → time."""
    findings: dict[str, int] = field(default_factory=dict)
    """Category → number."""

    def count(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.findings[finding.category] = self.findings.get(finding.category, 0) + 1

    def attributes(self) -> dict[str, object]:
        """As the attributes of a span: names and numbers."""
        ms = {name: round(seconds * 1000, 3) for name, seconds in self.seconds.items()}
        return {"texts": self.texts, "remembered": self.remembered, "ms": ms, "findings": self.findings}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What follows from one text."""

    findings: tuple[Finding, ...] = ()
    """With the policy's decisions, in the order of their places."""
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of one text by one plan."""

    findings: tuple[Finding, ...] = ()
    asked: frozenset[str] = frozenset()
    """Guards that could answer; the others are asked again."""

    def and_(self, findings: Sequence[Finding], asked: Set[str]) -> _Known:
        return _Known((*self.findings, *findings), self.asked | asked)


_NOTHING = _Known()


class Runner:
    """Runs guards, and remembers what they found.

    Args:
        remembered: verdicts kept, the least used go first.
        timeout: seconds for one guard and one text.
        longest: characters of a piece.
    """

    def __init__(self, metrics: Metrics, *, remembered: int, timeout: float, longest: int) -> None:
        self._remembered = remembered
        self._timeout = timeout
        self._longest = longest
        self._known: OrderedDict[tuple[bytes, Origin, int], _Known] = OrderedDict()
        self._plans: dict[int, Plan] = {}
        self._told: dict[str, float] = {}
        self._seconds = metrics.histogram("athanor_guard_seconds", "One guard on one text.", ("guard",), _BUCKETS)
        self._failures = metrics.counter("athanor_guard_failures_total", "Guards that failed.", ("guard", "error"))
        self._hits = metrics.counter("athanor_guard_remembered_total", "Texts whose verdict was remembered.")
        self._bound: dict[str, Callable[[float], None]] = {}

    async def look(self, text: str, origin: Origin, ctx: Context, plan: Plan, work: Work) -> Looked:
        """Everything that follows from `text` by `plan`."""
        work.texts += 1
        key, known = None, _NOTHING
        if self._remembered and plan.lasting:
            digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            key = (digest, origin, id(plan))
            if (found := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                self._hits.add()
                known = found
        lasting = [guard for guard in plan.lasting if guard.name not in known.asked] if known.asked else plan.lasting
        if not lasting and not plan.contextual:
            work.remembered += 1
            work.count(known.findings)
            return Looked(findings=known.findings, remembered=True)
        findings = [*known.findings]
        if lasting:
            some, failed = await self.decided(text, origin, ctx, plan, lasting, work)
            findings += some
            if key is not None:
                kept = [finding for finding in some if finding.category != FAILED]
                asked = {guard.name for guard in lasting} - failed
                self._remember(key, known.and_(kept, asked), plan)
        if plan.contextual:
            findings += (await self.decided(text, origin, ctx, plan, plan.contextual, work))[0]
        findings.sort(key=lambda finding: (finding.start, finding.end))
        work.count(findings)
        return Looked(findings=tuple(findings), remembered=not lasting)

    async def raw(self, guard: Guard, subject: Subject, origin: Origin, ctx: Context) -> tuple[list[Finding], float]:
        """What `guard` itself says, and how many seconds it took.

        Raises:
            AthanorError: it failed.
        """
        began = time.perf_counter()
        async with asyncio.timeout(self._timeout):
            verdict = await guard.check(subject, origin, ctx)
        seconds = time.perf_counter() - began
        bound = self._bound.get(guard.name)
        if bound is None:
            bound = self._bound[guard.name] = self._seconds.bind(guard=guard.name)
        bound(seconds)
        return list(verdict.findings), seconds

    def forget(self) -> None:
        """Remember nothing: the policies, or the guards' own settings, have changed."""
        self._known.clear()
        self._plans.clear()

    def _remember(self, key: tuple[bytes, Origin, int], known: _Known, plan: Plan) -> None:
        self._plans[key[2]] = plan  # kept alive, so that its id stays its own
        self._known[key] = known
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)

    async def decided(
        self, text: str, origin: Origin, ctx: Context, plan: Plan, guards: Sequence[Guard], work: Work
    ) -> tuple[list[Finding], frozenset[str]]:
        """What follows from what `guards` find in `text`, and the names of those that failed."""
        found: list[Finding] = []
        failed: set[str] = set()
        for start, piece in self.pieces(text):
            subject = subject_of(piece) if len(piece) < LARGE else await to_thread.run_sync(subject_of, piece)
            for guard in guards:
                try:
                    raw, seconds = await self.raw(guard, subject, origin, ctx)
                except Exception as error:  # whatever a plug-in does, the policy says what follows
                    failed.add(guard.name)
                    raw, seconds = [self._failed(guard, error, piece, plan)], 0.0
                    found += [_moved(one, start) for one in raw]
                    continue
                work.seconds[guard.name] = work.seconds.get(guard.name, 0.0) + seconds
                decided = [one for one in map(plan.rules.decided, raw) if one is not None]
                found += [_moved(one, start) for one in decided]
        return (_distinct(found) if len(text) > self._longest else found), frozenset(failed)

    def pieces(self, text: str) -> list[tuple[int, str]]:
        """The parts of a text that are looked at one by one, each with its place."""
        if len(text) <= self._longest:
            return [(0, text)]
        overlap = min(OVERLAP, self._longest // 2)
        step = self._longest - overlap
        return [(at, text[at : at + self._longest]) for at in range(0, max(1, len(text) - overlap), step)]

    def _failed(self, guard: Guard, error: Exception, text: str, plan: Plan) -> Finding:
        code = error.code if isinstance(error, AthanorError) else type(error).__name__
        self._failures.add(guard=guard.name, error=code)
        decision = plan.on_failure(guard)
        now = time.monotonic()
        if now - self._told.get(guard.name, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._told[guard.name] = now
            log.error("guard %s failed: %s", guard.name, error if isinstance(error, AthanorError) else code)
        elif decision is Decision.FLAG:
            decision = Decision.ALLOW  # one event a minute says as much as one for each request
        return Finding(
            guard=guard.name,
            category=FAILED,
            score=1.0,
            start=0,
            end=len(text),
            reason=f"The guard failed: {code}.",
            decision=decision,
        )


def _moved(finding: Finding, by: int) -> Finding:
    return replace(finding, start=finding.start + by, end=finding.end + by) if by else finding


def _distinct(findings: Sequence[Finding]) -> list[Finding]:
    """What two overlapping pieces both found, once."""
    return list({(f.guard, f.category, f.start, f.end): f for f in findings}.values())


def direction_of(origin: Origin) -> Direction:
    """The direction of a policy that a text of `origin` goes by."""
    return Direction(origin.value)
