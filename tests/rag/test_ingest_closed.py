"""Who may read a member of a container, and what is left of it when it is erased."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from athanor.errors import ConflictError
from athanor.rag.erase import Eraser
from athanor.rag.indexes import Indexes
from athanor.rag.ingestion import Ingestion
from athanor.rag.listing import MOST, Listing, listing_for
from athanor.rag.permissions import Permissions
from athanor.types import OPEN, SYSTEM_READER, Access, AccessRule, Reader
from athanor.worker import Runner
from tests.rag.ingest_world import World, anyio_backend, documents, mail, pack, parsers, sound, text_of, upload, world

__all__ = ["anyio_backend", "parsers", "world"]

pytestmark = pytest.mark.anyio
BOARD = Access(readers=("principal:board",))


def eraser(world: World, home: Path) -> Eraser:
    return Eraser(world.store, Indexes(world.store, home / "vectors"), lambda _: 0)


async def test_members_are_closed_as_their_container_is(world: World) -> None:
    pack(world.folder / "box.zip", {"a.md": "The lamp.", "m.eml": mail("Hi", "The mail.", {"x.txt": "The x."})})
    Permissions(world.store).permit(world.base, "box.zip", BOARD, reader=SYSTEM_READER)
    await world.sync()
    assert {d.source: d.access for d in documents(world).values()} == dict.fromkeys(
        ["box.zip", "box.zip/a.md", "box.zip/m.eml", "box.zip/m.eml/x.txt"], BOARD
    )
    Permissions(world.store).permit(world.base, "box.zip", None, reader=SYSTEM_READER)
    Permissions(world.store).permit(world.base, "box.zip/m.eml", BOARD, reader=SYSTEM_READER)
    for _ in range(2):
        assert {d.source: d.access for d in documents(world).values()} == {
            "box.zip": OPEN,
            "box.zip/a.md": OPEN,
            "box.zip/m.eml": BOARD,
            "box.zip/m.eml/x.txt": BOARD,
        }
        pack(world.folder / "box.zip", {"a.md": "A lamp.", "m.eml": mail("Hi", "A mail.", {"x.txt": "An x."})})
        await world.sync()


async def test_a_listing_does_not_name_what_is_closed(world: World) -> None:
    pack(world.folder / "box.zip", {"a.md": "The lamp.", "pay/all.md": "The salaries."})
    await world.sync()
    box = documents(world)["box.zip"]
    text = text_of(world, box)
    assert "pay/all.md" in text
    assert listing_for(world.base, box, text, Reader()) == text
    Permissions(world.store).permit(world.base, "box.zip/pay/*", BOARD, reader=SYSTEM_READER)
    shown = listing_for(world.base, box, text, Reader())
    assert shown == "1 member, 9 bytes unpacked.\n\na.md\t9 bytes\n"
    assert listing_for(world.base, box, text, Reader(identities=frozenset({"principal:board"}))) == text
    assert listing_for(world.base, box, text, SYSTEM_READER) == text


async def test_a_long_listing_does_not_count_what_is_closed(world: World) -> None:
    pack(world.folder / "box.zip", {"a.md": "The lamp."})
    await world.sync()
    world.store.knowledge.set_rules(world.base.id, (AccessRule(pattern="box.zip/z/*", access=BOARD),))
    box = documents(world)["box.zip"]
    texts = []
    for hidden in (0, 5):
        listing = Listing()
        for number in range(MOST):
            listing.add(f"a/{number}.txt", 10)
        for number in range(hidden):
            listing.add(f"z/{number}.txt", 10)
        texts.append(listing_for(world.base, box, listing.text(), Reader()))
    assert texts[0] == texts[1]


async def test_an_erased_container_takes_its_members_with_it(world: World, tmp_path: Path) -> None:
    pack(world.folder / "box.zip", {"a.md": "The northern lamp burns until the grey morning comes again."})
    world.write("b.md", "The ship.")
    await world.sync()
    receipt = await anyio.to_thread.run_sync(eraser(world, tmp_path).erase, world.base, "box.zip")
    assert receipt.complete
    assert receipt.removed["documents"] == 2
    assert [*documents(world)] == ["b.md"]
    sound(world)


async def test_an_erased_member_is_in_no_listing(world: World, tmp_path: Path) -> None:
    eml = mail("Hi", "The mail of the northern tower.", {"x.txt": "The x of the northern tower."})
    pack(world.folder / "box.zip", {"a.md": "The lamp.", "Ann Smith.eml": eml})
    await world.sync()
    pack(world.folder / "box.zip", {"a.md": "The lamp burns.", "Ann Smith.eml": eml})
    await world.sync()
    receipt = await anyio.to_thread.run_sync(eraser(world, tmp_path).erase, world.base, "box.zip/Ann Smith.eml")
    assert receipt.complete
    found = documents(world)
    assert sorted(found) == ["box.zip", "box.zip/a.md"]
    assert found["box.zip"].version == 2
    assert "a.md" in text_of(world, found["box.zip"])
    assert not any(b"Ann Smith" in world.store.blobs.read(one) for one in world.store.blobs)
    sound(world)


async def test_a_part_of_an_upload_is_erased_with_the_upload_only(world: World, tmp_path: Path) -> None:
    data = pack(tmp_path / "box.zip", {"a.md": "The lamp.", "b.md": "The ship."}).read_bytes()
    job = await world.ingestion.enqueue_files(world.base, {"box.zip": upload(world, "box.zip", data)})
    assert await Runner(world.store, {Ingestion.KIND: world.ingestion.run}).run_once()
    assert world.store.jobs.get(job.id).result == {
        "documents": 3, "chunks": 2, "unchanged": 0, "removed": 0, "failed": 0, "skipped": 0,
    }  # fmt: skip
    with pytest.raises(ConflictError, match="part of an upload"):
        eraser(world, tmp_path).erase(world.base, "box.zip/a.md")
    receipt = await anyio.to_thread.run_sync(eraser(world, tmp_path).erase, world.base, "box.zip")
    assert receipt.complete
    assert receipt.removed["uploaded files"] == 1
    assert documents(world) == {}
    assert [*world.store.blobs] == []
