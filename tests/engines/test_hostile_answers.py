"""Whatever JSON a vendor sends, an answer is read or refused; nothing else is raised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.engines import Upstream
from athanor.engines.adapters.anthropic.answer import MessagesAnswer
from athanor.engines.adapters.gemini.answer import ContentAnswer
from athanor.errors import AthanorError
from athanor.types import Finished, Usage
from tests.engines.vendors import ask

_LEAVES = st.none() | st.booleans() | st.integers(-5, 2**60) | st.floats(allow_nan=False) | st.text(max_size=4)


def payloads(names, values):
    """JSON that is made of a vendor's own names, in any order and of any kind."""
    key = st.sampled_from(names.split())
    leaf = _LEAVES | st.sampled_from(values.split())
    return st.dictionaries(
        key,
        st.recursive(
            leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(key, inner, max_size=4), max_leaves=12
        ),
        max_size=6,
    )


ANTHROPIC = payloads(
    """type index delta content_block message usage error content text thinking signature data partial_json id name
    input stop_reason stop_sequence output_tokens input_tokens cache_read_input_tokens output_tokens_details
    thinking_tokens""",
    """message_start content_block_start content_block_delta content_block_stop message_delta error text text_delta
    thinking thinking_delta redacted_thinking tool_use input_json_delta signature_delta end_turn overloaded_error""",
)
GEMINI = payloads(
    """candidates content parts text thought thoughtSignature functionCall args id name finishReason usageMetadata
    promptTokenCount candidatesTokenCount thoughtsTokenCount error code status message promptFeedback blockReason
    logprobsResult chosenCandidates topCandidates token logProbability""",
    "STOP SAFETY MALFORMED_FUNCTION_CALL UNAVAILABLE",
)


@pytest.mark.parametrize(("kind", "strategy"), [(MessagesAnswer, ANTHROPIC), (ContentAnswer, GEMINI)])
def test_any_json(kind, strategy):
    upstream = Upstream("https://example.org/v1")
    request = ask("hello")

    @settings(max_examples=40, deadline=None)
    @given(st.lists(strategy, max_size=6), st.booleans())
    def run(stream, whole):
        answer, usage, last = kind(request, upstream), Usage(), None
        try:
            events = []
            for payload in stream:
                events += answer.whole(payload) if whole else answer.take(payload)
                if whole:
                    break
            if not whole:
                events += answer.end()
        except AthanorError:
            return
        for event in events:
            usage, last = usage + event.usage, event
        if events:
            assert isinstance(last, Finished)
            assert usage.prompt_tokens >= 0
            assert usage.completion_tokens >= 0
            assert usage.reasoning_tokens >= 0

    run()
