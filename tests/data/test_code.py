"""Source code by definition, and JSON, JSON lines and notebooks."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from athanor.data import detect
from athanor.errors import DocumentError
from tests.data.reading import outline, read_text

PYTHON = """import os

# About foo.
@cache
def foo(a):
    return "def no(): {"

class Bar(Base):
    '''Doc.'''
    def run(self):
        return 1
"""


def test_python_by_its_grammar(tmp_path: Path) -> None:
    document = read_text(tmp_path, PYTHON, "pkg/m.py")
    assert document.text == PYTHON
    assert document.lines
    assert document.title == "pkg/m.py"
    assert outline(document) == [
        ("code", "import os"),
        ("h1", "# About foo.\n@cache\ndef foo"),
        ("code", '(a):\n    return "def no(): {"'),
        ("h1", "class Bar"),
        ("code", "(Base):\n    '''Doc.'''\n    def run(self):\n        return 1"),
    ]


def test_python_with_errors_by_indentation(tmp_path: Path) -> None:
    kinds = outline(read_text(tmp_path, PYTHON + "\nprint 'old'\n", "m.py"))
    assert [text for kind, text in kinds if kind == "h1"] == ["# About foo.\n@cache\ndef foo", "class Bar"]
    assert kinds[-1] == ("code", "print 'old'")


def test_a_long_class_is_divided_at_its_methods(tmp_path: Path) -> None:
    body = "".join(f"    def m{i}(self):\n        return {'x' * 300!r}\n\n" for i in range(6))
    found = outline(read_text(tmp_path, f"class A:\n{body}", "m.py"))
    assert [text for kind, text in found if kind == "h2"] == [f"def m{i}" for i in range(6)]


@pytest.mark.parametrize(
    ("name", "code", "headings"),
    [
        ("a.c", "#include <a.h>\n/* { */\nint main(void)\n{\n  if (x) { y(\"}\"); }\n}\n", ["/* { */\nint main"]),
        ("a.go", "type T struct {\n\tx int\n}\n\nfunc (t *T) Run() {\n}\n", ["type T struct", "func (t *T) Run"]),
        ("a.rs", "impl<T> A for B {\n  fn x() {}\n}\nfn main() { }\n", ["impl<T> A for B", "fn main"]),
        ("a.js", "import 'y'\nexport const f = (a) => {\n}\nfunction g() { }\n", ["export const f", "function g"]),
        ("a.java", "package a;\n\npublic class A extends B {\n  void f() {}\n}\n", ["public class A extends B"]),
        ("a.rb", "class A\n  def x\n  end\nend\n\ndef y\nend\n", ["class A", "def y"]),
        ("a.sh", "set -e\nfoo() {\n  ls\n}\nfoo\n", ["foo"]),
        ("a.sql", "-- All.\nCREATE TABLE a;\ncreate view b as q;\n", ["-- All.\nCREATE TABLE a", "create view b"]),
    ],
)  # fmt: skip
def test_other_languages(tmp_path: Path, name: str, code: str, headings: list[str]) -> None:
    document = read_text(tmp_path, code, name)
    assert document.text == code
    assert [text for kind, text in outline(document) if kind == "h1"] == headings


def test_json_is_told_by_path(tmp_path: Path) -> None:
    data = {"name": "A", "n": 1.50, "in": {"x": None}, "rows": [{"a": 1, "b": True}, {"a": 2, "b": False}]}
    document = read_text(tmp_path, json.dumps(data).replace("1.5", "1.50"), "a.json")
    assert outline(document) == [
        ("list", "name: A\nn: 1.50"),
        ("h1", "in"),
        ("list", "x: null"),
        ("h1", "rows"),
        ("table", "a | b\n1 | true\n2 | false"),
    ]
    assert [anchor.place for anchor in document.anchors][-3:] == ["$.rows[0:2]", "$.rows[0]", "$.rows[1]"]


@pytest.mark.parametrize("text", ["[" * 100_000, "{'a': 1}", '{"a": ' * 5000 + "1" + "}" * 5000])
def test_what_is_no_json_or_too_deep_is_text(tmp_path: Path, text: str) -> None:
    document = read_text(tmp_path, text, "a.json")
    assert document.text == text
    assert "plain text" in document.warnings[0]


def test_json_lines_are_records(tmp_path: Path) -> None:
    document = read_text(tmp_path, '{"a": 1}\n\n{"a": 2}\n', "a.jsonl")
    assert [(anchor.start, anchor.place) for anchor in document.anchors] == [(0, "record 1"), (10, "record 2")]
    assert document.lines


def test_notebooks_cell_by_cell(tmp_path: Path) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\nx").decode()
    cells = [
        {"cell_type": "markdown", "source": ["# Head\n", "\n", "Text."]},
        {
            "cell_type": "code",
            "source": "f()",
            "outputs": [
                {"output_type": "stream", "text": "x" * 5000},
                {"output_type": "display_data", "data": {"image/png": png, "text/plain": "<Figure>"}},
                {"output_type": "error", "ename": "ValueError", "evalue": "no"},
            ],
        },
    ]
    document = read_text(tmp_path, json.dumps({"cells": cells, "nbformat": 4}), "a.ipynb")
    found = outline(document)
    assert found[:3] == [("h1", "Head"), ("paragraph", "Text."), ("code", "f()")]
    assert found[-1] == ("code", "ValueError: no")
    assert [anchor.place for anchor in document.anchors] == ["cell 1", "cell 2"]
    assert [picture.alt for picture in document.pictures] == ["<Figure>"]
    assert document.title == "Head"
    assert "cut" in document.warnings[0]
    with pytest.raises(DocumentError, match="notebook"):
        read_text(tmp_path, "[]", "a.ipynb")


def test_every_new_format_has_its_parser() -> None:
    assert {".py", ".json", ".jsonl", ".ipynb", ".go"} <= set(detect.supported(detect.registry()))
