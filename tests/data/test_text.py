from __future__ import annotations

from pathlib import Path

import pytest

from athanor.errors import DocumentError
from tests.data.reading import outline, read_text


def test_paragraphs_lists_and_underlined_headings(tmp_path: Path) -> None:
    text = "Title\n=====\n\nOne\nline.\n\n- a\n- b\n\nPart\n----\nTwo.\n"
    document = read_text(tmp_path, text, "a.txt")
    assert document.text == text
    assert document.title == "Title"
    assert outline(document) == [
        ("h1", "Title"),
        ("paragraph", "One\nline."),
        ("list", "- a\n- b"),
        ("h2", "Part"),
        ("paragraph", "Two."),
    ]


def test_source_code_without_definitions_is_one_block(tmp_path: Path) -> None:
    assert outline(read_text(tmp_path, "x = 1\n\n\ny = 2\n", "a.py")) == [("code", "x = 1\n\n\ny = 2")]
    assert outline(read_text(tmp_path, "a,b\n1,2\n", "a.csv")) == [("table", "a,b\n1,2")]


def test_text_under_an_unknown_name_is_read(tmp_path: Path) -> None:
    assert read_text(tmp_path, "Permission is granted.", "LICENSE").title == "LICENSE"


@pytest.mark.parametrize(
    ("data", "text", "warned"),
    [
        ("Grüße".encode(), "Grüße", False),
        ("Grüße".encode("utf-8-sig"), "Grüße", False),
        ("Grüße".encode("utf-16"), "Grüße", False),
        ("Grüße".encode("utf-32"), "Grüße", False),
        ("Many a plain word here".encode("utf-16-be"), "Many a plain word here", True),
        ("Grüße aus Köln, wie schön ist es hier".encode("latin-1"), "Grüße aus Köln, wie schön ist es hier", True),
        ("It’s “fine” – really, that is it".encode("cp1252"), "It’s “fine” – really, that is it", True),
        (b"one\r\ntwo\rthree", "one\ntwo\nthree", False),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, text: str, warned: bool) -> None:
    document = read_text(tmp_path, data, "a.txt")
    assert document.text == text
    assert bool(document.warnings) == warned


@pytest.mark.parametrize(
    "data",
    [
        "これは日本語の文章です。".encode("shift_jis"),
        "Это русский текст, записанный иначе.".encode("cp1251"),
        "这是一段中文文本。".encode("gb18030"),
        bytes(range(256)) * 4,
        b"\xef\xbb\xbfabc\xff\xfe",
        b"PK is not a zip \x00\x01\x02\x03" * 9,
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        read_text(tmp_path, data, "a.txt")
    assert caught.value.reason == "encoding"
    assert "\n" not in str(caught.value)


def test_nul_and_surrogates_are_replaced_in_place(tmp_path: Path) -> None:
    document = read_text(tmp_path, "a" * 200 + "é", "a.txt")
    assert len(document.text) == 201
    assert "\0" not in read_text(tmp_path, b"\xef\xbb\xbf" + b"text\0more", "a.txt").text


MARKDOWN = """---
title: "The guide"
tags: [a]
---
# Guide {#guide}

Intro with *stress*.

## Install ##

```sh
# not a heading
```

| a | b |
|---|---|
| 1 | 2 |

1. one
   - deep

> quoted
> # inside

<!-- hidden -->

Under
-----

[ref]: https://example.org

    indented code
"""


def test_markdown_blocks_point_into_the_file(tmp_path: Path) -> None:
    document = read_text(tmp_path, MARKDOWN, "a.md")
    assert document.text == MARKDOWN
    assert document.title == "The guide"
    assert outline(document) == [
        ("h1", "Guide"),
        ("paragraph", "Intro with *stress*."),
        ("h2", "Install"),
        ("code", "```sh\n# not a heading\n```"),
        ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("list", "1. one\n   - deep"),
        ("quote", "> quoted\n> # inside"),
        ("h2", "Under"),
        ("code", "    indented code"),
    ]


def test_markdown_title_falls_back(tmp_path: Path) -> None:
    assert read_text(tmp_path, "\ufeff# Head\n\ntext".encode(), "a.md").title == "Head"
    assert read_text(tmp_path, "no heading", "notes/my_plan.md").title == "my plan"


def test_markdown_with_pathological_input_ends_soon(tmp_path: Path) -> None:
    text = "> " * 5000 + "x\n\n" + "[" * 50_000 + "\n\n" + "`" * 50_000 + "\n\n" + "*a " * 20_000
    assert read_text(tmp_path, text, "a.md").blocks
