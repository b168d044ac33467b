"""Is the answer in what a model reads: with passages of several sizes, and with what is around them?

    ATHANOR_DATA=... python bench/expand.py [--quick] [--json] [--passages 713] [--questions 800]

SQuAD passages, 24 of a topic (k-means of their vectors; the file does not say which article they are of) as one
document, so that a passage has neighbours: some on the same thing, some not. The product's chunks, both legs, fusion
and expansion. For every budget of tokens the best passages are taken until it is full; the gold answer counts where it
stands in a slice of its own passage that is read. Intervals are 95 % bootstraps over questions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from _fit import TOPICS
from _sets import Collection, normal, squad
from athanor.engines.adapters.onnx import OnnxEmbedder, onnx_process
from athanor.engines.local import LocalSettings
from athanor.models import resolve_embedder
from athanor.rag import Retriever
from athanor.rag.chunk import chunk
from athanor.rag.expand import expand
from athanor.rag.index import decode
from athanor.rag.ingest import embedded_text
from athanor.rag.tokens import estimate
from athanor.store import Store
from athanor.types import Block, Document, DocumentStatus, Hit, KnowledgeBase, ParsedDocument

SIZES = ((100, 160), (200, 320), (250, 400))
"""Target and limit of passages, in estimated tokens; the second is the default."""
GROWN = (0, 300, 400, 600)
BUDGETS = (400, 800, 1600)
TOGETHER = 24


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store = Store.open(f"sqlite:///{folder / 'bench.db'}", blobs=folder / "blobs")
        found = resolve_embedder()
        self.embedder = OnnxEmbedder(onnx_process(found, None, LocalSettings(threads=2)), found.profile)
        self.retriever = Retriever(self.store, self.embedder)

    async def rows(self, texts: list[str]) -> list[bytes]:
        made: list[bytes] = []
        for at in range(0, len(texts), 64):
            made += (await self.embedder.embed(texts[at : at + 64], kind="document")).rows()
        return made

    async def load(self, name: str, documents: list[ParsedDocument], size: tuple[int, int]) -> KnowledgeBase:
        profile = self.embedder.profile
        base = self.store.knowledge.create(name, embedder=profile.id, dimension=profile.dimension)
        for number, parsed in enumerate(documents):
            identity = f"doc_{name}_{number}"
            chunks = chunk(parsed, document_id=identity, target_tokens=size[0], max_tokens=size[1])
            raw = parsed.text.encode()
            document = Document(
                id=identity, knowledge_base=base.id, source=f"{number:05d}.txt", version=0,
                sha256=sha256(raw).hexdigest(), text_sha256=self.store.blobs.put(raw), title="", mime="text/plain",
                size=len(raw), pages=(), status=DocumentStatus.READY, error=None, chunks=len(chunks), created_at=0.0,
                updated_at=0.0,
            )  # fmt: skip
            vectors = await self.rows([embedded_text("", passage) for passage in chunks])
            self.store.knowledge.replace_document(document, chunks, vectors, embedder=profile.id)
        return self.store.knowledge.get(base.id)


def articles(collection: Collection, vectors: Any) -> tuple[list[ParsedDocument], dict[int, tuple[int, int]]]:
    """Passages of one topic as paragraphs of one document; passage → its document and where it begins there."""
    generator = np.random.default_rng(1)
    count = min(TOPICS, len(vectors))
    centres = vectors[generator.permutation(len(vectors))[:count]].copy()
    for _ in range(30):
        nearest = (vectors @ centres.T).argmax(1)
        for i in range(count):
            if (nearest == i).any():
                centre = vectors[nearest == i].mean(0)
                centres[i] = centre / np.linalg.norm(centre)
    documents: list[ParsedDocument] = []
    places: dict[int, tuple[int, int]] = {}
    for topic in range(count):
        members = np.flatnonzero(nearest == topic).tolist()
        for at in range(0, len(members), TOGETHER):
            text, blocks = "", []
            for passage in members[at : at + TOGETHER]:
                start = len(text) + 2 * bool(text)
                text += ("\n\n" if text else "") + collection.documents[passage]
                blocks.append(Block(kind="paragraph", start=start, end=len(text)))
                places[passage] = (len(documents), start)
            documents.append(ParsedDocument(text=text, title="", mime="text/plain", blocks=tuple(blocks)))
    return documents, places


def within(hits: list[Hit], budget: int) -> list[Hit]:
    """The best passages as far as they fit; the last is cut, as a prompt would be."""
    chosen = []
    for hit in hits:
        tokens = estimate(hit.chunk.text)
        if tokens > budget and chosen:
            break
        chosen.append(hit)
        budget -= tokens
    return chosen


def holds(hits: list[Hit], document: str, start: int, length: int, answer: str) -> bool:
    """Is the answer in a slice of its own passage."""
    for hit in hits:
        if hit.chunk.document == document:
            a, b = max(start, hit.chunk.start), min(start + length, hit.chunk.end)
            if a < b and normal(answer) in normal(hit.chunk.text[a - hit.chunk.start : b - hit.chunk.start]):
                return True
    return False


def interval(values: list[float]) -> dict[str, float]:
    data = np.array(values)
    drawn = data[np.random.default_rng(0).integers(0, len(data), (2000, len(data)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": round(float(data.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


async def run(folder: Path, data: Path, passages: int, asked: int) -> dict[str, Any]:
    bench = Bench(folder)
    collection = squad(data)
    passages = min(passages, len(collection.documents))
    questions = [q for q in collection.questions if q.answer and max(q.relevant) < passages]
    questions = questions[:: max(1, len(questions) // asked)][:asked]
    collection = Collection(
        name="squad", documents=collection.documents[:passages], questions=questions, reference=collection.reference
    )
    vectors = decode(b"".join(await bench.rows(collection.documents)), bench.embedder.profile.dimension)
    documents, places = articles(collection, vectors)
    read: dict[str, list[float]] = {}
    for size in SIZES:
        base = await bench.load(f"squad-{size[0]}", documents, size)
        for question in collection.questions:
            (passage,) = question.relevant
            number, start = places[passage]
            length = len(collection.documents[passage])
            hits = await bench.retriever.search(base, question.text, limit=24)
            for tokens in GROWN:
                if 0 < tokens <= size[1]:
                    continue
                grown = [*expand(bench.store, base, hits, tokens=tokens).hits] if tokens else hits
                for budget in BUDGETS:
                    found = holds(
                        within(grown, budget), f"doc_{base.name}_{number}", start, length, question.answer or ""
                    )
                    read.setdefault(f"{size[0]}/{size[1]}, grown to {tokens}, {budget} tokens", []).append(found)
    await bench.embedder.aclose()
    bench.store.close()
    plain = {key: values for key, values in read.items() if "grown to 0" in key}
    made: dict[str, Any] = {"passages": passages, "questions": len(questions), "answer_read": {}}
    for key, values in read.items():
        figure: dict[str, Any] = interval(values)
        before = plain[key.replace(key.split("grown to ")[1].split(",")[0] + ",", "0,", 1)]
        if before is not values:
            figure["change"] = interval([float(a) - float(b) for a, b in zip(values, before, strict=True)])
        made["answer_read"][key] = figure
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--passages", type=int, default=713)
    parser.add_argument("--questions", type=int, default=800)
    options = parser.parse_args()
    if "ATHANOR_DATA" not in os.environ:
        raise SystemExit("Set ATHANOR_DATA to the folder of evaluation data.")
    size = (150, 60) if options.quick else (options.passages, options.questions)
    with tempfile.TemporaryDirectory() as folder:
        made = asyncio.run(run(Path(folder), Path(os.environ["ATHANOR_DATA"]), *size))
    if options.json:
        print(json.dumps(made, indent=2))
        return
    print(f"{made['passages']} passages, {made['questions']} questions with an answer")
    for key, figure in made["answer_read"].items():
        change = figure.get("change")
        more = f"  {change['value']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]" if change else ""
        print(f"{key:45} {figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]{more}")


if __name__ == "__main__":
    main()
