"""How fast is a folder ingested, beside the bare embedder on the same passages, and beside other frameworks?

    ATHANOR_DATA=... python bench/ingest.py [--documents 5000] [--rounds N] [--quick] [--json] [--peers DIR [--install]]

Makes Markdown documents of unique texts (`_corpus.py` says which), and in every round ingests them into an empty base,
runs the ingestion again over the unchanged folder, embeds the passages that came out once more with nothing around
the embedder (the same process, 256 texts in a call and two calls under way), and lets every framework ingest the same
folder with the same embedder (`_ingest_peers.py` says how each does it): in turns, so that a busy machine slows all.
A small folder is ingested before each clock starts; loading libraries and models is not in the figures.

`ratio` is the bare embedder's time over ours; `faster` is a framework's time over ours for the same folder, and
`faster_passages` is our passages a second over its. Peak memory is over all processes, and includes ours for searching.
Figures of more than one round are medians, with the lowest and highest. Without ATHANOR_DATA nothing can be ingested.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import psutil

from _corpus import write_documents
from _ingest_peers import Framework, install, installed
from _ingest_peers import run as run_peer
from athanor.config import load_settings
from athanor.gateway import App, open_app
from athanor.models import resolve_embedder
from athanor.rag.ingest import embedded_text
from athanor.worker import Runner


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


async def ingest(app: App, name: str, folder: Path) -> tuple[float, dict[str, Any]]:
    """Seconds and result of one run into the base `name`."""
    base = await app.knowledge.ensure(name)
    job = await app.ingestion.enqueue_folder(base, folder)
    began = time.perf_counter()
    await Runner(app.store, app.handlers).run_once()
    seconds = time.perf_counter() - began
    done = app.store.jobs.get(job.id)
    if done.state != "done" or done.result is None:
        raise RuntimeError(done.message)
    return seconds, dict(done.result)


async def bare(app: App, name: str) -> tuple[float, int]:
    """Seconds for the passages of the base, and how many there are."""
    base = app.store.knowledge.get(name)
    texts = [
        embedded_text(document.title, chunk)
        for document in app.store.knowledge.documents(base.id, limit=1_000_000)
        for chunk in app.store.chunks.of_document(document.id)
    ]
    calls = iter([texts[at : at + 256] for at in range(0, len(texts), 256)])

    async def work() -> None:
        for call in calls:
            await app.embedder.embed(call, kind="document")

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(work)
    return time.perf_counter() - began, len(texts)


async def ours(folder: Path, warm: Path, home: Path, documents: int) -> dict[str, float]:
    settings = load_settings(arguments={"home": str(home)}, environment={}).settings
    async with open_app(settings) as app:
        await app.embedder.start()
        await app.embedder.embed(["warm"] * 64, kind="document")
        await ingest(app, "warm", warm)
        with Memory() as memory:
            seconds, result = await ingest(app, "bench", folder)
        again, unchanged = await ingest(app, "bench", folder)
        if result["failed"] or unchanged["unchanged"] != documents:
            raise RuntimeError(f"not all was ingested, or the second run changed something: {result} {unchanged}")
        alone, passages = await bare(app, "bench")
    return {
        "seconds": seconds,
        "passages": passages,
        "bare_seconds": alone,
        "unchanged_seconds": again,
        "peak_mb": round(memory.peak / 1e6),
    }


def rounds_of(options: argparse.Namespace, frameworks: list[Framework], folder: Path) -> list[dict[str, Any]]:
    """One entry for each round: our figures under `ours`, a framework's under its name and the way it embeds."""
    many, few = folder / "many", folder / "few"
    many.mkdir()
    few.mkdir()
    data = Path(os.environ["ATHANOR_DATA"])
    options.documents = write_documents(many, data, options.documents)
    write_documents(few, data, 2)
    embedder = resolve_embedder()
    job: dict[str, Any] = {
        "folder": str(many),
        "warm": str(few),
        "model": str(embedder.model),
        "tokenizer": str(embedder.tokenizer),
        "max_tokens": embedder.profile.max_tokens,
    }
    time.sleep(2.5)  # younger files are read again in the next run
    found = []
    for number in range(options.rounds):
        entry: dict[str, Any] = {"ours": asyncio.run(ours(many, few, folder / f"home{number}", options.documents))}
        for framework in frameworks:
            for way in options.ways:
                entry[f"{framework.name} {way}"] = run_peer(framework, options.peers, {**job, "way": way})
        found.append(entry)
    return found


def spread(values: list[float], digits: int = 2) -> float | list[float]:
    """The value; of several, median, lowest and highest."""
    if len(values) == 1:
        return round(values[0], digits)
    return [round(value, digits) for value in (median(values), min(values), max(values))]


def figures(found: list[dict[str, Any]], documents: int) -> dict[str, Any]:
    mine = [entry["ours"] for entry in found]
    lines: dict[str, Any] = {
        "documents": documents,
        "passages": mine[0]["passages"],
        "passages_per_second": spread([one["passages"] / one["seconds"] for one in mine], 1),
        "bare_passages_per_second": spread([one["passages"] / one["bare_seconds"] for one in mine], 1),
        "ratio": spread([one["bare_seconds"] / one["seconds"] for one in mine], 3),
        "unchanged_seconds": spread([one["unchanged_seconds"] for one in mine], 3),
        "unchanged_faster": spread([one["seconds"] / one["unchanged_seconds"] for one in mine], 0),
        "peak_mb": spread([one["peak_mb"] for one in mine], 0),
        "frameworks": {},
    }
    for name in found[0].keys() - {"ours"}:
        pairs = [(entry["ours"], entry[name]) for entry in found]
        lines["frameworks"][name] = {
            "passages": pairs[0][1]["passages"],
            "passages_per_second": spread([other["passages"] / other["seconds"] for _, other in pairs], 1),
            "faster": spread([other["seconds"] / one["seconds"] for one, other in pairs]),
            "faster_passages": spread(
                [one["passages"] / one["seconds"] * other["seconds"] / other["passages"] for one, other in pairs]
            ),
            "peak_mb": spread([other["peak_mb"] for _, other in pairs], 0),
        }
    lines["frameworks"] = dict(sorted(lines["frameworks"].items()))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="40 documents; frameworks in one way only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peers", type=Path, help="folder of the other frameworks' environments")
    parser.add_argument("--install", action="store_true", help="install those that are missing there")
    parser.add_argument("--ways", nargs="+", choices=["plain", "given"], default=["plain", "given"])
    options = parser.parse_args()
    if "ATHANOR_DATA" not in os.environ:
        raise SystemExit("Set ATHANOR_DATA to the folder of evaluation data.")
    if options.install:
        if options.peers is None:
            parser.error("--install needs --peers DIR")
        install(options.peers)
    if options.quick:
        options.documents, options.ways = min(options.documents, 40), ["plain"]
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as temporary:
        try:
            found = rounds_of(options, [] if options.peers is None else installed(options.peers), Path(temporary))
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{error.cmd[2]} failed:\n{error.stderr[-2000:]}") from error
    lines = figures(found, options.documents)
    lines["load"] = [round(load, 1) for load in (*loads, os.getloadavg()[0])]
    lines["processors"] = len(os.sched_getaffinity(0))
    if options.json:
        print(json.dumps(lines))
        return
    for name, value in lines.items():
        for label, shown in value.items() if isinstance(value, dict) else [(name.replace("_", " "), value)]:
            print(f"{label:26} {shown}")


if __name__ == "__main__":
    main()
