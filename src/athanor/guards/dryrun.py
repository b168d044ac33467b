"""What policies would have done with stored traffic: one job over the texts that were recorded.

Texts were redacted before they were recorded: what is not there any more cannot be found again. The report says how
many requests had no recorded text.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from anyio import to_thread

from athanor.errors import JobError
from athanor.governance import Right, require
from athanor.guards.chain import Chain
from athanor.guards.policy import Policies, Policy
from athanor.guards.reading import parse
from athanor.guards.run import FAILED, Plan, Work, direction_of
from athanor.guards.texts import ORIGINS
from athanor.observe.retention import DAY
from athanor.store import Store
from athanor.types import (
    Content,
    Context,
    Decision,
    Finding,
    Job,
    Origin,
    Principal,
    RequestRecord,
    Role,
    RoleName,
)

MOST = 20_000
"""Requests of one run; the newest come first."""
EXAMPLES = 10
"""Traces named for each category and decision."""
_PAGE = 200
_TELL_SECONDS = 0.5
_REMEMBERED = 20_000
"""Texts whose findings are kept at hand."""


@dataclass(slots=True)
class _Report:
    """What was found so far."""

    began: float = field(default_factory=time.monotonic)
    requests: int = 0
    unrecorded: int = 0
    texts: int = 0
    failures: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    """Strongest decision of a request → number of requests."""
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(origin, category, decision) → number of findings."""
    examples: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)

    def add(self, trace: str, origin: Origin, finding: Finding) -> None:
        key = (origin.value, finding.category, finding.decision.value)
        self.counts[key] += 1
        traces = self.examples.setdefault(key, [])
        if trace not in traces and len(traces) < EXAMPLES:
            traces.append(trace)

    def as_json(self, policies: Policies) -> dict[str, object]:
        rows = [
            {"origin": origin, "category": category, "decision": decision, "count": count, "traces": self.examples[key]}
            for key, count in sorted(self.counts.items(), key=lambda item: -item[1])
            for origin, category, decision in (key,)
        ]
        return {
            "policy": policies.version,
            "requests": self.requests,
            "unrecorded": self.unrecorded,
            "texts": self.texts,
            "failures": self.failures,
            "decisions": {decision.value: self.decisions[decision.value] for decision in Decision},
            "findings": rows,
            "seconds": round(time.monotonic() - self.began, 3),
        }


class DryRuns:
    """Does jobs of the kind `guards.dry_run`. Reads what others wrote: callers check the right to administer."""

    KIND = "guards.dry_run"

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self._chain = chain

    def enqueue(self, *, by: Principal, text: str | None, days: float, limit: int = MOST) -> Job:
        """Queue a run. Blocks.

        Args:
            text: policies to try; `None` tries those in force.
            days: how far back.

        Raises:
            ConfigError: `text` is wrong.
        """
        if text is not None:
            self._chain.book.check(text)
        arguments = {"principal": by.id, "text": text, "since": time.time() - days * DAY, "limit": min(limit, MOST)}
        return self._store.jobs.enqueue(self.KIND, arguments)

    async def run(self, job: Job) -> Mapping[str, object]:
        """Do the job. It keeps no text, and leaves no events.

        Raises:
            PermissionDeniedError: who asked may no longer administer.
            JobError: who asked is gone, or another worker has the job.
        """
        who = await to_thread.run_sync(self._store.principals.find, str(job.arguments["principal"]))
        if who is None:
            raise JobError("Who asked for this is gone.")
        require(who, Right.ADMINISTER)
        text = job.arguments["text"]
        policies = self._chain.book.current if text is None else parse(text, where="guards.toml")
        run = await to_thread.run_sync(_Run, self._chain, self._store, policies)
        told, before = 0.0, None
        while rows := await to_thread.run_sync(self._page, job, before, run.report.requests):
            before = rows[-1].at
            for row in rows:
                await run.add(row, await to_thread.run_sync(self._store.contents.get, row.trace))
                if time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    await self._tell(job, run.report)
        return run.report.as_json(policies)

    def _page(self, job: Job, before: float | None, done: int) -> list[RequestRecord]:
        left = int(job.arguments["limit"]) - done
        if left <= 0:
            return []
        return self._store.requests.list(since=job.arguments["since"], before=before, limit=min(_PAGE, left))

    async def _tell(self, job: Job, report: _Report) -> None:
        message = f"{report.requests} requests, {sum(report.counts.values())} findings"
        put = partial(self._store.jobs.progress, job.id, str(job.lease_owner), done=report.requests, message=message)
        if not await to_thread.run_sync(put):
            raise JobError("The job was cancelled, or is another's by now.")


class _Run:
    """Stored requests, by policies that need not be in force. Nothing is kept of the texts but hashes, in memory."""

    def __init__(self, chain: Chain, store: Store, policies: Policies) -> None:
        self.report = _Report()
        self._chain = chain
        self._policies = policies
        self._keys = {key.id: key for key in store.keys.list()}
        self._bases = {base.name for base in store.knowledge.list()}
        self._plans: dict[tuple[str, Origin], Plan] = {}
        self._known: dict[tuple[str, Origin, int], list[Finding]] = {}

    async def add(self, row: RequestRecord, content: Content | None) -> None:
        """Look at one request and its answer."""
        report = self.report
        report.requests += 1
        if content is None:
            report.unrecorded += 1
            return
        # Whose it was counts for nothing here but its key: policies are chosen by it.
        who = Principal(id=row.principal, name=row.principal, role=RoleName.USER, created_at=row.at)
        ctx = Context(principal=who, trace=row.trace, door=row.door, key=self._keys.get(row.key or ""))
        base = row.model if row.model in self._bases else None
        policy = self._policies.of(ctx, base=base, model=row.model)
        strongest = Decision.ALLOW
        for origin, said in spoken(content):
            report.texts += 1
            for finding in await self._found(said, origin, ctx, policy):
                report.add(row.trace, origin, finding)
                strongest = max(strongest, finding.decision, key=lambda decision: decision.severity)
        report.decisions[strongest.value] += 1

    async def _found(self, text: str, origin: Origin, ctx: Context, policy: Policy) -> list[Finding]:
        place = (policy.name, origin, hash(text))
        found = self._known.get(place)  # a talk's history is in every one of its requests
        if found is None:
            plan = self._plan(policy, origin)
            made, failed = await self._chain.runner.decided(text, origin, ctx, plan, plan.guards, Work())
            self.report.failures += len(failed)
            found = [finding for finding in made if finding.category != FAILED]
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[place] = found
        return found

    def _plan(self, policy: Policy, origin: Origin) -> Plan:
        found = self._plans.get((policy.name, origin))
        if found is None:
            rules = self._policies.rules(policy, direction_of(origin))
            found = self._plans[policy.name, origin] = Plan(
                self._chain.guards, rules, version=self._policies.version, policy=policy.name, closed=False
            )
        return found


def spoken(content: Content) -> Iterator[tuple[Origin, str]]:
    """The recorded texts of a request and its answer, each with its origin."""
    for message in content.request.get("messages", ()):
        origin = ORIGINS[Role(message["role"])]
        yield from ((origin, text) for text in _texts(message) if text)
        yield from ((Origin.MODEL, call["arguments"]) for call in message.get("calls", ()) if call.get("arguments"))
    answer: Mapping[str, Any] = content.answer
    for name in ("content", "reasoning"):
        if answer.get(name):
            yield Origin.MODEL, answer[name]
    yield from ((Origin.MODEL, call["arguments"]) for call in answer.get("tool_calls", ()) if call.get("arguments"))


def _texts(message: Mapping[str, Any]) -> list[str]:
    parts = [part["text"] for part in message.get("parts", ()) if isinstance(part.get("text"), str)]
    return parts or [message.get("content", "")]
