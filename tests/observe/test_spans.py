from __future__ import annotations

import asyncio
import json
import time

import pytest

from athanor.errors import NotFoundError
from athanor.observe import Trace
from athanor.observe.spans import MAX_SPANS, status_of
from athanor.types import Span


def by_name(trace: Trace) -> dict[str, Span]:
    return {span.name: span for span in trace.finished}


def test_a_trace_is_a_tree() -> None:
    trace = Trace("tr_1", "request", {"model": "m"})
    with trace.root.child("retrieve", hits=3) as retrieve, retrieve.child("embed"):
        time.sleep(0.01)
    with trace.root.child("generate") as generate:
        generate.set(tokens=5)
    trace.close("ok")
    found = by_name(trace)
    assert {name: span.parent for name, span in found.items()} == {
        "request": None,
        "retrieve": found["request"].id,
        "embed": found["retrieve"].id,
        "generate": found["request"].id,
    }
    assert {span.trace for span in trace.finished} == {"tr_1"}
    assert found["embed"].duration >= 0.01
    assert found["embed"].started_at >= found["retrieve"].started_at >= found["request"].started_at >= trace.at
    assert (found["retrieve"].attributes, found["generate"].attributes) == ({"hits": 3}, {"tokens": 5})


def test_stages_side_by_side_keep_their_place() -> None:
    trace = Trace("tr_1", "request", {})
    one, two = trace.root.child("one"), trace.root.child("two")
    inner = one.child("inner")
    for span in (one, two, inner):
        with span:
            pass
    trace.close("ok")
    found = by_name(trace)
    assert found["inner"].parent == found["one"].id
    assert found["two"].parent == found["one"].parent == found["request"].id


def test_an_error_is_noted_and_goes_on() -> None:
    trace = Trace("tr_1", "request", {})
    with pytest.raises(NotFoundError), trace.root.child("outer") as outer, outer.child("inner"):
        raise NotFoundError("no")
    with pytest.raises(ZeroDivisionError), trace.root.child("other"):
        raise ZeroDivisionError
    trace.close("not_found")
    assert {span.name: span.status for span in trace.finished} == {
        "request": "not_found",
        "outer": "not_found",
        "inner": "not_found",
        "other": "internal",
    }


@pytest.mark.parametrize("error", [GeneratorExit(), asyncio.CancelledError()])
def test_who_goes_away_cancels(error: BaseException) -> None:
    assert status_of(error) == "cancelled"


def test_children_left_open_end_with_their_root() -> None:
    trace = Trace("tr_1", "request", {})
    child = trace.root.child("left open")
    trace.close("cancelled")
    child.__exit__(None, None, None)
    assert [(span.name, span.status) for span in trace.finished] == [
        ("left open", "cancelled"),
        ("request", "cancelled"),
    ]


def test_a_trace_is_bounded() -> None:
    trace = Trace("tr_1", "request", {})
    for _ in range(MAX_SPANS + 50):
        with trace.root.child("token"):
            pass
    trace.close("ok")
    assert len(trace.finished) == MAX_SPANS
    assert trace.finished[-1].attributes["dropped_spans"] == 51


def test_what_is_no_json_becomes_the_name_of_its_type() -> None:
    trace = Trace("tr_1", "request", {})
    with trace.root.child("stage", strange=object(), fine=[1, "é"]):
        pass
    trace.close("ok")
    stage, root = json.loads(trace.dump())
    assert stage["attributes"] == {"strange": "object", "fine": [1, "é"]}
    assert set(root) == {"id", "parent", "name", "started_at", "duration", "status", "attributes"}
