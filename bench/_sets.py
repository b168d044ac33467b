"""Evaluation sets, read from the folder that ATHANOR_DATA names. See its README for origins and licences."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Question:
    text: str
    relevant: frozenset[int]
    """Indexes of documents."""
    answer: str | None = None


@dataclass(frozen=True, kw_only=True)
class Collection:
    name: str
    documents: list[str]
    questions: list[Question]
    reference: str
    """nDCG@10 of others, as quoted in the project's design."""


def squad(data: Path) -> Collection:
    """SQuAD-dev passages and the (mostly disfluent) questions of Disfl-QA; `unknown` means unanswerable."""
    rows = [json.loads(line) for line in (data / "retrieval/disflqa_squad_dev.jsonl").read_text().splitlines()]
    documents = list(dict.fromkeys(row["passage"] for row in rows))
    place = {passage: i for i, passage in enumerate(documents)}
    questions = [
        Question(
            text=row["question"],
            relevant=frozenset({place[row["passage"]]}),
            answer=None if row["answer"] == "unknown" else row["answer"],
        )
        for row in rows
    ]
    return Collection(
        name="squad", documents=documents, questions=questions, reference="BM25 .923, MiniLM .859, RRF .933"
    )


def fiqa(data: Path) -> Collection:
    """Finance questions; all answers are the pool."""
    rows = [json.loads(line) for line in (data / "retrieval/fiqa_test_pairs.jsonl").read_text().splitlines()]
    documents = list(dict.fromkeys(row["answer"] for row in rows))
    place = {answer: i for i, answer in enumerate(documents)}
    relevant: dict[str, set[int]] = {}
    for row in rows:
        relevant.setdefault(row["question"], set()).add(place[row["answer"]])
    questions = [Question(text=text, relevant=frozenset(found)) for text, found in relevant.items()]
    return Collection(
        name="fiqa", documents=documents, questions=questions, reference="BM25 .573, MiniLM .742, RRF .689"
    )


def cranfield(data: Path) -> Collection:
    """Aerodynamics abstracts. A query's id in `cranqrel` is its position; the code -1 means not relevant."""
    folder = data / "retrieval/cranfield"

    def read(name: str) -> str:
        return (folder / name).read_bytes().decode("latin-1").replace("\r\n", "\n")

    documents = []
    for record in re.split(r"(?m)^\.I +\d+\n", read("cran.all.1400"))[1:]:
        fields = dict(re.findall(r"(?ms)^\.([TABW])\n(.*?)(?=^\.[TABW]\n|\Z)", record))
        title, text = (" ".join(fields.get(key, "").split()) for key in "TW")
        documents.append(text if text.startswith(title) else f"{title} {text}")
    relevant: dict[int, set[int]] = {}
    for line in read("cranqrel").splitlines():
        parts = line.split()
        if len(parts) >= 3 and parts[2] != "-1":
            relevant.setdefault(int(parts[0]) - 1, set()).add(int(parts[1]) - 1)
    texts = [" ".join(q.split(".W\n", 1)[1].split()) for q in re.split(r"(?m)^\.I +\d+\n", read("cran.qry"))[1:]]
    questions = [Question(text=t, relevant=frozenset(relevant[i])) for i, t in enumerate(texts) if i in relevant]
    return Collection(
        name="cranfield", documents=documents, questions=questions, reference="BM25 .385, MiniLM .400, RRF .433"
    )


def smaller(whole: Collection, documents: int, questions: int) -> Collection:
    """The first documents, and questions all of whose relevant documents are among them."""
    kept = [q for q in whole.questions if max(q.relevant) < documents]
    step = max(1, len(kept) // questions)
    return Collection(
        name=whole.name,
        documents=whole.documents[:documents],
        questions=kept[::step][:questions],
        reference="none: a sample",
    )


def normal(text: str) -> str:
    """Letters and digits only: the passages are tokenised, the answers are not."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKD", text).lower())
