"""How well are the right passages found, beside other frameworks with the same passages and the same embedder?

    ATHANOR_DATA=... python bench/retrieval.py [--quick] [--json] [--peers DIR [--install]] [--only SET ...]

nDCG@10 of documents (one stands where its best passage stands) on Cranfield, SQuAD passages and a pool of FiQA answers,
by the product's own path and with the same settings for all three: each leg alone, fused (the default), with feedback,
and reranked over a sample of questions. Differences to the better single leg have 95 % intervals of a paired bootstrap
over questions. Milliseconds are those of one search, the question's vector included, one after another. Frameworks are
left out where they are not installed below DIR; `--install` puts them there. `--quick` takes a sample of each set, and
the frameworks on the first only: its figures are rough.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import numpy as np

from _report import ndcg
from _retrieval_peers import FRAMEWORKS, written
from _sets import Collection, cranfield, fiqa, smaller, squad
from athanor.engines.adapters.onnx import OnnxEmbedder
from athanor.models import resolve_embedder
from athanor.rag.index import decode
from athanor.types import Embeddings, KnowledgeBase, RetrievalSettings
from grounded import Bench, Entry

WANTED = 60
"""Passages asked for: ten documents are in them."""
AIMS = {"cranfield": 0.45, "squad": 0.965, "fiqa": 0.75}
FEEDBACK = RetrievalSettings(feedback=0.2)
RERANKED = RetrievalSettings(rerank=0.1)
_DRAWS = 5000


class Kept:
    """The embedder, with the passages' vectors kept in a folder for the next run; they are the same in every one."""

    def __init__(self, embedder: OnnxEmbedder, folder: Path) -> None:
        self.profile = embedder.profile
        self._embedder = embedder
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def embed(self, texts: list[str], *, kind: Literal["query", "document"]) -> Embeddings:
        key = sha256("\0".join([self.profile.id, kind, *texts]).encode()).hexdigest()
        path = self._folder / f"{key[:32]}.f4"
        if not path.exists():
            path.write_bytes((await self._embedder.embed(texts, kind=kind)).data)
        return Embeddings(data=path.read_bytes(), count=len(texts), dimension=self.profile.dimension, tokens=0)

    async def aclose(self) -> None:
        await self._embedder.aclose()


def interval(differences: Sequence[float]) -> list[float]:
    """Mean of paired differences, and its 95 % bootstrap interval."""
    values = np.asarray(differences)
    drawn = np.random.default_rng(0).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return [round(float(x), 4) for x in (values.mean(), low, high)]


def row(scores: Sequence[float], milliseconds: Sequence[float] = (), against: Sequence[float] = ()) -> dict[str, Any]:
    """One line of the report."""
    made: dict[str, Any] = {"ndcg": round(mean(scores), 4), "questions": len(scores)}
    if milliseconds:
        made |= {"p50_ms": round(float(np.median(milliseconds)), 1)}
        made |= {"p95_ms": round(float(np.quantile(milliseconds, 0.95)), 1)}
    if against:
        made["difference"] = interval([a - b for a, b in zip(scores, against, strict=True)])
    return made


async def ours(
    bench: Bench, collection: Collection, base: KnowledgeBase, entries: list[Entry], reranked: int
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Lines of the product, and each leg's scores of each question."""
    number = {chunk.id: place for place, entry in enumerate(entries) for chunk in entry.chunks}
    scores: dict[str, list[float]] = {key: [] for key in ("lexical", "dense", "fused", "feedback", "reranked")}
    spent: dict[str, list[float]] = {key: [] for key in scores}
    sample = range(0, len(collection.questions), max(1, len(collection.questions) // reranked))[:reranked]
    await bench.retriever.search(base, "warm up", rerank=True)
    for place, question in enumerate(collection.questions):
        ways = {"fused": base.settings, "feedback": FEEDBACK}
        if place in sample:
            ways["reranked"] = RERANKED
        for way, settings in ways.items():
            began = time.perf_counter()
            told = await bench.retriever.explain(replace(base, settings=settings), question.text, limit=WANTED)
            spent[way].append(1000 * (time.perf_counter() - began))
            scores[way].append(ndcg([number[hit.chunk.id] for hit in told.hits], question.relevant))
            if way == "fused":
                for stage in told.stages[:2]:
                    order = [number[key] for key, _ in stage.ranked[:WANTED]]
                    scores[stage.name].append(ndcg(order, question.relevant))
    best = max(("lexical", "dense"), key=lambda leg: mean(scores[leg]))
    lines = {way: row(scores[way], spent[way], scores[best]) for way in ("lexical", "dense", "fused", "feedback")}
    some = [scores["fused"][i] for i in sample]
    lines["fused, same questions"] = row(some, against=[scores[best][i] for i in sample])
    lines["reranked"] = row(scores["reranked"], spent["reranked"], [scores[best][i] for i in sample])
    lines["reranked"]["to_fused"] = interval([a - b for a, b in zip(scores["reranked"], some, strict=True)])
    return {"best_leg": best, **lines}, scores


def others(
    options: argparse.Namespace, folder: Path, collection: Collection, entries: list[Entry], fused: Sequence[float]
) -> dict[str, Any]:
    """Lines of every framework that is installed; `difference` is to our fused scores of the same questions."""
    found = resolve_embedder()
    number = {chunk.id: place for place, entry in enumerate(entries) for chunk in entry.chunks}
    chunks = [chunk for entry in entries for chunk in entry.chunks]
    count = len(collection.questions)
    sample = range(0, count, max(1, -(-count // options.asked)))
    questions = [collection.questions[place] for place in sample]
    job = {
        "model": str(found.model),
        "tokenizer": str(found.tokenizer),
        "max_tokens": found.profile.max_tokens,
        "threads": 2,
        "wanted": WANTED,
        "ids": [chunk.id for chunk in chunks],
        "texts": [chunk.text for chunk in chunks],
        "questions": [question.text for question in questions],
    }
    vectors = b"".join(vector for entry in entries for vector in entry.vectors)
    written(folder, job, decode(vectors, found.profile.dimension))
    lines: dict[str, Any] = {}
    for framework in FRAMEWORKS:
        if not framework.installed(options.peers):
            continue
        try:
            result = framework.run(options.peers, folder)
        except subprocess.CalledProcessError as error:
            print(f"{framework.name} failed and is left out: {error.stderr[-2000:]}", file=sys.stderr)
            continue
        for way, got in result.items():
            scores = [
                ndcg([number[key] for key in order], question.relevant)
                for order, question in zip(got["orders"], questions, strict=True)
            ]
            lines[f"{framework.name} {way}"] = row(scores, got["milliseconds"], [fused[place] for place in sample])
    return lines


async def run(options: argparse.Namespace, data: Path, folder: Path) -> dict[str, Any]:
    bench = Bench(folder)
    if options.vectors is not None:
        bench.embedder = Kept(bench.embedder, options.vectors)  # type: ignore[assignment]
    result: dict[str, Any] = {"quick": options.quick, "load_before": os.getloadavg()[0], "sets": {}}
    try:
        for read, size in ((squad, (120, 40)), (cranfield, (80, 15)), (fiqa, (40, 15))):
            try:
                collection = read(data)
            except FileNotFoundError:
                print(f"{read.__name__}: not in {data}, left out", file=sys.stderr)
                continue
            if options.only and collection.name not in options.only:
                continue
            if options.quick:
                collection = smaller(collection, *size)
            base, entries, _ = await bench.load(collection)
            lines, scores = await ours(bench, collection, base, entries, 5 if options.quick else options.reranked)
            if options.peers is not None and not (options.quick and result["sets"]):
                lines["others"] = await asyncio.to_thread(
                    others, options, folder / "job", collection, entries, scores["fused"]
                )
            result["sets"][collection.name] = lines
            print(json.dumps({collection.name: lines}), file=sys.stderr)  # a long run may be cut short
    finally:
        await bench.embedder.aclose()
        bench.store.close()
    return result | {"load_after": os.getloadavg()[0]}


def show(result: dict[str, Any]) -> None:
    for name, lines in result["sets"].items():
        print(f"\n{name} (aim {AIMS[name]}; best leg: {lines['best_leg']})")
        print(f"{'':24s} nDCG@10  questions   p50 ms   p95 ms   to the best leg, 95 % interval")
        for way, line in lines.items():
            if way not in ("best_leg", "others"):
                print(_line(way, line))
        if lines.get("others"):
            print(f"{'':24s} {'':42s}to our fused, 95 % interval")
            for way, line in lines["others"].items():
                print(_line(way, line))
    print(f"\nLoad of the machine ({os.cpu_count()} cores): {result['load_before']:.1f} before, ", end="")
    print(f"{result['load_after']:.1f} after" + (". A sample: figures are rough." if result["quick"] else "."))
    for framework in FRAMEWORKS:
        print(f"{framework.name}: {framework.note}")


def _line(way: str, line: dict[str, Any]) -> str:
    times = f"{line.get('p50_ms', ''):>9} {line.get('p95_ms', ''):>8}"
    value, low, high = line["difference"]
    return f"{way:24s} {line['ndcg']:.4f} {line['questions']:10d}{times}   {value:+.4f} [{low:+.4f}, {high:+.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a sample, under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="*", help="names of sets")
    parser.add_argument("--reranked", type=int, default=120, help="questions of each set to rerank, at most")
    parser.add_argument("--asked", type=int, default=10_000, help="questions of each set for the frameworks, at most")
    parser.add_argument("--vectors", type=Path, help="folder to keep the passages' vectors in for the next run")
    parser.add_argument("--peers", type=Path, help="folder of the other frameworks' environments")
    parser.add_argument("--install", action="store_true", help="install those that are missing there")
    options = parser.parse_args()
    if "ATHANOR_DATA" not in os.environ:
        print("Set ATHANOR_DATA to the folder with the evaluation data.", file=sys.stderr)
        raise SystemExit(2)
    if options.install:
        if options.peers is None:
            parser.error("--install needs --peers DIR")
        for framework in FRAMEWORKS:
            if not framework.installed(options.peers):
                framework.install(options.peers)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(options, Path(os.environ["ATHANOR_DATA"]), Path(folder)))
    print(json.dumps(result)) if options.json else show(result)


if __name__ == "__main__":
    main()
