"""A base with people, groups, rules and documents that change at random, and what each of them must see of it.

The oracle is plain Python: who is in which group, which rule names which source. What somebody sees is compared with a
twin: a base in a store of its own that was filled with the documents open to them, and never held another one.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest

from athanor.config import load_settings
from athanor.errors import NotFoundError, PermissionDeniedError
from athanor.gateway import App, open_app
from athanor.rag.engine import AnswerSettings, KnowledgeEngine
from athanor.rag.knowledge import Knowledge
from athanor.rag.permissions import access_for, literal
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import (
    OPEN,
    SYSTEM_READER,
    Access,
    Chunk,
    Cited,
    Comparison,
    Context,
    Document,
    DocumentStatus,
    Filter,
    Finished,
    KnowledgeBase,
    Message,
    Principal,
    Reader,
    Request,
    RetrievalSettings,
    Role,
    RoleName,
    TextDelta,
    new_id,
)
from tests.rag.fakes import DIMENSION, WordEmbedder, WordReranker

FOLDERS = ("open", "hr", "legal", "board")
NAMES = ("plan.md", "list.md", "note.md", "pay.md")
LABELS = ("board", "secret")
PEOPLE = ("ada", "bert", "cleo", "dora")
WORDS = """bridge toll tulip rose furnace kiln metal gold lead salary pension clause contract merger lawyer budget
    harbour avonmouth crucible charcoal""".split()  # noqa: SIM905
PHRASES = {"toll": "tolls", "salary": "salaries", "lawyer": "lawyers", "contract": "contracted", "merger": "mergers"}
TEAMS = ("north", "south")
EXACT = 1e-9
"""Scores that differ by more are different."""


@dataclass(slots=True)
class Held:
    """A document as the oracle knows it."""

    document: str
    source: str
    passages: list[Chunk]
    text: str
    attributes: dict[str, str | float | bool]
    order: int
    """Of the commit that wrote its passages."""
    version: int


@dataclass(slots=True)
class Oracle:
    """What is so, in plain Python."""

    documents: dict[str, Held] = field(default_factory=dict)
    rules: list[tuple[str, Access]] = field(default_factory=list)
    members: dict[str, set[str]] = field(default_factory=dict)
    """Group id → ids of principals."""
    cleared: dict[str, set[str]] = field(default_factory=dict)

    def access(self, source: str) -> Access:
        found = OPEN
        for pattern, access in self.rules:
            if fnmatchcase(source, pattern):
                found = access
        return found

    def sees(self, person: Principal, source: str) -> bool:
        if person.role is RoleName.ADMIN:
            return True
        groups = [group for group, members in self.members.items() if person.id in members]
        who = {f"principal:{person.id}", *(f"group:{group}" for group in groups)}
        if person.team is not None:
            who.add(f"team:{person.team.id}")
        access = self.access(source)
        named = access.readers is None or bool(who & set(access.readers))
        return named and set(access.labels) <= {label for group in groups for label in self.cleared[group]}

    def visible(self, person: Principal, *, kind: str | None = None) -> list[Held]:
        """By the order in which their passages were written."""
        seen = [held for held in self.documents.values() if self.sees(person, held.source)]
        return sorted(
            (held for held in seen if kind is None or held.attributes.get("kind") == kind), key=lambda held: held.order
        )

    def permit(self, patterns: list[str], access: Access | None) -> None:
        self.rules = [rule for rule in self.rules if rule[0] not in patterns]
        if access is not None:
            self.rules += [(pattern, access) for pattern in patterns]


class Twins:
    """Bases of what is seen and nothing else; the last is kept."""

    def __init__(self, store: Store, embedder: WordEmbedder, reranker: WordReranker) -> None:
        self._store = store
        self._embedder = embedder
        self.knowledge = Knowledge(store, embedder, Retriever(store, embedder, reranker))
        self._made: tuple[object, KnowledgeBase] | None = None

    async def of(self, seen: list[Held], settings: RetrievalSettings) -> KnowledgeBase:
        key = (tuple((held.document, held.order, *sorted(held.attributes.items())) for held in seen), settings)
        if self._made is None or self._made[0] != key:
            if self._made is not None:  # ids are those of the other store: a document can be in one twin only
                self._store.knowledge.delete(self._made[1].id)
            base = self._store.knowledge.create("twin", embedder="words", dimension=DIMENSION)
            for held in seen:
                await write(self._store, base, held, self._embedder)
            self._store.versions.add(base.id, settings)
            self._store.versions.use(base.id, 1)
            self._made = (key, self._store.knowledge.get(base.id))
        return self._made[1]


async def write(store: Store, base: KnowledgeBase, held: Held, embedder: WordEmbedder) -> Document:
    """Store a document as an ingestion does."""
    raw = held.text.encode()
    document = Document(
        id=held.document,
        knowledge_base=base.id,
        source=held.source,
        origin="upload",
        version=0,
        sha256=sha256(raw).hexdigest(),
        text_sha256=store.blobs.put(raw),
        title=held.source,
        mime="text/plain",
        size=len(raw),
        pages=(),
        status=DocumentStatus.READY,
        error=None,
        chunks=len(held.passages),
        created_at=0.0,
        updated_at=0.0,
        attributes=held.attributes,
    )
    vectors = (await embedder.embed([one.text for one in held.passages], kind="document")).rows()
    with store.write() as conn:
        access = access_for(store.knowledge.get(base.id, conn=conn), held.source)
        return store.knowledge.replace_document(
            replace(document, access=access), held.passages, vectors, embedder="words", conn=conn
        )


@asynccontextmanager
async def world(folder: Path, seed: int, url: str | None = None) -> AsyncIterator[World]:
    """A world of its own."""
    arguments: dict[str, Any] = {
        "home": str(folder / "home"),
        "chat": "echo",
        "models.echo.source": "scripted:",
        "models.echo.backend": "scripted",
        "models.echo.grounded": "extractive",
        "cache.mode": "exact",
        "cache.share": "all",
    }
    if url is not None:
        arguments["store.url"] = url
    settings = load_settings(arguments=arguments, environment={}).settings
    embedder, reranker = WordEmbedder(), WordReranker()
    other = Store.open(f"sqlite:///{folder / 'twin.db'}", blobs=folder / "twins")
    try:
        async with open_app(settings, embedder=embedder, reranker=reranker) as app:
            made = World(app, Twins(other, embedder, reranker), embedder, reranker, random.Random(seed))
            yield made
    finally:
        other.close()


class World:
    """One base, those who read it, and the oracle."""

    def __init__(
        self, app: App, twins: Twins, embedder: WordEmbedder, reranker: WordReranker, rng: random.Random
    ) -> None:
        self.app, self.twins, self.rng = app, twins, rng
        self._embedder, self._reranker = embedder, reranker
        self.oracle = Oracle()
        self.base = app.store.knowledge.create("docs", embedder="words", dimension=DIMENSION)
        teams = [app.store.teams.create(name) for name in TEAMS]
        make = app.store.principals.create
        self.people = [
            make(name, RoleName.USER, team=team)
            for name, team in zip(PEOPLE, (teams[0], teams[0], teams[1], teams[1]), strict=True)
        ]
        self.admin = make("root", RoleName.ADMIN)
        self.teams = teams
        self.settings = RetrievalSettings()
        self.cases = 0
        self.cached = 0
        self._commits = 0
        self.gone: set[str] = set()
        """Ids of documents that were deleted or erased."""
        self.done: dict[str, int] = {}
        for _ in range(2):
            self.make_group()

    # -- what happens

    async def step(self) -> None:
        """Something happens."""
        moves: list[tuple[int, Callable[[], Awaitable[None] | None]]] = [
            (6, self.put),
            (2, self.move),
            (2, self.delete),
            (1, self.erase),
            (4, self.rule),
            (2, self.permit),
            (3, self.change_member),
            (1, self.make_group),
            (1, self.drop_group),
            (1, self.clear_group),
            (1, self.tag),
            (1, self.tune),
        ]
        move = (
            self.put
            if len(self.oracle.documents) < 3
            else self.rng.choices([m for _, m in moves], [w for w, _ in moves])[0]
        )
        self.done[move.__name__] = self.done.get(move.__name__, 0) + 1
        found = move()
        if found is not None:
            await found

    async def put(self) -> None:
        source = f"{self.rng.choice(FOLDERS)}/{self.rng.choice(NAMES)}"
        lines = []
        for _ in range(self.rng.randint(1, 3)):
            said = " ".join(self.rng.choices(WORDS, k=self.rng.randint(4, 14)))
            lines.append(f"The {said} of mark{self.rng.randrange(10**9)} is here.")
        await self._put(
            source, lines, {"kind": self.rng.choice(["memo", "deed"]), "year": self.rng.randint(2020, 2024)}
        )

    async def _put(self, source: str, lines: list[str], attributes: dict[str, str | float | bool]) -> None:
        old = self.oracle.documents.get(source)
        self._commits += 1
        identity = old.document if old else new_id("doc")
        passages, start = [], 0
        for ordinal, line in enumerate(lines):
            passages.append(
                Chunk(
                    id=f"{identity}-{self._commits}-{ordinal}",
                    document=identity,
                    ordinal=ordinal,
                    start=start,
                    end=start + len(line),
                    page=None,
                    heading="",
                    text=line,
                )
            )
            start += len(line) + 1
        held = Held(
            identity, source, passages, "\n".join(lines), attributes, self._commits, old.version + 1 if old else 1
        )
        await write(self.app.store, self.base, held, self._embedder)
        self.oracle.documents[source] = held

    async def move(self) -> None:
        """The same text under another name: the place decides who reads it."""
        held = self.rng.choice([*self.oracle.documents.values()])
        await self._remove(held, self.admin)
        lines = [passage.text for passage in held.passages]
        await self._put(f"{self.rng.choice(FOLDERS)}/{self.rng.choice(NAMES)}", lines, held.attributes)

    async def delete(self) -> None:
        held = self.rng.choice([*self.oracle.documents.values()])
        await self._remove(held, self.rng.choice([*self.people, self.admin]))

    async def _remove(self, held: Held, who: Principal) -> None:
        reader = await self.app.reader(who)
        if not self.oracle.sees(who, held.source):
            with pytest.raises(NotFoundError) as refused:
                await self.app.knowledge.remove(held.document, reader=reader, by=who)
            assert str(refused.value) == f"There is no document {held.document!r}."
            return
        await self.app.knowledge.remove(held.document, reader=reader, by=who)
        del self.oracle.documents[held.source]
        self.gone.add(held.document)

    async def erase(self) -> None:
        held = self.rng.choice([*self.oracle.documents.values()])
        base = self.app.store.knowledge.get(self.base.id)
        receipt = await anyio.to_thread.run_sync(self.app.eraser.erase, base, held.source)
        assert receipt.complete, receipt.checks
        del self.oracle.documents[held.source]
        self.gone.add(held.document)

    def rule(self) -> None:
        what = self.rng.choice([f"{self.rng.choice(FOLDERS)}/*", f"*/{self.rng.choice(NAMES)}", "*", "hr/p*"])
        access = self._access()
        self._permissions().permit(self._now(), what, access, reader=SYSTEM_READER, by=self.admin)
        self.oracle.permit([literal(what) if what in self.oracle.documents else what], access)

    def permit(self) -> None:
        """Somebody who does not see everything changes what they see."""
        who = self.rng.choice(self.people)
        what = self.rng.choice([*self.oracle.documents, f"{self.rng.choice(FOLDERS)}/*"])
        access, reader = self._access(), self.app.readers.of(who)
        seen = sorted(held.source for held in self.oracle.visible(who) if fnmatchcase(held.source, what))
        try:
            self._permissions().permit(self._now(), what, access, reader=reader, by=who)
        except PermissionDeniedError:
            assert access is not None
            assert not set(access.labels) <= reader.labels
        except NotFoundError:
            assert not seen
        else:
            self.oracle.permit([literal(source) for source in seen], access)

    def _access(self) -> Access | None:
        groups = [f"group:{group}" for group in self.oracle.members]
        people = [f"principal:{person.id}" for person in self.people]
        teams = [f"team:{team.id}" for team in self.teams]
        named = self.rng.sample([*groups, *people, *teams], k=self.rng.randint(1, 2))
        labels = tuple(sorted(self.rng.sample(LABELS, k=self.rng.randint(0, 1))))
        return self.rng.choice(
            [
                None,
                OPEN,
                Access(readers=(), labels=labels),
                Access(labels=labels),
                Access(readers=tuple(sorted(named)), labels=labels),
                Access(readers=tuple(sorted(named))),
            ]
        )

    def _permissions(self) -> Any:
        return self.app.knowledge.permissions

    def _now(self) -> KnowledgeBase:
        return self.app.store.knowledge.get(self.base.id)

    def make_group(self) -> None:
        if len(self.oracle.members) < 4:
            labels = self.rng.sample(LABELS, k=self.rng.randint(0, 2))
            group = self.app.groups.create(f"group{self.rng.randrange(10**9)}", labels, by=self.admin)
            self.oracle.members[group.id], self.oracle.cleared[group.id] = set(), set(labels)

    def drop_group(self) -> None:
        if len(self.oracle.members) > 1:
            group = self.rng.choice([*self.oracle.members])
            self.app.groups.delete(group, by=self.admin)
            del self.oracle.members[group], self.oracle.cleared[group]

    def clear_group(self) -> None:
        group = self.rng.choice([*self.oracle.members])
        labels = self.rng.sample(LABELS, k=self.rng.randint(0, 2))
        self.app.groups.clear(group, labels, by=self.admin)
        self.oracle.cleared[group] = set(labels)

    def change_member(self) -> None:
        group, who = self.rng.choice([*self.oracle.members]), self.rng.choice(self.people)
        if who.id in self.oracle.members[group]:
            self.app.groups.remove(group, who.id, by=self.admin)
            self.oracle.members[group].discard(who.id)
        else:
            self.app.groups.add(group, who.id, by=self.admin)
            self.oracle.members[group].add(who.id)

    def tag(self) -> None:
        held = self.rng.choice([*self.oracle.documents.values()])
        held.attributes = {"kind": self.rng.choice(["memo", "deed"]), "year": 2025}
        self.app.store.knowledge.set_attributes(held.document, held.attributes)

    def tune(self) -> None:
        rng = self.rng
        self.settings = RetrievalSettings(
            dense_weight=rng.choice([0.3, 0.7]),
            feedback=rng.choice([0.0, 0.2]),
            diversity=rng.choice([0.0, 0.3]),
            per_document=rng.choice([None, 1]),
            rerank=rng.choice([0.0, 0.1]),
            hops=rng.choice([1, 2]),
        )
        version = self.app.store.versions.add(self.base.id, self.settings)
        self.app.store.versions.use(self.base.id, version.version)

    # -- what is seen

    async def look(self) -> None:
        """Somebody looks about; what they see must be what is in their twin. A case is one look with one query."""
        who = self.rng.choice([*self.people, *self.people, self.admin])
        reader, seen = await self.app.reader(who), self.oracle.visible(who)
        await self._reads(reader, seen)
        for _ in range(2):
            await self._searches(reader, seen, None)
        await self._asks(who, seen)
        condition = Comparison(key="kind", operator="eq", value="memo")
        await self._searches(reader, self.oracle.visible(who, kind="memo"), condition)
        self.cases += 4

    async def _reads(self, reader: Reader, seen: list[Held]) -> None:
        knowledge = self.app.knowledge
        base = await knowledge.base("docs", reader=reader)
        assert (base.documents, base.chunks) == (len(seen), sum(len(held.passages) for held in seen))
        listed = await knowledge.documents(base, reader=reader)
        assert sorted(d.source for d in listed) == sorted(held.source for held in seen)
        counts = await knowledge.counts(base, reader=reader)
        assert (counts.ready, counts.failed, counts.in_progress) == (len(seen), 0, 0)
        assert counts.size == sum(len(held.text.encode()) for held in seen)
        visible = {held.document for held in seen}
        for held in self.rng.sample([*self.oracle.documents.values()], k=min(2, len(self.oracle.documents))):
            if held.document in visible:
                assert await knowledge.text(held.document, reader=reader) == held.text
            else:
                await self._nothing(held.document, reader)
        for document in self.rng.sample(sorted(self.gone), k=min(1, len(self.gone))):
            await self._nothing(document, reader)

    async def _nothing(self, document: str, reader: Reader) -> None:
        for look in (self.app.knowledge.document, self.app.knowledge.text):
            with pytest.raises(NotFoundError) as refused:
                await look(document, reader=reader)
            assert str(refused.value) == f"There is no document {document!r}."

    def _query(self) -> str:
        """Words, other forms of them, or a stretch of some document, hidden or not."""
        way = self.rng.randrange(3)
        if way == 0 or not self.oracle.documents:
            return " ".join(self.rng.sample(WORDS, k=self.rng.randint(1, 4)))
        if way == 1:
            return f"Where are the {' and '.join(self.rng.sample([*PHRASES.values()], k=2))}?"
        held = self.rng.choice([*self.oracle.documents.values()])
        return self.rng.choice(held.passages).text

    async def _searches(self, reader: Reader, seen: list[Held], condition: Filter | None) -> None:
        query, limit = self._query(), self.rng.choice([3, 10])
        base = await self.app.knowledge.base("docs", reader=reader)
        twin = await self.twins.of(seen, self.settings)
        got = await self.app.knowledge.search(base, query, limit=limit, reader=reader, filter=condition)
        wanted = await self.twins.knowledge.search(twin, query, limit=limit, reader=SYSTEM_READER)
        assert [hit.chunk.id for hit in got] == [hit.chunk.id for hit in wanted], query
        for mine, other in zip(got, wanted, strict=True):
            assert mine.chunk.text == other.chunk.text
            for name in ("score", "lexical", "dense", "reranker"):
                assert close(getattr(mine, name), getattr(other, name)), (name, mine, other, query, self.settings)

    async def _asks(self, who: Principal, seen: list[Held]) -> None:
        """An answer, which others may have left in the cache."""
        question = self.rng.choice(["Where is the bridge?", "Where is the bridge?", self._query()])
        request = Request(model="docs", messages=(Message(role=Role.USER, content=question),))
        ctx = Context(principal=who, trace=new_id("tr"), door="test")
        target = await self.app.router.resolve("docs", ctx)
        assert target.scope is not None
        before = self._hits()
        got = await answer(self.app.cache.through(target.engine, request, ctx, target.scope))
        self.cached += self._hits() - before
        twin = await self.twins.of(seen, self.settings)
        writer = await self.app.router.engine("echo")
        settings = AnswerSettings(mode=None, threshold=None, max_sentences=self.app.settings.knowledge.max_sentences)
        engine = KnowledgeEngine(
            twin, self.twins.knowledge, writer, self._embedder, self._reranker, settings, reader=SYSTEM_READER
        )
        wanted = await answer(engine.run(request, ctx))
        assert close(got.pop("confidence"), wanted.pop("confidence"))
        assert got == wanted, question

    def _hits(self) -> int:
        state = self.app.cache.states().get("docs")
        return 0 if state is None else state.hits


def close(one: float | None, two: float | None) -> bool:
    """Are two scores the same."""
    return one == two if one is None or two is None else abs(one - two) <= EXACT


async def answer(events: AsyncIterator[Any]) -> dict[str, Any]:
    """What an answer tells; versions aside, which the twin does not share."""
    text, cited = "", []
    found: dict[str, Any] = {}
    async for event in events:
        match event:
            case TextDelta():
                text += event.text
            case Cited():
                cited.append((event.citation.document, event.citation.start, event.citation.quote, event.start))
            case Finished():
                found = {
                    "abstained": event.abstained,
                    "confidence": event.confidence,
                    "nearest": [(one.document, one.quote) for one in event.nearest],
                    "conflicts": len(event.conflicts),
                }
    return {"text": text, "cited": cited, **found}


def tally(done: Mapping[str, int]) -> str:
    """For people: what happened how often."""
    return ", ".join(f"{name} {count}" for name, count in sorted(done.items()))
