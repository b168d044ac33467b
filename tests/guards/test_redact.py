"""Taking out, and putting back."""

from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.guards.arguments import Json, redact_json
from athanor.guards.pseudonyms import Pseudonyms, Talk
from athanor.guards.redact import Edit, Moves, label, redact
from athanor.guards.reveal import Revealer, Revealing
from athanor.types import Citation, Cited, Decision, Event, Finding, Finished, TextDelta, TokenLogprob, Usage
from tests.guards.chains import stream, text_of


def found(start: int, end: int, category: str = "pii.email", decision: Decision = Decision.REDACT) -> Finding:
    return Finding(guard="g", category=category, score=1.0, start=start, end=end, reason="", decision=decision)


def names() -> Pseudonyms:
    made = Pseudonyms(Talk(), key=b"key")
    made.pseudonym("pii.person", 'Ann "X"\nLee')
    made.pseudonym("pii.date_of_birth", "1.1.1970")
    made.pseudonym("pii.person", "Bob")
    return made


def test_overlapping_spans_become_one_that_is_named_by_the_longest() -> None:
    spans = [found(0, 4, "pii.person"), found(2, 9, "pii.email"), found(8, 10, "secret.x"), found(11, 12)]
    assert redact("abcdefghijkl", spans).text == "[EMAIL]k[EMAIL]"


def test_what_is_only_flagged_stays() -> None:
    assert redact("abc", [found(0, 2, decision=Decision.FLAG), found(1, 1), found(7, 9)]).text == "abc"


@pytest.mark.parametrize(
    ("category", "shown"),
    [("pii.date_of_birth", "DATE_OF_BIRTH"), ("secret.aws", "SECRET"), ("link.image", "LINK"), ("pii.*", "PII")],
)
def test_labels(category: str, shown: str) -> None:
    assert label(category) == shown


def test_a_hash_tells_equal_values_and_no_others() -> None:
    made, other = Pseudonyms(key=b"a"), Pseudonyms(key=b"b")
    assert made.hashed("pii.email", "A@x.org") == made.hashed("pii.email", " a@X.ORG")
    assert made.hashed("pii.email", "a@x.org") != made.hashed("pii.email", "b@x.org")
    assert made.hashed("pii.email", "a@x.org") != other.hashed("pii.email", "a@x.org")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(0, 9)), max_size=6))
def test_places_move_with_the_text(raw: list[tuple[int, int, int]]) -> None:
    text = "".join(chr(0x4E00 + i) for i in range(80))
    edits, at = [], 0
    for gap, length, new in raw:
        edits.append(Edit(start=at + gap, end=at + gap + length, text="x" * new))
        at += gap + length
    after, done = "", 0
    for edit in edits:
        after += text[done : edit.start] + edit.text
        done = edit.end
    after += text[done:]
    moves = Moves(edits)
    touched = {i for edit in edits for i in range(edit.start, edit.end)}
    for place in range(80):
        if place not in touched:
            assert after[moves.start(place)] == text[place]
            assert after[moves.end(place + 1) - 1] == text[place]
    for edit in edits:
        for place in range(edit.start, edit.end):
            start, end = moves.start(place), moves.end(place + 1)
            assert after[start:end] == edit.text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 10**6) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=12,
    ),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=4),
    st.booleans(),
)
def test_redacted_json_is_json_of_the_same_structure(
    value: object, spans: list[tuple[int, int]], ascii_only: bool
) -> None:
    import json  # noqa: PLC0415  writes escapes that orjson does not

    raw = json.dumps(value, ensure_ascii=ascii_only)
    parsed = Json.of(raw)
    if parsed is None:  # a lone surrogate
        return
    result = parsed.redacted([found(start, start + length) for start, length in spans])

    def shape(one: object) -> object:
        if isinstance(one, dict):
            return [shape(inner) for inner in one.values()]
        return [shape(inner) for inner in one] if isinstance(one, list) else None

    if not any(edit.text.startswith('"') and raw[edit.end : edit.end + 1] == ":" for edit in result.edits):
        assert shape(orjson.loads(result.text)) == shape(value)


def test_escapes_do_not_hide_and_numbers_become_strings() -> None:
    raw = '{"to": "a\\u0040b.c", "n": [4111111111111111, true]}'
    parsed = Json.of(raw)
    assert parsed is not None
    assert parsed.text == "to: a@b.c\nn: 4111111111111111\n"
    spans = [found(4, 9), found(13, 29, "pii.card")]
    assert orjson.loads(redact_json(raw, spans).text) == {"to": "[EMAIL]", "n": ["[CARD]", True]}


def test_what_is_no_json_is_text() -> None:
    assert redact_json('{"a": "b', [found(7, 8)]).text == '{"a": "[EMAIL]'


SAID = (
    r"Hi [PERSON_1], [person 1] and [PERSON\_2] or [DATE OF BIRTH 1] [DATE_OF_BIRTH_1] [PERSON_9] [x](y) "
    r"[[PERSON_2](z) [ PERSON_1 ] [PERSON_1 [PERSON_"
)


def test_pseudonyms_are_known_in_what_models_make_of_them() -> None:
    shown = names().reveal(SAID)
    assert shown.count("Bob") == 2
    assert shown.count("1.1.1970") == 2
    assert "[PERSON_9] [x](y)" in shown
    assert shown.endswith("[PERSON_1 [PERSON_")


def test_every_split_of_a_stream_reveals_the_same() -> None:
    made = names()
    expected = made.reveal(SAID)
    for i in range(len(SAID) + 1):
        for j in range(i, len(SAID) + 1):
            text = Revealing(made)
            out = text.feed(SAID[:i]).text + text.feed(SAID[i:j]).text + text.feed(SAID[j:], last=True).text
            assert out == expected, (SAID[:i], SAID[i:j])


@given(st.text("[]PERSON_12 \\x", max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_any_text_in_any_pieces_is_revealed_alike(said: str, places: list[int]) -> None:
    made = names()
    text, cuts = Revealing(made), sorted(min(place, len(said)) for place in places)
    pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    out = "".join(text.feed(piece).text for piece in pieces) + text.feed("", last=True).text
    assert out == made.reveal(said)


def test_text_without_brackets_never_waits() -> None:
    text = Revealing(names())
    assert [text.feed(piece).text for piece in ("It is", " [a link", "](x) and", " [1], so")] == [
        "It is", " ", "[a link](x) and", " [1], so",
    ]  # fmt: skip


@pytest.mark.anyio
async def test_citations_move_and_tokens_of_pseudonyms_are_not_told() -> None:
    made = Pseudonyms(Talk())
    made.pseudonym("pii.person", "Ada Lovelace")
    citation = Citation(
        document="d", version=1, page=None, start=0, end=3, quote="[PERSON_1] did", score=1.0, source="s", title="t",
        chunk="c",
    )  # fmt: skip
    pieces = ["By ", "[PER", "SON_1]", ". Yes"]
    events: list[Event] = [
        TextDelta(text=piece, logprobs=(TokenLogprob(token=piece, logprob=-1.0),), usage=Usage(completion_tokens=1))
        for piece in pieces
    ]
    events += [Cited(citation=citation, start=3, end=14), Cited(citation=citation, start=14, end=18), Finished()]
    out = [event async for event in Revealer(made).revealed(stream(*events))]
    text = text_of(out)
    assert text == "By Ada Lovelace. Yes"
    assert sum(event.usage.completion_tokens for event in out) == 4
    marks = [event for event in out if isinstance(event, Cited)]
    assert [text[mark.start : mark.end] for mark in marks] == ["Ada Lovelace.", " Yes"]
    assert marks[0].citation.quote == "Ada Lovelace did"
    tokens = [one.token for event in out if isinstance(event, TextDelta) for one in event.logprobs]
    assert tokens == ["By ", ". Yes"]


def test_one_value_has_one_name_and_one_name_has_one_value() -> None:
    talk = Talk({"[PERSON_7]": "Ann"})
    one, two = Pseudonyms(talk), Pseudonyms(talk)
    assert one.pseudonym("pii.place", "Ann") == "[PERSON_7]"
    assert two.pseudonym("pii.person", "Bob") == "[PERSON_8]"
    assert one.reveal("[PERSON_7] [PERSON_8]") == "Ann [PERSON_8]", "Bob is of another request"
    assert all(re.fullmatch(r"\[[A-Z_]+_\d+\]", name) for name in talk.fresh)
