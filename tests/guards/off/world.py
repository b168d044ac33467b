"""An installation with every detector off, secrets of others in every corner, and a reader who may see none of them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa

from athanor.store.tables import metadata
from athanor.types import Access, RoleName, Scopes
from athanor.worker import Runner
from tests.guards.off.ideas import Case
from tests.guards.off.obedient import Obedient
from tests.server.inside import Inside, inside

CLOSED = "closed-9f27 thalers"
VAULT = "vault-51c3 thalers"
FILE = "file-77ab"
PROMPT = "prompt-30d1"
ASKED = "asked-42ee"
ENVIRONMENT = "environment-88b0"

_FLEETING = frozenset({"requests", "traces", "guard_events", "responses", "cache_shadows", "attempts", "pseudonyms"})
"""Tables in which every request leaves something; what it leaves is looked at by its own test."""
_CLOCKS = frozenset({"used_at", "last_active_at", "lease_until"})


@dataclass(slots=True)
class World:
    """Everything of one installation."""

    server: Inside
    engine: Obedient
    reader: dict[str, str]
    """Headers of who asks."""
    secrets: dict[str, str] = field(default_factory=dict)
    """What must not come out → where it lives."""

    def leaks(self, said: str) -> set[str]:
        """Where the secrets live that `said` holds."""
        return {where for secret, where in self.secrets.items() if secret in said}

    def leaks_of_prompts(self) -> set[str]:
        """The same of everything that the model was shown."""
        return set().union(*(self.leaks(m.content) for r in self.engine.seen for m in r.messages), set())

    def state(self) -> str:
        """Of everything that an action would change: documents, rights, people, keys, jobs, files."""
        digest = hashlib.sha256()
        with self.server.app.store.read() as conn:
            for table in metadata.sorted_tables:
                if table.name in _FLEETING:
                    continue
                columns = [column for column in table.c if column.name not in _CLOCKS]
                rows = sorted(map(repr, conn.execute(sa.select(*columns)).all()))
                digest.update(f"{table.name}\n{rows}".encode())
        return digest.hexdigest()

    async def raw(self, path: str, headers: dict[str, str], body: object) -> str:
        """All bytes of an answer, whatever they are."""
        async with self.server.http.post(f"{self.server.url}{path}", json=body, headers=headers) as reply:
            return await reply.text()

    async def ask(self, question: str, headers: dict[str, str] | None = None, base: str = "docs") -> str:
        body = {"model": base, "messages": [{"role": "user", "content": question}]}
        return await self.raw("/v1/chat/completions", headers or self.reader, body)


def question(number: int) -> str:
    """Finds case `number`, and the closed document where that is not withheld."""
    return f"What is the wage of the porter by case{number:03d}?"


@asynccontextmanager
async def world(folder: Path, cases: Iterable[Case], patch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """`docs` holds the cases, an honest document and a closed one; `vault` is closed to the reader's key."""
    patch.setenv("ATHANOR_TEST_SECRET", ENVIRONMENT)
    texts = folder / "texts"
    texts.mkdir(parents=True)
    for number, case in enumerate(cases):
        (texts / f"case{number:03d}.md").write_text(
            f"# case{number:03d}\n\nThe wage of the porter by case{number:03d}. {case.text}\n"
        )
    (texts / "plan.md").write_text("# Plan\n\nThe porter opens the gate at seven.\n")
    (texts / "pay.md").write_text(f"# The wage of the porter\n\nWhat is the wage of the porter? It is {CLOSED}.\n")
    (folder / "vault").mkdir()
    (folder / "vault" / "safe.md").write_text(f"# Safe\n\nThe wage of the porter in the vault is {VAULT}.\n")
    settings = {
        "guards.mode": "off",
        "knowledge.threshold": 0,
        "knowledge.unsupported": "mark",
        "knowledge.entailment": False,
    }
    async with inside(folder / "home", settings=settings) as server:
        app = server.app
        engine = Obedient()
        app.models.get("priced")._engine = engine  # in place of the script
        for base, source in (("docs", texts), ("vault", folder / "vault")):
            await app.ingestion.enqueue_folder(await app.knowledge.ensure(base), source)
            assert await Runner(app.store, app.handlers).run_once()
        for document in app.store.knowledge.documents(app.store.knowledge.get("docs").id, limit=1000):
            if document.source == "pay.md":
                app.store.knowledge.set_access(document.id, Access(readers=()))
        _, root = server.key("root", RoleName.ADMIN)
        _, reader = server.key("ada", RoleName.USER, scopes=Scopes(knowledge=("docs",)))
        made = World(server, engine, reader)
        await _others(made, root)
        made.secrets = {
            CLOSED: "a closed document",
            VAULT: "a base that the key does not open",
            FILE: "a file of somebody else",
            PROMPT: "a system prompt of somebody else",
            ASKED: "a question of somebody else",
            ENVIRONMENT: "the environment",
            (app.settings.home / "local.key").read_text().strip(): "the owner's key",
            root["authorization"].removeprefix("Bearer "): "the key of somebody else",
        }
        engine.seen.clear()
        yield made


async def _others(made: World, root: dict[str, str]) -> None:
    """Somebody who may read everything has asked what the reader is going to ask, and left files and prompts."""
    form = aiohttp.FormData({"purpose": "assistants"})
    form.add_field("file", f"{FILE}: the porter".encode(), filename="own.txt")
    async with made.server.http.post(f"{made.server.url}/v1/files", data=form, headers=root) as reply:
        assert reply.status == 200, await reply.text()
    messages = [{"role": "system", "content": f"{PROMPT}: be kind"}, {"role": "user", "content": f"{ASKED} porter"}]
    assert PROMPT in await made.raw("/v1/chat/completions", root, {"model": "priced", "messages": messages})
    for number in range(3):
        assert CLOSED in await made.ask(question(number), root)
    assert VAULT in await made.ask(question(0), root, "vault")
