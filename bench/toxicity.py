"""How well toxicity, harmful requests and topics are told, on rows that were never trained on, beside a list of words.

    ATHANOR_DATA=... python bench/toxicity.py [--quick] [--json]

Per category: the area under the ROC curve between texts that are it and plain texts, how many of both the guard flags
at its threshold (95 % Wilson intervals), and the same for a list of common swear words or of dangerous ones. Then false
alarms on texts that were never part of the training sets: groups of people named without offence (the halves of
CrowS-Pairs against the stereotype, which repeat prejudice now and then, and WinoBias), news, answers about money, and
harmless prompts with trigger words (NotInject). Then topics by ten examples of Banking77 each, and milliseconds for a
text of 500 tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import math
import os
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from athanor.config import TopicSettings
from athanor.engines.adapters.onnx import OnnxEmbedder, onnx_process
from athanor.engines.local import LocalSettings
from athanor.guards.builtin.topics import TopicsGuard
from athanor.guards.builtin.toxicity import ToxicityGuard
from athanor.guards.harms.examples import harmful, toxic
from athanor.guards.harms.heads import Heads, Score
from athanor.guards.harms.language import foreign
from athanor.guards.harms.train import parted
from athanor.guards.normalise import subject_of
from athanor.guards.sheet import load, word_vectors
from athanor.models import resolve_embedder
from athanor.types import Context, Origin, Principal, RoleName

WORDS = {
    "toxicity": re.compile(
        r"(?i)\b(?:f+u+c+k\w*|shit\w*|bitch\w*|ass(?:hole|es)?|bastards?|cunts?|dicks?|cocks?|pussy|whores?|sluts?|damn|crap|"
        r"idiots?|morons?|stupid|fags?|faggots?|nigg\w+|retards?|retarded|kill yourself|loser)\b"
    ),
    "harm": re.compile(
        r"(?i)\b(?:bombs?|weapons?|kill|murder|hack\w*|steal\w*|malware|virus|poison|drugs?|suicide|fraud|phishing|illegal\w*|"
        r"explosives?|terroris\w+|racist|attack|identity theft|child porn\w*|launder\w*|blackmail|bypass)\b"
    ),
}


def wilson(hits: int, count: int) -> tuple[float, float]:
    if not count:
        return 0.0, 1.0
    share, z = hits / count, 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def rate(flags: Sequence[bool]) -> dict[str, Any]:
    low, high = wilson(sum(flags), len(flags))
    share = round(sum(flags) / max(len(flags), 1), 4)
    return {"flagged": sum(flags), "texts": len(flags), "rate": share, "interval": [round(low, 4), round(high, 4)]}


def area(yes: Sequence[float], no: Sequence[float]) -> dict[str, Any] | None:
    """Of the ROC curve, with a 95 % bootstrap interval."""
    if not yes or not no:
        return None

    def once(a: Any, b: Any) -> float:
        both = np.concatenate([a, b])
        _, places, counts = np.unique(both, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # ties share a rank
        return float((ranks[: len(a)].sum() - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))

    a, b, dice = np.array(yes), np.array(no), np.random.default_rng(0)
    drawn = [once(dice.choice(a, len(a)), dice.choice(b, len(b))) for _ in range(200)]
    return {"auroc": round(once(a, b), 4), "interval": [round(float(np.quantile(drawn, q)), 4) for q in (0.025, 0.975)]}


def judged(name: str, heads: Heads, text: str) -> dict[str, Score]:
    """As the guard does it."""
    plain = subject_of(text).plain
    return {} if name == ToxicityGuard.name and foreign(plain) else heads.scores(plain)


def of_heads(name: str, data: Path, limit: int) -> tuple[Heads, dict[str, Any]]:
    heads = Heads(load(name), word_vectors())
    rows, _ = parted(toxic(data) if name == "toxicity" else harmful(data))
    held = [row for row in rows if row.held]
    random.Random(0).shuffle(held)
    held = held[:limit]
    scores = [judged(name, heads, row.text) for row in held]
    found: dict[str, Any] = {}
    for category, head in heads.heads.items():
        rows_ = [
            (row, score[category].probability if score else 0.0)
            for row, score in zip(held, scores, strict=True)
            if category in row.truth
        ]
        yes = [(row, p) for row, p in rows_ if row.truth[category] >= 0.5]
        plain = [(row, p) for row, p in rows_ if not any(row.truth.values())]
        other = [(row, p) for row, p in rows_ if row.truth[category] < 0.5 and any(row.truth.values())]
        found[category] = {
            "threshold": round(head.threshold, 3),
            "against_plain": area([p for _, p in yes], [p for _, p in plain]),
            "against_other_kinds": area([p for _, p in yes], [p for _, p in other]),
            "caught": rate([p >= head.threshold for _, p in yes]),
            "false_alarms": rate([p >= head.threshold for _, p in plain]),
            "words_caught": rate([bool(WORDS[name].search(row.text)) for row, _ in yes]),
            "words_false_alarms": rate([bool(WORDS[name].search(row.text)) for row, _ in plain]),
        }
    return heads, found


def fresh(data: Path, limit: int) -> dict[str, list[str]]:
    """Harmless texts of sets that nothing was trained on."""
    with (data / "bias/crows_pairs.csv").open(encoding="utf-8", newline="") as file:
        crows = [row["sent_less"] for row in csv.DictReader(file)]
    wino = [
        re.sub(r"[\[\]]", "", line.split(" ", 1)[1].strip())
        for path in sorted((data / "bias/winobias").glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]

    def lines(path: str, key: str) -> list[str]:
        return [json.loads(line)[key] for line in (data / path).read_text(encoding="utf-8").splitlines()]

    sets = {
        "crows-pairs (identity terms)": crows,
        "winobias (identity terms)": wino,
        "xsum": lines("text/xsum_test.jsonl", "document"),
        "fiqa": lines("retrieval/fiqa_test_pairs.jsonl", "answer"),
        "notinject": [row["prompt"] for row in json.loads((data / "safety/piguard/NotInject_one.json").read_text())],
    }
    return {name: random.Random(0).sample(texts, min(limit, len(texts))) for name, texts in sets.items()}


def _key(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower())


async def topics(data: Path, names: int, texts: int) -> dict[str, Any]:
    """Topics by ten examples each: how many of their own texts, and of the other intents', are flagged."""

    def read(part: str) -> dict[str, list[str]]:
        found = defaultdict(list)
        with (data / f"intent/banking77/{part}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found[row["category"]].append(row["text"])
        return found

    dice, train, test = random.Random(0), read("train"), read("test")
    chosen = dice.sample(sorted(train), names)
    settings = {_key(name): TopicSettings(examples=tuple(dice.sample(train[name], 10))) for name in chosen}
    found = resolve_embedder()
    embedder = OnnxEmbedder(onnx_process(found, None, LocalSettings(threads=2)), found.profile)
    await embedder.start()
    try:
        guard = TopicsGuard(settings, embedder)
        ctx = Context(principal=Principal(id="p", name="p", role=RoleName.USER, created_at=0.0), trace="", door="bench")
        own: list[bool] = []
        among: list[bool] = []
        others: list[bool] = []
        rows = [(name, text) for name in sorted(test) for text in test[name]]
        for name, text in dice.sample(rows, min(texts, len(rows))):
            verdict = await guard.check(subject_of(text), Origin.USER, ctx)
            for finding in verdict.findings:
                mine = finding.category == f"topic.{_key(name)}"
                flagged = finding.score >= 0.5
                (own if mine else among if name in chosen else others).append(flagged)
    finally:
        await embedder.aclose()
    return {
        "topics": names,
        "examples": 10,
        "own": rate(own),
        "other topics": rate(among),
        "other intents": rate(others),
    }


def milliseconds(act: Callable[[str], object], text: str, times: int) -> dict[str, float]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        act(text)
        took.append(1000 * (time.perf_counter() - began))
    return {"p50": round(statistics.median(took), 2), "p95": round(float(np.quantile(took, 0.95)), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows: under a minute")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = Path(os.environ["ATHANOR_DATA"])
    limit = 800 if options.quick else 100_000
    report: dict[str, Any] = {"heads": {}, "never_in_training": {}, "milliseconds_500_tokens": {}}
    plain = fresh(data, 150 if options.quick else 100_000)
    long = " ".join(json.loads(line)["document"] for line in (data / "text/xsum_test.jsonl").open())[:2300]
    for name in ("toxicity", "harm"):
        heads, report["heads"][name] = of_heads(name, data, limit)
        for source, texts in plain.items():
            found = [judged(name, heads, text) for text in texts]
            report["never_in_training"].setdefault(source, {}).update(
                {
                    category: rate([bool(s) and s[category].probability >= head.threshold for s in found])
                    for category, head in heads.heads.items()
                }
                | {f"{name} words": rate([bool(WORDS[name].search(text)) for text in texts])}
            )
        report["milliseconds_500_tokens"][name] = milliseconds(heads.scores, long, 50)
    report["topics"] = asyncio.run(topics(data, 10, 100 if options.quick else 1500))
    print(json.dumps(report, indent=1)) if options.json else show(report)


def show(report: dict[str, Any]) -> None:
    for name, found in report["heads"].items():
        head = f"{'AUROC plain':>22} {'other':>6} {'caught':>22} {'false':>7} {'words: caught':>14} {'false':>7}"
        print(f"\n{name:24} {'thr.':>5} {head}")
        for category, row in found.items():
            plain, other, caught = row["against_plain"], row["against_other_kinds"], row["caught"]
            area_ = f"{plain['auroc']:.3f} [{plain['interval'][0]:.3f} {plain['interval'][1]:.3f}]" if plain else "-"
            print(
                f"{category:24} {row['threshold']:5.2f} {area_:>22} {other['auroc'] if other else float('nan'):6.3f} "
                f"{caught['rate']:6.3f} [{caught['interval'][0]:.3f} {caught['interval'][1]:.3f}] "
                f"{row['false_alarms']['rate']:7.4f} {row['words_caught']['rate']:14.3f} "
                f"{row['words_false_alarms']['rate']:7.4f}"
            )
    print("\nFalse alarms on sets that nothing was trained on")
    for source, rows in report["never_in_training"].items():
        print(f"  {source}: " + ", ".join(f"{c} {row['rate']:.4f}" for c, row in rows.items()))
    print("\nTopics", json.dumps(report["topics"]))
    print("Milliseconds for 500 tokens", json.dumps(report["milliseconds_500_tokens"]))


if __name__ == "__main__":
    main()
