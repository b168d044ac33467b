"""Archives, mailboxes and mails with attachments in an ingestion: members are documents of their own."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator, Mapping
from email.message import EmailMessage
from pathlib import Path

import pytest

import athanor.data.folder
from athanor.data import ParserPool
from athanor.rag.listing import LISTING
from athanor.types import Document
from tests.rag.test_ingest_sync import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(athanor.data.folder, "RACY_SECONDS", 0.0)
    async with ParserPool() as parsers:
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


async def test_members_of_an_archive_are_documents(world: World) -> None:
    pack(
        world.folder / "box.zip",
        {"a.md": "# Alpha\n\nThe lamp.", "in/b.txt": "The ship sails.", "c.png": b"\x89PNG\r\n\x1a\n" + bytes(40)},
    )
    result = await world.sync()
    found = documents(world)
    assert {name: d.container for name, d in found.items()} == {
        "box.zip": None,
        "box.zip/a.md": "box.zip",
        "box.zip/in/b.txt": "box.zip",
    }
    assert all(d.status == "ready" and d.version == 1 for d in found.values())
    assert {d.origin for d in found.values()} == {f"folder:{world.folder}"}
    box = found["box.zip"]
    assert (box.chunks, box.mime) == (0, LISTING)
    text = text_of(world, box)
    assert "a.md\t" in text
    assert "c.png\t" in text
    assert "not read" in text
    assert (result["documents"], result["skipped"], result["failed"]) == (3, 1, 0)
    assert found["box.zip/a.md"].title == "Alpha"
    assert world.store.chunks.search_text(world.base.id, ["ship"])
    sound(world)


async def test_a_mail_is_a_document_and_holds_its_attachments(world: World) -> None:
    (world.folder / "m.eml").write_bytes(mail("Lamps", "We need oil.", {"list.txt": "forty lamps", "b.txt": "wicks"}))
    await world.sync()
    found = documents(world)
    assert {name: d.container for name, d in found.items()} == {
        "m.eml": None,
        "m.eml/b.txt": "m.eml",
        "m.eml/list.txt": "m.eml",
    }
    assert found["m.eml"].chunks == 1
    assert found["m.eml"].title == "Lamps"
    sound(world)


async def test_an_attachment_in_a_mailbox_belongs_to_its_mail(world: World) -> None:
    box = mailbox(mail("One", "First.", {"x.txt": "the x"}), mail("Two", "Second."))
    (world.folder / "all.mbox").write_bytes(box)
    await world.sync()
    found = documents(world)
    assert {name: d.container for name, d in found.items()} == {
        "all.mbox": None,
        "all.mbox/0001 One.eml": "all.mbox",
        "all.mbox/0001 One.eml/x.txt": "all.mbox/0001 One.eml",
        "all.mbox/0002 Two.eml": "all.mbox",
    }
    assert all(d.status == "ready" and d.version == 1 for d in found.values())
    sound(world)
