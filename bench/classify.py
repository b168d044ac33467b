"""How well a route's classifier tells requests apart: Banking77 (customer messages, 77 intents), its own test split.

The classifier is the product's, on the product's embedder; its own held-out figures stand beside those of the test
split, so that it shows whether they can be believed. A second part trains it on three of the labels and asks what share
of other texts it takes for one of them: other customer messages, and questions that have nothing to do with a bank.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from athanor.engines import LocalSettings
from athanor.engines.adapters.onnx import OnnxEmbedder, onnx_process
from athanor.gateway.classify import Classifier, Example, train
from athanor.models import resolve_embedder


def read(path: Path) -> list[Example]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Example(text=row["text"], label=row["category"]) for row in csv.DictReader(file)]


def few(examples: list[Example], each: int, seed: int = 0) -> list[Example]:
    """`each` examples of every label."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in random.Random(seed).sample(examples, len(examples)):
        groups[example.label].append(example)
    return [example for group in groups.values() for example in group[:each]]


async def test(classifier: Classifier, examples: list[Example], embedder: OnnxEmbedder) -> dict[str, Any]:
    """Figures on examples that had no part in the training."""
    rows: list[bytes] = []
    for start in range(0, len(examples), 64):
        texts = [example.text for example in examples[start : start + 64]]
        rows += (await embedder.embed(texts, kind="query")).rows()
    started = time.perf_counter()
    guesses = [classifier.guess(row) for row in rows]
    each = (time.perf_counter() - started) / len(rows)
    right = [label == example.label for (label, _, _), example in zip(guesses, examples, strict=True)]
    sure = [
        ok for ok, (_, chance, like) in zip(right, guesses, strict=True) if like and chance >= classifier.confidence
    ]
    return {
        "held_out_accuracy": classifier.figures["accuracy"],
        "accuracy": sum(right) / len(right),
        "sure": len(sure) / len(right),
        "accuracy_where_sure": sum(sure) / len(sure) if sure else None,
        "us_per_guess": each * 1e6,
    }


async def labelled(classifier: Classifier, texts: list[str], embedder: OnnxEmbedder) -> tuple[float, float]:
    """Shares of `texts` that get a label, and that would get one by probability alone."""
    guesses = []
    for start in range(0, len(texts), 64):
        rows = (await embedder.embed(texts[start : start + 64], kind="query")).rows()
        guesses += [classifier.guess(row) for row in rows]
    sure = [like for _, chance, like in guesses if chance >= classifier.confidence]
    return sum(sure) / len(texts), len(sure) / len(texts)


async def strangers(data: Path, embedder: OnnxEmbedder, seeds: int) -> dict[str, dict[str, float]]:
    """By kind of text: the mean shares of `labelled`, over draws of three labels."""
    folder = data / "intent/banking77"
    examples, tests = read(folder / "train.csv"), read(folder / "test.csv")
    lines = {"squad": "disflqa_squad_dev.jsonl", "fiqa": "fiqa_test_pairs.jsonl"}
    foreign = {
        name: [json.loads(line)["question"] for line in (data / "retrieval" / file).read_text().splitlines()][:300]
        for name, file in lines.items()
    }
    sums: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for seed in range(seeds):
        labels = set(random.Random(seed).sample(sorted({example.label for example in examples}), 3))
        classifier = await train(few([e for e in examples if e.label in labels], 60), embedder)
        texts = {
            "of its labels": [e.text for e in tests if e.label in labels],
            "other messages": [e.text for e in few(tests, 4) if e.label not in labels],
            **foreign,
        }
        for name, group in texts.items():
            sums[name].append(await labelled(classifier, group, embedder))
    return {
        name: {"labelled": sum(a for a, _ in rows) / seeds, "by_probability_alone": sum(b for _, b in rows) / seeds}
        for name, rows in sums.items()
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few examples of each label, and a part of the test split")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    data = Path(os.environ["ATHANOR_DATA"])
    folder = data / "intent/banking77"
    examples, tests = read(folder / "train.csv"), read(folder / "test.csv")
    if given.quick:
        tests = random.Random(0).sample(tests, 500)
    found = resolve_embedder()
    embedder = OnnxEmbedder(onnx_process(found, None, LocalSettings()), found.profile)
    figures: dict[str, dict[str, Any]] = {}
    try:
        for each in (10,) if given.quick else (10, 30, 1000):
            chosen = few(examples, each)
            started = time.perf_counter()
            classifier = await train(chosen, embedder)
            took = time.perf_counter() - started
            row = await test(classifier, tests, embedder)
            figures[f"{len(chosen)} examples"] = {**row, "training_s": round(took, 1)}
        others = await strangers(data, embedder, 1 if given.quick else 5)
    finally:
        await embedder.aclose()
    if given.json:
        body = {"embedder": found.profile.id, "tests": len(tests), "figures": figures, "three_labels": others}
        print(json.dumps(body, indent=2))
        return
    print(f"{found.profile.id}, 77 labels, {len(tests)} test examples")
    for name, row in figures.items():
        print(f"  {name}: " + ", ".join(f"{key} {value:.3f}" for key, value in row.items() if value is not None))
    print("  three labels of 60 examples; share that gets a label, and by probability alone:")
    for name, shares in others.items():
        print(f"    {name}: {shares['labelled']:.3f}, {shares['by_probability_alone']:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
