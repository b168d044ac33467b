"""Does the groundedness score tell supported statements from others? AUROC with intervals, against n-gram overlap.

    ATHANOR_DATA=... python bench/grounding.py [--quick] [--json] [--fit] [--passages 600]

*BoolQ* has passages with yes/no questions. Its sentences give supported statements (verbatim, shortened, reworded, two
fused), controlled changes of them and statements of other passages give unsupported ones, and each question stated and
denied gives one of each. Sources are the passage and the three most like it, as a search would give. Half of the titles
is for fitting, the other for measuring. What is made by rules is easier than what people write: only the answers are
people's words.

*HaluEval general* has queries, answers, a label and the hallucinated spans, but no sources. Of use are rows whose query
carries its own source text; how many that leaves is printed, and it is few.

Baselines are the shares of a statement's one, two and three word sequences (stems) in its best passage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from _fit import logistic
from _statements import Passage, Statement, passages, statements
from athanor.engines.adapters.onnx import OnnxEmbedder, onnx_process
from athanor.engines.local import LocalSettings
from athanor.models import resolve_embedder
from athanor.rag.facts import plain_numbers
from athanor.rag.ground import FEATURES
from athanor.rag.groundedness import Grader, clauses
from athanor.rag.lexical import content_stems, words
from athanor.types import Chunk, Hit

SIZES = (1, 2, 3)


@dataclass(kw_only=True)
class Row:
    """A statement with what was observed of it."""

    statement: Statement
    held_out: bool
    parts: list[Any]
    """Of the whole statement and of each of its clauses: n × features of the candidates."""
    exact: bool
    """A source has this very sentence."""
    overlap: tuple[float, ...]
    """Of one, two and three words."""
    score: float
    """As shipped."""
    milliseconds: float


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


async def observe(data: Path, count: int, *, seed: int = 7) -> list[Row]:
    """Make statements about `count` passages of each half and grade them on the product's own path."""
    found = resolve_embedder()
    embedder = OnnxEmbedder(onnx_process(found, None, LocalSettings(threads=2)), found.profile)
    every = passages(data)
    draw = random.Random(seed)
    draw.shuffle(every)
    every = every[: 2 * count]
    like = likeness(every)
    titles = sorted({p.title for p in every})
    draw.shuffle(titles)
    held = set(titles[: len(titles) // 2])
    rows = []
    try:
        await embedder.start()
        for part in (True, False):
            chosen = [i for i, p in enumerate(every) if (p.title in held) is part][:count]
            made = statements(chosen, every, [four[3] for four in like], draw)
            by_passage: dict[int, list[Statement]] = {}
            for statement in made:
                by_passage.setdefault(statement.passage, []).append(statement)
            for at, own in by_passage.items():
                around = [at, *like[at][:3]]
                grader = Grader([hit(every[i].text, every[i].title, i) for i in around], embedder)
                await grader.candidates(every[at].text)  # a product's grader has its sources' vectors after two answers
                sources = [f"{every[i].title} {every[i].text}" for i in around]
                rows += [await _row(grader, statement, sources, held_out=part) for statement in own]
    finally:
        await embedder.aclose()
    return rows


async def _row(grader: Grader, statement: Statement, sources: list[str], *, held_out: bool) -> Row:
    began = time.perf_counter()
    grade = await grader.grade(statement.text)
    spent = 1000 * (time.perf_counter() - began)
    exact = grade.score == 1.0
    texts = [statement.text, *clauses(statement.text)]
    parts = [] if exact else [np.array([c.row() for c in await grader.candidates(text)]) for text in texts]
    return Row(
        statement=statement, held_out=held_out, parts=parts, exact=exact, overlap=overlaps(statement.text, sources),
        score=grade.score, milliseconds=spent,
    )  # fmt: skip
