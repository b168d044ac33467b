"""Guards one after the other, and the policy that has the last word."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from athanor.errors import BlockedError
from athanor.guards.answers import Guarded
from athanor.guards.arguments import readable
from athanor.guards.base import Guard
from athanor.guards.book import Book
from athanor.guards.canary import Canaries
from athanor.guards.events import Recorder
from athanor.guards.judge import Judge
from athanor.guards.normalise import subject_of
from athanor.guards.parts import Found, Parts, find
from athanor.guards.passages import screened
from athanor.guards.policy import Going
from athanor.guards.rewriting import FoundText, is_json, redacted_texts
from athanor.guards.run import Looked, Plan, Work, direction_of
from athanor.guards.spotlight import Spotlight, told
from athanor.guards.texts import Piece, pieces, rewritten
from athanor.guards.vault import Vault
from athanor.types import Context, Decision, Finding, Hit, How, Origin, Request, Role, Verdict

_AT_ONCE = 8
"""Texts of one request that are looked at together."""


class Chain(Judge):
    """All guards of a running system."""

    @classmethod
    def make(cls, parts: Parts, guards: Sequence[Guard] | None = None) -> Chain:
        """The guards that are installed (or `guards`), by the policies of the settings.

        Raises:
            ConfigError: the policies' file is wrong.
        """
        settings = parts.settings.guards
        book = Book(settings.policies or parts.settings.home / "guards.toml")
        canaries = Canaries(parts.key("canary"))
        found = find(parts) if guards is None else Found(guards=tuple(guards))
        chain = cls(
            found.guards,
            settings=settings,
            book=book,
            recorder=Recorder(parts.store, parts.metrics, parts.key("events")),
            metrics=parts.metrics,
            missing={name: str(error) for name, error in found.missing.items()}
            | {
                guard.name: f"works in part: {why}"
                for guard in found.guards
                if (why := getattr(guard, "missing", None))
            },
            vault=Vault(parts.store.vaults, key=parts.key("pseudonyms")),
        )
        chain.spotlight = Spotlight(
            key=parts.key("spotlight"),
            on=settings.spotlight,
            marking=settings.spotlight_words,
            canaries=canaries if settings.canary and settings.mode != "off" else None,
        )
        chain._canaries = canaries if settings.canary_callers and settings.mode != "off" else None
        return chain

    spotlight: Spotlight | None = None
    """How text that is not to be trusted is put into prompts; whatever detectors are on."""
    _canaries: Canaries | None = None
    """Mark callers' system prompts, where that is wanted."""

    async def admit(self, request: Request, ctx: Context, *, base: str | None = None) -> Guarded:
        """Check every text of `request`, and mark in it what has no authority.

        Args:
            base: the knowledge base that answers.

        Raises:
            BlockedError: the policy refuses it.
        """
        guarded = await self._admitted(request, ctx, base=base)
        guarded.request = self._marked(guarded.request, ctx)
        return guarded

    def _marked(self, request: Request, ctx: Context) -> Request:
        if self.settings.spotlight_tools and self.spotlight is not None:
            request = self.spotlight.tools(request)
        if self._canaries is not None and any(message.role is Role.SYSTEM for message in request.messages):
            request = told(request, self._canaries.line(ctx))
        return request

    async def _admitted(self, request: Request, ctx: Context, *, base: str | None = None) -> Guarded:
        """Check every text of `request`.

        Args:
            base: the knowledge base that answers.

        Raises:
            BlockedError: the policy refuses it.
        """
        if not self.active:
            return Guarded(request)
        going = self.going(ctx, model=request.model, base=base)
        plans = {origin: self.plan(going, direction_of(origin)) for origin in Origin}
        guarded = Guarded(request, self, going)
        if not any(plans.values()):
            return guarded
        todo = [piece for piece in map(_readable, pieces(request)) if plans[piece.origin] and piece.text]
        work = Work()
        with ctx.span.child("guards", direction="in", policy=going.policy.name) as span:
            looked = await self._all(todo, plans, going, work)
            span.set(**work.attributes())
        verdicts: dict[str, Verdict] = {}
        for piece in todo:
            found = looked[piece.text, piece.origin]
            if not found.findings:
                continue
            # History was told of when it was new.
            again = found.remembered and not piece.new and not _blocks(found.findings)
            verdict = self.settled(
                piece.text, found.findings, going, origin=piece.origin, place=piece.place, record=not again
            )
            if verdict.decision is Decision.BLOCK:
                raise blocked(verdict, going, piece)
            if verdict.decision is Decision.REDACT:
                verdicts[piece.place] = verdict
        if verdicts:
            await self._redact(guarded, verdicts, plans, ctx)
        return guarded

    async def _redact(
        self, guarded: Guarded, verdicts: Mapping[str, Verdict], plans: Mapping[Origin, Plan], ctx: Context
    ) -> None:
        """Put the request without what was found in the place of the one with it."""
        request = guarded.request
        found = {
            piece.place: FoundText(
                text=piece.text,
                json=is_json(piece),
                findings=verdicts[piece.place].findings if piece.place in verdicts else (),
                how=plans[piece.origin].how,
            )
            for piece in pieces(request)
            if piece.text
        }
        ways = {one.how(finding) for one in found.values() for finding in one.findings}
        names = await self.vault.names(request, ctx) if How.PSEUDONYM in ways else self.vault.hashes()
        texts = redacted_texts(found, names)
        await self.vault.keep(names, ctx)
        guarded.request = rewritten(request, lambda piece: texts.get(piece.place, piece.text))
        guarded.names = names if names.used else None

    async def screened(
        self, hits: Sequence[Hit], ctx: Context, *, base: str | None = None, model: str = ""
    ) -> list[Hit]:
        """The passages that a model may read, as it may read them: see `passages`."""
        return await screened(self, hits, ctx, base=base, model=model)

    async def scores(self, text: str, origin: Origin, ctx: Context) -> list[Finding]:
        """What every guard finds, as the guards propose it: however little one is sure of, whatever the policies say.
        Nothing is kept.

        Raises:
            AthanorError: a guard failed.
        """
        found: list[Finding] = []
        for _, piece in self.runner.pieces(text):
            subject = subject_of(piece)
            for guard in self.guards:
                found += (await self.runner.raw(guard, subject, origin, ctx))[0]
        return found

    async def _all(
        self, todo: Sequence[Piece], plans: dict[Origin, Plan], going: Going, work: Work
    ) -> dict[tuple[str, Origin], Looked]:
        """Each different text once."""
        keys = list(dict.fromkeys((piece.text, piece.origin) for piece in todo))
        found: dict[tuple[str, Origin], Looked] = {}
        for at in range(0, len(keys), _AT_ONCE):
            some = keys[at : at + _AT_ONCE]
            looked = await asyncio.gather(*(self.look(t, o, going, plans[o], work) for t, o in some))
            found.update(zip(some, looked, strict=True))
        return found


def _readable(piece: Piece) -> Piece:
    """The piece as guards read it."""
    return replace(piece, text=readable(piece.text)) if is_json(piece) else piece


def _blocks(findings: Sequence[Finding]) -> bool:
    return any(finding.decision is Decision.BLOCK for finding in findings)


def blocked(verdict: Verdict, going: Going, piece: Piece) -> BlockedError:
    """What the caller is told: what it was, and nothing of the text."""
    categories = tuple(dict.fromkeys(f.category for f in verdict.findings if f.decision is Decision.BLOCK))
    return BlockedError(
        f"The policy {going.policy.name!r} refuses this request: {', '.join(categories)}.",
        categories=categories,
        where=piece.place,
        hint="Leave that part out. Whoever runs this system sees the event under the trace of this request.",
    )
