"""Questions from files: a folder in the shape of BEIR, or a file of one's own.

BEIR (https://github.com/beir-cellar/beir): `queries.jsonl` with `_id` and `text`, `qrels/<split>.tsv` with the columns
query-id, corpus-id and score; `corpus.jsonl` is not read, because the base holds the documents.

A file of one's own is JSON lines, a JSON array, CSV or TSV with `question` and, all optional, `relevant` (a source, a
list of them, or source → grade; in a cell divided by `;`), `answer`, `unanswerable` and `id`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from athanor.errors import InputError, NotFoundError
from athanor.rag.evaluation.asked import Asked

_KNOWN = frozenset({"id", "_id", "question", "text", "query", "relevant", "answer", "unanswerable"})
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0", ""})
_SPLITS = ("test", "dev", "validation", "train")

Row = tuple[int, Mapping[str, Any]]
"""Line number from 1, and what the line says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSet:
    """Questions, and where they came from."""

    name: str
    """Of the file or folder: what tells evaluations by these questions from others."""
    questions: tuple[Asked, ...]
    notes: tuple[str, ...] = ()
    """What was left out or not understood, for people."""


def read_questions(path: Path, *, split: str | None = None) -> QuestionSet:
    """The questions of a file or a folder.

    Args:
        split: of a folder, which judgements; unset takes `test`, or what there is.

    Raises:
        NotFoundError: there is no such file, folder or split.
        InputError: it cannot be read; says in which line.
    """
    if path.is_dir():
        return _beir(path, split)
    if not path.is_file():
        raise NotFoundError("There is no such file or folder.", where=str(path))
    rows = list(_rows(path))
    unused = sorted({name for _, row in rows for name in row if isinstance(name, str)} - _KNOWN)
    notes = [f"{path.name}: not used: {', '.join(unused)}."] if unused else []
    return _set(path.resolve().name, [_asked(row, path, line) for line, row in rows], notes, path)


def _set(name: str, questions: list[Asked], notes: list[str], path: Path) -> QuestionSet:
    if not questions:
        raise InputError("There are no questions in it.", where=str(path))
    taken: Counter[str] = Counter()
    for place, one in enumerate(questions):
        taken[one.id] += 1
        if taken[one.id] > 1:  # asked twice, and measured twice
            questions[place] = replace(one, id=f"{one.id}-{taken[one.id]}")
    return QuestionSet(name=name, questions=tuple(questions), notes=tuple(notes))


# -- BEIR


def _beir(folder: Path, split: str | None) -> QuestionSet:
    queries = folder / "queries.jsonl"
    if not queries.is_file():
        raise NotFoundError(
            "There is no queries.jsonl in this folder.",
            where=str(folder),
            hint="A folder has the shape of BEIR: queries.jsonl and qrels/test.tsv. A file of your own goes as well.",
        )
    judged = _qrels_file(folder, split)
    texts = _queries(queries)
    relevant, lines = _judgements(judged)
    for name, line in lines.items():
        if name not in texts:
            raise _wrong(f"The query {name!r} is not in {queries.name}.", judged, line)
    questions, without = [], 0
    for name, (line, row) in texts.items():
        if name in relevant:
            without += not relevant[name]
            if relevant[name]:
                questions.append(_asked({**row, "id": name, "relevant": relevant[name]}, queries, line))
        elif _true(row.get("unanswerable", False), queries, line):
            questions.append(_asked({**row, "id": name}, queries, line))
    notes = []
    if left := len(texts) - len(questions) - without:
        notes.append(f"{left} queries have no judgement in {judged.name} and are not asked.")
    if without:
        notes.append(f"{without} queries have nothing relevant in {judged.name} and are not asked.")
    return _set(folder.resolve().name, questions, notes, judged)


def _queries(path: Path) -> dict[str, Row]:
    """The lines of a file of queries, by id."""
    found: dict[str, Row] = {}
    for line, row in _json_lines(path):
        name = str(row.get("_id", row.get("id", ""))).strip()
        if not name:
            raise _wrong("A query has no _id.", path, line)
        if name in found:
            raise _wrong(f"The query {name!r} is in line {found[name][0]} already.", path, line)
        found[name] = (line, row)
    return found


def _qrels_file(folder: Path, split: str | None) -> Path:
    found = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    if (alone := folder / "qrels.tsv").is_file():
        found.setdefault("test", alone)
    if split is not None and split not in found:
        known = ", ".join(found) or "none"
        raise NotFoundError(f"There is no split {split!r}.", where=str(folder / "qrels"), hint=f"There is: {known}.")
    if not found:
        raise NotFoundError("There are no qrels/*.tsv in this folder.", where=str(folder))
    return found[split or next((one for one in _SPLITS if one in found), next(iter(found)))]


def _judgements(path: Path) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Query → corpus id → score above 0, and the line that names each query first."""
    relevant: dict[str, dict[str, float]] = {}
    lines: dict[str, int] = {}
    for line, text in enumerate(_text(path).split("\n"), 1):
        cells = [cell.strip() for cell in text.split("\t")]
        if not text.strip() or (line == 1 and cells[:1] == ["query-id"]):
            continue
        if len(cells) not in (3, 4):
            raise _wrong("Expected query-id, corpus-id and score, with tabs between.", path, line)
        query, document, score = cells[0], cells[-2], cells[-1]  # with four cells it is TREC's form
        try:
            grade = float(score)
        except ValueError:
            raise _wrong(f"The score {score!r} is no number.", path, line) from None
        if not query or not document or not math.isfinite(grade):
            raise _wrong("A query-id, corpus-id or score is missing.", path, line)
        lines.setdefault(query, line)
        own = relevant.setdefault(query, {})
        if grade > 0:
            own[document] = max(grade, own.get(document, 0.0))
    return relevant, lines


# -- files of one's own


def _rows(path: Path) -> Iterator[Row]:
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return _json_lines(path)
        case ".json":
            return _json_array(path) if _text(path).lstrip().startswith("[") else _json_lines(path)
        case ".csv" | ".tsv":
            return _cells(path)
    raise InputError(
        f"Questions are read from .jsonl, .json, .csv and .tsv, and not from {path.suffix or 'a file without suffix'}.",
        where=str(path),
    )


def _json_lines(path: Path) -> Iterator[Row]:
    for line, text in enumerate(_text(path).split("\n"), 1):
        if text.strip():
            yield line, _object(text, path, line)


def _json_array(path: Path) -> Iterator[Row]:
    try:
        rows = orjson.loads(_text(path))
    except orjson.JSONDecodeError as error:
        raise _wrong(f"It is no JSON: {error.msg}.", path, error.lineno) from None
    for place, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"Entry {place} is no JSON object.", where=str(path))
        yield place, row


def _object(text: str, path: Path, line: int) -> Mapping[str, Any]:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _wrong(f"It is no JSON: {error.msg}.", path, line) from None
    if not isinstance(row, dict):
        raise _wrong("It is no JSON object.", path, line)
    return row


def _cells(path: Path) -> Iterator[Row]:
    dialect = "excel-tab" if path.suffix.lower() == ".tsv" else "excel"
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), dialect=dialect, strict=True)
    try:
        for row in reader:
            if None in row:
                raise _wrong("The row has more cells than the header.", path, reader.line_num)
            yield reader.line_num, {name.strip(): cell or "" for name, cell in row.items()}
    except csv.Error as error:
        raise _wrong(f"It is no CSV: {error}.", path, reader.reader.line_num) from None


def _asked(row: Mapping[str, Any], path: Path, line: int) -> Asked:
    """One question. Raises InputError where it is none."""
    text = next((row[name] for name in ("question", "text", "query") if row.get(name)), None)
    if not isinstance(text, str) or not text.strip():
        raise _wrong("There is no question.", path, line)
    answer = row.get("answer")
    if answer is not None and not isinstance(answer, str | int | float):
        raise _wrong("An answer is a text.", path, line)
    relevant = _relevant(row.get("relevant"), path, line)
    unanswerable = _true(row.get("unanswerable", False), path, line)
    if unanswerable and (relevant or answer):
        raise _wrong("A question that has no answer here has neither 'relevant' nor 'answer'.", path, line)
    name = str(row.get("id", row.get("_id")) or "").strip()
    return Asked(
        id=name or f"q_{hashlib.sha256(text.strip().encode()).hexdigest()[:20]}",
        text=text.strip(),
        relevant=relevant,
        answer="" if answer is None else str(answer).strip(),
        unanswerable=unanswerable,
    )


def _relevant(value: Any, path: Path, line: int) -> dict[str, float]:
    if isinstance(value, str):
        if value.lstrip().startswith(("[", "{")):
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                value = [value]
        else:
            value = value.split(";") if path.suffix.lower() in {".csv", ".tsv"} else [value]
    if value is None:
        return {}
    graded = value if isinstance(value, dict) else None
    if graded is None and isinstance(value, list):
        graded = dict.fromkeys((str(one) if isinstance(one, int) else one for one in value), 1.0)
    if graded is None or not all(isinstance(name, str) for name in graded):
        raise _wrong("'relevant' is a source, a list of sources, or source → grade.", path, line)
    if not all(isinstance(one, int | float) and 0 < one < math.inf for one in graded.values()):
        raise _wrong("A grade is a number above 0.", path, line)
    return {name.strip(): float(grade) for name, grade in graded.items() if name.strip()}


def _true(value: Any, path: Path, line: int) -> bool:
    said = str("" if value is None else value).strip().lower()
    if said not in _TRUE | _FALSE:
        raise _wrong(f"'unanswerable' is true or false, and not {value!r}.", path, line)
    return said in _TRUE


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _wrong("It is not UTF-8.", path, line) from None


def _wrong(message: str, path: Path, line: int) -> InputError:
    return InputError(message, where=f"{path}:{line}")
