"""A mailbox of many gigabytes: bounded memory, progress, and going on after `kill -9`.

The small one runs always; the large one (2 GiB, or `ATHANOR_MAILBOX_MB`) is slow.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from athanor.data import ParserPool
from athanor.rag.ingestion import Ingestion
from athanor.store import Store
from athanor.types import DocumentStatus, Job, JobState
from tests.rag.fakes import WordEmbedder

ROOT = Path(__file__).parents[2]
SERVER_BYTES = 400 << 20
PARSER_BYTES = 400 << 20
"""Bounds on the resident memory of the two, whatever the size of the mailbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    mails: int
    texts: int
    """Attachments that can be read; every mail has one besides that cannot."""


def write_mailbox(path: Path, size: int, attachment: int) -> Box:
    """Mails, each with a binary attachment of so many bytes and every tenth with a text, until the file has `size`."""
    source = random.Random(7)
    encoded = base64.b64encode(b"MZ" + source.randbytes(attachment))
    # The longest lines that a mail may have: that makes the reading faster, and no smaller.
    binary = b"".join(encoded[at : at + 988] + b"\n" for at in range(0, len(encoded), 988))
    mails = texts = 0
    with path.open("wb") as box:
        while box.tell() < size:
            mails += 1
            words = " ".join(f"word{source.randrange(5000)}" for _ in range(60))
            box.write(
                b"From ann@example.org Tue Nov 24 10:00:00 2026\n"
                b"From: ann@example.org\nTo: bob@example.org\nMIME-Version: 1.0\n"
                + f"Subject: Report {mails}\n".encode()
                + b"Content-Type: multipart/mixed; boundary=cut\n\n--cut\nContent-Type: text/plain\n\n"
                + f"This is report {mails}. {words}.\n".encode()
            )
            if mails % 10 == 0:
                texts += 1
                box.write(
                    b"--cut\nContent-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\n"
                    + f"Notes to report {mails}: {words}.\n".encode()
                )
            box.write(
                b"--cut\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
                b"Content-Disposition: attachment; filename=tool.exe\n\n" + binary + b"--cut--\n\n"
            )
    return Box(mails=mails, texts=texts)


def start(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.rag.mailbox_worker", str(home)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_for(store: Store, job: str, done: int, process: subprocess.Popen[str]) -> Job:
    """The job once so many documents are done."""
    while True:
        found = store.jobs.get(job)
        if found.done >= done:
            return found
        assert process.poll() is None, "it ended too early"
        time.sleep(0.05)


async def ingest(home: Path, size: int, attachment: int, kill_at: float) -> dict[str, Any]:
    """Ingest a mailbox, killed once when this share of its mails is done; figures of the run, and what the job said."""
    folder = home / "folder"
    folder.mkdir()
    box = write_mailbox(folder / "all.mbox", size, attachment)
    profile = WordEmbedder().profile
    store = Store.open(f"sqlite:///{home / 'a.db'}", blobs=home / "blobs")
    base = store.knowledge.create("docs", embedder=profile.id, dimension=profile.dimension)
    queue = Ingestion(store, ParserPool(), WordEmbedder(), chunk_tokens=64, workers=1)
    job = await queue.enqueue_folder(base, folder)

    began = time.monotonic()
    process = start(home)
    try:
        half = wait_for(store, job.id, int(box.mails * kill_at), process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    killed = time.monotonic() - began
    assert store.chunks.verify(base.id) == []
    kept = {
        d.id: d.updated_at for d in store.knowledge.documents(base.id, status=DocumentStatus.READY, limit=1_000_000)
    }
    assert len(kept) >= int(box.mails * kill_at)

    process = start(home)
    out, _ = process.communicate()
    assert process.returncode == 0
    ended = store.jobs.get(job.id)
    assert ended.state is JobState.DONE, ended.message
    assert store.chunks.verify(base.id) == []
    documents = {d.id: d for d in store.knowledge.documents(base.id, limit=1_000_000)}
    assert len(documents) == 1 + box.mails + box.texts
    assert {d.status for d in documents.values()} == {DocumentStatus.READY}
    assert all(documents[one].updated_at == at for one, at in kept.items()), "what was committed was read again"
    assert ended.result is not None
    assert ended.result["documents"] == 1 + box.mails + box.texts - len(kept)
    assert ended.result["unchanged"] == len(kept)
    peaks = json.loads(out.splitlines()[-1])
    total = time.monotonic() - began
    store.close()
    return {
        "mails": box.mails,
        "texts": box.texts,
        "kept": len(kept),
        "killed": killed,
        "seconds": total,
        "said": half.message,
        **peaks,
    }


@pytest.mark.anyio
async def test_a_mailbox_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    await ingest(tmp_path, 150_000, 3_000, 0.3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.anyio
async def test_a_large_mailbox_needs_bounded_memory(tmp_path: Path) -> None:
    size = int(os.environ.get("ATHANOR_MAILBOX_MB", "2048")) << 20
    figures = await ingest(tmp_path, size, int(os.environ.get("ATHANOR_ATTACHMENT_KB", "1000")) * 1000, 0.4)
    print(json.dumps(figures))
    assert "all.mbox" in figures["said"]
    assert "%" in figures["said"]
    assert figures["server"] < SERVER_BYTES
    assert figures["parser"] < PARSER_BYTES
