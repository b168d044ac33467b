"""Archives and mails through the files and vector-store API, by the vendor's SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from athanor.types import RoleName
from tests.rag.ingest_world import mail, mailbox, pack
from tests.server.inside import Inside, inside, working

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside(tmp_path) as made, working(made.app):
        yield made


async def test_uploads_of_archives_and_mails_are_searched_by_their_members(server: Inside, tmp_path: Path) -> None:
    _, headers = server.key("builder", RoleName.DEVELOPER)
    key = headers["authorization"].removeprefix("Bearer ")
    uploads = {
        "birds.zip": pack(tmp_path / "b.zip", {"heron.txt": "The heron nests in tall alders."}).read_bytes(),
        "swift.eml": mail("Swifts", "About birds.", {"swift.txt": "The swift sleeps while it flies."}),
        "owls.mbox": mailbox(mail("Owls", "The owl turns its head."), mail("More", "The owlet waits.")),
    }
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
        store = await client.vector_stores.create(name="birds")
        ids = {}
        for name, data in uploads.items():
            file = await client.files.create(file=(name, data), purpose="user_data")
            ids[name] = file.id
            done = await client.vector_stores.files.create_and_poll(
                file.id, vector_store_id=store.id, attributes={"kind": name}, poll_interval_ms=50
            )
            assert done.status == "completed", done.last_error
        listed = await client.vector_stores.files.list(store.id)
        assert sorted(row.id for row in listed.data) == sorted(ids.values())
        for query, name in (("heron alders", "birds.zip"), ("swift flies", "swift.eml"), ("owlet waits", "owls.mbox")):
            found = await client.vector_stores.search(
                store.id, query=query, filters={"type": "eq", "key": "kind", "value": name}
            )
            assert found.data[0].file_id == ids[name]
            assert found.data[0].attributes == {"kind": name}
            assert {hit.file_id for hit in found.data} == {ids[name]}
        text = await client.vector_stores.files.content(ids["birds.zip"], vector_store_id=store.id)
        assert "heron.txt" in (text.data[0].text or "")

        # What is said of the upload is said of its members, and what becomes of it becomes of them.
        await client.vector_stores.files.update(ids["birds.zip"], vector_store_id=store.id, attributes={"kind": "new"})
        found = await client.vector_stores.search(
            store.id, query="heron", filters={"type": "eq", "key": "kind", "value": "new"}
        )
        assert {hit.file_id for hit in found.data} == {ids["birds.zip"]}
        await client.vector_stores.files.delete(ids["birds.zip"], vector_store_id=store.id)
        found = await client.vector_stores.search(store.id, query="heron")
        assert not any("heron" in hit.filename for hit in found.data)
        base = server.app.store.knowledge.get(store.id)
        assert not server.app.store.chunks.verify(base.id)
