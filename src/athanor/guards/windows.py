"""Training windows: which part of a text is an attack, and in what surroundings attacks are shown to a model."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from athanor.guards.corpora import Row
from athanor.guards.features import Reading, WordVectors, read
from athanor.guards.phrases import grammar, made
from athanor.plugins.arrays import np

Labelled = tuple[Reading, Any, Any]
"""Reading, answers and weights of its windows: see `linear.samples`."""

_SHORT = 900
"""Characters up to which an attack is put into documents."""
_WITHIN = 0.6
"""Share of a window that must be attack for the window to be one."""
_EACH = 12
_LONG_SENTENCE = 0.15
"""What a single sentence of a long attack counts: nobody knows which of them are the attack."""
_ATTACKS = {"override": 500, "leak": 350, "role": 350, "document": 700, "delimiter": 250, "foreign": 250}
_ORDERS = {"aboutreply": 1500, "code": 250, "task": 1500}
_ASKED = {"asked": 2400, "asked_foreign": 150}
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def indirect(rows: Sequence[Row], seed: int, each: int = 2) -> list[Row]:
    """The attacks of BIPIA among `rows` in the contexts among `rows`, as its authors put them: orders in e-mails and
    tables, code in answers about code; at the start, in the middle and at the end."""
    dice = random.Random(seed)  # noqa: S311  surroundings that can be repeated
    contexts = {
        kind: [row for row in rows if row.context and row.source == f"bipia {kind}"]
        for kind in ("email", "table", "code")
    }
    found = []
    for row in rows:
        kinds = () if row.source != "bipia" else ("code",) if row.family.startswith("code") else ("email", "table")
        for kind in kinds:
            for where in PLACES * each if contexts[kind] else ():
                text, _ = put_into(dice.choice(contexts[kind]).text, row.text, dice, where)
                found.append(
                    replace(
                        row, text=text, user=-1, document=1, source=f"bipia in {kind}", family=f"{row.family}, {where}"
                    )
                )
    return found


def own_rows(seed: int) -> list[Row]:
    """Rows of our own grammars."""
    dice = random.Random(seed)  # noqa: S311  examples that can be repeated
    attacks, harmless = grammar("attacks"), grammar("harmless")

    def rows(slots: dict[str, tuple[str, ...]], counts: dict[str, int], user: int, document: int) -> Iterator[Row]:
        for slot, count in counts.items():
            for text in made(slots, slot, count, dice):
                yield Row(text=text, user=user, document=document, source="grammar", family=slot)

    found = [*rows(attacks, _ATTACKS, 1, 1), *rows(harmless, _ASKED, 0, -1)]
    for row in rows(attacks, _ORDERS, 1, 1):
        about_reply = row.family != "task" and dice.random() < 0.5
        user = 1 if about_reply else 0 if row.family == "task" else -1
        found.append(replace(row, user=user))
    lines = made(harmless, "written", 900, dice)
    for at in range(len(lines)):
        text = " ".join(dice.sample(lines, dice.choice((1, 2, 4))))
        found.append(Row(text=text, user=-1, document=0, source="grammar", family="written", context=at % 3 == 0))
    return found


PLACES = ("start", "middle", "end")


def put_into(context: str, attack: str, dice: random.Random, where: str | None = None) -> tuple[str, int]:
    """`context` with `attack` at its start, in its middle or at its end (drawn, where it is not given); and where the
    attack begins."""
    where = where or dice.choice(PLACES)
    joint = dice.choice(("\n", "\n", " "))
    if where == "start":
        return f"{attack}{joint}{context}", 0
    if where == "end":
        return f"{context}{joint}{attack}", len(context) + len(joint)
    parts = context.split("\n") if context.count("\n") > 2 else _SENTENCE.split(context)
    at = dice.randrange(len(parts) + 1)
    mark = "\n" if context.count("\n") > 2 else " "
    before = mark.join(parts[:at])
    begin = len(before) + len(joint) if before else 0
    after = mark.join(parts[at:])
    return (f"{before}{joint}" if before else "") + attack + (f"{joint}{after}" if after else ""), begin


def labelled(reading: Reading, begin: int, end: int, outside: int) -> Any:
    """Answers of windows where the characters `begin:end` are an attack, and the rest has the answer `outside`."""
    starts, ends = reading.spans[:, 0], reading.spans[:, 1]
    overlap = np.maximum(np.minimum(ends, end) - np.maximum(starts, begin), 0)
    share = overlap / np.maximum(ends - starts, 1)
    return np.where(share >= _WITHIN, 1, np.where(overlap == 0, outside, -1))


def of_user(rows: Sequence[Row], vectors: WordVectors, seed: int, tick: Callable[[], None]) -> list[Labelled]:
    """What the head for users is trained on."""
    dice = random.Random(seed)  # noqa: S311  a choice that can be repeated
    found = []
    for row in rows:
        tick()
        if row.user < 0 or (reading := read(row.text, vectors)) is None:
            continue
        answers = _sparing(np.full(len(reading), row.user), dice)
        found.append((reading, answers, _weights(reading, row.user, row)))
    return found


def of_document(rows: Sequence[Row], vectors: WordVectors, seed: int, tick: Callable[[], None]) -> list[Labelled]:
    """What the head for documents and tools is trained on: attacks alone and inside documents, and documents."""
    dice = random.Random(seed)  # noqa: S311  surroundings that can be repeated
    contexts = _by_source([row for row in rows if row.context])
    found = []
    for row in rows:
        tick()
        if row.document < 0:
            continue
        text, begin = row.text, 0
        if contexts and row.document == 1 and len(row.text) <= _SHORT and dice.random() < 0.75:
            context = dice.choice(contexts[dice.choice(sorted(contexts))]).text[:1500]
            text, begin = put_into(context, row.text, dice)
        reading = read(text, vectors)
        if reading is None:
            continue
        answers = labelled(reading, begin, begin + len(row.text), 0) if row.document else np.zeros(len(reading), int)
        answers = _sparing(answers, dice)
        found.append((reading, answers, _weights(reading, row.document, row)))
    return found


def _sparing(answers: Any, dice: random.Random) -> Any:
    """At most `_EACH` windows of either answer of one text: a page must not outweigh a hundred sentences."""
    for answer in (0, 1):
        places = np.flatnonzero(answers == answer).tolist()
        answers[dice.sample(places, max(len(places) - _EACH, 0))] = -1
    return answers


def _by_source(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.source, []).append(row)
    return groups


def _weights(reading: Reading, answer: int, row: Row) -> Any:
    weights = np.ones(len(reading))
    if answer and len(row.text) > _SHORT:
        weights[reading.words[:, 1] - reading.words[:, 0] < 60] = _LONG_SENTENCE
    return weights * _COUNTS.get(row.source, 1.0)


_COUNTS = {"bipia": 3.0, "bastion": 3.0, "bipia email": 4.0, "bipia code": 6.0}
"""How much a row of a small set counts."""
