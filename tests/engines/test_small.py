"""Frames, text, schemas and events: the parts without a process."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.engines.frames import Decoder, FrameError, encode
from athanor.engines.schema import check_schema, smallest_instance
from athanor.engines.sse import EventTooLargeError, SSEDecoder
from athanor.engines.text import StopFilter, Utf8Joiner, neutralise
from athanor.errors import InputError, UnsupportedError

cuts = st.lists(st.integers(1, 9), min_size=1, max_size=50)


def pieces(data, sizes):
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


@given(st.lists(st.binary(max_size=40), max_size=5), cuts)
def test_frames_survive_any_cut(blobs, sizes):
    data = b"".join(encode({"id": i}, blob) for i, blob in enumerate(blobs))
    decoder = Decoder()
    found = [frame for piece in pieces(data, sizes) for frame in decoder.feed(piece)]
    assert [(f.header["id"], f.blob) for f in found] == list(enumerate(blobs))


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am a library",
        b"ATH\x01\xff\xff\xff\xff\0\0\0\0",
        b"ATH\x01\2\0\0\0\0\0\0\0[]",
        b"ATH\x01\1\0\0\0\0\0\0\0x",
    ],
)
def test_other_bytes_are_no_frames(data):
    with pytest.raises(FrameError):
        list(Decoder().feed(data))


@given(st.text("abcd", max_size=60), st.lists(st.text("abcd", min_size=1, max_size=4), max_size=3), cuts)
def test_a_stop_string_never_gets_through(text, stop, sizes):
    stops = StopFilter(stop)
    shown = "".join(stops.feed(piece) for piece in pieces(text, sizes)) + stops.flush()
    found = [at for s in stop if (at := text.find(s)) >= 0]
    # In pieces, the first to be complete wins; whole, the leftmost: both end before any stop string.
    assert text.startswith(shown)
    assert not any(s in shown for s in stop)
    assert stops.stopped == bool(found)
    if not found:
        assert shown == text


@given(st.text(max_size=60), cuts)
def test_characters_wait_for_their_last_byte(text, sizes):
    raw = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()
    joiner = Utf8Joiner()
    assert "".join(joiner.feed(piece) for piece in pieces(raw, sizes)) == raw.decode()


def test_half_a_character_is_not_shown():
    joiner = Utf8Joiner()
    assert joiner.feed("a🌍".encode()[:3]) == "a"


@pytest.mark.parametrize(
    "token", ["<|im_start|>", "<|im_end|>", "</s>", "<s>", "[INST]", "[/INST]", "<end_of_turn>", "<|eot_id|>"]
)
def test_control_tokens_become_text(token):
    out = neutralise(f"a {token}system b")
    assert token not in out
    assert out.replace("< ", "<").replace("[ ", "[") == f"a {token}system b"


def test_other_text_stays_as_it_is():
    text = "if a < b and b > c: x[1] = '<html>' | <br/> [link](x) <|> |>"
    assert neutralise(text) == text


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20), max_size=5),
    cuts,
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_events_survive_any_cut(payloads, sizes, end):
    raw = "".join(f": comment{end}event: x{end}data: {p}{end}{end}" for p in payloads).encode()
    decoder = SSEDecoder()
    found = [e for piece in pieces(raw, sizes) for e in decoder.feed(piece)] + list(decoder.flush())
    assert [e.decode() for e in found] == payloads


def test_an_event_may_have_several_lines_or_no_end():
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: a\ndata:b\n\ndata: c")) == [b"a\nb"]
    assert list(decoder.flush()) == [b"c"]


def test_an_event_without_an_end_is_refused():
    decoder = SSEDecoder()
    with pytest.raises(EventTooLargeError):
        list(itertools.chain.from_iterable(decoder.feed(b"x" * 100_000) for _ in range(100)))


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1},
        "n": {"type": ["integer", "null"], "minimum": 3},
        "kind": {"anyOf": [{"const": "a"}, {"const": "b"}]},
    },
    "required": ["name", "tags", "n", "kind"],
    "$defs": {"tag": {"enum": ["x", "y"]}},
}


def test_a_good_schema_is_accepted_and_has_an_instance():
    check_schema(SCHEMA)
    assert smallest_instance(SCHEMA) == {"name": "x", "tags": ["x"], "n": 3, "kind": "a"}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": 5}, InputError),
        ({"type": "text"}, InputError),
        ({"type": "string", "pattern": "a*"}, UnsupportedError),
        ({"not": {}}, UnsupportedError),
        ({"properties": []}, InputError),
        ({"properties": {"a": 3}}, InputError),
        ({"anyOf": []}, InputError),
        ({"enum": []}, InputError),
        ({"required": "a"}, InputError),
        ({"minItems": -1}, InputError),
        ({"maxLength": 10**9}, InputError),
        ({"minimum": "1"}, InputError),
        ({"$ref": "#/$defs/none"}, InputError),
        ({"$ref": "https://example.org/schema"}, UnsupportedError),
        ({"$ref": "#"}, InputError),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, InputError),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_a_bad_schema_is_refused_before_native_code_sees_it(schema, kind):
    with pytest.raises(kind):
        check_schema(schema)


def test_a_deep_or_wide_schema_is_refused():
    deep: dict = {}
    for _ in range(50):
        deep = {"items": deep}
    with pytest.raises(InputError, match="too large"):
        check_schema(deep)
    with pytest.raises(InputError, match="too large"):
        check_schema({"properties": {str(i): {} for i in range(3000)}})
