"""How fast is a folder ingested, beside the bare embedder on the same passages?

    python bench/ingest.py [--quick] [--documents N] [--json]

Makes N Markdown documents of one XSum article each, from `../shared/data/text`, ingests them into an empty
base, and embeds the passages that came out once more with nothing around the embedder. Both are in this process, with
the embedder and the parsers in theirs as always. Reported are passages a second of both, their ratio, the time of a
second run over the unchanged folder, peak resident memory over all processes, and the load before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from athanor.config import load_settings
from athanor.gateway import App, open_app
from athanor.rag.ingest import embedded_text
from athanor.worker import Runner

TEXTS = Path(__file__).parents[2] / "shared/data/text/xsum_test.jsonl"


def write_documents(folder: Path, count: int) -> None:
    """`count` documents of one article each."""
    articles = [json.loads(line) for line in TEXTS.read_text().splitlines()]
    for number in range(count):
        row = articles[number % len(articles)]
        body = row["document"]
        round_ = number // len(articles)
        title = f"# Report {number}" + (f", edition {round_}" if round_ else "")
        (folder / f"{number:06d}.md").write_text(f"{title}\n\n" + body.replace("\n", "\n\n") + "\n")


class Memory:
    """Largest sum of resident memory of this process and those below it, sampled five times a second; bytes."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._done.wait(0.2):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:  # it ended meanwhile
                    continue
            self.peak = max(self.peak, total)


async def ingest(app: App, folder: Path) -> tuple[float, dict[str, Any]]:
    """Seconds and result of one run."""
    base = await app.knowledge.ensure("bench")
    job = await app.ingestion.enqueue_folder(base, folder)
    began = time.perf_counter()
    await Runner(app.store, app.handlers).run_once()
    seconds = time.perf_counter() - began
    done = app.store.jobs.get(job.id)
    if done.state != "done" or done.result is None:
        raise RuntimeError(done.message)
    return seconds, dict(done.result)


async def bare(app: App) -> tuple[float, int]:
    """Seconds for the passages of the base, 64 in a call, and how many there are."""
    base = app.store.knowledge.get("bench")
    texts = [
        embedded_text(document.title, chunk)
        for document in app.store.knowledge.documents(base.id, limit=1_000_000)
        for chunk in app.store.chunks.of_document(document.id)
    ]
    began = time.perf_counter()
    for at in range(0, len(texts), 64):
        await app.embedder.embed(texts[at : at + 64], kind="document")
    return time.perf_counter() - began, len(texts)


async def run(documents: int) -> dict[str, Any]:
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "folder"
        folder.mkdir()
        write_documents(folder, documents)
        await asyncio.sleep(2.5)  # younger files are read again in the next run
        settings = load_settings(arguments={"home": f"{temporary}/home"}, environment={}).settings
        async with open_app(settings) as app:
            await app.embedder.start()
            await app.embedder.embed(["warm"] * 64, kind="document")
            with Memory() as memory:
                seconds, result = await ingest(app, folder)
            again, unchanged = await ingest(app, folder)
            if unchanged["unchanged"] != documents:
                raise RuntimeError(f"the second run changed something: {unchanged}")
            alone, chunks = await bare(app)
    loads.append(os.getloadavg()[0])
    return {
        "documents": documents,
        "passages": chunks,
        "passages_per_second": round(chunks / seconds, 1),
        "bare_passages_per_second": round(chunks / alone, 1),
        "ratio": round(alone / seconds, 3),
        "unchanged_seconds": round(again, 3),
        "peak_mb": round(memory.peak / 1e6),
        "failed": result["failed"],
        "load": [round(load, 1) for load in loads],
        "processors": len(os.sched_getaffinity(0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="40 documents")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(run(40 if options.quick else options.documents))
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):26} {value}")


if __name__ == "__main__":
    main()
