"""A folder and the base that it is ingested into, for tests of ingestion, with what such folders hold."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import AsyncIterator, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

import athanor.data.folder
from athanor.data import ParserPool
from athanor.rag.ingestion import Ingestion
from athanor.store import Store
from athanor.types import Document, File, KnowledgeBase, new_id
from athanor.worker import Runner
from tests.rag.fakes import WordEmbedder


class World:
    def __init__(self, home: Path, parsers: ParserPool) -> None:
        self.folder = home / "folder"
        self.folder.mkdir()
        self.embedder = WordEmbedder()
        self.store = Store.open(f"sqlite:///{home / 'a.db'}", blobs=home / "blobs")
        self.ingestion = Ingestion(self.store, parsers, self.embedder, chunk_tokens=64, workers=1)
        profile = self.embedder.profile
        self.made = self.store.knowledge.create("docs", embedder=profile.id, dimension=profile.dimension)

    @property
    def base(self) -> KnowledgeBase:
        return self.store.knowledge.get("docs")

    def write(self, name: str, text: str, *, age: float = 60.0) -> Path:
        path = self.folder / name
        path.write_text(text)
        self.age(path, age)
        return path

    @staticmethod
    def age(path: Path, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(path, (then, then))

    async def sync(self, *, full: bool = False) -> dict[str, Any]:
        job = await self.ingestion.enqueue_folder(self.base, self.folder, full=full)
        assert await Runner(self.store, {Ingestion.KIND: self.ingestion.run}).run_once()
        done = self.store.jobs.get(job.id)
        assert done.state == "done", done.message
        assert done.result is not None
        return dict(done.result)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, so that its tests share the parsers."""
    return "asyncio"


@pytest.fixture(scope="module")
async def parsers() -> AsyncIterator[ParserPool]:
    async with ParserPool() as made:
        yield made


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsers: ParserPool) -> AsyncIterator[World]:
    # A file's inode changed just now, whatever its other time says: files of tests would all be too young.
    monkeypatch.setattr(athanor.data.folder, "RACY_SECONDS", 0.0)
    made = World(tmp_path, parsers)
    yield made
    made.store.close()


def pack(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def mail(subject: str, text: str, attachments: Mapping[str, str] | None = None) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.org", "bob@example.org", subject
    message.set_content(text)
    for name, content in (attachments or {}).items():
        message.add_attachment(content, filename=name)
    return message.as_bytes()


def mailbox(*mails: bytes) -> bytes:
    return b"".join(b"From ann@example.org Tue Nov 24 10:00:00 2026\n" + one + b"\n" for one in mails)


def documents(world: World) -> dict[str, Document]:
    return {d.source: d for d in world.store.knowledge.documents(world.base.id)}


def sound(world: World) -> None:
    assert not world.store.chunks.verify(world.base.id)


def text_of(world: World, document: Document) -> str:
    assert document.text_sha256 is not None
    return world.store.blobs.read(document.text_sha256).decode()


def upload(world: World, name: str, data: bytes) -> str:
    file = File(
        id=new_id("file"),
        name=name,
        size=len(data),
        sha256=world.store.blobs.put(data),
        purpose="assistants",
        principal="p",
        created_at=time.time(),
    )
    world.store.files.insert(file)
    return file.id
