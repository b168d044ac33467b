"""Stored traffic through a new policy, offline: where each request would have gone, and what that would have cost.

Nothing is asked and nothing is written here. The choice is made by the lines that choose for live traffic
(`choice.chain`); what these learn from answers (speed, length, work under way) is learned from the ledger's rows, in
the order in which they came. A model that failed a request then fails it again; any other answers. It is assumed that
an answer has as many tokens as the recorded one, and that no vendor's prompt cache is warm for a model that did not
answer then.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from athanor.config import RouteSettings
from athanor.engines.wrappers import Load, Loads
from athanor.errors import ConfigError
from athanor.gateway import choice
from athanor.gateway.choice import Demand, Option
from athanor.types import Profile, RequestRecord, Span, Usage

DOOR = "replay"
"""The door of requests that a replay asks; they are no traffic."""
_OTHER_DOORS = frozenset({DOOR, "embeddings", "rerank"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One request of the past under the new policy."""

    trace: str
    at: float
    old: str
    """The model that answered."""
    new: str
    """The model that would be asked."""
    paid: float
    """US dollars."""
    estimate: float | None
    """US dollars; `None` where the new model is priced by time and its speed was never measured."""
    recorded: bool
    """Its text was kept, so that it can be asked again."""
    label: str | None = None
    """What the policy's classifier takes it for."""

    @property
    def moved(self) -> bool:
        return self.old != self.new


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole of it."""

    rows: tuple[Replayed, ...]
    cached: int
    """Requests that our cache answered and would answer again: they are not replayed."""
    unanswered: int
    """Requests that no model answered."""

    def summary(self) -> dict[str, Any]:
        """Sums for people and programs."""
        moved = [row for row in self.rows if row.moved]
        priced = [row for row in self.rows if row.estimate is not None]
        paid = sum(row.paid for row in priced)
        estimate = sum(row.estimate or 0.0 for row in priced)
        return {
            "requests": len(self.rows),
            "cached": self.cached,
            "unanswered": self.unanswered,
            "moved": len(moved),
            "recorded": sum(row.recorded for row in self.rows),
            "moved_and_recorded": sum(row.recorded for row in moved),
            "unpriced": len(self.rows) - len(priced),
            "paid": paid,
            "estimate": estimate,
            "difference": estimate - paid,
            "models": self._models(),
        }

    def to_ask(self) -> list[Replayed]:
        """Requests whose answer can be compared with what the new model would say."""
        return [row for row in self.rows if row.moved and row.recorded]

    def wire(self) -> dict[str, Any]:
        """Summary and rows as JSON."""
        return {**self.summary(), "rows": [{**asdict(row), "moved": row.moved} for row in self.rows]}

    def _models(self) -> list[dict[str, Any]]:
        names = sorted({row.old for row in self.rows} | {row.new for row in self.rows})
        return [
            {
                "name": name,
                "requests_before": sum(row.old == name for row in self.rows),
                "requests_after": sum(row.new == name for row in self.rows),
                "paid": sum(row.paid for row in self.rows if row.old == name),
                "estimate": sum(row.estimate or 0.0 for row in self.rows if row.new == name),
            }
            for name in names
        ]


def traffic(records: Sequence[RequestRecord], model: str) -> list[RequestRecord]:
    """Of `records`, the chats that asked for `model` (`*`: for any), oldest first. Replays are no traffic."""
    kept = [r for r in records if r.door not in _OTHER_DOORS and model in {"*", r.model}]
    return sorted(kept, key=lambda record: (record.at, record.trace))


def failed_in(spans: Sequence[Span]) -> frozenset[str]:
    """Models that a request's trace says had failed, or were left alone."""
    found = {
        str(span.attributes.get("target"))
        for span in spans
        if span.name == "attempt" and span.attributes.get("outcome") not in {"ok", "cancelled"}
    }
    for span in spans:
        found.update(span.attributes.get("left_alone", ()))
    return frozenset(found - {span.attributes.get("target") for span in spans if span.parent is None})


def replay(
    settings: RouteSettings,
    profiles: Mapping[str, Profile | None],
    records: Sequence[RequestRecord],
    demands: Mapping[str, Demand],
    *,
    failed: Mapping[str, Collection[str]] | None = None,
    seed: int = 0,
) -> Report:
    """Send `records` through `settings`.

    Args:
        profiles: of every model of the policy; `None` where one cannot be found.
        records: oldest first.
        demands: trace → what its recorded text needs; requests without one need nothing but their tokens.
        failed: trace → models that failed it, or were left alone when it came.
        seed: of weights and exploration.

    Raises:
        ConfigError: no model may be picked.
    """
    loads, dice = Loads(), random.Random(seed)  # noqa: S311  the same each time
    options = {name: Option(name=name, load=loads.get(name), profile=profile) for name, profile in profiles.items()}
    running: list[tuple[float, str]] = []
    rows: list[Replayed] = []
    cached = unanswered = 0
    for record in records:
        if record.cache:
            cached += 1
            continue
        if not record.target or not record.usage.total_tokens:
            unanswered += 1
            continue
        while running and running[0][0] <= record.at:
            loads.get(heapq.heappop(running)[1]).outstanding -= 1
        found = demands.get(record.trace)
        demand = replace(found or Demand(prompt=0), prompt=record.usage.prompt_tokens)
        names = choice.chain(settings, demand, options, dice)
        if not names:
            raise ConfigError("No model of the policy reaches its quality floor.", where="quality_floor")
        down = (failed or {}).get(record.trace, ())
        row = _row(record, options[next((n for n in names if n not in down), names[0])], found)
        rows.append(row)
        loads.get(row.new).outstanding += 1
        heapq.heappush(running, (record.at + record.duration, row.new))
        _learn(loads.get(record.target), record)
    return Report(rows=tuple(rows), cached=cached, unanswered=unanswered)


def _row(record: RequestRecord, new: Option, demand: Demand | None) -> Replayed:
    same = new.name == record.target
    return Replayed(
        trace=record.trace,
        at=record.at,
        old=record.target,
        new=new.name,
        paid=record.usage.cost,
        estimate=record.usage.cost if same else _estimate(record.usage, new),
        recorded=demand is not None,
        label=demand.label if demand is not None else None,
    )


def _estimate(usage: Usage, option: Option) -> float | None:
    profile = option.profile
    if profile is None:
        return None
    seconds = 0.0
    if profile.price.second:
        if option.load.seconds is None:
            return None
        seconds = option.load.seconds * usage.total_tokens
    asked = Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, seconds=seconds)
    return profile.price.of(asked)


def _learn(load: Load, record: RequestRecord) -> None:
    """What a live route would have learned from this answer."""
    if record.status != "ok":
        return
    # A first piece that came with the end was an answer in one piece.
    streamed = record.first_token is not None and record.first_token < 0.95 * record.duration
    first = record.first_token if streamed else None
    load.learn(total=record.duration, first=first, tokens=record.usage.completion_tokens)
    load.learn_seconds(record.usage.seconds, record.usage.total_tokens)
