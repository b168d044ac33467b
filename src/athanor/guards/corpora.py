"""What classifiers of attacks are trained and measured on: texts with an answer for each origin.

Two layouts are read: the folder of public sets that `design/guards.md` names, and JSON lines of a user's own. A part of
every set is held out, by family where a set has families: the strings, the kinds of attack and the contexts that a
figure is of were never trained on.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from athanor.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One text, and whether it is an attack."""

    text: str
    user: int
    """1 where it is an attack when a user writes it, 0 where it is not, -1 where nobody can tell."""
    document: int
    """The same for a document or a tool's result."""
    source: str
    """The set."""
    family: str = ""
    """What kind of attack, in the set's own words."""
    held: bool = False
    """Not trained on."""
    context: bool = False
    """A document into which attacks are put."""

    keep: str = ""
    """The part that it stays in, where that is not drawn by its text."""

    @property
    def part(self) -> str:
        """`train`; of what is held out `tune`, by which a probability and the operating point are set, or `test`."""
        if self.keep or not self.held:
            return self.keep or "train"
        return "tune" if drawn(f"part:{self.text}") < _TUNE else "test"


_TUNE = 0.4


def drawn(key: str) -> float:
    """A number from 0 to 1 that only depends on `key`: decides what is held out, whatever the order of files."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def load(path: Path) -> list[Row]:
    """All rows of a folder of public sets, of a folder of JSON lines, or of one such file.

    Raises:
        InputError: there is nothing to read, or a line is not what it should be.
    """
    if path.is_dir() and (path / "safety").is_dir():
        return [row for reader in READERS for row in reader(path)]
    files = sorted(path.glob("**/*.jsonl")) if path.is_dir() else [path]
    rows = [row for file in files for row in _own(file)]
    if not rows:
        raise InputError(
            "There are no examples.",
            where=str(path),
            hint='Give the folder of public sets, or JSON lines: {"text": …, "label": "attack" or "harmless"}.',
        )
    return rows


def _own(file: Path) -> Iterator[Row]:
    """Lines `{"text", "label", "origin"}`; the label `attack` or `harmless`, the origin `user`, `document` or none."""
    for number, line in enumerate(_lines(file), 1):
        try:
            text, label, origin = str(line["text"]), line["label"], line.get("origin")
            answer = {"attack": 1, "harmless": 0, 1: 1, 0: 0}[label]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                'An example is {"text": "…", "label": "attack" or "harmless", "origin": "user" or "document"}.',
                where=f"{file}:{number}",
            ) from error
        yield Row(
            text=text,
            user=answer if origin in {None, "user"} else -1,
            document=answer if origin != "user" else -1,
            source=file.stem,
            held=drawn(f"own:{text}") < 0.25,
        )


def _lines(file: Path) -> Iterator[Any]:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise InputError("This line is no JSON.", where=f"{file}:{number}") from error


_REPLY = re.compile(r"\b(response|answer|reply|message|code|solution|implementation)\b", re.IGNORECASE)


def _bipia(data: Path) -> Iterator[Row]:
    """Orders in e-mails, tables and answers about code. A third of the kinds of attack is held out, and half of the
    contexts."""
    folder = data / "safety/bipia"
    for name in ("text", "code"):
        kinds = json.loads((folder / f"{name}_attack_train.json").read_text(encoding="utf-8"))
        apart = set(sorted(kinds, key=lambda kind: drawn(f"bipia:{kind}"))[: len(kinds) // 3])
        for kind, texts in kinds.items():
            for text in texts:
                about_reply = bool(_REPLY.search(text.split("\n", 1)[0]))
                user = 1 if about_reply else -1
                yield Row(
                    text=text, user=user, document=1, source="bipia", family=f"{name}: {kind}", held=kind in apart
                )
    for name in ("email", "table", "code"):
        for number, line in enumerate(_lines(folder / f"{name}_train.jsonl")):
            text = line["context"] if isinstance(line["context"], str) else "\n".join(line["context"])
            held = drawn(f"context:{name}:{number}") < 0.5
            yield Row(text=text, user=-1, document=0, source=f"bipia {name}", family=name, held=held, context=True)


def _jailbreaks(data: Path) -> Iterator[Row]:
    for text in json.loads((data / "safety/inthewild_jailbreaks_dev.json").read_text(encoding="utf-8")):
        held = drawn(f"wild:{text}") < 0.4
        yield Row(text=text, user=1, document=1, source="in-the-wild", family="jailbreak", held=held)


def _bastion(data: Path) -> Iterator[Row]:
    for line in _lines(data / "safety/bastion_injections.jsonl"):
        bad = line["label"] == "malicious"
        asked = line["channel"] == "user_input"
        yield Row(
            text=line["text"],
            user=int(bad) if asked or bad else -1,
            document=1 if bad else -1 if asked else 0,
            source="bastion",
            family=str(line["category"]),
            held=drawn(f"bastion:{line['id']}") < 0.35,
        )


def _piguard(data: Path) -> Iterator[Row]:
    """Never trained on."""
    folder = data / "safety/piguard"
    for line in json.loads((folder / "NotInject_one.json").read_text(encoding="utf-8")):
        yield Row(text=line["prompt"], user=0, document=-1, source="notinject", family=line["category"], held=True)
    for line in json.loads((folder / "valid.json").read_text(encoding="utf-8")):
        yield Row(
            text=line["prompt"],
            user=int(line["label"]),
            document=-1,
            source="piguard valid",
            family=line["source"],
            held=True,
        )


def _tasks(data: Path) -> Iterator[Row]:
    """Instructions: what users are there to ask for, and what a document has no business to order."""
    for line in _lines(data / "qa/halueval_general.jsonl"):
        held = drawn(f"halueval:{line['ID']}") < 0.2
        first = line["user_query"].split("\n", 1)[0]
        yield Row(text=line["user_query"], user=0, document=-1, source="halueval", family="task", held=held)
        yield Row(text=first, user=-1, document=1, source="halueval", family="task", held=held)
        yield Row(text=line["chatgpt_response"], user=0, document=0, source="halueval answers", held=held, context=True)
    for line in _lines(data / "instruct/self_instruct_seeds.jsonl"):
        held = drawn(line["id"]) < 0.2
        yield Row(text=line["instruction"], user=0, document=1, source="self-instruct", family="task", held=held)
    for line in _lines(data / "instruct/mt_bench_questions.jsonl"):
        held = drawn(f"mt:{line['question_id']}") < 0.2
        for text in line["turns"]:
            yield Row(text=text, user=0, document=1, source="mt-bench", family=line["category"], held=held)


def _asked(data: Path) -> Iterator[Row]:
    """What people ask for, and no more."""

    def rows(source: str, texts: list[str], limit: int) -> Iterator[Row]:
        chosen = sorted(dict.fromkeys(texts), key=lambda text: drawn(f"{source}:{text}"))[:limit]
        for place, text in enumerate(chosen):
            yield Row(text=text, user=0, document=-1, source=source, held=place % 4 == 0)

    with (data / "intent/banking77/train.csv").open(encoding="utf-8", newline="") as file:
        yield from rows("banking77", [line["text"] for line in csv.DictReader(file)], 800)
    with (data / "qa/truthfulqa.csv").open(encoding="utf-8", newline="") as file:
        yield from rows("truthfulqa", [line["Question"] for line in csv.DictReader(file)], 400)
    squad = list(_lines(data / "retrieval/disflqa_squad_dev.jsonl"))
    yield from rows("squad questions", [line["question"] for line in squad], 400)
    talks = [
        re.split(r"\n\n(?:Human|Assistant): ", line["chosen"])[1]
        for line in _lines(data / "preference/hh_rlhf_harmless_base_test.jsonl.gz")
    ]
    yield from rows("hh-rlhf", talks, 800)


def _written(data: Path) -> Iterator[Row]:
    """Plain passages. FiQA, XSum (research use) and Cranfield (no licence) are only ever measured on."""

    def rows(source: str, texts: list[str], held: Callable[[str], bool]) -> Iterator[Row]:
        for text in dict.fromkeys(texts):
            yield Row(
                text=text, user=0, document=0, source=source, held=held(text), context=source in {"squad", "boolq"}
            )

    squad = [line["passage"] for line in _lines(data / "retrieval/disflqa_squad_dev.jsonl")]
    yield from rows("squad", squad, lambda text: drawn(f"squad:{text}") < 0.5)
    boolq = [line["passage"] for line in _lines(data / "qa/boolq_dev.jsonl")][:1200]
    yield from rows("boolq", boolq, lambda text: drawn(f"boolq:{text}") < 0.1)
    fiqa = [line["answer"] for line in _lines(data / "retrieval/fiqa_test_pairs.jsonl")]
    yield from rows("fiqa", fiqa, lambda _: True)
    yield from rows("cranfield", _cranfield(data / "retrieval/cranfield/cran.all.1400"), lambda _: True)
    talks = [
        turn.removeprefix("Assistant: ")
        for line in _lines(data / "preference/hh_rlhf_harmless_base_test.jsonl.gz")
        for turn in line["chosen"].split("\n\n")
        if turn.startswith("Assistant: ") and len(turn) > 120
    ]
    yield from rows("hh-rlhf answers", talks[:2000], lambda text: drawn(f"hh:{text}") < 0.1)
    personal = json.loads((data / "privacy/presidio_synth_v2.json").read_text(encoding="utf-8"))
    yield from rows("presidio", [line["full_text"] for line in personal][:600], lambda t: drawn(f"presidio:{t}") < 0.2)


def _cranfield(file: Path) -> list[str]:
    text = file.read_bytes().decode("latin-1").replace("\r\n", "\n")
    records = re.split(r"(?m)^\.I +\d+\n", text)[1:]
    return [
        " ".join(record.split("\n.W\n", 1)[1].split()) for record in records if len(record.split("\n.W\n", 1)[1]) > 9
    ]


READERS: tuple[Callable[[Path], Iterator[Row]], ...] = (
    _bipia,
    _jailbreaks,
    _bastion,
    _piguard,
    _tasks,
    _asked,
    _written,
)
