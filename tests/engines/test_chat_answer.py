from __future__ import annotations

import pytest

from athanor.errors import EngineError
from athanor.types import FinishReason
from tests.engines.asking import answered, ask, calls_of, thoughts_of
from tests.upstreams.raw import stream, whole

pytestmark = pytest.mark.anyio


def delta(reason=None, **fields):
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def call(**fields):
    name, arguments = fields.pop("name", None), fields.pop("arguments", None)
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    return {**fields, "function": function}


@pytest.mark.parametrize(
    "pieces",
    [
        # OpenAI: the id and the name first, then arguments under the same index.
        [
            [call(index=0, id="a", name="f", arguments="")],
            [call(index=0, arguments='{"x"')],
            [call(index=1, id="b", name="g", arguments="")],
            [call(index=0, arguments=":1}")],
            [call(index=1, arguments="{}")],
        ],
        # Without an index, whole calls.
        [[call(id="a", name="f", arguments='{"x":1}')], [call(id="b", name="g", arguments="{}")]],
        # Without an index, in pieces, with the id in each.
        [
            [call(id="a", name="f", arguments='{"x"'), call(id="b", name="g", arguments="")],
            [call(id="a", arguments=":1}")],
            [call(id="b", arguments="{}")],
        ],
        # An index that is always 0.
        [[call(index=0, id="a", name="f", arguments='{"x":1}')], [call(index=0, id="b", name="g", arguments="{}")]],
        # The id and the name in every piece.
        [
            [call(index=0, id="a", name="f", arguments='{"x"')],
            [call(index=0, id="a", name="f", arguments=":1}")],
            [call(index=1, id="b", name="g", arguments="{}")],
        ],
        # Arguments as an object, and before the name.
        [
            [call(index=0, id="a", arguments='{"x"')],
            [call(index=0, name="f", arguments=":1}")],
            [call(index=1, id="b", name="g", arguments={})],
        ],
        # Neither index nor id in the pieces that follow; null and empty fields; things that are no call.
        [
            [call(id="a", name="f"), 3, None],
            [{**call(arguments='{"x":1}'), "id": None, "type": None}],
            [call(id="b", name="g")],
            [{"id": "", "function": {"name": "", "arguments": "{}"}}, {"function": None}],
        ],
    ],
)
async def test_calls_in_every_dialect(pieces):
    chunks = [delta(tool_calls=piece) for piece in pieces]
    answer, _ = await answered(stream(*chunks, delta("stop")))
    assert calls_of(answer) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]
    assert answer.finished.reason is FinishReason.TOOL_CALLS


async def test_calls_without_ids_get_some():
    answer, _ = await answered(
        stream(delta(tool_calls=[call(name="f", arguments="{}"), call(name="f")]), delta("stop"))
    )
    (first, _, _), (second, _, _) = calls_of(answer)
    assert first.startswith("call_")
    assert first != second
    message = {"role": "assistant", "content": None, "tool_calls": [call(name="f", arguments={"a": 1}), call(name="f")]}
    answer, _ = await answered(whole({"choices": [{"message": message}]}), ask("x", streamed=False))
    assert [name for _, name, _ in calls_of(answer)] == ["f", "f"]
    assert answer.finished.reason is FinishReason.TOOL_CALLS


async def test_a_call_without_a_name_is_an_error():
    with pytest.raises(EngineError, match="without naming"):
        await answered(stream(delta(tool_calls=[call(index=0, id="a", arguments="{}")]), delta("tool_calls")))


async def test_a_refusal_is_filtered_with_its_text():
    answer, _ = await answered(stream(delta(refusal="I "), delta(refusal="won't."), delta("stop")))
    assert (answer.text, answer.finished.reason) == ("I won't.", FinishReason.FILTERED)
    message = {"role": "assistant", "content": None, "refusal": "I won't."}
    answer, _ = await answered(whole({"choices": [{"message": message}]}), ask("x", streamed=False))
    assert (answer.text, answer.finished.reason) == ("I won't.", FinishReason.FILTERED)


LOGPROBS = {
    "content": [
        {
            "token": "Hi",
            "logprob": -0.1,
            "bytes": [72],
            "top_logprobs": [{"token": "Hi", "logprob": -0.1, "bytes": []}],
        },
        {"token": "!", "logprob": -2, "top_logprobs": []},
        {"token": None, "logprob": "x"},
    ]
}


async def test_logprobs():
    chunk = delta(content="Hi!")
    chunk["choices"][0]["logprobs"] = LOGPROBS
    body = {"choices": [{"message": {"content": "Hi!"}, "logprobs": LOGPROBS, "finish_reason": "stop"}]}
    for raw, streamed in ((stream(chunk, delta("stop")), True), (whole(body), False)):
        answer, _ = await answered(raw, ask("x", streamed=streamed, logprobs=1))
        first, second = answer.events[0].logprobs
        assert (first.token, first.logprob, first.top) == ("Hi", -0.1, (("Hi", -0.1),))
        assert (second.token, second.logprob, second.top) == ("!", -2.0, ())


async def test_thinking_as_a_part_of_the_content():
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Yes."},
    ]
    answer, _ = await answered(stream(delta(content=content), delta("stop")))
    assert (thoughts_of(answer), answer.text) == ("Hm.", "Yes.")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, (9, 2, 0, 0, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 5}, (9, 2, 5, 0, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 5}, (9, 2, 5, 0, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "total_tokens": 18,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            (9, 9, 0, 0, 7),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 14,
                "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            (9, 5, 3, 4, 4),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": True,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": "many"},
            },
            (9, 0, 0, 0, 0),
        ),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}, (3, 0, 3, 0, 0)),
    ],
)
async def test_usage_in_every_dialect(usage, expected):
    early = {**delta(content="a"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    body = {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}], "usage": usage}
    for raw, streamed in (
        (stream(early, delta(content="b"), delta("stop"), {"choices": None, "usage": usage}), True),
        (whole(body), False),
    ):
        answer, _ = await answered(raw, ask("x", streamed=streamed))
        used = answer.usage
        assert expected == (
            used.prompt_tokens,
            used.completion_tokens,
            used.cached_tokens,
            used.written_tokens,
            used.reasoning_tokens,
        )


@pytest.mark.parametrize("streamed", [True, False])
async def test_usage_that_is_not_told_is_estimated(streamed):
    body = {"choices": [{"message": {"content": "some words of an answer"}}]}
    raw = stream(delta(content="some words"), delta(content=" of an answer")) if streamed else whole(body)
    answer, _ = await answered(raw, ask("A prompt of some words.", streamed=streamed))
    assert answer.usage.prompt_tokens >= 4
    assert answer.usage.completion_tokens >= 2


async def test_the_stop_string_is_told_where_the_endpoint_tells_it():
    last = delta("stop")
    last["choices"][0]["stop_reason"] = "END"
    answer, _ = await answered(stream(delta(content="a"), last))
    assert answer.finished.stop == "END"


async def test_odd_shapes_are_survived():
    odd = [
        {"choices": "x"},
        {"choices": [{"delta": None}]},
        {"choices": [7]},
        {},
        {"choices": [{"delta": {"content": 3, "tool_calls": {}, "reasoning": ["x"], "refusal": 0}}]},
        {"usage": {"prompt_tokens": "many"}},
        b": a comment\n\nevent: ping\nid: 7\nretry: 10\n\n",
        delta(content="half"),
    ]
    answer, _ = await answered(stream(*odd))
    assert answer.text == "half"
    assert answer.finished.reason is FinishReason.STOP


async def test_usage_in_the_choice():
    last = delta("stop")
    last["choices"][0]["usage"] = {"prompt_tokens": 9, "completion_tokens": 2}
    answer, _ = await answered(stream(delta(content="a"), last))
    assert answer.usage.total_tokens == 11
