"""Whatever JSON an endpoint sends, an answer is read or refused; nothing else is raised."""

from __future__ import annotations

from contextlib import suppress
from copy import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.engines import Upstream
from athanor.engines.adapters.responses.answer import ResponsesAnswer
from athanor.engines.formats.chat_answer import ChatAnswer
from athanor.engines.refusals import refusal
from athanor.engines.sse import SSEDecoder
from athanor.errors import AthanorError
from athanor.types import Finished, TextDelta, ToolCallDelta, Usage
from tests.engines.asking import ask
from tests.engines.test_hostile_answers import payloads
from tests.upstreams.openai import FakeOpenAI, FakeResponses
from tests.upstreams.scenes import Asked, scene_of

CHAT = payloads(
    """choices delta message content role reasoning_content reasoning refusal tool_calls index id function name
    arguments finish_reason stop_reason logprobs token logprob top_logprobs usage prompt_tokens completion_tokens
    total_tokens prompt_tokens_details completion_tokens_details cached_tokens reasoning_tokens error code type
    thinking text""",
    "stop length tool_calls content_filter error thinking text assistant",
)
RESPONSES = payloads(
    """type delta item output_index item_id content_index summary_index response status error code message output
    content summary text refusal encrypted_content call_id id name arguments incomplete_details reason usage
    input_tokens output_tokens input_tokens_details output_tokens_details cached_tokens reasoning_tokens logprobs token
    logprob""",
    """response.output_text.delta response.refusal.delta response.reasoning_summary_text.delta response.completed
    response.incomplete response.failed response.function_call_arguments.delta response.output_item.added
    response.output_item.done response.reasoning_summary_part.added error message function_call reasoning output_text
    completed incomplete failed content_filter max_output_tokens""",
)


@pytest.mark.parametrize(("kind", "strategy"), [(ChatAnswer, CHAT), (ResponsesAnswer, RESPONSES)])
def test_any_json(kind, strategy):
    upstream, request = Upstream("https://example.org/v1"), ask("hello")

    @settings(max_examples=40, deadline=None)
    @given(st.lists(strategy, max_size=6), st.booleans())
    def run(stream, whole):
        answer, events, usage = kind(request, upstream), [], Usage()
        try:
            if whole:
                events += answer.whole(stream[0] if stream else stream)
            else:
                for payload in stream:
                    events += answer.take(payload)
                events += answer.end()
        except AthanorError:
            return
        for event in events:
            usage += event.usage
        assert isinstance(events[-1], Finished)
        assert min(usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens, usage.cached_tokens) >= 0
        assert usage.reasoning_tokens <= usage.completion_tokens
        assert all(isinstance(event.text, str) and event.text for event in events if isinstance(event, TextDelta))
        firsts = {}
        for event in events:
            if isinstance(event, ToolCallDelta):
                firsts.setdefault(event.index, event)
        assert all(first.id and first.name for first in firsts.values())

    run()


def mutants(payload):
    """The payload with each of its parts replaced by what does not belong there, or left out."""
    for key in payload if isinstance(payload, dict) else range(len(payload)):
        for wrong in (None, [], {}, 3, True, "x", [3], {"x": []}):
            changed = copy(payload)
            changed[key] = wrong
            yield changed
        if isinstance(payload[key], dict | list):
            for inner in mutants(payload[key]):
                changed = copy(payload)
                changed[key] = inner
                yield changed


@pytest.mark.parametrize("word", ["tools", "think", "filter", "say x"])
@pytest.mark.parametrize(("kind", "fake"), [(ChatAnswer, FakeOpenAI()), (ResponsesAnswer, FakeResponses())])
def test_a_good_answer_with_one_wrong_part(kind, fake, word):
    upstream, request = Upstream("https://example.org/v1"), ask("hello")
    scene = scene_of(Asked(text=word), {})
    raw = b"".join(fake.events(scene))
    good = [orjson.loads(data) for data in SSEDecoder().feed(raw) if data != b"[DONE]"]
    for at, payload in enumerate(good):
        for wrong in mutants(payload):
            answer = kind(request, upstream)
            with suppress(AthanorError):
                for each in (*good[:at], wrong, *good[at + 1 :]):
                    answer.take(each)
                answer.end()
    for wrong in mutants(fake.whole(scene)):
        with suppress(AthanorError):
            assert isinstance(kind(request, upstream).whole(wrong)[-1], Finished)


@settings(max_examples=60, deadline=None)
@given(st.integers(300, 599), st.binary(max_size=60) | CHAT.map(orjson.dumps), st.text(max_size=9))
def test_any_error(status, raw, after):
    headers = {"retry-after": after, "retry-after-ms": after}
    assert isinstance(refusal(status, headers, raw, "", where="x"), AthanorError)
