"""`kill -9` among writes, deletions, changes of access and searches: gone stays gone, and closed stays closed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from athanor.rag.indexes import Indexes
from athanor.store import Store
from tests.live import Server

pytestmark = pytest.mark.weights

BASE = "docs"
LIVE = 6
"""Files that are written again and again."""


def marker(number: int) -> str:
    return f"qx{number:04d}zed"


class Hammer:
    """Uses one server from several threads until it is killed, and remembers what was acknowledged."""

    def __init__(self, folder: Path, server: Server, doomed: int) -> None:
        self.server, self.folder = server, folder / "live"
        self.folder.mkdir()
        fixed = folder / "fixed"
        fixed.mkdir()
        for number in range(doomed):
            (fixed / f"{number:04d}.md").write_text(f"# Item {number}\n\nThe code of it is {marker(number)}.\n")
        assert server.ingest(fixed, BASE)["state"] == "done"
        with server.client() as client:
            made = client.post("/api/keys", json={"name": "reader", "role": "user"})
            made.raise_for_status()
            self.secret = made.json()["secret"]
            listed = client.get(f"/api/knowledge/{BASE}/documents").json()["data"]
        self.documents = {int(one["source"][:4]): one["id"] for one in listed}
        self.left = sorted(self.documents)
        self.deleted: list[int] = []
        self.closed: list[int] = []
        self.leaks: list[str] = []
        self._stop = threading.Event()
        self._written = 0

    def client(self, *, reader: bool = False) -> httpx.Client:
        key = self.secret if reader else self.server.key
        return httpx.Client(base_url=self.server.url, headers={"authorization": f"Bearer {key}"}, timeout=20)

    def round(self, seconds: float) -> None:
        """Everything at once, and `kill -9` after so many seconds."""
        self._stop.clear()
        threads = [threading.Thread(target=self._loop, args=[one]) for one in (self._write, self._take, self._search)]
        for thread in threads:
            thread.start()
        # The moment counts from the first deletion on: a crowded machine may need long to come to that.
        before, deadline = len(self.deleted), time.monotonic() + 30
        while self.left and len(self.deleted) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(seconds)
        self.server.kill()
        self._stop.set()
        for thread in threads:
            thread.join()

    def _loop(self, act: Callable[[httpx.Client, httpx.Client], None]) -> None:
        # The server dies under it: what was not acknowledged may be either way.
        with self.client() as admin, self.client(reader=True) as user, contextlib.suppress(httpx.HTTPError):
            while not self._stop.is_set():
                act(admin, user)

    def _write(self, admin: httpx.Client, _: httpx.Client) -> None:
        for number in range(LIVE):
            self._written += 1
            text = f"# Live {number}\n\nThis is the writing number {self._written} of the item.\n"
            (self.folder / f"live{number}.md").write_text(text)
        admin.post(f"/api/knowledge/{BASE}/sync", json={"folder": str(self.folder)})
        time.sleep(0.1)

    def _take(self, admin: httpx.Client, _: httpx.Client) -> None:
        """Delete one document and close another."""
        if len(self.left) < 2:
            time.sleep(0.05)
            return
        gone, hidden = self.left.pop(), self.left.pop()
        if admin.delete(f"/api/documents/{self.documents[gone]}").status_code == 200:
            self.deleted.append(gone)
        body = {"what": f"{hidden:04d}.md", "nobody": True}
        if admin.post(f"/api/knowledge/{BASE}/access", json=body).status_code == 200:
            self.closed.append(hidden)
        time.sleep(0.05)

    def _search(self, admin: httpx.Client, user: httpx.Client) -> None:
        gone, hidden = self.deleted[-2:], self.closed[-2:]
        for number in gone:
            self._seen(admin, number)
        for number in (*gone, *hidden):
            self._seen(user, number)

    def _seen(self, client: httpx.Client, number: int) -> None:
        """Look for a document on one way to it that costs little."""
        document = self.documents[number]
        reply = client.get(f"/api/knowledge/{BASE}/search", params={"query": f"code {marker(number)}"})
        hits = reply.json()["data"] if reply.status_code == 200 else []  # the embedder may not be there yet
        if any(marker(number) in str(hit) for hit in hits):
            self.leaks.append(f"search finds {number}")
        if client.get(f"/api/documents/{document}").status_code != 404:
            self.leaks.append(f"the route of {number}")

    def _searched(self, client: httpx.Client) -> None:
        """Wait until a search is answered."""
        deadline = time.monotonic() + 60
        while client.get(f"/api/knowledge/{BASE}/search", params={"query": "item"}).status_code != 200:
            assert time.monotonic() < deadline, "no search is answered"
            time.sleep(0.1)

    def check(self) -> None:
        """After a restart: every way to what is gone or closed, and the store against itself."""
        with self.client() as admin, self.client(reader=True) as user:
            for client, missing in ((admin, self.deleted), (user, [*self.deleted, *self.closed])):
                listed = client.get(f"/api/knowledge/{BASE}/documents").json()["data"]
                files = client.get(f"/v1/vector_stores/{BASE}/files", params={"limit": 100}).json()["data"]
                there = {one["id"] for one in [*listed, *files]}
                assert not there & {self.documents[number] for number in missing}
                self._searched(client)
                for number in missing[-6:]:
                    self._seen(client, number)
                    self._ways(client, number)
        assert self.leaks == []
        self._store()

    def _ways(self, client: httpx.Client, number: int) -> None:
        document = self.documents[number]
        ways: list[tuple[str, dict[str, Any]]] = [
            (f"/api/documents/{document}/text", {}),
            (f"/api/documents/{document}/text", {"version": 1}),
            (f"/v1/vector_stores/{BASE}/files/{document}", {}),
        ]
        for path, params in ways:
            reply = client.get(path, params=params)
            assert reply.status_code == 404, (path, reply.text)
            assert marker(number) not in reply.text

    def _store(self) -> None:
        home = self.server.home
        store = Store.open(f"sqlite:///{home / 'athanor.db'}", blobs=home / "blobs")
        try:
            base = store.knowledge.get(BASE)
            assert store.chunks.verify(base.id) == []
            indexes = Indexes(store)
            assert indexes.verify(base) == []
            indexes.close()
        finally:
            store.close()


def survive(tmp_path: Path, kills: int) -> Hammer:
    server = Server(tmp_path / "home")
    moments = random.Random(5)
    try:
        server.start()
        hammer = Hammer(tmp_path, server, doomed=8 * kills)
        for _ in range(kills):
            hammer.round(moments.uniform(0.0, 0.6))
            server.start()
            hammer.check()
    finally:
        server.stop()
    assert hammer.deleted
    assert hammer.closed
    return hammer


def test_two_kills(tmp_path: Path) -> None:
    survive(tmp_path, 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hammer = survive(tmp_path, 50)
    with capsys.disabled():
        print(f"\n50 kills, {len(hammer.deleted)} deleted and {len(hammer.closed)} closed, nothing found again")
