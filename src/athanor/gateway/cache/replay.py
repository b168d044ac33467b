"""From a stream to an answer that is kept, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from athanor.gateway.cache.exact import Entry, size_of
from athanor.types import (
    NO_USAGE,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
)

COMPLETE = frozenset({FinishReason.STOP, FinishReason.TOOL_CALLS, FinishReason.LENGTH})
"""How an answer ends that may be given again. A filter may decide otherwise next time."""


def entry_of(
    events: list[Event], *, route: str, born: float, target: str = "", dropped: tuple[str, ...] = ()
) -> Entry | None:
    """The answer that a finished stream makes, or None if it should not be given again.

    Not kept are answers cut short by a filter, abstentions (the next document may answer), and those that say nothing.

    Args:
        target, dropped: who answered and without what, where no `Started` says it.
    """
    last = events[-1] if events else None
    if not isinstance(last, Finished) or last.reason not in COMPLETE or last.abstained:
        return None
    if not any(isinstance(event, ToolCallDelta) or (isinstance(event, TextDelta) and event.text) for event in events):
        return None
    kept: list[Event] = []
    cost = 0.0
    for event in events:
        cost += event.usage.cost
        if isinstance(event, Started):  # its headers were another caller's
            target, dropped = event.target or target, event.dropped or dropped
        else:
            kept.append(event if event.usage is NO_USAGE else replace(event, usage=NO_USAGE))
    answer = tuple(kept)
    return Entry(route=route, events=answer, target=target, dropped=dropped, cost=cost, born=born, size=size_of(answer))


def replay(entry: Entry, *, stream: bool) -> Iterator[Event]:
    """The answer again: piece by piece as it came, or its text in one piece."""
    return iter(entry.events) if stream else _joined(entry.events)


def _joined(events: tuple[Event, ...]) -> Iterator[Event]:
    """All text in one piece, where its first piece was; reasoning and tool calls with one piece for each."""
    texts = [event for event in events if isinstance(event, TextDelta)]
    said = False
    held: ReasoningDelta | ToolCallDelta | None = None
    for event in events:
        if isinstance(event, TextDelta):
            if said:
                continue
            said = True
        if held is not None and (merged := _merged(held, event)) is not None:
            held = merged
            continue
        if held is not None:
            yield held
            held = None
        if isinstance(event, ReasoningDelta | ToolCallDelta):
            held = event
        elif isinstance(event, TextDelta):
            yield event if len(texts) == 1 else _one(texts)
        else:
            yield event


def _one(texts: list[TextDelta]) -> TextDelta:
    logprobs = tuple(token for piece in texts for token in piece.logprobs)
    return TextDelta(text="".join(piece.text for piece in texts), logprobs=logprobs)


def _merged(one: ReasoningDelta | ToolCallDelta, two: Event) -> ReasoningDelta | ToolCallDelta | None:
    """Both as one piece, or None where `two` begins something else."""
    if isinstance(one, ToolCallDelta):
        if not isinstance(two, ToolCallDelta) or two.index != one.index:
            return None
        return replace(
            one,
            id=one.id or two.id,
            name=one.name or two.name,
            arguments=one.arguments + two.arguments,
            signature=two.signature or one.signature,
        )
    # A signature ends a block.
    if not isinstance(two, ReasoningDelta) or one.signature is not None or one.redacted != two.redacted:
        return None
    return replace(one, text=one.text + two.text, signature=two.signature)
