"""How far `athanor route replay --ask` can be believed: right and wrong answers to the same question (TruthfulQA).

For each question the best answer is compared with another right one, which should count as the same, and with a wrong
one, which should not. Rules are added one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
from dataclasses import replace
from pathlib import Path

from athanor.engines import LocalSettings
from athanor.engines.adapters.onnx import OnnxEmbedder, onnx_process
from athanor.gateway.compare import SIMILAR, Comparison, compare
from athanor.models import resolve_embedder

Pair = tuple[str, str]


def pairs(path: Path, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """(best, another right one) and (best, a wrong one)."""
    dice, right, wrong = random.Random(seed), [], []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            best = row["Best Answer"].strip()
            others = [text.strip() for text in row["Correct Answers"].split(";")]
            others = [text for text in others if text and text != best]
            if others:
                right.append((best, dice.choice(others)))
            mistakes = [text.strip() for text in row["Incorrect Answers"].split(";") if text.strip()]
            if mistakes:
                wrong.append((best, dice.choice(mistakes)))
    return right, wrong


def share(found: list[Comparison], **forgiven: bool) -> float:
    """How many count as the same if some rules are forgiven."""
    return sum(replace(comparison, **forgiven).same for comparison in found) / len(found)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 questions")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    right, wrong = pairs(Path(os.environ["ATHANOR_DATA"]) / "qa/truthfulqa.csv")
    if given.quick:
        right, wrong = right[:200], wrong[:200]
    found = resolve_embedder()
    embedder = OnnxEmbedder(onnx_process(found, None, LocalSettings()), found.profile)
    try:
        good = [await compare({"content": a}, {"content": b}, embedder) for a, b in right]
        bad = [await compare({"content": a}, {"content": b}, embedder) for a, b in wrong]
    finally:
        await embedder.aclose()
    rules = {
        f"cosine {SIMILAR:g}": {"numbers_agree": True, "denials_agree": True},
        "and numbers": {"denials_agree": True},
        "and denials": {},
    }
    figures = {name: (share(good, **forgiven), share(bad, **forgiven)) for name, forgiven in rules.items()}
    if given.json:
        print(json.dumps({"embedder": found.profile.id, "right": len(good), "wrong": len(bad), "same": figures}))
        return
    print(f"{found.profile.id}: counted as the same of {len(good)} right and {len(bad)} wrong answers")
    for name, (first, second) in figures.items():
        print(f"  {name:<14} {first:.3f}  {second:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
