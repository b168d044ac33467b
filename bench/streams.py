"""Redaction of growing texts: is what a stream gives out the same for every split, and how long does it wait.

    python bench/streams.py [--quick] [--json] [--tagger]

1,000 made-up answers (seed 5), most of 40 to 300 characters, some of a thousand, with names, addresses, numbers with
check digits, keys, links, code and tables. Each goes through a `Holdback` with the guards of the product once for every
place where it can be cut in two, once character by character, and in 20 random cuts into many pieces. The measure is
the redaction of the whole text at once: since what is given out is never taken back, a stream that ends as that has let
out no character of a redacted span at any moment (`leaks` counts the others, and `mismatches` those that took out more,
too). Beside it: the same with every piece redacted on its own, which is what a filter without hold-back does (`alone`,
a tenth of the cuts).

`held` is how many characters wait after each character that came. Names are found by the model with `--tagger`, which
takes an hour; without, by forms alone. `--quick` takes 60 texts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from _streams import texts_of
from athanor.engines import LocalSettings
from athanor.engines.adapters.tagger import OnnxTagger
from athanor.guards.base import Guard
from athanor.guards.builtin.markup import MarkupGuard
from athanor.guards.builtin.personal import PersonalGuard
from athanor.guards.builtin.secrets import SecretsGuard
from athanor.guards.normalise import subject_of
from athanor.guards.redact import redact
from athanor.guards.stream import Holdback, findings_of
from athanor.models import resolve_tagger
from athanor.types import Context, Decision, Finding, Origin, Principal, RoleName

CTX = Context(
    principal=Principal(id="prin_1", name="bench", role=RoleName.USER, created_at=0.0), trace="tr_1", door="bench"
)


class Looker:
    """Asks guards, and remembers what they said of a text, since the cuts ask the same again and again."""

    def __init__(self) -> None:
        self.asked = 0
        self.seconds = 0.0
        self._known: dict[tuple[str, str], list[Finding]] = {}

    async def look(self, text: str, guards: Sequence[Guard]) -> list[Finding]:
        found: list[Finding] = []
        for guard in guards:
            self.asked += 1
            key = (guard.name, text)
            if key not in self._known:
                began = time.perf_counter()
                verdict = await guard.check(subject_of(text), Origin.MODEL, CTX)
                self.seconds += time.perf_counter() - began
                self._known[key] = [
                    replace(f, decision=Decision.REDACT) for f in verdict.findings if f.decision is not Decision.ALLOW
                ]
            found += self._known[key]
        return found

    def forget(self) -> None:
        self._known.clear()


async def streamed(pieces: Sequence[str], guards: Sequence[Guard], looker: Looker) -> str:
    holdback = Holdback(guards, looker.look)
    said = [(await holdback.feed(piece)).text for piece in pieces]
    said.append((await holdback.feed("", last=True)).text)
    return "".join(said)


async def alone(pieces: Sequence[str], guards: Sequence[Guard], looker: Looker) -> str:
    """Every piece by itself."""
    return "".join([redact(piece, await looker.look(piece, guards)).text for piece in pieces])


async def waits(text: str, guards: Sequence[Guard], looker: Looker) -> list[int]:
    """Characters that are held back, after each character that came."""
    holdback = Holdback(guards, looker.look)
    held, done = [], 0
    for at, char in enumerate(text):
        done = (await holdback.feed(char)).end
        held.append(at + 1 - done)
    return held


def cuts_of(text: str, dice: random.Random) -> list[list[str]]:
    found = [[text[:at], text[at:]] for at in range(len(text) + 1)]
    found.append([*text])
    for _ in range(20):
        places = sorted(dice.randrange(len(text) + 1) for _ in range(dice.randint(2, 40)))
        found.append([text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)])
    return found


def leaks(out: str, whole: str, values: Sequence[str]) -> int:
    """Values that the whole text is without, and the stream is not."""
    return sum(out.count(value) > whole.count(value) for value in values)


async def run(texts: Sequence[str], guards: Sequence[Guard]) -> dict[str, Any]:
    dice, looker = random.Random(5), Looker()
    total = {
        "texts": len(texts),
        "spans": 0,
        "splits": 0,
        "mismatches": 0,
        "leaks": 0,
        "splits_alone": 0,
        "leaks_alone": 0,
    }
    spent = time.process_time()
    held: dict[str, list[int]] = {"all": [], **{guard.name: [] for guard in guards}}
    examples: list[tuple[str, str]] = []
    for text in texts:
        findings = await findings_of(text, guards, looker.look)
        whole = redact(text, findings)
        values = [text[edit.start : edit.end] for edit in whole.edits]
        total["spans"] += len(values)
        for pieces in cuts_of(text, dice):
            total["splits"] += 1
            out = await streamed(pieces, guards, looker)
            if out != whole.text:
                total["mismatches"] += 1
                total["leaks"] += leaks(out, whole.text, values)
                examples.append((whole.text, out))
            if dice.random() < 0.1:
                total["splits_alone"] += 1
                total["leaks_alone"] += leaks(await alone(pieces, guards, looker), whole.text, values)
        held["all"] += await waits(text, guards, looker)
        for guard in guards:
            held[guard.name] += await waits(text, [guard], looker)
        looker.forget()
    shown = {
        name: {"mean": round(statistics.fmean(some), 1), "p95": sorted(some)[int(len(some) * 0.95)], "most": max(some)}
        for name, some in held.items()
    }
    total["cpu_seconds"] = round(time.process_time() - spent)
    return {**total, "characters": sum(map(len, texts)), "held_characters": shown, "examples": examples[:3]}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 texts")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tagger", action="store_true", help="names by the model, too")
    options = parser.parse_args()
    tagger = OnnxTagger(resolve_tagger(cache=Path("/dev/null")), LocalSettings()) if options.tagger else None
    personal = PersonalGuard(tagger)
    began = time.perf_counter()
    try:
        result = await run(texts_of(60 if options.quick else 1000), [SecretsGuard(), MarkupGuard(), personal])
    finally:
        await personal.aclose()
    result["seconds"] = round(time.perf_counter() - began, 1)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        if name == "held_characters":
            for guard, figures in value.items():
                print(
                    f"held, {guard:<22} mean {figures['mean']:>6}   p95 {figures['p95']:>5}   most {figures['most']:>5}"
                )
        else:
            print(f"{name:<28} {value}")


if __name__ == "__main__":
    asyncio.run(main())
