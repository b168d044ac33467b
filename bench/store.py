"""What the store costs: grouped writes, durability, opening, replacing, searching, filling a matrix.

    python bench/store.py [--quick] [--json] [--url postgresql+psycopg://…]

Everything runs on a store of its own in a temporary folder (`--url`: an empty PostgreSQL database, which is filled).
The limit of a durable write is one fsync, so that is measured beside it. Passages are random words of a Zipf
distribution, 100 a passage; vectors are 384 float32. `--quick` takes 5,000 passages instead of 100,000.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from athanor.store import Appender, GroupedWriter, Store
from athanor.types import Chunk, Document, DocumentStatus, RequestRecord, new_id

DIMENSION = 384
PER_DOCUMENT = 50
WORDS = [f"w{n}" for n in range(20_000)]
WEIGHTS = list(accumulate(1 / (n + 1) for n in range(20_000)))
"""Cumulative, of a Zipf distribution."""


def timed(call: Callable[[], Any], times: int) -> dict[str, float]:
    """Milliseconds of `call`: median and 95th percentile."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return {"p50_ms": statistics.median(taken), "p95_ms": sorted(taken)[int(0.95 * (len(taken) - 1))]}


def fsync_rate(folder: Path, seconds: float) -> float:
    """fsyncs per second of one growing file: the limit of a writer that does not group."""
    count, began = 0, time.perf_counter()
    with (folder / "probe").open("wb") as out:
        while time.perf_counter() - began < seconds:
            out.write(b"x" * 4096)
            out.flush()
            os.fsync(out.fileno())
            count += 1
    return count / (time.perf_counter() - began)


def record() -> RequestRecord:
    return RequestRecord(trace=new_id("tr"), at=time.time(), door="bench", principal="p", model="m")


def writes(store: Store, clients: int, seconds: float, *, durable: bool, grouped: bool) -> dict[str, float]:
    """Request rows per second of clients that each wait for their row to be committed."""
    writer = GroupedWriter(store.database, durable=durable)
    waits: list[float] = []

    def insert(row: RequestRecord, rows: Appender) -> None:
        store.requests.insert([row], into=rows)

    end = time.perf_counter() + seconds

    def client() -> None:
        while (began := time.perf_counter()) < end:
            if grouped:
                writer.append(partial(insert, record())).result()
            else:
                with store.database.appending(durable=durable) as rows:
                    insert(record(), rows)
            waits.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    waits.sort()
    p99 = 1000 * waits[int(0.99 * (len(waits) - 1))]
    return {"rows_per_s": len(waits) / seconds, "p50_ms": 1000 * statistics.median(waits), "p99_ms": p99}


def fill(store: Store, passages: int) -> tuple[str, float]:
    """A knowledge base of `passages`, and documents per second (of 50 passages each)."""
    random.seed(1)
    kb = store.knowledge.create("bench", embedder="bench", dimension=DIMENSION)
    sha256 = store.blobs.put(b"bench")
    vector = random.randbytes(4 * DIMENSION)
    inside = 0.0
    for number in range(passages // PER_DOCUMENT):
        texts = [" ".join(random.choices(WORDS, cum_weights=WEIGHTS, k=100)) for _ in range(PER_DOCUMENT)]
        doc = Document(
            id=new_id("doc"), knowledge_base=kb.id, source=f"{number}.txt", version=0, sha256=sha256,
            text_sha256=sha256, title="", mime="text/plain", size=0, pages=(), status=DocumentStatus.READY,
            error=None, chunks=0, created_at=0.0, updated_at=0.0,
        )  # fmt: skip
        chunks = [
            Chunk(id=f"{doc.id}-{n}", document=doc.id, ordinal=n, start=n, end=n + 1, page=None, heading="", text=text)
            for n, text in enumerate(texts)
        ]
        began = time.perf_counter()
        store.knowledge.replace_document(doc, chunks, [vector] * len(chunks), embedder="bench")
        inside += time.perf_counter() - began
    return kb.id, (passages // PER_DOCUMENT) / inside


def reading(store: Store, kb: str) -> dict[str, Any]:
    rare = [random.choices(WORDS, k=8) for _ in range(50)]
    content = [
        random.choices(WORDS[200:], cum_weights=[w - WEIGHTS[199] for w in WEIGHTS[200:]], k=8) for _ in range(50)
    ]
    natural = [random.choices(WORDS, cum_weights=WEIGHTS, k=8) for _ in range(50)]
    began = time.perf_counter()
    size = sum(len(data) for _, data in store.chunks.vectors(kb))
    seconds = time.perf_counter() - began
    revision = store.knowledge.get(kb).revision
    return {
        "search 8 rare words": timed(lambda: store.chunks.search_text(kb, random.choice(rare)), 50),
        "search 8 words, the 200 most common aside": timed(
            lambda: store.chunks.search_text(kb, random.choice(content)), 30
        ),
        "search 8 words as they come": timed(lambda: store.chunks.search_text(kb, random.choice(natural)), 30),
        "vectors": {"s": seconds, "MB_per_s": size / 1e6 / seconds},
        "changes when there are none": timed(lambda: store.chunks.changes(kb, revision), 5),
    }


def opening(url: str, blobs: Path) -> dict[str, float]:
    """Milliseconds in a process of its own: import, open, and resident memory in MiB."""
    code = (
        "import resource, time; from pathlib import Path; a = time.perf_counter();"
        "from athanor.store import Store; b = time.perf_counter();"
        f"Store.open({url!r}, blobs=Path({str(blobs)!r})); c = time.perf_counter();"
        # Not ru_maxrss: a child inherits the peak of the process that forked it.
        "rss = int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize();"
        "print(1e3 * (b - a), 1e3 * (c - b), rss / 2**20)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True) for _ in range(5)]
    rows = [[float(value) for value in run.stdout.split()] for run in runs]
    return dict(zip(("import_ms", "open_ms", "rss_MiB"), map(statistics.median, zip(*rows, strict=True)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5,000 passages, short runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--url", help="an empty PostgreSQL database instead of SQLite")
    arguments = parser.parse_args()
    passages, seconds = (5_000, 1.0) if arguments.quick else (100_000, 5.0)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = arguments.url or f"sqlite:///{folder}/athanor.db"
        store = Store.open(url, blobs=folder / "blobs")
        found["limit: fsyncs per second"] = fsync_rate(folder, seconds)
        for durable in (True, False):
            mode = "survives power loss" if durable else "survives kill -9"
            for clients, grouped in ((8, False), (1, True), (8, True), (64, True)):
                what = f"{mode}, {'grouped' if grouped else 'each its own commit'}, {clients} clients"
                found[what] = writes(store, clients, seconds, durable=durable, grouped=grouped)
        kb, found[f"documents of {PER_DOCUMENT} passages replaced per second"] = fill(store, passages)
        found |= reading(store, kb)
        found["second start"] = opening(url, folder / "blobs")
        store.close()
    if arguments.json:
        print(json.dumps({"passages": passages, "dialect": url.partition(":")[0], "results": found}))
        return
    print(f"{url.partition(':')[0]}, {passages} passages")
    for what, value in found.items():
        shown = value if isinstance(value, dict) else {"": value}
        print(f"  {what:52}", "  ".join(f"{number:10.2f} {unit}" for unit, number in shown.items()))


if __name__ == "__main__":
    main()
