"""How well is the right passage found, the answer quoted, and silence kept where there is none?

    ATHANOR_DATA=... python bench/grounded.py [--quick] [--json] [--fit]

Runs the product's own path: chunks, store, text index, vector index, embedder and reranker in their process, fusion,
extraction. Answering and abstaining are reported on passages of topics that the calibration has not seen. For
abstention the passage is deleted from the store, the question asked, and the passage put back. `--quick` takes a sample
(its figures are rough); `--fit` prints new numbers for `athanor/rag/calibration.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from _fit import fit, topics
from _report import Outcome, answers, ndcg, show
from _sets import Collection, cranfield, fiqa, normal, smaller, squad
from athanor.engines.adapters.onnx import OnnxEmbedder, OnnxReranker, onnx_process
from athanor.engines.local import LocalSettings
from athanor.models import resolve_embedder, resolve_reranker
from athanor.rag import Retriever, calibration
from athanor.rag.chunk import chunk
from athanor.rag.extract import Evidence, decide, weigh
from athanor.rag.fuse import fuse
from athanor.rag.index import decode
from athanor.rag.ingest import embedded_text
from athanor.store import Store
from athanor.types import Block, Chunk, Document, DocumentStatus, Hit, KnowledgeBase, ParsedDocument

ASKED = 8
"""Passages that an answer draws on, as in the product."""


@dataclass(kw_only=True)
class Entry:
    document: Document
    text: str
    chunks: list[Chunk]
    vectors: list[bytes]


class Bench:
    """A store in a temporary folder, and the default models."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(f"sqlite:///{folder / 'bench.db'}", blobs=folder / "blobs")
        found = resolve_embedder()
        second = resolve_reranker()
        process = onnx_process(found, second, LocalSettings(threads=2))
        self.embedder = OnnxEmbedder(process, found.profile)
        self.reranker = OnnxReranker(process, second.profile)
        self.retriever = Retriever(self.store, self.embedder, self.reranker)

    async def load(self, collection: Collection) -> tuple[KnowledgeBase, list[Entry], float]:
        """A base of `collection`, its documents, and chunks a second."""
        profile = self.embedder.profile
        base = self.store.knowledge.create(collection.name, embedder=profile.id, dimension=profile.dimension)
        entries = [self._entry(base, i, text) for i, text in enumerate(collection.documents)]
        texts = [embedded_text("", passage) for entry in entries for passage in entry.chunks]
        began = time.perf_counter()
        rows: list[bytes] = []
        for at in range(0, len(texts), 64):
            rows += (await self.embedder.embed(texts[at : at + 64], kind="document")).rows()
            if sys.stderr.isatty():
                print(f"\r{collection.name}: {len(rows)}/{len(texts)} chunks", end="", file=sys.stderr)
        speed = len(texts) / (time.perf_counter() - began)
        left = iter(rows)
        with self.store.write() as conn:
            for entry in entries:
                entry.vectors = [next(left) for _ in entry.chunks]
                self.store.knowledge.replace_document(
                    entry.document, entry.chunks, entry.vectors, embedder=profile.id, conn=conn
                )
        return self.store.knowledge.get(base.id), entries, speed

    def _entry(self, base: KnowledgeBase, number: int, text: str) -> Entry:
        name = f"{number:05d}.txt"
        identity = f"doc_{base.name}_{number}"
        block = Block(kind="paragraph", start=0, end=len(text))
        parsed = ParsedDocument(text=text, title="", mime="text/plain", blocks=(block,))
        chunks = chunk(parsed, document_id=identity)
        raw = text.encode()
        document = Document(
            id=identity, knowledge_base=base.id, source=name, origin="upload", version=0,
            sha256=sha256(raw).hexdigest(), text_sha256=self.store.blobs.put(raw), title="", mime="text/plain",
            size=len(raw), pages=(), status=DocumentStatus.READY, error=None, chunks=len(chunks), created_at=0.0,
            updated_at=0.0,
        )  # fmt: skip
        return Entry(document=document, text=text, chunks=chunks, vectors=[])

    async def rankings(self, collection: Collection, base: KnowledgeBase, reranked: int) -> dict[str, Any]:
        """nDCG@10 of each leg and of what is made of them; reranked over a sample of questions."""
        scores: dict[str, list[float]] = {key: [] for key in ("lexical", "dense", "fused")}
        pairs: list[tuple[float, float]] = []
        step = max(1, len(collection.questions) // reranked)
        for number, question in enumerate(collection.questions):
            vector = decode(*_vector(await self.embedder.embed([question.text], kind="query")))[0]
            legs = self.retriever.legs(base, question.text, vector)
            fused = fuse(legs.lexical, legs.cosines, [score for _, score in legs.dense])
            where = {hit.chunk.id: hit for hit in self.store.chunks.hits(base.id, [key for key, _ in fused[:100]])}
            known = {key: _number(hit) for key, hit in where.items()}
            for name, ranked in (("lexical", legs.lexical), ("dense", legs.dense), ("fused", fused)):
                missing = [key for key, _ in ranked[:60] if key not in known]
                known |= {hit.chunk.id: _number(hit) for hit in self.store.chunks.hits(base.id, missing)}
                order = [known[key] for key, _ in ranked[:60]]
                scores[name].append(ndcg(order, question.relevant))
            if number % step == 0 and len(pairs) < reranked:
                hits = await self.retriever.search(base, question.text, limit=60, rerank=True)
                pairs.append((scores["fused"][-1], ndcg([_number(hit) for hit in hits], question.relevant)))
        result = {name: round(mean(values), 4) for name, values in scores.items()}
        result["margin"] = round(result["fused"] - max(result["lexical"], result["dense"]), 4)
        result["reranked_change"] = round(mean(b - a for a, b in pairs), 4)
        result["reranked_questions"] = len(pairs)
        return result

    async def outcomes(
        self, collection: Collection, base: KnowledgeBase, entries: list[Entry], limit: int, *, everything: bool
    ) -> list[Outcome]:
        """Answerable questions (of held-out topics, or of all), asked with their passage and without."""
        group = topics(np.array([decode(e.vectors[0], base.dimension)[0] for e in entries]))
        found = []
        asked = [q for q in collection.questions if q.answer is not None]
        if not everything:
            asked = [q for q in asked if group[min(q.relevant)]]
        asked = asked[:: max(1, len(asked) // limit)][:limit]
        for question in asked:
            gold = min(question.relevant)
            began = time.perf_counter()
            hits, evidence = await self._ask(base, question.text)
            spent = 1000 * (time.perf_counter() - began)
            self.store.knowledge.delete_document(entries[gold].document.id)
            without_hits, without = await self._ask(base, question.text)
            self._put_back(entries[gold])
            found.append(
                Outcome(
                    held_out=bool(group[gold]),
                    question=question,
                    evidence=evidence,
                    hits=hits,
                    without=without,
                    without_hits=without_hits,
                    milliseconds=spent,
                )
            )
        return found

    async def unanswerable(self, collection: Collection, base: KnowledgeBase, limit: int) -> dict[str, Any]:
        """Abstention on questions written to look answerable by a passage that is there (SQuAD 2.0's)."""
        found = []
        for question in [q for q in collection.questions if q.answer is None][:limit]:
            hits, evidence = await self._ask(base, question.text)
            found.append(decide(evidence, hits, fitted=calibration.RERANKED).abstained)
        return {"questions": len(found), "abstention": round(mean(found), 3) if found else None}

    async def transfer(
        self, collection: Collection, base: KnowledgeBase, entries: list[Entry], limit: int
    ) -> dict[str, Any]:
        """The shipped threshold on another kind of text: abstention with all relevant passages there, and without."""
        present, absent = [], []
        for question in collection.questions[:: max(1, len(collection.questions) // limit)][:limit]:
            hits, evidence = await self._ask(base, question.text)
            present.append(decide(evidence, hits, fitted=calibration.RERANKED).abstained)
            for gold in question.relevant:
                self.store.knowledge.delete_document(entries[gold].document.id)
            hits, evidence = await self._ask(base, question.text)
            absent.append(decide(evidence, hits, fitted=calibration.RERANKED).abstained)
            for gold in question.relevant:
                self._put_back(entries[gold])
        return {
            "questions": len(present),
            "false_abstention": round(mean(present), 3),
            "abstention": round(mean(absent), 3),
        }

    async def _ask(self, base: KnowledgeBase, question: str) -> tuple[list[Hit], Evidence | None]:
        hits = await self.retriever.search(base, question, limit=ASKED)
        return hits, await weigh(question, hits, embedder=self.embedder, reranker=self.reranker)

    def _put_back(self, entry: Entry) -> None:
        self.store.blobs.put(entry.text.encode())
        self.store.knowledge.replace_document(
            entry.document, entry.chunks, entry.vectors, embedder=self.embedder.profile.id
        )


def _vector(embedded: Any) -> tuple[bytes, int]:
    return embedded.data, embedded.dimension


def _number(hit: Hit) -> int:
    return int(hit.source.removesuffix(".txt"))


async def run(options: argparse.Namespace, data: Path, folder: Path) -> dict[str, Any]:
    bench = Bench(folder)
    result: dict[str, Any] = {"quick": options.quick, "sets": {}}
    try:
        for read, size in ((squad, (150, 30)), (cranfield, (80, 15)), (fiqa, (40, 15))):
            try:
                collection = read(data)
            except FileNotFoundError:
                continue
            if options.only and collection.name not in options.only:
                continue
            if options.quick:
                collection = smaller(collection, *size)
            base, entries, speed = await bench.load(collection)
            scores = (
                {} if options.fit else await bench.rankings(collection, base, 5 if options.quick else options.reranked)
            )
            result["sets"][collection.name] = {
                "documents": len(entries), "questions": len(collection.questions), "reference": collection.reference,
                "chunks_per_second": round(speed, 1), **scores,
            }  # fmt: skip
            if collection.name == "squad":
                found = await bench.outcomes(
                    collection, base, entries, 12 if options.quick else options.questions, everything=options.fit
                )
                result["answers"] = answers(found)
                result["unanswerable"] = await bench.unanswerable(collection, base, 10 if options.quick else 245)
                if options.fit:
                    result["fit"] = fit(found, normal)
            elif collection.name == "fiqa" and not options.fit:
                result["transfer"] = await bench.transfer(collection, base, entries, 10 if options.quick else 60)
    finally:
        await bench.embedder.aclose()
        bench.store.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a sample, under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fit", action="store_true", help="fit the calibration anew; no ranking figures")
    parser.add_argument("--reranked", type=int, default=200, help="questions of each set to rerank, at most")
    parser.add_argument("--questions", type=int, default=10_000, help="questions to answer, at most")
    parser.add_argument("--only", nargs="*", help="names of sets")
    options = parser.parse_args()
    if "ATHANOR_DATA" not in os.environ:
        print("Set ATHANOR_DATA to the folder with the evaluation data.", file=sys.stderr)
        raise SystemExit(2)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(options, Path(os.environ["ATHANOR_DATA"]), Path(folder)))
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
