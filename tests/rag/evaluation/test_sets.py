"""Questions from files: everything that is there is asked, counted, or named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.errors import AthanorError, InputError, NotFoundError
from athanor.rag.evaluation.asked import Names
from athanor.rag.evaluation.sets import read_questions
from athanor.types import Document, DocumentStatus


def beir(folder: Path, queries: str, **qrels: str) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text(queries)
    for name, text in qrels.items():
        (folder / "qrels" / f"{name}.tsv").write_text(text)
    return folder


QUERIES = '{"_id": "1", "text": "one?"}\n{"_id": "2", "text": "two?", "metadata": {}}\n\n{"_id": "3", "text": "x"}\n'


def test_a_beir_folder_gives_the_judged_queries_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    qrels = "query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n2\tb\t0\r\n"
    found = read_questions(beir(tmp_path / "set", QUERIES, test=qrels, train="query-id\tcorpus-id\tscore\n3\tc\t1\n"))
    assert found.name == "set"
    assert [(one.id, one.text, dict(one.relevant)) for one in found.questions] == [("1", "one?", {"a": 2.0})]
    assert len(found.notes) == 2
    train = read_questions(tmp_path / "set", split="train")
    assert [one.id for one in train.questions] == ["3"]
    with pytest.raises(NotFoundError, match="no split 'dev'"):
        read_questions(tmp_path / "set", split="dev")


def test_judgements_without_a_header_or_in_the_form_of_trec_are_read(tmp_path: Path) -> None:
    found = read_questions(beir(tmp_path / "set", QUERIES, test="1\t0\ta\t1\n2\tb\t1\n"))
    assert [dict(one.relevant) for one in found.questions] == [{"a": 1.0}, {"b": 1.0}]


@pytest.mark.parametrize(
    ("queries", "qrels", "words"),
    [
        (QUERIES, "query-id\tcorpus-id\tscore\n1\ta\t1\n9\ta\t1\n", "test.tsv:3"),
        (QUERIES, "query-id\tcorpus-id\tscore\n1 a 1\n", "test.tsv:2"),
        (QUERIES, "query-id\tcorpus-id\tscore\n1\ta\thigh\n", "'high' is no number"),
        (QUERIES + '{"_id": "1", "text": "again"}', "1\ta\t1\n", "line 1 already"),
        (QUERIES + "{nonsense\n", "1\ta\t1\n", "queries.jsonl:5"),
        ('{"text": "no id"}\n', "1\ta\t1\n", "no _id"),
        (QUERIES, "query-id\tcorpus-id\tscore\n", "no questions"),
    ],
)
def test_what_is_wrong_in_a_folder_is_named_with_its_line(tmp_path: Path, queries: str, qrels: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_questions(beir(tmp_path / "set", queries, test=qrels))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "own.jsonl",
            '\ufeff{"question": "Who?", "relevant": "a; b.md", "answer": "Ada"}\n'
            '{"question": "What?", "relevant": ["a; b.md", "c.md"]}\n'
            '{"question": "Never?", "unanswerable": true}\n{"question": "How many?", "answer": 3}\n',
        ),
        (
            "own.json",
            '[{"question": "Who?", "relevant": {"a; b.md": 1}, "answer": "Ada"},'
            '{"question": "What?", "relevant": ["a; b.md", "c.md"]}, {"question": "Never?", "unanswerable": true},'
            '{"question": "How many?", "answer": 3}]',
        ),
        (
            "own.csv",
            'question,relevant,answer,unanswerable\nWho?,"[""a; b.md""]",Ada,\n'
            'What?,"{""a; b.md"": 1, ""c.md"": 1}",,no\nNever?,,,yes\nHow many?,,3,\n',
        ),
        (
            "own.tsv",
            'question\tanswer\tunanswerable\trelevant\nWho?\tAda\t\t[""a; b.md""]\n'.replace('""', '"')
            + 'What?\t\t0\t["a; b.md", "c.md"]\nNever?\t\t1\t\nHow many?\t3\t\t\n',
        ),
    ],
)
def test_a_file_of_ones_own_says_the_same_in_every_form(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    found = read_questions(file)
    assert found.name == name
    assert not found.notes
    assert [(one.text, dict(one.relevant), one.answer, one.unanswerable) for one in found.questions] == [
        ("Who?", {"a; b.md": 1.0}, "Ada", False),
        ("What?", {"a; b.md": 1.0, "c.md": 1.0}, "", False),
        ("Never?", {}, "", True),
        ("How many?", {}, "3", False),
    ]
    assert len({one.id for one in found.questions}) == 4


def test_sources_in_a_cell_are_divided_and_unused_columns_are_told(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("question,relevant,author\nWho?,a.md; b.md,ada\n\nWho?,a.md,bob\n")
    found = read_questions(file)
    assert [dict(one.relevant) for one in found.questions] == [{"a.md": 1.0, "b.md": 1.0}, {"a.md": 1.0}]
    assert found.questions[1].id == f"{found.questions[0].id}-2", "asked twice, and measured twice"
    assert "author" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"question": "x"}\n{"answer": "y"}\n', "a.jsonl:2"),
        ("a.jsonl", '{"question": "x"}\n[]\n', "a.jsonl:2"),
        ("a.jsonl", '{"question": "x", "relevant": 5}\n', "a.jsonl:1"),
        ("a.jsonl", '{"question": "x", "relevant": {"a": 0}}\n', "above 0"),
        ("a.jsonl", '{"question": "x", "unanswerable": "maybe"}\n', "maybe"),
        ("a.jsonl", '{"question": "x", "unanswerable": true, "answer": "y"}\n', "neither"),
        ("a.json", '[{"question": "x"},\n{]', "a.json:2"),
        ("a.json", '[{"question": "x"}, 5]', "Entry 2"),
        ("a.csv", "question,answer\nx,y,z\n", "a.csv:2"),
        ("a.csv", 'question\n"x"y\n', "a.csv:2"),
        ("a.csv", "question\n", "no questions"),
        ("a.txt", "question", "not from .txt"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AthanorError) as caught:
        read_questions(tmp_path / name)
    assert words in str(caught.value)


def test_other_encodings_and_missing_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("question\nok\nWie heißt das?\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_questions(tmp_path / "a.csv")
    with pytest.raises(NotFoundError):
        read_questions(tmp_path / "nil.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=r"queries\.jsonl"):
        read_questions(tmp_path / "empty")


def document(source: str, title: str = "") -> Document:
    return Document(
        id=source, knowledge_base="b", source=source, version=1, sha256="", text_sha256=None, title=title, mime="",
        size=0, pages=(), status=DocumentStatus.READY, error=None, chunks=1, created_at=0.0, updated_at=0.0,
    )  # fmt: skip


def test_names_in_judgements_find_their_documents() -> None:
    documents = [document("x/184.txt"), document("y.v2.md", "Why"), document("same/1.md"), document("other/1.md")]
    names = Names([*documents, document("a#b.md"), document("184")], {"k1"})
    assert {name: names.source(name) for name in ("x/184.txt", "x/184", "184.txt", "Why", "y.v2", "184", "1", "z")} == {
        "x/184.txt": "x/184.txt",
        "x/184": "x/184.txt",
        "184.txt": "x/184.txt",
        "Why": "y.v2.md",
        "y.v2": "y.v2.md",
        "184": "184",  # a source of this very name comes first
        "1": None,
        "z": None,
    }
    found = names.of({"Why": 2.0, "z": 1.0, "1.md": 1.0})
    assert (dict(found.relevant), found.passages, found.unknown) == ({"y.v2.md": 2.0}, False, ("z", "1.md"))
    passages = names.of({"y.v2#k1": 1.0, "y.v2.md#gone": 1.0})
    assert (dict(passages.relevant), passages.passages, passages.unknown) == (
        {"y.v2.md#k1": 1.0},
        True,
        ("y.v2.md#gone",),
    )
    assert dict(names.of({"a#b.md": 1.0, "y.v2.md#k1": 3.0}).relevant) == {"a#b.md": 1.0, "y.v2.md": 3.0}
