"""`kill -9` of the server in the middle of an ingestion: nothing is missing, doubled, or half there."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from athanor.store import Store
from tests.live import Server

pytestmark = pytest.mark.weights

DOCUMENTS = 60


def write_documents(folder: Path, count: int) -> dict[str, str]:
    random.seed(7)
    words = [f"word{i:03d}" for i in range(400)]
    texts = {}
    for number in range(count):
        sections = [
            f"## Section {s}\n\n" + " ".join(random.choices(words, k=120)).capitalize() + f". Marker m{number}x{s}.\n"
            for s in range(random.randint(1, 5))
        ]
        texts[f"doc{number:03d}.md"] = f"# Document {number}\n\n" + "\n".join(sections)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return texts


def check(home: Path, texts: dict[str, str]) -> None:
    """The store holds exactly these documents, each once, each whole."""
    store = Store.open(f"sqlite:///{home / 'athanor.db'}", blobs=home / "blobs")
    try:
        base = store.knowledge.get("docs")
        assert store.chunks.verify(base.id) == []
        documents = store.knowledge.documents(base.id, limit=10_000)
        assert sorted(d.source for d in documents) == sorted(texts)
        for document in documents:
            assert document.version == 1, "ingested twice"
            assert document.text_sha256 is not None
            text = store.blobs.read(document.text_sha256).decode()
            assert text == texts[document.source]
            for chunk in store.chunks.of_document(document.id):
                assert text[chunk.start : chunk.end] == chunk.text
        assert store.chunks.search_text(base.id, ["m7x0"], limit=5)
    finally:
        store.close()


def survive(tmp_path: Path, kills: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    texts = write_documents(folder, DOCUMENTS)
    server = Server(tmp_path / "home")
    moments = random.Random(11)
    try:
        server.start()
        job = None
        for _ in range(kills):
            with server.client() as client:
                if job is None or client.get(f"/api/jobs/{job}").json()["state"] not in {"queued", "running"}:
                    # Killed so late that it was done: a changed file gives the next kill something to interrupt.
                    job = client.post("/api/knowledge/docs/sync", json={"folder": str(folder)}).json()["id"]
            time.sleep(moments.uniform(0.05, 1.2))
            server.kill()
            server.start()
        found = server.wait(job, timeout=120) if job else server.ingest(folder)
        assert found["state"] == "done", found
        again = server.ingest(folder)
        assert again["result"]["documents"] == 0, "the second run found something left to do"
        assert again["result"]["unchanged"] == DOCUMENTS
    finally:
        server.stop()
    check(tmp_path / "home", texts)


def test_a_kill(tmp_path: Path) -> None:
    survive(tmp_path, 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_kills(tmp_path: Path) -> None:
    survive(tmp_path, 30)
