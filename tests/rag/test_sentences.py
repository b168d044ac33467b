from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.rag.sentences import MAX_CHARS, complete_sentences, split


def texts(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split(text)]


PIECES = st.sampled_from(
    [
        "Dr. Smith",
        "e.g. this",
        "3.14",
        "U.S.",
        "# Head",
        "- item",
        "1. step",
        "```",
        "| a | b |",
        "\n",
        "\n\n",
        " ",
        ". ",
        "! ",
        "? ",
        "No. 5",
        "\t",
        "\r\n",
        "Word",
        "word",
        "。",
        "”",
        "J. R.",
        "…",
        "\u2028",
        "x" * 300,
        "; ",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_spans_are_ordered_disjoint_trimmed_and_lose_nothing(text: str) -> None:
    end = 0
    for span in split(text):
        assert end <= span.start < span.end <= len(text)
        assert not text[end : span.start].strip(), "only white space lies between sentences"
        quote = text[span.start : span.end]
        assert quote == quote.strip()
        assert len(quote) <= MAX_CHARS
        end = span.end
    assert not text[end:].strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs $3.14 today. Buy it!", ["It costs $3.14 today.", "Buy it!"]),
        ("Dr. J. R. Smith met Mr. Jones. They spoke.", ["Dr. J. R. Smith met Mr. Jones.", "They spoke."]),
        ("Use tools, e.g. Make, i.e. a runner. Then go.", ["Use tools, e.g. Make, i.e. a runner.", "Then go."]),
        ("He lives in the U.S. The end is near.", ["He lives in the U.S.", "The end is near."]),
        ("The U.S. Army came. It left.", ["The U.S. Army came.", "It left."]),
        ("See Fig. 3 and No. 5 there. Done.", ["See Fig. 3 and No. 5 there.", "Done."]),
        ('"Really?" she asked. "Yes." He went.', ['"Really?" she asked.', '"Yes."', "He went."]),
        ("Version 2.0 is out. It runs.", ["Version 2.0 is out.", "It runs."]),
        ("It was in 1947. The war was over.", ["It was in 1947.", "The war was over."]),
        ("Made by Willard F . Libby in 1947 . It held .", ["Made by Willard F . Libby in 1947 .", "It held ."]),
        ("今天天气好。我们走吧！", ["今天天气好。", "我们走吧！"]),
        ("Wait… What? No!", ["Wait…", "What?", "No!"]),
        ("one line\nwraps here. Next.", ["one line\nwraps here.", "Next."]),
    ],
)
def test_prose(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_structure_is_never_crossed() -> None:
    text = (
        "# Title\nIntro without stop\n\n- first item\n- second item\n  goes on\n1. Turn it off.\n2. Turn it on.\n\n"
        "| a | b. |\n| 1 | 2 |\n\n```python\nx = 1. \n\ny = 2\n```\nAfter."
    )
    assert texts(text) == [
        "# Title",
        "Intro without stop",
        "- first item",
        "- second item\n  goes on",
        "1. Turn it off.",
        "2. Turn it on.",
        "| a | b. |",
        "| 1 | 2 |",
        "```python\nx = 1. \n\ny = 2\n```",
        "After.",
    ]
    assert [span.kind for span in split(text)] == [
        "heading",
        "prose",
        "item",
        "item",
        "item",
        "item",
        "row",
        "row",
        "code",
        "prose",
    ]


def test_an_unclosed_fence_is_code_to_the_end() -> None:
    assert texts("```\na. B\n\nc") == ["```\na. B\n\nc"]


def test_empty_and_blank() -> None:
    assert split("") == []
    assert split(" \n\t\n") == []


def test_run_on_text_is_bounded() -> None:
    spans = split("word " * 2000)
    assert all(span.end - span.start <= MAX_CHARS for span in spans)


@given(st.lists(st.sampled_from(["Dr. No came. ", "It is 3.5. ", "Yes! ", "an open end", "\n\n", "A list:\n- x\n"])))
def test_streaming_gives_the_same_sentences(parts: list[str]) -> None:
    text = "".join(parts)
    pending, streamed = "", []
    for character in text:
        done, pending = complete_sentences(pending + character)
        streamed.extend(done)
    streamed.extend(texts(pending))
    assert [s.split() for s in streamed] == [s.split() for s in texts(text)]
