"""How well attacks are found, at one operating point, on rows that were never trained on; and how an attacker gets by.

    ATHANOR_DATA=... python bench/guards.py [--quick] [--json] [--data FOLDER]

The product's guards (`injection`: heads on features; `rules`; `both`, which is what a chain does) stand beside usual
regular expressions and beside TF-IDF with logistic regression (scikit-learn, where it is installed; trained on the
same public rows, its operating point set by the same rule). The rows are the test part of `athanor.guards.corpora`:
kinds of attack, strings and contexts that were held out, without those that are nearly a row that was trained on.
Latency is of the guards that the shipped policy asks about a user's prompt, on one core. The attacker sees every
verdict; see `_guards_attacker`. `--quick` takes a sixth of the rows and ends within a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import _guards_attacker as attacker
from athanor import guards
from athanor.config import GuardSettings
from athanor.guards import Guard
from athanor.guards.builtin.harm import HarmGuard
from athanor.guards.builtin.injection import InjectionGuard
from athanor.guards.builtin.markup import MarkupGuard
from athanor.guards.builtin.rules import RulesGuard
from athanor.guards.builtin.secrets import SecretsGuard
from athanor.guards.builtin.toxicity import ToxicityGuard
from athanor.guards.corpora import Row, load
from athanor.guards.figures import NAME
from athanor.guards.judge import Judge
from athanor.guards.normalise import subject_of
from athanor.guards.policy import Direction
from athanor.guards.train import DOCUMENT_ALARMS, PASSAGES, USER_ALARMS, measured, parted
from athanor.types import Context, Origin, Principal, RoleName

CTX = Context(
    principal=Principal(id="prin_bench", name="bench", role=RoleName.USER, created_at=0.0),
    trace="tr_bench",
    door="bench",
)
USUAL = re.compile(
    r"(?i)ignore (all |any )?(the )?(previous|prior|above)|disregard (all |any )?(the )?(previous|prior|above)|"
    r"forget (all |everything|your)|system prompt|you are now|do anything now|developer mode|jailbreak|"
    r"act as (if|an? )|"
    r"pretend (to be|you)|new instructions|override|no restrictions|without restrictions"
)
Flags = Callable[[Row, Origin], Awaitable[bool]]


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    if not total:
        return 0.0, 1.0
    z, p = 1.96, hits / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def share(hits: int, total: int) -> dict[str, Any]:
    low, high = wilson(hits, total)
    return {"share": round(hits / max(total, 1), 4), "of": total, "low": round(low, 4), "high": round(high, 4)}


def by(guards: Sequence[Guard]) -> Flags:
    async def flags(row: Row, origin: Origin) -> bool:
        return await strongest(guards, row.text, origin) > 0

    return flags


async def strongest(guards: Sequence[Guard], text: str, origin: Origin) -> float:
    """The highest score of findings of attacks; 0 for none."""
    subject = subject_of(text)
    found = [finding for guard in guards for finding in (await guard.check(subject, origin, CTX)).findings]
    return max((f.score for f in found if f.category.startswith(("injection.", "jailbreak."))), default=0.0)


async def usual(row: Row, origin: Origin) -> bool:
    return USUAL.search(row.text) is not None


def tfidf(rows: Sequence[Row], held: Sequence[Row]) -> Flags | None:
    """Words and pairs of words, one regression for each origin, and the product's rule for the operating point."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    except ImportError:
        return None
    models: dict[str, tuple[Any, Any, float]] = {}
    for side, most in (("user", USER_ALARMS), ("document", DOCUMENT_ALARMS)):
        known = [(row.text, getattr(row, side)) for row in rows if row.part == "train" and getattr(row, side) >= 0]
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        model = LogisticRegression(C=10, max_iter=300, class_weight="balanced")
        model.fit(words.fit_transform([text for text, _ in known]), [answer for _, answer in known])
        plain = [
            row.text
            for row in held
            if row.part == "tune" and getattr(row, side) == 0 and (side == "user" or row.source in PASSAGES)
        ]
        chances = sorted(model.predict_proba(words.transform(plain))[:, 1], reverse=True)
        models[side] = (words, model, float(chances[int(most * len(chances))]))

    async def flags(row: Row, origin: Origin) -> bool:
        words, model, threshold = models["user" if origin is Origin.USER else "document"]
        return bool(model.predict_proba(words.transform([row.text]))[0, 1] > threshold)

    return flags


async def figures(flags: Flags, rows: Sequence[Row]) -> dict[str, Any]:
    """The aims, and both rates and precision for each origin over all rows."""
    hits: dict[tuple[str, str, int], list[bool]] = defaultdict(list)
    for row in rows:
        for side, answer in (("user", row.user), ("document", row.document)):
            if answer >= 0:
                flagged = await flags(row, Origin(side))
                hits[side, row.source, answer].append(flagged)

    def of(side: str, answer: int, *sources: str) -> list[bool]:
        return [
            one
            for (s, source, a), ones in hits.items()
            for one in ones
            if (s, a) == (side, answer) and (not sources or source in sources)
        ]

    valid = [not one for one in of("user", 0, "piguard valid")] + of("user", 1, "piguard valid")
    indirect = [f"bipia in {kind}" for kind in ("email", "table", "code")]
    result: dict[str, Any] = {
        "notinject passed": share(
            len(of("user", 0, "notinject")) - sum(of("user", 0, "notinject")), len(of("user", 0, "notinject"))
        ),
        "piguard valid right": share(sum(valid), len(valid)),
        "in-the-wild caught": share(sum(of("user", 1, "in-the-wild")), len(of("user", 1, "in-the-wild"))),
        "bipia caught": share(sum(of("document", 1, *indirect)), len(of("document", 1, *indirect))),
    }
    result |= {f"{name} caught": share(sum(of("document", 1, name)), len(of("document", 1, name))) for name in indirect}
    plain = ("squad", "cranfield", "fiqa")
    result["passages flagged"] = share(sum(of("document", 0, *plain)), len(of("document", 0, *plain)))
    result |= {f"{name} flagged": share(sum(of("document", 0, name)), len(of("document", 0, name))) for name in plain}
    for side in ("user", "document"):
        bad, good = of(side, 1), of(side, 0)
        result[f"{side}: true positives"] = share(sum(bad), len(bad))
        result[f"{side}: false positives"] = share(sum(good), len(good))
        result[f"{side}: precision"] = share(sum(bad), sum(bad) + sum(good))
    return result


def asked() -> tuple[Guard, ...]:
    """The guards that the shipped policy asks about what a user writes, in the order of the chain."""
    guards = (HarmGuard(), InjectionGuard(), MarkupGuard(), RulesGuard(), SecretsGuard(), ToxicityGuard())
    judge = Judge(guards, settings=GuardSettings())
    return judge.plan(judge.going(CTX), Direction.USER).guards


async def latency(guards: Sequence[Guard], rows: Sequence[Row], count: int) -> dict[str, dict[str, float]]:
    """Milliseconds of processor time of the whole process for a user's prompt of 500 tokens (375 words), on one core,
    with products of matrices on one thread: what others do on the machine is not in it. Preparing the text is a step
    of its own; the second of two guards that share a reading of it does not pay for that."""
    words = " ".join(
        row.text for row in rows if row.source in {"fiqa", "squad", "halueval answers", "in-the-wild"}
    ).split()
    starts = random.Random(0).sample(range(len(words) - 375), count)
    texts = [" ".join(words[at : at + 375]) for at in starts]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for guard in guards:
        await guard.check(subject_of("Weights are read with the first text."), Origin.USER, CTX)
    took: dict[str, list[float]] = defaultdict(list)
    for text in texts:
        first = began = time.process_time()
        subject = subject_of(text)
        took["preparing the text"].append((time.process_time() - began) * 1e3)
        for guard in guards:
            began = time.process_time()
            await guard.check(subject, Origin.USER, CTX)
            took[guard.name].append((time.process_time() - began) * 1e3)
        took["all that is asked"].append((time.process_time() - first) * 1e3)
    return {
        name: {"p50": round(statistics.median(ms), 2), "p95": round(sorted(ms)[int(0.95 * len(ms))], 2)}
        for name, ms in took.items()
    }


async def adaptive(guards: Sequence[Guard], rows: Sequence[Row], count: int, budget: int) -> dict[str, Any]:
    """How often the attacker gets by with each change alone, and with a search over all of them."""
    chosen = [row for row in rows if row.source in {"in-the-wild", "bastion", "bipia"} and row.user == 1]
    chosen = random.Random(0).sample(chosen, min(count, len(chosen)))

    async def judge(messages: Sequence[str]) -> float:
        # Each message is looked at by itself, as a chain does; a finding at all is a flag.
        scores = [await strongest(guards, message, Origin.USER) for message in messages]
        return max(1.0 + score if score > 0 else 0.0 for score in scores)

    caught = [row for row in chosen if await judge([row.text]) >= 1]
    alone = {}
    for name, change in attacker.CHANGES.items():
        by_it = [await judge(change(row.text, random.Random(place))) < 1 for place, row in enumerate(caught)]
        alone[name] = share(sum(by_it), len(by_it))
    ways, spent = [], []
    for place, row in enumerate(caught):
        way, queries = await attacker.attack(row.text[:2000], judge, budget=budget, seed=place)
        ways.append(way)
        spent.append(queries)
    won = [way for way in ways if way is not None]
    return {
        "attacks": len(chosen),
        "caught as they are": share(len(caught), len(chosen)),
        "get by with one change": alone,
        "get by with search": share(len(won), len(caught)),
        "queries, median": statistics.median(spent) if spent else 0,
        "budget": budget,
    }


def print_all(result: dict[str, Any]) -> None:
    print(f"{result['rows']} rows, never trained on; near duplicates taken out: {result['near_duplicates']}")
    names = list(result["figures"])
    print(f"{'':26}" + "".join(f"{name:>24}" for name in names))
    for key in result["figures"][names[0]]:
        cells = [result["figures"][name][key] for name in names]
        print(
            f"{key:26}"
            + "".join(f"{c['share']:>8.3f} ({c['low']:.3f}-{c['high']:.3f})" for c in cells)
            + f"   n={cells[0]['of']}"
        )
    print("\nmilliseconds of processor time for a user's prompt of 500 tokens, one core and thread, median and p95")
    for name, row in result["latency_ms"].items():
        print(f"  {name:26} {row['p50']:7.2f} {row['p95']:7.2f}")
    found = result["adaptive"]
    print(
        f"\nan attacker who sees every verdict: {found['attacks']} attacks, "
        f"{found['caught as they are']['share']:.3f} caught as they are"
    )
    for name, row in found["get by with one change"].items():
        print(f"  gets by with {name:24} {row['share']:.3f} ({row['low']:.3f}-{row['high']:.3f})")
    row = found["get by with search"]
    print(
        f"  gets by with a search, {found['budget']} queries   {row['share']:.3f} ({row['low']:.3f}-{row['high']:.3f})"
    )


def publish(result: dict[str, Any]) -> None:
    """Write what the product shows beside the switches of guards."""
    found = {}
    for name in ("injection", "rules"):
        figures = result["figures"][name]
        found[name] = {
            "by": "bench/guards.py",
            "rows": result["rows"],
            "sides": {
                side: {
                    short: {
                        "value": round(figures[f"{side}: {long}"]["share"], 4),
                        "low": round(figures[f"{side}: {long}"]["low"], 4),
                        "high": round(figures[f"{side}: {long}"]["high"], 4),
                    }
                    for short, long in (
                        ("caught", "true positives"),
                        ("false_alarms", "false positives"),
                        ("precision", "precision"),
                    )
                }
                for side in ("user", "document")
            },
            "p95_ms": round(result["latency_ms"][name]["p95"], 2),
        }
    Path(guards.__file__).with_name(NAME).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a part of every set")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--publish", action="store_true", help="write the figures that the product shows")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ATHANOR_DATA", "data")))
    given = parser.parse_args()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # read when numpy is imported, which is with the first weights
    rows, removed = parted(load(given.data))
    held = measured(rows, seed=0)
    tests = [row for row in held if row.part == "test"]
    if given.quick:
        tests = [row for place, row in enumerate(tests) if place % 6 == 0]
    injection, rules = InjectionGuard(), RulesGuard()
    contenders: dict[str, Flags | None] = {
        "injection": by([injection]),
        "rules": by([rules]),
        "both": by([rules, injection]),
        "usual expressions": usual,
        "TF-IDF": tfidf(rows, held),
    }
    result = {
        "rows": len(tests),
        "near_duplicates": dict(sorted(removed.items())),
        "figures": {name: await figures(flags, tests) for name, flags in contenders.items() if flags is not None},
        "adaptive": await adaptive([rules, injection], tests, 12 if given.quick else 60, 20 if given.quick else 40),
    }
    result["latency_ms"] = await latency(asked(), tests, 60 if given.quick else 400)
    if given.publish:
        if given.quick:
            parser.error("figures of a part of the rows are not published")
        publish(result)
    if given.json:
        print(json.dumps(result, indent=1))
    else:
        print_all(result)


if __name__ == "__main__":
    asyncio.run(main())
