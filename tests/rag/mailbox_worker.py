"""What the killed process runs: `python -m tests.rag.mailbox_worker HOME`. It works off the queue of the store there.

Says on one line of JSON what memory it and its parsers needed at most, in bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio

from athanor.data import ParserPool
from athanor.data.worker import peak_memory
from athanor.rag.ingestion import Ingestion
from athanor.store import Store
from athanor.worker import Runner
from tests.rag.fakes import WordEmbedder


async def work(home: Path) -> None:
    """Run one job."""
    store = Store.open(f"sqlite:///{home / 'a.db'}", blobs=home / "blobs")
    store.jobs.release()  # of the process that was killed
    async with ParserPool() as parsers:
        ingestion = Ingestion(store, parsers, WordEmbedder(), chunk_tokens=64, workers=1)
        assert await Runner(store, {Ingestion.KIND: ingestion.run}).run_once()
        print(json.dumps({"server": peak_memory(), "parser": parsers.statistics.peak_bytes}), flush=True)
    store.close()


if __name__ == "__main__":
    anyio.run(work, Path(sys.argv[1]))
