from __future__ import annotations

import itertools
import math
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athanor.errors import EngineError
from athanor.guards import Chain, outgoing
from athanor.store import Store
from athanor.testing import PhraseGuard
from athanor.types import (
    NO_USAGE,
    Citation,
    Cited,
    Decision,
    Event,
    Finished,
    FinishReason,
    Graded,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from tests.guards.chains import PHRASES, ask, chain, context, stream, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece is looked at as it comes, whatever that costs, so that nothing rests on the clock."""
    monkeypatch.setattr(outgoing, "CREDIT", math.inf)


async def answered(checks: Chain, *events: Event, streamed: bool = True) -> list[Event]:
    guarded = await checks.admit(ask("a question", stream=streamed), context())
    return [event async for event in guarded.checked(stream(*events))]


def is_empty(event: Event) -> bool:
    return isinstance(event, TextDelta) and not event.text and not event.logprobs


def one(completion: int = 1) -> Usage:
    return Usage(completion_tokens=completion)


def words(text: str) -> list[Event]:
    pieces = text.split(" ")
    return [TextDelta(text=f"{'' if i == 0 else ' '}{piece}", usage=one()) for i, piece in enumerate(pieces)]


def used(events: Sequence[Event]) -> int:
    return sum(event.usage.completion_tokens for event in events)


def citation(quote: str) -> Citation:
    return Citation(
        document="doc_1", version=1, page=None, start=0, end=len(quote), quote=quote, score=1.0, source="s", title="t",
        chunk="c",
    )  # fmt: skip


async def test_without_rules_for_answers_the_stream_is_the_same_object(tmp_path: Path) -> None:
    checks = chain(tmp_path, '[policies.default.user]\n"*" = "flag"')
    guarded = await checks.admit(ask("x"), context())
    events = stream(TextDelta(text="x"))
    assert guarded.checked(events) is events


async def test_a_secret_goes_whole_and_usage_stays_right(tmp_path: Path) -> None:
    events = [*words("The password is hunter2 and nothing else."), Finished(usage=one(3))]
    out = await answered(chain(tmp_path), *events)
    assert text_of(out) == "The password is [SECRET] and nothing else."
    assert used(out) == used(events)
    assert isinstance(out[-1], Finished)
    assert out[-1].reason is FinishReason.STOP


async def test_pieces_of_a_fast_model_are_looked_at_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "SHARE", 0.0)
    monkeypatch.setattr(outgoing, "CREDIT", 0.0)
    guard = PhraseGuard(PHRASES)
    checks = chain(tmp_path, guards=[guard])
    events = [*words("The password is hunter2 and nothing else. " * 20), Finished(usage=one())]
    out = await answered(checks, *events)
    assert text_of(out) == "The password is [SECRET] and nothing else. " * 20
    assert used(out) == used(events)
    assert len(guard.calls) < 10


async def test_usage_is_never_held_back(tmp_path: Path) -> None:
    guarded = await chain(tmp_path).admit(ask("x"), context())
    seen = 0
    events = guarded.checked(stream(*[TextDelta(text=c, usage=one()) for c in "hunter2 "], Finished()))
    async for event in events:
        seen += event.usage.completion_tokens
        if seen == 4:
            assert is_empty(event)
            break
    await events.aclose()


async def test_a_block_ends_the_stream_as_filtered(tmp_path: Path, store: Store) -> None:
    events = [*words("Before it. And the canary sings on and on and on"), Finished(usage=one())]
    out = await answered(chain(tmp_path, store=store), *events)
    assert "canary" not in text_of(out)
    assert text_of(out).startswith("Before it.")
    last = out[-1]
    assert isinstance(last, Finished)
    assert last.reason is FinishReason.FILTERED
    assert 5 <= used(out) < used(events)
    store.writer.flush()
    (event,) = store.guard_events.list()
    assert (event.category, event.action, event.place, event.start) == ("leak.canary", Decision.BLOCK, "answer", 15)


async def test_who_gets_an_answer_in_one_piece_gets_none_of_a_refused_one(tmp_path: Path) -> None:
    events = [*words("Before it. And the canary sings on and on"), Finished()]
    out = await answered(chain(tmp_path), *events, streamed=False)
    assert text_of(out) == ""
    assert used(out) > 0
    assert isinstance(out[-1], Finished)
    fine = await answered(chain(tmp_path), *words("It is hunter2."), Finished(), streamed=False)
    assert text_of(fine) == "It is [SECRET]."


async def test_while_observing_the_answer_is_as_it_was(tmp_path: Path, store: Store) -> None:
    events = [*words("hunter2 and the canary"), Finished()]
    out = await answered(chain(tmp_path, store=store, mode="observe"), *events)
    assert [e.text for e in out if isinstance(e, TextDelta)] == [e.text for e in events if isinstance(e, TextDelta)]
    assert isinstance(out[-1], Finished)
    assert out[-1].reason is FinishReason.STOP
    store.writer.flush()
    assert {(e.category, e.action) for e in store.guard_events.list()} == {
        ("secret.password", Decision.FLAG),
        ("leak.canary", Decision.FLAG),
    }


@pytest.mark.parametrize("action", [Decision.FLAG, Decision.REDACT, Decision.BLOCK])
async def test_a_sentence_that_its_sources_do_not_support_is_a_finding(
    tmp_path: Path, store: Store, action: Decision
) -> None:
    checks = chain(tmp_path, f'[policies.default.model]\n"leak.*" = "flag"\nungrounded = "{action.value}"', store=store)
    said = "It is so. It may be."
    grades = (
        Graded(start=0, end=9, score=0.9, supported=True),
        Graded(start=10, end=20, score=0.2, supported=False),
    )
    out = await answered(checks, TextDelta(text=said), *grades, Finished())
    assert text_of(out) == said
    assert isinstance(out[-1], Finished)
    assert (out[-1].reason is FinishReason.FILTERED) is (action is Decision.BLOCK)
    store.writer.flush()
    (event,) = store.guard_events.list()
    assert (event.category, event.start, event.end) == ("ungrounded", 10, 20)
    assert event.score == pytest.approx(0.8)
    assert event.action is (Decision.BLOCK if action is Decision.BLOCK else Decision.FLAG)


async def test_guards_that_only_flag_hold_nothing_up(tmp_path: Path, store: Store) -> None:
    flags = PhraseGuard({"you fool": "toxicity.insult"}, whole=True)
    checks = chain(tmp_path, guards=[flags], store=store)
    guarded = await checks.admit(ask("x"), context())
    pieces = words("Listen, you fool, to me.")
    came = []
    async for event in guarded.checked(stream(*pieces, Finished())):
        came.append(event)
        if not isinstance(event, Finished):
            assert [text for origin, text in flags.calls if origin == "model"] == []
    assert came == [*pieces, Finished()]
    store.writer.flush()
    (kept,) = store.guard_events.list()
    assert (kept.category, kept.action) == ("toxicity.insult", Decision.FLAG)


async def test_reasoning_is_checked_and_a_proof_goes_with_what_it_proved(tmp_path: Path) -> None:
    events = [
        ReasoningDelta(text="They said hun"),
        ReasoningDelta(text="ter2, I think."),
        ReasoningDelta(signature="proof"),
        ReasoningDelta(signature="sealed", redacted=True),
        ReasoningDelta(text="Second thoughts."),
        ReasoningDelta(signature="proof2"),
        TextDelta(text="Fine."),
        Finished(),
    ]
    out = await answered(chain(tmp_path), *events)
    thoughts = [event for event in out if isinstance(event, ReasoningDelta)]
    assert "".join(event.text for event in thoughts) == "They said [SECRET], I think.Second thoughts."
    assert [event.signature for event in thoughts if event.signature] == ["sealed", "proof2"]
    order = [type(event).__name__ for event in out if not is_empty(event)]
    assert order.index("TextDelta") > max(i for i, name in enumerate(order) if name == "ReasoningDelta")


async def test_arguments_of_tool_calls_are_checked_whole_and_stay_json(tmp_path: Path) -> None:
    events = [
        TextDelta(text="Calling hunte"),
        ToolCallDelta(index=0, id="c1", name="f"),
        ToolCallDelta(index=0, arguments='{"pass": "hun'),
        ToolCallDelta(index=1, id="c2", name="g", arguments='{"b": 1}', signature="s"),
        ToolCallDelta(index=0, arguments='ter2", "a": 1}'),
        Finished(reason=FinishReason.TOOL_CALLS, usage=one()),
    ]
    out = await answered(chain(tmp_path), *events)
    assert text_of(out) == "Calling hunte"
    calls: dict[int, str] = {}
    names = {}
    signatures = {}
    for event in out:
        if isinstance(event, ToolCallDelta):
            calls[event.index] = calls.get(event.index, "") + event.arguments
            names[event.index] = event.name or names.get(event.index)
            signatures[event.index] = event.signature or signatures.get(event.index)
    assert calls == {0: '{"pass": "[SECRET]", "a": 1}', 1: '{"b": 1}'}
    assert names == {0: "f", 1: "g"}
    assert signatures == {0: None, 1: "s"}
    assert isinstance(out[-1], Finished)
    assert out[-1].reason is FinishReason.TOOL_CALLS


async def test_citations_and_grades_keep_their_places(tmp_path: Path) -> None:
    first, second = "It is hunter2.", " Write to mail@example.org now."
    events = [
        TextDelta(text=first),
        Cited(citation=citation("so hunter2"), start=0, end=len(first)),
        Graded(start=0, end=len(first), score=0.9, supported=True),
        TextDelta(text=second),
        Cited(citation=citation("plain"), start=len(first) + 1, end=len(first + second)),
        Finished(nearest=(citation("near hunter2"),)),
    ]
    out = await answered(chain(tmp_path), *events)
    text = text_of(out)
    assert text == "It is [SECRET]. Write to [EMAIL] now."
    spans = [(text[e.start : e.end], e.citation.quote) for e in out if isinstance(e, Cited)]
    assert spans == [("It is [SECRET].", "so [SECRET]"), ("Write to [EMAIL] now.", "plain")]
    assert [text[e.start : e.end] for e in out if isinstance(e, Graded)] == ["It is [SECRET]."]
    last = out[-1]
    assert isinstance(last, Finished)
    assert last.nearest[0].quote == "near [SECRET]"
    # Nothing is cited before its text is there.
    length = 0
    for event in out:
        length += len(event.text) if isinstance(event, TextDelta) else 0
        assert not isinstance(event, Cited | Graded) or event.end <= length


async def test_probabilities_of_what_was_taken_out_are_taken_out(tmp_path: Path) -> None:
    tokens = ["It ", "is ", "hunter", "2", " yes"]
    events = [TextDelta(text=t, logprobs=(TokenLogprob(token=t, logprob=-1.0),)) for t in tokens]
    out = await answered(chain(tmp_path), *events, Finished())
    kept = [odds.token for e in out if isinstance(e, TextDelta) for odds in e.logprobs]
    assert kept == ["It ", "is ", " yes"]


async def test_text_before_and_after_a_tool_call_is_one_text(tmp_path: Path) -> None:
    events = [
        TextDelta(text="It is hunter2."),
        ToolCallDelta(index=0, id="c", name="f", arguments="{}"),
        TextDelta(text=" And hunter2 again."),
        Cited(citation=citation("x"), start=15, end=33),
        Finished(),
    ]
    out = await answered(chain(tmp_path), *events)
    text = text_of(out)
    assert text == "It is [SECRET]. And [SECRET] again."
    (cited,) = [e for e in out if isinstance(e, Cited)]
    assert text[cited.start : cited.end] == "And [SECRET] again."


async def test_a_guard_that_fails_ends_an_answer_that_it_could_have_changed(tmp_path: Path) -> None:
    guard = PhraseGuard(PHRASES)
    checks = chain(tmp_path, guards=[guard])
    guard.failure = RuntimeError("boom")
    out = await answered(checks, TextDelta(text="It is hunter2."), Finished())
    assert text_of(out) == ""
    assert isinstance(out[-1], Finished)
    assert out[-1].reason is FinishReason.FILTERED
    opened = chain(tmp_path / "open", guards=[guard], failures_out="open")
    assert text_of(await answered(opened, TextDelta(text="It is hunter2."), Finished())) == "It is hunter2."


_BITS = st.sampled_from(["hunter2", "hunter", "2", " ", "mail@example.org", "mail@", "word ", "the canary", "a", ". "])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bits=st.lists(_BITS, max_size=12), cuts=st.lists(st.integers(0, 120), max_size=8), whole=st.booleans())
async def test_no_split_gives_anything_away(tmp_path: Path, bits: list[str], cuts: list[int], whole: bool) -> None:
    text = "".join(bits)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    deltas: list[Event] = [TextDelta(text=piece, usage=one()) for piece in pieces if piece]
    checks = chain(tmp_path, guards=[PhraseGuard(PHRASES, whole=whole)])
    out = await answered(checks, *deltas, Finished())
    given_out = text_of(out)
    assert "hunter2" not in given_out
    assert "mail@example.org" not in given_out
    assert "the canary" not in given_out
    at_once = await answered(checks, *([TextDelta(text=text)] if text else []), Finished())
    refused = isinstance(out[-1], Finished) and out[-1].reason is FinishReason.FILTERED
    assert refused == (isinstance(at_once[-1], Finished) and at_once[-1].reason is FinishReason.FILTERED)
    if not refused:
        assert given_out == text_of(at_once)
        assert used(out) == len(deltas)
    assert NO_USAGE.completion_tokens == 0


async def test_what_was_held_of_an_answer_that_breaks_off_is_shown_before_the_error(tmp_path: Path) -> None:
    async def breaking() -> AsyncGenerator[Event, None]:
        yield TextDelta(text="It is hunter2 hun")
        raise EngineError("It broke.")

    guarded = await chain(tmp_path).admit(ask("x"), context())
    came: list[Event] = []
    with pytest.raises(EngineError):
        async for event in guarded.checked(breaking()):
            came.append(event)  # noqa: PERF401  what came before the error counts
    assert text_of(came) == "It is [SECRET] hun"
