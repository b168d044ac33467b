"""Streams of questions with their answers, for `cache.py`."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

Asked = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Questions in the order in which they are asked, of topics to learn from and of others to measure on."""

    name: str
    about: str
    learn: list[Asked]
    measure: list[Asked]


def banking(data: Path, *, quick: bool) -> list[Stream]:
    """Customers' own words (BANKING77), split by intents: with an answer for each intent, and one for each message."""
    rows: dict[str, str] = {}
    for name in ("train", "test"):
        with (data / f"intent/banking77/{name}.csv").open() as file:
            rows |= {row["text"].strip(): row["category"] for row in csv.DictReader(file)}
    draw = random.Random(77)
    intents = sorted(set(rows.values()))
    draw.shuffle(intents)
    learned = set(intents[: len(intents) // 2])
    asked = list(rows.items())
    draw.shuffle(asked)
    asked = asked[:1600] if quick else asked
    parts = [[row for row in asked if (row[1] in learned) is known] for known in (True, False)]

    def by_intent(text: str, intent: str) -> Asked:
        return text, f"Please read the article on {intent.replace('_', ' ')}."

    def by_message(text: str, _: str) -> Asked:
        return text, f"Your case has the number {crc32(text.encode())}."

    return [
        Stream(name=name, about=about, learn=[make(*row) for row in parts[0]], measure=[make(*row) for row in parts[1]])
        for name, about, make in (
            ("banking, by intent", "one answer for each intent; the labels have some 2 % noise", by_intent),
            ("banking, by message", "an answer for each message: no two are the same", by_message),
        )
    ]


def reworded(data: Path, *, quick: bool) -> list[Stream]:
    """SQuAD's (disfluent) questions with rule-made rewordings, and with edits that change the answer."""
    rows = [json.loads(line) for line in (data / "retrieval/disflqa_squad_dev.jsonl").read_text().splitlines()]
    passages = list(dict.fromkeys(row["passage"] for row in rows))
    half = set(passages[: len(passages) // 2])
    draw = random.Random(5)
    found: tuple[list[Asked], list[Asked]] = ([], [])
    for row in rows[::5] if quick else rows:
        question = row["question"].strip()
        unknown = row["answer"] == "unknown"
        answer = f"Nothing is said about this: {question}" if unknown else f"It is {row['answer']}."
        part = found[row["passage"] not in half]
        part += [(way(question), answer) for way in [str, *draw.sample(WAYS, 2)]]
        for kind in draw.sample(list(EDITS), 2):
            edited = EDITS[kind](question, draw)
            if edited is not None:
                part.append((edited, f"Nothing is said about this: {edited}"))
    for part in found:
        draw.shuffle(part)
    about = "rule-made rewordings (same answer), edits and other questions on the same passage (another answer)"
    return [Stream(name="questions, reworded", about=about, learn=found[0], measure=found[1])]


def _contracted(question: str) -> str:
    return re.sub(r"\b(What|Who|Where|When|How) is\b", r"\1's", question).removesuffix("?").strip()


def _lower(question: str) -> str:
    return question[:1].lower() + question[1:]


WAYS: list[Callable[[str], str]] = [
    lambda q: f"Please tell me: {_lower(q)}",
    lambda q: f"um , {_lower(q)}",
    lambda q: q.lower(),
    lambda q: q.removesuffix("?").strip(),
    lambda q: f"Hello , {_lower(q)} Thanks !",
    lambda q: f"Could you tell me {_lower(q)}",
    lambda q: f"I would like to know {_lower(q)}",
    _contracted,
]

_POLES = {"most": "least", "first": "last", "before": "after", "largest": "smallest", "more": "less", "high": "low",
          "highest": "lowest", "increase": "decrease", "north": "south", "over": "under", "best": "worst"}  # fmt: skip
_NAMES = ["Brazil", "Kenya", "Darwin", "Oslo", "Tesla", "Norway", "Newton", "Quebec", "Samsung", "Mozart"]


def _number(question: str, draw: random.Random) -> str | None:
    edited = re.sub(r"\d+", lambda match: str(int(match[0]) + draw.randint(1, 9)), question, count=1)
    return edited if edited != question else None


def _name(question: str, draw: random.Random) -> str | None:
    names = [match[0] for match in re.finditer(r"(?<=\w )[A-Z][a-z]{2,}", question)]
    return question.replace(draw.choice(names), draw.choice(_NAMES)) if names else None


def _small_name(question: str, draw: random.Random) -> str | None:
    edited = _name(question, draw)
    return None if edited is None else edited.lower()


def _negation(question: str, draw: random.Random) -> str | None:
    edited = re.sub(r"\b(is|was|are|were|did|does|can|could)\b", r"\1 not", question, count=1)
    return edited if edited != question else None


def _pole(question: str, draw: random.Random) -> str | None:
    edited = re.sub(r"\b[a-z]+\b", lambda match: _POLES.get(match[0], match[0]), question)
    return edited if edited != question else None


EDITS: dict[str, Callable[[str, random.Random], str | None]] = {
    "number": _number,
    "name": _name,
    "name in small letters": _small_name,
    "negation": _negation,
    "opposite": _pole,
}


def edits(data: Path) -> dict[str, list[tuple[str, str]]]:
    """Each question with each edit that it allows: pairs that never have the same answer."""
    rows = [json.loads(line) for line in (data / "retrieval/disflqa_squad_dev.jsonl").read_text().splitlines()]
    draw = random.Random(9)
    made: dict[str, list[tuple[str, str]]] = {}
    for kind, edit in EDITS.items():
        pairs = [(row["question"].strip(), edit(row["question"].strip(), draw)) for row in rows]
        small = kind.endswith("letters")
        made[kind] = [(one.lower() if small else one, two) for one, two in pairs if two is not None]
    return made


def answers(data: Path) -> dict[bool, list[tuple[str, str]]]:
    """TruthfulQA: the best answer with other correct ones (True), and with incorrect ones (False)."""
    made: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    with (data / "qa/truthfulqa.csv").open() as file:
        for row in csv.DictReader(file):
            best = row["Best Answer"].strip()
            for same, column in ((True, "Correct Answers"), (False, "Incorrect Answers")):
                others: Sequence[str] = [text.strip() for text in row[column].split(";")]
                made[same] += [(best, other) for other in others if other and other != best]
    return made
