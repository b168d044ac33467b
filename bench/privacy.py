"""How much personal data is found, and how much else is taken for it: presidio-research's synthetic sentences.

    ATHANOR_DATA=... python bench/privacy.py [--quick] [--json] [--fit]

The weights that tell names are fitted on the rows of half of the templates, and figures are of the other half; then
the other way round, so that every row is scored by weights that have not seen its template (`crossed`). `shipped` are
the weights of the product, fitted on all rows by `--fit`: its figures flatter it. Half of the bank's messages, which
hold no names, have part in every fit, and names found in the others are false. The recognisers of forms were
written with the whole set at hand. Beside it: the recognisers alone, usual regular expressions, the same model under
the logic of its own package, and spaCy's small model where it is installed.

Recall is of labelled spans whose every letter and digit is in findings of a right category (`covered`; `touched` counts
one character); precision is of findings at least half of which is labelled so. Findings count from the guard's own
operating point on; web addresses always, since the set labels every one. `--quick` takes 300 rows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _privacy_peers as peers
from _privacy import STRUCTURED, Found, Row, customers, fit, rows_of, score
from athanor.engines import LocalSettings
from athanor.engines.adapters.tagger import OnnxTagger
from athanor.guards.personal.finder import POINT, find, find_all, spans_of
from athanor.guards.personal.names import WEIGHTS
from athanor.models import resolve_tagger
from athanor.types import Tagging

SHOWN = ("PERSON", "STREET_ADDRESS", "structured", *STRUCTURED, "GPE", "ZIP_CODE", "ORGANIZATION", "AGE")


async def tagged(tagger: OnnxTagger, texts: Sequence[str]) -> list[Tagging]:
    result: list[Tagging] = []
    for start in range(0, len(texts), 40):
        result += await tagger.tag(texts[start : start + 40])
    return result


def ours(row: Row, tagging: Tagging | None, weights: Sequence[float]) -> list[Found]:
    spans = spans_of(row.subject.plain, tagging, weights=weights)
    return [
        (span.category.removeprefix("pii."), *row.subject.span(span.start, span.end))
        for span in spans
        if span.score >= POINT or span.category == "pii.url"
    ]


async def latency(tagger: OnnxTagger, rows: Sequence[Row], rounds: int) -> dict[str, Any]:
    """Milliseconds for some 500 tokens of these sentences (a token is taken for four characters), with one thread."""
    text = " ".join(row.text for row in rows[:60])[:2000]
    with_model, without = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        await find_all(text, tagger)
        with_model.append(1e3 * (time.perf_counter() - began))
        began = time.perf_counter()
        find(text)
        without.append(1e3 * (time.perf_counter() - began))
    quantiles = {
        name: (round(statistics.median(times), 1), round(sorted(times)[int(0.95 * (len(times) - 1))], 1))
        for name, times in (("with the model", with_model), ("forms alone", without))
    }
    return {"milliseconds, p50 and p95": quantiles, "resident MiB": (tagger.process.resident_bytes() or 0) >> 20}


async def measure(data: Path, *, quick: bool) -> dict[str, Any]:
    rows = rows_of(data, 300 if quick else None)
    plain_texts = customers(data, 200 if quick else 1200)
    tagger = OnnxTagger(resolve_tagger(), LocalSettings(threads=1))
    try:
        taggings = await tagged(tagger, [row.subject.plain for row in rows])
        others = list(zip(plain_texts, await tagged(tagger, plain_texts), strict=True))
        speed = await latency(tagger, rows, 10 if quick else 60)
    finally:
        await tagger.aclose()
    fitted, unseen = others[::2], others[1::2]
    halves = [
        fit(*zip(*[(r, t) for r, t in zip(rows, taggings, strict=True) if r.half == half], strict=True), fitted)
        for half in (0, 1)
    ]
    crossed = [ours(row, tagging, halves[1 - row.half]) for row, tagging in zip(rows, taggings, strict=True)]
    systems = {
        "crossed": score(rows, crossed),
        "shipped": score(rows, [ours(row, tagging, WEIGHTS) for row, tagging in zip(rows, taggings, strict=True)]),
        "forms alone": score(rows, [ours(row, None, WEIGHTS) for row in rows]),
    }
    others_found = {"usual regexes": peers.usual(), "Rampart alone": peers.rampart(), "spaCy small": peers.spacy()}
    for name, finder in others_found.items():
        if finder is not None:
            systems[name] = score(rows, [finder(row.text) for row in rows])
    for half in (0, 1):
        chosen = [(row, spans) for row, spans in zip(rows, crossed, strict=True) if row.half == half]
        systems[f"half {half}, weights of the other"] = score(*zip(*chosen, strict=True))
    false = sum(
        span.category == "pii.person" and span.score >= POINT
        for text, tagging in unseen
        for span in spans_of(text, tagging)
    )
    return {
        "rows": len(rows),
        "systems": systems,
        "names in unseen messages without names": {"messages": len(unseen), "found": false},
        "speed": speed,
        "fit": fit(rows, taggings, fitted),
    }


def show(result: dict[str, Any]) -> None:
    for name, figures in result["systems"].items():
        print(f"\n{name} ({result['rows']} rows)")
        print(f"  {'label':18s} {'spans':>5s}  covered [95 %]        touched")
        for label in SHOWN:
            row = figures["recall"].get(label)
            if row:
                share, low, high = row["covered"]
                print(f"  {label:18s} {row['spans']:5d}  {share:.3f} [{low:.3f}, {high:.3f}]  {row['touched'][0]:.3f}")
        right = figures["precision"]
        line = "  ".join(f"{kind} {right[kind]['right'][0]:.3f} ({right[kind]['spans']})" for kind in right)
        print(f"  precision: {line}")
    print(f"\nnames found where there are none: {result['names in unseen messages without names']}")
    print(f"speed: {result['speed']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fit", action="store_true", help="print the weights fitted on all rows")
    options = parser.parse_args()
    result = asyncio.run(measure(Path(os.environ["ATHANOR_DATA"]), quick=options.quick))
    if options.json:
        print(json.dumps(result))
        return
    show(result)
    if options.fit:
        print(f"\nWEIGHTS = {tuple(result['fit'])}")


if __name__ == "__main__":
    main()
