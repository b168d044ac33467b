"""Documents to ingest: unique texts of several kinds, as Markdown files."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from _sets import cranfield, fiqa, squad


def texts(data: Path) -> list[tuple[str, str]]:
    """Kind and text of every different one, in an order that mixes the kinds and is always the same.

    News articles, encyclopaedia passages, finance answers and aerodynamics abstracts; see the README of `data`.
    """
    found: dict[str, str] = {}
    for kind, text in _all(data):
        found.setdefault(text.strip(), kind)
    mixed = [(kind, text) for text, kind in found.items() if text]
    random.Random(0).shuffle(mixed)
    return mixed


def _all(data: Path) -> Iterator[tuple[str, str]]:
    for line in (data / "text/xsum_test.jsonl").read_text().splitlines():
        yield "News", json.loads(line)["document"].replace("\n", "\n\n")
    for collection in (cranfield(data), squad(data), fiqa(data)):
        for text in collection.documents:
            yield collection.name.capitalize(), text
    for line in (data / "qa/boolq_dev.jsonl").read_text().splitlines():
        yield "Encyclopaedia", json.loads(line)["passage"]


def write_documents(folder: Path, data: Path, count: int) -> int:
    """Up to `count` Markdown files in `folder`, one text each; how many there were texts for."""
    chosen = texts(data)[:count]
    for number, (kind, text) in enumerate(chosen):
        (folder / f"{number:06d}.md").write_text(f"# {kind} {number}\n\n{text}\n")
    return len(chosen)
