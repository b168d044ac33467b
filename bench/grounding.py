"""Does the groundedness score tell supported statements from others? AUROC with intervals, against n-gram overlap.

    ATHANOR_DATA=... python bench/grounding.py [--quick] [--json] [--fit] [--passages 150]

*BoolQ* has passages with yes/no questions. Its sentences give supported statements (verbatim, shortened, reworded, two
fused), one change to one of those or a statement of another passage gives an unsupported one (see `_statements.py`).
Sources are the passage and the three most like it, as a search would give. One half of the titles is for fitting, the
other for measuring; intervals are over passages. What rules make is easier to judge than what people write, so the
questions, stated and denied, are reported apart: of each pair one is supported, the words of both are the same, and
none of them is used for fitting. Of the pairs of opposites that a change is made with, the product's own list has many.

*HaluEval general* has queries, answers, a label and the hallucinated spans, but no sources, and its label asks whether
something is true and not whether a source says it. Of use are at most rows whose query carries a text to work on; how
many that leaves is printed. It measures little.

Baselines are the shares of a statement's one, two and three word sequences (stems) in its best passage. `--fit` prints
new numbers for `athanor/rag/calibration.py` and measures with them; `--quick` takes a sample.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from _grounding import Row, figures, fitted, show
from _statements import Passage, Statement, passages, statements
from athanor.engines.adapters.onnx import OnnxEmbedder, onnx_process
from athanor.engines.local import LocalSettings
from athanor.models import resolve_embedder
from athanor.rag.calibration import SUPPORT
from athanor.rag.facts import plain_numbers
from athanor.rag.groundedness import Grader, clauses
from athanor.rag.lexical import content_stems, words
from athanor.rag.sentences import split
from athanor.types import Chunk, Hit

SIZES = (1, 2, 3)


def hit(text: str, title: str, number: int) -> Hit:
    chunk = Chunk(
        id=f"c{number}", document=f"d{number}", ordinal=0, start=0, end=len(text), page=None, heading="", text=text
    )
    return Hit(chunk=chunk, document_version=1, source=f"{number}.txt", title=title, score=0.0)


def likeness(every: list[Passage]) -> Any:
    """For each passage those of other titles, most like it first (tf-idf); 5 of them."""
    contents = [content_stems(f"{p.title} {p.text}") for p in every]
    words = {word: i for i, word in enumerate(dict.fromkeys(w for text in contents for w in text))}
    matrix = np.zeros((len(every), len(words)), dtype=np.float32)
    for i, text in enumerate(contents):
        matrix[i, [words[w] for w in text]] = 1
    matrix *= np.log(len(every) / matrix.sum(0))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    titles = np.array([p.title for p in every])
    found = []
    for i in range(len(every)):
        values = matrix @ matrix[i]
        values[titles == titles[i]] = -1
        found.append(np.argsort(-values)[:5].tolist())
    return found


def _stems(text: str) -> list[str]:
    return [word.stem for word in words(plain_numbers(text))]


def overlaps(text: str, sources: list[str]) -> tuple[float, ...]:
    written = _stems(text)
    found = []
    for size in SIZES:
        ours = {tuple(written[i : i + size]) for i in range(len(written) - size + 1)}
        best = 0.0
        for source in sources:
            stems = _stems(source)
            theirs = {tuple(stems[i : i + size]) for i in range(len(stems) - size + 1)}
            best = max(best, len(ours & theirs) / max(1, len(ours)))
        found.append(best)
    return tuple(found)


async def observe(data: Path, count: int, embedder: OnnxEmbedder, *, seed: int = 11) -> list[Row]:
    """Make statements about `count` passages of each half and grade them on the product's own path."""
    every = passages(data)
    draw = random.Random(seed)
    draw.shuffle(every)
    every = every[: 2 * count]
    like = likeness(every)
    titles = sorted({p.title for p in every})
    draw.shuffle(titles)
    held = set(titles[: len(titles) // 2])
    rows = []
    for part in (True, False):
        chosen = [i for i, p in enumerate(every) if (p.title in held) is part][:count]
        by_passage: dict[int, list[Statement]] = {}
        for statement in statements(chosen, every, [five[3] for five in like], draw):
            by_passage.setdefault(statement.passage, []).append(statement)
        for at, own in by_passage.items():
            around = [at, *like[at][:3]]
            grader = Grader([hit(every[i].text, every[i].title, i) for i in around], embedder)
            sources = [f"{every[i].title} {every[i].text}" for i in around]
            rows += [await _row(grader, statement, sources, held_out=part) for statement in own]
    return rows


async def _row(grader: Grader, statement: Statement, sources: list[str], *, held_out: bool) -> Row:
    exact = grader.exact(statement.text) is not None
    parts = []
    spent = 0.0
    if not exact:
        for text in (statement.text, *clauses(statement.text)):
            began = time.perf_counter()
            parts.append(np.array([c.row() for c in await grader.candidates(text)]))
            spent += 1000 * (time.perf_counter() - began)
    return Row(
        statement=statement, held_out=held_out, parts=parts, exact=exact, overlap=overlaps(statement.text, sources),
        milliseconds=spent,
    )  # fmt: skip


_WORKS_ON_TEXT = re.compile(
    r"\b(?:summar\w*|extract\w*|identif\w*|find|according|paraphras\w*|rewrite|rephrase|describe|answer|explain)\b",
    re.I,
)
_INVENTS = re.compile(r"\b(?:generate|write|create|continue|compose|suggest|complete|predict|translate)\b", re.I)


def own_sources(data: Path) -> tuple[int, list[tuple[str, list[tuple[str, bool]]]]]:
    """HaluEval's rows in all, and of those that carry their source: it, and each answered sentence with whether it is
    outside of every hallucinated span."""
    rows = [json.loads(line) for line in (data / "qa/halueval_general.jsonl").read_text().splitlines()]
    found = []
    for row in rows:
        task, _, source = row["user_query"].partition("\n")
        if len(source.split()) < 25 or not _WORKS_ON_TEXT.search(task) or _INVENTS.search(task):
            continue
        text = row["chatgpt_response"]
        wrong = [(at, at + len(span)) for span in row["hallucination_spans"] if (at := text.find(span)) >= 0]
        if row["hallucination"] == "yes" and not wrong:
            continue  # which part of it is wrong is not said
        graded = [
            (text[s.start : s.end], not any(a < s.end and s.start < b for a, b in wrong))
            for s in split(text)
            if s.end - s.start > 20
        ]
        found.append((source, graded))
    return len(rows), found


async def halueval(data: Path, embedder: OnnxEmbedder) -> dict[str, Any]:
    """Figures on HaluEval general, such as they are."""
    total, kept = own_sources(data)
    rows = []
    for number, (source, graded) in enumerate(kept):
        grader = Grader([hit(source, "", number)], embedder)
        for text, fine in graded:
            statement = Statement(passage=number, text=text, supported=fine, kind="halueval", form="")
            rows.append(await _row(grader, statement, [source], held_out=True))
    return {"rows": total, "rows_with_source": len(kept), **figures(rows, SUPPORT)}


async def run(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    found = resolve_embedder()
    embedder = OnnxEmbedder(onnx_process(found, None, LocalSettings(threads=2)), found.profile)
    try:
        await embedder.start()
        rows = await observe(data, 12 if options.quick else options.passages, embedder)
        made = [row for row in rows if row.statement.kind != "answer"]
        support = fitted([row for row in made if not row.held_out]) if options.fit else SUPPORT
        held = [row for row in made if row.held_out]
        answers = [row for row in rows if row.statement.kind == "answer" and (row.held_out or not options.quick)]
        return {
            "quick": options.quick,
            "passages": len({row.statement.passage for row in held}),
            "fit": asdict(support) if options.fit else None,
            "statements": figures(held, support),
            "answers": figures(answers, support),
            "halueval": await halueval(data, embedder) if not options.quick else None,
            "milliseconds_median": round(float(np.median([row.milliseconds for row in rows])), 1),
            "milliseconds_p95": round(float(np.quantile([row.milliseconds for row in rows], 0.95)), 1),
        }
    finally:
        await embedder.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a sample, under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fit", action="store_true", help="fit the weights anew and measure with them")
    parser.add_argument("--passages", type=int, default=150, help="passages of each half")
    options = parser.parse_args()
    if "ATHANOR_DATA" not in os.environ:
        raise SystemExit("Set ATHANOR_DATA to the folder of evaluation data.")
    result = asyncio.run(run(options, Path(os.environ["ATHANOR_DATA"])))
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
