"""Archives, mailboxes and mails with attachments in an ingestion: members are documents of their own."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from athanor.data import ParserPool
from athanor.rag.listing import LISTING
from tests.rag.ingest_world import World, anyio_backend, documents, mail, mailbox, pack, parsers, sound, text_of, world

__all__ = ["anyio_backend", "parsers", "world"]

pytestmark = pytest.mark.anyio


async def test_members_of_an_archive_are_documents(world: World) -> None:
    pack(
        world.folder / "box.zip",
        {"a.md": "# Alpha\n\nThe lamp.", "in/b.txt": "The ship sails.", "c.exe": b"MZ" + bytes(60)},
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
    assert "c.exe\t" in text
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


async def test_an_unchanged_container_is_not_opened_and_a_changed_one_reads_what_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.folder / "box.zip"
    pack(path, {"a.md": "The lamp.", "b.md": "The ship.", "c.md": "The rope."})
    await world.sync()
    before = documents(world)
    parsed: list[str] = []
    listed: list[str] = []
    parse, members = ParserPool.parse, ParserPool.members

    async def noted(self: ParserPool, path: Path, name: str, *, member: str | None = None, **more: Any) -> object:
        parsed.append(name)
        return await parse(self, path, name, member=member, **more)

    def opened(self: ParserPool, path: Path, name: str, *, after: str | None = None) -> object:
        listed.append(name)
        return members(self, path, name, after=after)

    monkeypatch.setattr(ParserPool, "parse", noted)
    monkeypatch.setattr(ParserPool, "members", opened)
    revision = world.base.revision
    assert (await world.sync())["unchanged"] == 1
    assert (parsed, listed, world.base.revision) == ([], [], revision)

    pack(path, {"a.md": "The lamp.", "b.md": "The ship has sailed.", "d.md": "The anchor."})
    result = await world.sync()
    assert sorted(parsed) == ["box.zip/b.md", "box.zip/d.md"]
    assert (result["documents"], result["unchanged"], result["removed"]) == (3, 1, 1)
    found = documents(world)
    assert {name: d.version for name, d in found.items()} == {
        "box.zip": 2,
        "box.zip/a.md": 1,
        "box.zip/b.md": 2,
        "box.zip/d.md": 1,
    }
    assert found["box.zip/a.md"].id == before["box.zip/a.md"].id
    assert "c.md" not in text_of(world, found["box.zip"])
    sound(world)


async def test_a_container_that_vanishes_takes_its_members_with_it(world: World) -> None:
    path = pack(world.folder / "box.zip", {"a.md": "The lamp."})
    world.write("x.md", "The ship.")
    await world.sync()
    path.unlink()
    assert (await world.sync())["removed"] == 1
    assert [*documents(world)] == ["x.md"]
    sound(world)


async def test_a_container_that_becomes_a_document_loses_its_members(world: World) -> None:
    path = pack(world.folder / "box.zip", {"a.md": "The lamp.", "b.md": "The ship."})
    await world.sync()
    path.write_text("Only words now.")
    await world.sync()
    (document,) = documents(world).values()
    assert (document.source, document.status, document.chunks) == ("box.zip", "ready", 1)
    sound(world)


async def test_a_container_that_becomes_a_folder(world: World) -> None:
    path = pack(world.folder / "box.zip", {"a.md": "The lamp."})
    await world.sync()
    path.unlink()
    path.mkdir()
    (path / "a.md").write_text("Another lamp.")
    await world.sync()
    (document,) = documents(world).values()
    assert (document.source, document.container, document.status) == ("box.zip/a.md", None, "ready")


async def test_a_damaged_container_keeps_what_was_good(world: World) -> None:
    path = pack(world.folder / "box.zip", {"a.md": "The lamp.", "b.md": "The ship."})
    await world.sync()
    path.write_bytes(path.read_bytes()[:-30])
    assert (await world.sync())["failed"] == 1
    found = documents(world)
    assert {name: d.status.value for name, d in found.items()} == {
        "box.zip": "failed",
        "box.zip/a.md": "ready",
        "box.zip/b.md": "ready",
    }
    assert found["box.zip"].version == 1
    sound(world)


async def test_members_that_cannot_be_read_are_named_and_hinder_nothing(world: World) -> None:
    pack(world.folder / "box.zip", {"a.md": "The lamp.", "empty.txt": "", "bad.pdf": "%PDF-1.4 nothing"})
    result = await world.sync()
    assert (result["documents"], result["failed"]) == (2, 2)
    found = documents(world)
    assert found["box.zip/bad.pdf"].status == "failed"
    assert found["box.zip/bad.pdf"].container == "box.zip"
    assert found["box.zip"].status == "ready"
    lines = {line.split("\t")[0]: line for line in text_of(world, found["box.zip"]).splitlines()}
    assert "not read" in lines["bad.pdf"]
    assert "not read" not in lines["a.md"]
    sound(world)


async def test_nested_containers_are_read_as_deep_as_the_limit(world: World, tmp_path: Path) -> None:
    inner = pack(tmp_path / "inner.zip", {"deep.txt": "The rope."}).read_bytes()
    middle = pack(tmp_path / "middle.zip", {"inner.zip": inner, "m.txt": "The sail."}).read_bytes()
    outer = pack(tmp_path / "outer.zip", {"middle.zip": middle}).read_bytes()
    pack(world.folder / "box.zip", {"outer.zip": outer, "m.eml": mail("Hi", "Text.", {"note.txt": "A note."})})
    result = await world.sync()
    found = documents(world)
    assert found["box.zip/m.eml/note.txt"].container == "box.zip/m.eml"
    assert found["box.zip/outer.zip/middle.zip/m.txt"].container == "box.zip"
    assert "box.zip/outer.zip/middle.zip/inner.zip/deep.txt" not in found
    assert result["failed"] == 1
    assert "nested more than" in text_of(world, found["box.zip"])
    sound(world)


async def test_a_mail_of_attachments_only_is_a_listing(world: World) -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "ann@example.org", ""
    message.add_attachment("The list of lamps.", filename="list.txt")
    (world.folder / "m.eml").write_bytes(message.as_bytes())
    await world.sync()
    assert documents(world)["m.eml/list.txt"].status == "ready"
    assert documents(world)["m.eml"].status == "ready"
    sound(world)


async def test_full_reads_members_again(world: World) -> None:
    pack(world.folder / "box.zip", {"a.md": "The lamp."})
    world.write("x.md", "The ship.")
    await world.sync()
    result = await world.sync(full=True)
    assert (result["documents"], result["unchanged"]) == (3, 0)
    assert {d.version for d in documents(world).values()} == {2}
    sound(world)


async def test_full_cuts_by_the_new_size_of_a_passage(world: World) -> None:
    world.write("x.md", "\n\n".join(f"On day {n} the keeper wrote of {n} ships and of the wind." for n in range(60)))
    await world.sync()
    before = documents(world)["x.md"].chunks
    world.ingestion._chunk_tokens = 256
    assert (await world.sync())["unchanged"] == 1
    assert documents(world)["x.md"].chunks == before
    await world.sync(full=True)
    assert documents(world)["x.md"].chunks < before


async def test_a_member_without_its_container_is_a_fault_of_the_store(world: World) -> None:
    pack(world.folder / "box.zip", {"a.md": "The lamp."})
    await world.sync()
    sound(world)
    with world.store.write() as conn:
        conn.exec_driver_sql("UPDATE documents SET container = 'gone.zip' WHERE source = 'box.zip/a.md'")
    assert world.store.chunks.verify(world.base.id) == ["1 members have no container."]
