"""An answer on its way out: text is held back until it is sure, and what has to go goes before anybody sees it.

Guards that can change an answer look at it while it grows (`stream.Holdback`). Guards that can only flag look at its
end, and hold nothing up. Arguments of tool calls are looked at whole: half a call is of no use to anybody.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from athanor.errors import AthanorError
from athanor.guards.arguments import readable, redact_json
from athanor.guards.base import Guard
from athanor.guards.judge import Judge
from athanor.guards.marks import Marks, carrying
from athanor.guards.policy import Going
from athanor.guards.redact import Names, redact
from athanor.guards.run import Plan, Work
from athanor.guards.stream import Holdback, Piece, findings_of
from athanor.types import (
    NO_USAGE,
    Citation,
    Cited,
    Decision,
    Event,
    Finding,
    Finished,
    FinishReason,
    Graded,
    Origin,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)

SHARE = 0.1
"""Of the time of a stream that guards may take while text comes; at its end all of it is looked at."""
CREDIT = 0.05
"""Seconds of it that they may take at once, so that short answers flow as well."""
MOST = 0.02
"""Seconds of one look that count: the first one of a process loads what it needs."""


class _RefusedError(Exception):
    """The policy ends the answer here."""


@dataclass(frozen=True, slots=True)
class _Broken:
    """The answer broke off."""

    error: AthanorError


@dataclass(slots=True)
class _Call:
    arguments: list[str] = field(default_factory=list)
    signature: str | None = None


class Outgoing:
    """One answer.

    Args:
        whole: the caller gets it in one piece: of an answer that is refused, nothing is given out.
        names: what pseudonyms and hashes are made by.
    """

    def __init__(self, judge: Judge, going: Going, plan: Plan, *, whole: bool, names: Names | None = None) -> None:
        self._judge = judge
        self._going = going
        self._plan = plan
        self._whole = whole
        self._names = names
        self._holding: tuple[Guard, ...] = () if judge.observing else plan.holding
        self._flagging = tuple(guard for guard in plan.guards if guard not in self._holding)
        self._work = Work()
        self._counts: Counter[str] = Counter()
        self._said: list[str] = []
        """The text as it came, for those who look at its end."""
        self._thoughts_said: list[str] = []
        self._text = self._holdback("answer")
        self._base = 0
        """Where the text of `_text` begins in the whole."""
        self._length = 0
        self._marks = Marks()
        self._waiting: list[str] = []
        """Pieces of text that were not looked at yet."""
        self._began = time.perf_counter()
        self._spent = 0.0
        """Seconds that looking took while text came."""
        self._thought: Holdback | None = None
        self._thought_changed = False
        self._calls: dict[int, _Call] = {}

    async def checked(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The events as they may go on. Usage is never held back: where nothing else can go, an empty delta carries
        it."""
        kept: list[Event] = []
        async with aclosing(self._unbroken(events)) as whole:
            async for event in whole:
                if isinstance(event, _Broken):
                    for one in [] if self._whole else await self._left():
                        yield one
                    raise event.error
                try:
                    made = carrying(event.usage, await self._made(event))
                except _RefusedError:
                    self._close()
                    yield Finished(reason=FinishReason.FILTERED, usage=event.usage)
                    return
                for one in made:
                    if self._whole and not isinstance(one, Finished):
                        kept.append(replace(one, usage=NO_USAGE))
                        if one.usage is not NO_USAGE:
                            yield TextDelta(text="", usage=one.usage)
                        continue
                    for before in kept:
                        yield before
                    kept = []
                    yield one

    async def _unbroken(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event | _Broken, None]:
        """The events, and the error that ended them as the last one."""
        async with aclosing(events):
            try:
                async for event in events:
                    yield event
            except AthanorError as error:
                yield _Broken(error)

    async def _left(self) -> list[Event]:
        """What was held back of an answer that broke off, as far as it may be shown."""
        try:
            return await self._rest()
        except _RefusedError:
            return []

    async def _made(self, event: Event) -> list[Event]:
        made: list[Event] = []
        if not isinstance(event, ReasoningDelta):
            made += await self._thoughts(last=True)
        if not isinstance(event, ToolCallDelta):
            made += await self._called() if self._calls and not isinstance(event, Finished) else []
        match event:
            case TextDelta():
                made += await self._told(event)
            case ReasoningDelta():
                made += await self._thinking(event)
            case ToolCallDelta():
                made += [*await self._rest(), *self._calling(event)]
            case Cited():
                citation = await self._quoted(event.citation)
                self._marks.add(replace(event, citation=citation))
                made += self._marks.sure()
            case Graded():
                self._doubted(event)
                self._marks.add(event)
                made += self._marks.sure()
            case Finished():
                made += [*await self._rest(), *await self._called(), *self._marks.sure()]
                await self._flags("".join(self._said), "answer")
                await self._flags("".join(self._thoughts_said), "reasoning")
                self._close()
                made.append(await self._ended(event))
            case _:
                made.append(event)
        return made

    # Text.

    async def _told(self, event: TextDelta) -> list[Event]:
        if self._flagging:
            self._said.append(event.text)
        if not self._holding:
            self._length += len(event.text)
            self._base = self._marks.given = self._length
            return [replace(event, usage=NO_USAGE)] if event.text or event.logprobs else []
        self._marks.weigh(self._length, event.text, event.logprobs)
        self._length += len(event.text)
        self._waiting.append(event.text)
        # A fast model's pieces are looked at together, so that looking never takes more than a share of the time.
        if self._spent > CREDIT + SHARE * (time.perf_counter() - self._began):
            return []
        return self._passed(await self._fed())

    async def _fed(self, *, last: bool = False) -> Piece:
        """What is sure, once all that has come was looked at."""
        text, self._waiting = "".join(self._waiting), []
        began = time.perf_counter()
        piece = await self._text.feed(text, last=last)
        self._spent += min(time.perf_counter() - began, MOST)
        return piece

    async def _rest(self) -> list[Event]:
        """What is left of the text, before something else begins or the answer ends."""
        if self._base == self._length:
            return []
        made = self._passed(await self._fed(last=True))
        self._base = self._length
        self._text = self._holdback("answer")
        return made

    def _passed(self, piece: Piece) -> list[Event]:
        self._marks.given = self._base + piece.end
        self._marks.edited(piece.edits, self._base)
        made: list[Event] = [TextDelta(text=piece.text, logprobs=self._marks.odds())] if piece.text else []
        return [*made, *self._marks.sure()]

    async def _quoted(self, citation: Citation) -> Citation:
        quote = await self._cleaned(citation.quote, "answer.citation")
        return citation if quote == citation.quote else replace(citation, quote=quote)

    # Reasoning.

    async def _thinking(self, event: ReasoningDelta) -> list[Event]:
        if self._flagging:
            self._thoughts_said.append(event.text)
        if event.redacted:
            return [*await self._thoughts(last=True), replace(event, usage=NO_USAGE)]
        if self._thought is None:
            self._thought = self._holdback("reasoning")
            self._thought_changed = False
        made = await self._thoughts(event.text, last=event.signature is not None)
        if event.signature is not None and not self._thought_changed:
            # The vendor's proof is of the text as it was; of another one it proves nothing.
            made.append(ReasoningDelta(signature=event.signature))
        return made

    async def _thoughts(self, text: str = "", *, last: bool = False) -> list[Event]:
        if self._thought is None:
            return []
        piece = await self._thought.feed(text, last=last)
        self._thought_changed = self._thought_changed or bool(piece.edits)
        if last:
            self._thought = None
        return [ReasoningDelta(text=piece.text)] if piece.text else []

    # Tool calls.

    def _calling(self, event: ToolCallDelta) -> list[Event]:
        call = self._calls.get(event.index)
        made: list[Event] = []
        if call is None:
            call = self._calls[event.index] = _Call()
        if event.id is not None or event.name is not None:
            made.append(ToolCallDelta(index=event.index, id=event.id, name=event.name))
        call.arguments.append(event.arguments)
        call.signature = event.signature or call.signature
        return made

    async def _called(self) -> list[Event]:
        made: list[Event] = []
        calls, self._calls = self._calls, {}
        for index, call in calls.items():
            before = "".join(call.arguments)
            after = await self._cleaned(before, f"answer.calls.{index}", json=True)
            await self._flags(readable(before), f"answer.calls.{index}")
            made.append(ToolCallDelta(index=index, arguments=after, signature=call.signature))
        return made

    # What guards say.

    def _holdback(self, place: str) -> Holdback:
        async def settle(found: Sequence[tuple[Finding, str]]) -> None:
            self._settled(found, place)

        return Holdback(self._holding, self._look, settle, how=self._plan.how, names=self._names)

    async def _look(self, text: str, guards: Sequence[Guard]) -> Sequence[Finding]:
        runner, ctx = self._judge.runner, self._going.ctx
        found, _ = await runner.decided(text, Origin.MODEL, ctx, self._plan, guards, self._work)
        return found

    def _settled(self, found: Sequence[tuple[Finding, str]], place: str) -> None:
        """Keep what is sure.

        Raises:
            _RefusedError: the answer ends here.
        """
        self._work.count([finding for finding, _ in found])
        verdict = self._judge.done(found, self._going, origin=Origin.MODEL, place=place, counts=self._counts)
        if verdict.decision is Decision.BLOCK:
            raise _RefusedError

    def _doubted(self, event: Graded) -> None:
        """What the knowledge package says of a sentence that its sources do not support; marking it is its own work."""
        if event.supported:
            return
        finding = Finding(
            guard="groundedness",
            category="ungrounded",
            score=1.0 - event.score,
            start=event.start,
            end=event.end,
            reason="its sources do not support this sentence",
        )
        decided = self._plan.rules.decided(finding)
        if decided is not None:
            mild = decided.decision is Decision.REDACT  # the sentence has gone out
            self._settled([(replace(decided, decision=Decision.FLAG) if mild else decided, "")], "answer")

    async def _cleaned(self, text: str, place: str, *, json: bool = False) -> str:
        """A text that is there at once, without what has to go."""
        if not self._holding or not text:
            return text
        read = readable(text) if json else text
        found = await findings_of(read, self._holding, self._look)
        self._settled([(f, read[f.start : f.end]) for f in found], place)
        change = redact_json if json else redact
        return change(text, found, self._plan.how, self._names).text

    async def _flags(self, text: str, place: str) -> None:
        if self._flagging and text:
            found = await findings_of(text, self._flagging, self._look)
            self._settled([(f, text[f.start : f.end]) for f in found], place)

    async def _ended(self, event: Finished) -> Finished:
        if not (event.nearest or event.conflicts):
            return replace(event, usage=NO_USAGE)
        nearest = [await self._quoted(citation) for citation in event.nearest]
        conflicts = [
            replace(c, first=await self._quoted(c.first), second=await self._quoted(c.second)) for c in event.conflicts
        ]
        return replace(event, usage=NO_USAGE, nearest=tuple(nearest), conflicts=tuple(conflicts))

    def _close(self) -> None:
        """Tell the trace."""
        with self._going.ctx.span.child("guards", direction="out", policy=self._going.policy.name) as span:
            span.set(**self._work.attributes())
