"""The code of the guide, as it stands there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from openai import OpenAI

from athanor.types import RoleName
from tests.server.inside import inside, working

pytestmark = pytest.mark.anyio
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "retrievers.md"


def block(heading: str) -> dict[str, Any]:
    """What the Python below a heading of the guide defines."""
    section = GUIDE.read_text().partition(f"## {heading}\n")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {"__name__": "guide"}
    # Without this file's own postponed annotations, which a reader of the guide does not have.
    exec(compile(code[1], str(GUIDE), "exec", dont_inherit=True), names)
    return names


def fill(client: OpenAI) -> None:
    store = client.vector_stores.create(name="docs")
    file = client.files.create(file=("heron.txt", b"The heron nests in tall alders."), purpose="user_data")
    added = client.vector_stores.files.create_and_poll(
        file.id, vector_store_id=store.id, attributes={"year": 2020}, poll_interval_ms=50
    )
    assert added.status == "completed", added.last_error


@asynccontextmanager
async def filled(home: Path) -> AsyncIterator[OpenAI]:
    """The vendor's client of a server whose base `docs` holds one document."""
    async with inside(home) as server, working(server.app):
        _, headers = server.key("builder", RoleName.DEVELOPER)
        key = headers["authorization"].removeprefix("Bearer ")
        with OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
            await to_thread.run_sync(fill, client)
            yield client


async def test_langchain_finds_passages_with_their_source(tmp_path: Path) -> None:
    pytest.importorskip("langchain_core")
    retriever = block("LangChain")["AthanorRetriever"]
    async with filled(tmp_path) as client:
        (found,) = await to_thread.run_sync(partial(retriever(client=client).invoke, "Where does the heron nest?"))
    assert "alders" in found.page_content
    assert found.metadata["source"].endswith("heron.txt")
    assert found.metadata["year"] == 2020


async def test_llama_index_finds_passages_with_their_source(tmp_path: Path) -> None:
    pytest.importorskip("llama_index.core")
    retriever = block("LlamaIndex")["AthanorRetriever"]
    async with filled(tmp_path) as client:
        (found,) = await to_thread.run_sync(retriever(client).retrieve, "Where does the heron nest?")
    assert "alders" in found.get_content()
    assert found.metadata["source"].endswith("heron.txt")
    assert found.metadata["year"] == 2020
    assert 0 < found.score < 1
