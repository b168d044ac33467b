"""Does tuning on a base's own questions help on questions it has not seen, and do made questions help to tune?

    ATHANOR_DATA=... python bench/tune.py [--quick] [--json] [--only SET ...] [--choices NAME ...] [--vectors DIR]

On Cranfield, SQuAD passages and a pool of FiQA answers, by the product's own search for settings: chosen on the
questions about one half of the documents and measured on those about the other half, both ways, from the defaults and
from the dense leg alone (settings that are wrong for all three). `taken` is what the product would use: the choice
where it holds on questions held out within the first half, and else the settings it began with. Then chosen on
questions that rules make of the passages, and measured on those of people. Differences are of nDCG@10 to the settings
it began with, with 95 % intervals of a paired bootstrap over questions. Every stage is tried from the defaults, the
fusion alone in the other two. `--quick` takes a sample of one set, and the fusion alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _sets import Collection, cranfield, fiqa, smaller, squad
from athanor.rag.evaluation.bootstrap import figure, interval, paired
from athanor.rag.evaluation.choose import difference
from athanor.rag.evaluation.climb import Climb, choices, climb
from athanor.rag.evaluation.measure import Measuring
from athanor.rag.evaluation.questions import Questions
from athanor.rag.evaluation.verdict import decide
from athanor.types import DEFAULT_RETRIEVAL, KnowledgeBase, Question, RetrievalSettings
from grounded import Bench
from retrieval import Kept

DENSE_ALONE = RetrievalSettings(dense_weight=1.0, lexical_lead=0.0)
MADE = 200


def asked(collection: Collection, base: KnowledgeBase) -> list[Question]:
    """The set's questions, as people would have stored them."""
    return [
        Question(
            id=f"q_{number:05d}",
            base=base.id,
            text=question.text,
            relevant={f"{document:05d}.txt": 1.0 for document in question.relevant},
        )
        for number, question in enumerate(collection.questions)
    ]


def halves(questions: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """Questions about one half of the documents, and about the other."""
    parts: tuple[list[Question], list[Question]] = ([], [])
    for question in questions:
        parts[zlib.crc32(f"half {min(question.relevant)}".encode()) % 2].append(question)
    return parts


class Tuned:
    """One base with what is measured on it."""

    def __init__(self, bench: Bench, base: KnowledgeBase, options: argparse.Namespace) -> None:
        self.bench = bench
        self.base = base
        self._options = options

    async def measuring(self, questions: Sequence[Question]) -> Measuring:
        made = Measuring(
            self.base,
            questions,
            self.bench.store,
            self.bench.retriever.indexes,
            embedder=self.bench.embedder,
            reranker=self.bench.reranker,
        )
        await made.prepare()
        return made

    async def climbed(self, measuring: Measuring, start: RetrievalSettings, most: int | None = None) -> Climb:
        wanted = choices(measuring, allow_slow=self._options.allow_slow)[:most]
        if self._options.choices:
            wanted = [choice for choice in wanted if choice in self._options.choices]

        async def note(choice: str, count: int) -> None:
            print(f"  {choice}, {len(measuring.scores)} settings so far", file=sys.stderr)

        return await climb(measuring, start, wanted, note)

    async def both_ways(
        self, parts: tuple[Measuring, Measuring], start: RetrievalSettings, most: int | None
    ) -> dict[str, Any]:
        """Chosen on one part and measured on the other, and the other way round; all questions together."""
        columns: dict[str, list[np.ndarray]] = {"start": [], "default": [], "chosen": [], "taken": []}
        told = []
        for first, second in (parts, parts[::-1]):
            found = await self.climbed(first, start, most)
            spent = await first.milliseconds({"before": start, "winner": found.winner})
            verdict = decide(found, people=True, milliseconds=spent, allow_slow=self._options.allow_slow)
            taken = found.winner if verdict.better else start
            ways = {"start": start, "default": DEFAULT_RETRIEVAL, "chosen": found.winner, "taken": taken}
            for way, settings in ways.items():
                columns[way].append(await second.of(settings))
            told.append(
                {
                    "chosen": difference(found.winner, start),
                    "taken": verdict.better,
                    "reason": verdict.reason,
                    "questions": len(first.questions),
                    "milliseconds": spent,
                }
            )
        scores = {way: np.concatenate(values) for way, values in columns.items()}
        lines = {
            way: {"ndcg": figure(interval(values)), "difference": figure(paired(scores["start"], values))}
            for way, values in scores.items()
        }
        return {"runs": told, "questions": int(scores["start"].size), **lines}

    async def made(self, everyone: Measuring) -> dict[str, Any]:
        """Chosen on made questions, measured on those of people."""
        service = Questions(self.bench.store, self.bench.embedder, self.bench.retriever)
        await service.enqueue(self.base, count=40 if self._options.quick else MADE)
        job = self.bench.store.jobs.lease("bench", seconds=36_000, kinds=[Questions.KIND])
        assert job is not None
        result = await service.run(job)
        found = [one for one in self.bench.store.questions.list(self.base.id) if one.relevant]
        measuring = await self.measuring(found)
        chosen = await self.climbed(measuring, DEFAULT_RETRIEVAL, 1)
        legs = {"words alone": RetrievalSettings(dense_weight=0.0), "dense alone": DENSE_ALONE}
        return {
            "questions": len(found),
            "result": dict(result),
            "examples": [one.text for one in found[:3]],
            "chosen": difference(chosen.winner, DEFAULT_RETRIEVAL),
            "on them": figure(paired(chosen.before, chosen.after)),
            "on those of people": figure(
                paired(await everyone.of(DEFAULT_RETRIEVAL), await everyone.of(chosen.winner))
            ),
            "legs": {
                name: {
                    "made": round(float((await measuring.of(settings)).mean()), 4),
                    "people": round(float((await everyone.of(settings)).mean()), 4),
                }
                for name, settings in (legs | {"defaults": DEFAULT_RETRIEVAL}).items()
            },
        }


async def run(options: argparse.Namespace, data: Path, folder: Path) -> dict[str, Any]:
    bench = Bench(folder)
    if options.vectors is not None:
        bench.embedder = Kept(bench.embedder, options.vectors)  # type: ignore[assignment]
    result: dict[str, Any] = {"quick": options.quick, "load_before": os.getloadavg()[0], "sets": {}}
    try:
        for read in (squad,) if options.quick else (squad, cranfield, fiqa):
            try:
                collection = read(data)
            except FileNotFoundError:
                print(f"{read.__name__}: not in {data}, left out", file=sys.stderr)
                continue
            if options.only and collection.name not in options.only:
                continue
            if options.quick:
                collection = smaller(collection, 120, 110)
            began = time.perf_counter()
            base, _, _ = await bench.load(collection)
            tuned = Tuned(bench, base, options)
            questions = asked(collection, base)
            questions = questions[:: max(1, -(-len(questions) // options.asked))]
            one, other = halves(questions)
            parts = await tuned.measuring(one), await tuned.measuring(other)
            most = 1 if options.quick else None
            lines: dict[str, Any] = {"from the defaults": await tuned.both_ways(parts, DEFAULT_RETRIEVAL, most)}
            lines["from the dense leg alone"] = await tuned.both_ways(parts, DENSE_ALONE, 1)
            lines["by made questions"] = await tuned.made(await tuned.measuring(questions))
            lines["seconds"] = round(time.perf_counter() - began, 1)
            result["sets"][collection.name] = lines
            print(json.dumps({collection.name: lines}), file=sys.stderr)  # a long run may be cut short
    finally:
        await bench.embedder.aclose()
        bench.store.close()
    return result | {"load_after": os.getloadavg()[0]}


def show(result: dict[str, Any]) -> None:
    for name, lines in result["sets"].items():
        print(f"\n{name}, {lines['seconds']:.0f} s")
        for way in ("from the defaults", "from the dense leg alone"):
            line = lines[way]
            print(f"  {way}, {line['questions']} questions, each by settings chosen on the other half")
            for column in ("start", "default", "chosen", "taken"):
                print(f"    {column:8s} {line[column]['ndcg']['value']:.4f}   {_signed(line[column]['difference'])}")
            for told in line["runs"]:
                chosen = ", ".join(f"{key} {value}" for key, value in told["chosen"].items()) or "nothing else"
                print(f"    on {told['questions']}: {chosen}. {told['reason']}")
        made = lines["by made questions"]
        chosen = ", ".join(f"{key} {value}" for key, value in made["chosen"].items()) or "nothing else"
        print(f"  by {made['questions']} made questions: {chosen}")
        print(f"    on them {_signed(made['on them'])}; on those of people {_signed(made['on those of people'])}")
        for leg, both in made["legs"].items():
            print(f"    {leg:12s} made {both['made']:.4f}, people {both['people']:.4f}")
        for text in made["examples"]:
            print(f"    e.g. {text}")
    print(f"\nLoad of the machine ({os.cpu_count()} cores): {result['load_before']:.1f} before, ", end="")
    print(f"{result['load_after']:.1f} after" + (". A sample: figures are rough." if result["quick"] else "."))


def _signed(found: dict[str, float]) -> str:
    return f"{found['value']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a sample, under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="*", help="names of sets")
    parser.add_argument("--asked", type=int, default=350, help="questions of each set, at most")
    parser.add_argument("--vectors", type=Path, help="folder to keep vectors in for the next run")
    parser.add_argument("--choices", nargs="*", help="of fusion, feedback, diversity, hops: only these")
    parser.add_argument("--allow-slow", action="store_true", help="the cross-encoder may be chosen")
    options = parser.parse_args()
    if "ATHANOR_DATA" not in os.environ:
        print("Set ATHANOR_DATA to the folder with the evaluation data.", file=sys.stderr)
        raise SystemExit(2)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(options, Path(os.environ["ATHANOR_DATA"]), Path(folder)))
    print(json.dumps(result)) if options.json else show(result)


if __name__ == "__main__":
    main()
