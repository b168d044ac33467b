"""The generative mode: a model writes from passages, and nothing it writes passes for supported without a source.

Each sentence is held until it is complete, graded against the sentences of the passages, and then sent with its grade
and a citation of what supports it; one that nothing supports is dropped, or sent and marked. The model is never asked
to cite: small ones cannot, and a citation that the writer chooses is a claim, not a proof.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from anyio import to_thread

from athanor.engines import Engine
from athanor.engines.wrappers.failures import bill
from athanor.errors import AthanorError
from athanor.guards.spotlight import OVERHEAD, Spotlight
from athanor.rag.groundedness import Grader, groundedness
from athanor.rag.sentences import complete_sentences
from athanor.rag.whole import in_order
from athanor.types import (
    NO_USAGE,
    AnswerMode,
    Cited,
    Context,
    Event,
    Finished,
    FinishReason,
    Graded,
    Hit,
    Message,
    Request,
    Role,
    TextDelta,
    Usage,
)

# Stable first, the question last: the passages' part of the prompt is then found in the prefix cache again when the
# same passages are asked about twice. They stand in the user's message: a system prompt has an authority that is theirs
# least of all.
_SYSTEM = (
    "Answer the question from the passages and from nothing else. The passages are quotations. Use their words. Answer "
    "in at most three sentences. If they do not hold the answer, write: The passages do not say."
)


Unsupported = Literal["drop", "mark"]
"""What is done with a sentence that no source supports: it is left out, or sent with a grade that says so."""

MAX_TOKENS = 256
"""Of a written answer, unless the request says otherwise: it is asked to have three sentences."""

MAX_DROPPED = 4
"""Unsupported sentences in a row after which the model is stopped: it has left the passages, and does not come back."""


def prompt(question: str, hits: Sequence[Hit], spotlight: Spotlight, ctx: Context | None = None) -> tuple[Message, ...]:
    """System, passages, question: in this order, so that prefixes repeat."""
    passages = "\n\n".join(
        spotlight.quote(hit.chunk.text, f"passage {i}, from a document", title=hit.title)
        for i, hit in enumerate(hits, start=1)
    )
    return (
        Message(role=Role.SYSTEM, content=spotlight.system(_SYSTEM, ctx)),
        Message(role=Role.USER, content=f"Passages:\n\n{passages}\n\nQuestion: {question}"),
    )


def fitting(hits: Sequence[Hit], context: int, answer: int) -> list[Hit]:
    """As many of the best passages as leave room for the answer."""
    left = room(context, answer)
    chosen: list[Hit] = []
    for hit in hits:
        left -= taken(hit)
        if left < 0 and chosen:
            break
        chosen.append(hit)
    return chosen


def room(context: int, answer: int) -> int:
    """Characters of a prompt that passages may have, counting three a token."""
    return (context - answer - 300) * 3


def taken(hit: Hit) -> int:
    """Characters that a passage has in a prompt."""
    return len(hit.chunk.text) + len(hit.title) + OVERHEAD


def answer_tokens(request: Request, writer: Engine) -> int:
    """The most tokens of an answer to `request`."""
    return request.sampling.max_tokens or min(MAX_TOKENS, writer.profile.max_tokens)


async def write(
    request: Request,
    ctx: Context,
    hits: Sequence[Hit],
    *,
    writer: Engine,
    grader: Callable[[Sequence[Hit]], Grader],
    unsupported: Unsupported = "drop",
    ordered: bool = False,
    spotlight: Spotlight | None = None,
) -> AsyncGenerator[Event, None]:
    """The model's sentences as it completes them, each with its citations and its grade; one `Finished` at the end.

    A dropped sentence leaves an event without text, for its usage. `Finished.abstained` is set when no sentence was
    supported, whatever is done with those.

    Args:
        grader: made of the passages that the model is given.
        ordered: give those that fit in the order of reading, not best first.
        spotlight: how passages are quoted; without one, by names that are good for this answer.
    """
    spotlight = spotlight or Spotlight()
    limit = answer_tokens(request, writer)
    chosen = fitting(hits, writer.profile.context, limit)
    if ordered:
        chosen = in_order(chosen)
    inner = Request(
        model=writer.profile.name,
        messages=prompt(request.question, chosen, spotlight, ctx),
        sampling=replace(request.sampling, max_tokens=limit),
    )
    # Taking the passages apart is milliseconds of pure Python: not on the loop that other answers stream from.
    told = _Told(await to_thread.run_sync(grader, chosen), unsupported)
    usage: Usage = NO_USAGE
    reason, pending = FinishReason.STOP, ""
    try:
        async with aclosing(writer.run(inner, ctx)) as events:
            async for event in events:
                usage += event.usage
                if isinstance(event, Finished):
                    reason = event.reason
                    sentences, pending = [pending.strip()] if pending.strip() else [], ""
                elif isinstance(event, TextDelta):
                    sentences, pending = complete_sentences(pending + event.text)
                else:
                    continue
                for sentence in sentences:
                    for made in await told.tell(spotlight.read(sentence), usage):
                        usage = NO_USAGE
                        yield made
                if told.astray >= MAX_DROPPED:
                    break
    except (AthanorError, CancelledError) as error:
        bill(error, usage)  # what no event will carry any more
        raise
    yield Finished(
        reason=reason,
        usage=usage,
        mode=AnswerMode.GENERATIVE,
        abstained=not told.supported,
        dropped=told.dropped,
        groundedness=groundedness(told.scores),
    )


class _Told:
    """What of the answer has been sent."""

    def __init__(self, grader: Grader, unsupported: Unsupported) -> None:
        self._grader = grader
        self._unsupported = unsupported
        self._position = 0
        self.supported = 0
        self.dropped = 0
        self.astray = 0
        """Unsupported sentences since the last supported one."""
        self.scores: list[float] = []

    async def tell(self, sentence: str, usage: Usage) -> list[Event]:
        """The events of a complete sentence; the first carries `usage`."""
        grade = await self._grader.grade(sentence)
        if grade.supported:
            self.supported += 1
            self.astray = 0
        else:
            self.astray += 1
            if self._unsupported == "drop":
                self.dropped += 1
                return [TextDelta(text="", usage=usage + grade.usage)]  # it was computed, though nobody reads it
        gap = " " if self._position else ""
        start = self._position + len(gap)
        end = self._position = start + len(sentence)
        self.scores.append(grade.score)
        events: list[Event] = [TextDelta(text=gap + sentence, usage=usage)]
        if grade.supported:
            events += [Cited(citation=citation, start=start, end=end) for citation in grade.citations]
        graded = Graded(start=start, end=end, score=grade.score, supported=grade.supported, usage=grade.usage)
        return [*events, graded]
