"""Models that do not run here: what is sent to them is redacted, and what they answer is restored.

The wrapper is around each remote model itself, so that every way to it is covered: routes and their fallbacks,
knowledge bases, batches, replays. What it takes out, and how, is the policy's section `remote`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from athanor.engines import Engine
from athanor.engines.wrappers.base import Wrapper
from athanor.errors import BlockedError
from athanor.guards.arguments import readable
from athanor.guards.judge import Judge
from athanor.guards.policy import Direction, Going
from athanor.guards.pseudonyms import Pseudonyms
from athanor.guards.redact import redact
from athanor.guards.reveal import Revealer
from athanor.guards.rewriting import FoundText, is_json, redacted_texts
from athanor.guards.run import Plan, Work
from athanor.guards.texts import Piece, pieces, rewritten
from athanor.types import Attachment, Context, Decision, Event, How, Message, Origin, Reasoning, Request

_AT_ONCE = 8


class Privacy:
    """What may leave, by the policies.

    Args:
        judge: asks the guards, and has the vault.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._vault = judge.vault

    async def protected(self, request: Request, ctx: Context, *, model: str) -> tuple[Request, Pseudonyms]:
        """`request` as it may leave for `model`, and the names that stand in it.

        Raises:
            BlockedError: the policy keeps something of it here, or a guard failed that could have.
        """
        going = self._judge.going(ctx, model=model)
        plan = self._judge.plan(going, Direction.REMOTE)
        if not plan:
            return request, self._vault.hashes()
        work = Work()
        with ctx.span.child("guards", direction="remote", policy=going.policy.name) as span:
            todo = {piece.place: piece for piece in (*pieces(request), *_asides(request)) if piece.text}
            found = await self._found(todo, going, plan, work)
            span.set(**work.attributes())
        names = await self._vault.names(request, ctx)
        texts = redacted_texts(found, names)
        await self._vault.keep(names, ctx)
        changed = rewritten(request, lambda piece: texts.get(piece.place, piece.text))
        return _with_asides(changed, texts, _signed(request, names)), names

    async def texts(self, texts: Sequence[str], ctx: Context, *, model: str) -> list[str]:
        """Texts that become vectors elsewhere: each on its own, so that equal ones stay equal.

        Raises:
            BlockedError: as above.
        """
        going = self._judge.going(ctx, model=model)
        plan = self._judge.plan(going, Direction.REMOTE)
        if not plan:
            return [*texts]
        todo = {
            str(i): Piece(text=text, origin=Origin.USER, place=f"input.{i}", new=True) for i, text in enumerate(texts)
        }
        found = await self._found(todo, going, plan, Work())
        return [redacted_texts({place: one}, self._vault.hashes())[place] for place, one in found.items()]

    async def _found(self, todo: Mapping[str, Piece], going: Going, plan: Plan, work: Work) -> dict[str, FoundText]:
        """What follows from every text, in their order."""
        places = [*todo]
        found: dict[str, FoundText] = {}
        for at in range(0, len(places), _AT_ONCE):
            some = places[at : at + _AT_ONCE]
            made = await asyncio.gather(*(self._one(todo[place], going, plan, work) for place in some))
            found.update(zip(some, made, strict=True))
        return found

    async def _one(self, piece: Piece, going: Going, plan: Plan, work: Work) -> FoundText:
        json = is_json(piece)
        text = readable(piece.text) if json else piece.text
        looked = await self._judge.look(text, piece.origin, going, plan, work)
        verdict = self._judge.settled(
            text,
            looked.findings,
            going,
            origin=piece.origin,
            place=f"remote.{piece.place}",
            record=not looked.remembered,
        )
        if verdict.decision is Decision.BLOCK:
            categories = tuple(dict.fromkeys(f.category for f in verdict.findings if f.decision is Decision.BLOCK))
            raise BlockedError(
                f"The policy {going.policy.name!r} keeps this from {going.model!r}: {', '.join(categories)}.",
                categories=categories,
                where=piece.place,
                hint="Leave that part out, or ask a model that runs on this machine.",
            )
        return FoundText(text=piece.text, json=json, findings=verdict.findings, how=plan.how)


class PrivateEngine(Wrapper):
    """A remote model that sees no more than the policy lets it see. It owns that engine."""

    def __init__(self, inner: Engine, privacy: Privacy) -> None:
        super().__init__(inner)
        self._privacy = privacy

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        asked, names = await self._privacy.protected(request, ctx, model=self.profile.name)
        events = self._inner.run(asked, ctx)
        if names.used:
            events = Revealer(names, json=request.json_schema is not None).revealed(events)
        async with aclosing(events):
            async for event in events:
                yield event


def _asides(request: Request) -> list[Piece]:
    """Texts beside what is said: names, thoughts that nobody has signed."""
    found: list[Piece] = []

    def keep(text: str | None, place: str, origin: Origin = Origin.USER) -> None:
        if text:
            found.append(Piece(text=text, origin=origin, place=place, new=False))

    keep(request.user, "user")
    for i, message in enumerate(request.messages):
        keep(message.name, f"messages.{i}.name")
        for j, part in enumerate(message.parts):
            if isinstance(part, Attachment):
                keep(part.name, f"messages.{i}.parts.{j}.name")
        for j, thought in enumerate(message.reasoning):
            if thought.signature is None:
                keep(thought.text, f"messages.{i}.reasoning.{j}", Origin.MODEL)
    return found


def _signed(request: Request, names: Pseudonyms) -> dict[str, str]:
    """Thoughts that a vendor has signed, as the vendor wrote them: anything else it would refuse."""
    return {
        f"messages.{i}.reasoning.{j}": redact(
            thought.text, names.again(thought.text, inside=True), How.PSEUDONYM, names
        ).text
        for i, message in enumerate(request.messages)
        for j, thought in enumerate(message.reasoning)
        if thought.signature is not None and thought.text
    }


def _with_asides(request: Request, texts: Mapping[str, str], signed: Mapping[str, str]) -> Request:
    texts = {**texts, **signed}

    def changed(message: Message, place: str) -> Message:
        parts = tuple(
            replace(part, name=texts.get(f"{place}.parts.{j}.name", part.name))
            if isinstance(part, Attachment)
            else part
            for j, part in enumerate(message.parts)
        )
        reasoning = tuple(
            Reasoning(
                text=texts.get(f"{place}.reasoning.{j}", thought.text),
                signature=thought.signature,
                redacted=thought.redacted,
            )
            for j, thought in enumerate(message.reasoning)
        )
        name = texts.get(f"{place}.name", message.name)
        if (name, parts, reasoning) == (message.name, message.parts, message.reasoning):
            return message
        return replace(message, name=name, parts=parts, reasoning=reasoning)

    messages = tuple(changed(message, f"messages.{i}") for i, message in enumerate(request.messages))
    return replace(request, messages=messages, user=texts.get("user", request.user))
