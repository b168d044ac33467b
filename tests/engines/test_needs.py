from __future__ import annotations

from dataclasses import replace

import pytest

from athanor.engines.local import check_request
from athanor.engines.needs import needs, without_lacking
from athanor.errors import InputError, UnsupportedError
from athanor.models import LOCAL_LACKS
from athanor.types import (
    AnswerMode,
    Attachment,
    Image,
    Message,
    Profile,
    Request,
    Role,
    Sampling,
    Thinking,
    ToolCall,
    ToolChoice,
)
from tests.engines.asking import WEATHER, ask

LOCAL = Profile(name="near", context=10, licence="?", grounded=AnswerMode.EXTRACTIVE, lacks=LOCAL_LACKS)


def with_message(message: Message) -> Request:
    return replace(ask(""), messages=(message,))


USES = {
    "tools": ask("x", tools=(WEATHER,)),
    "image": with_message(Message(role=Role.USER, content="", parts=(Image(data="aGk="),))),
    "file": with_message(Message(role=Role.USER, content="", parts=(Attachment(data="aGk="),))),
    "thinking": ask("x", thinking=Thinking(effort="low")),
    "logprobs": ask("x", logprobs=0),
    "top_k": replace(ask("x"), sampling=Sampling(top_k=3)),
    "presence_penalty": replace(ask("x"), sampling=Sampling(presence_penalty=0.0)),
    "frequency_penalty": replace(ask("x"), sampling=Sampling(frequency_penalty=1.0)),
    "json_schema": ask("x", json_schema={"type": "string"}),
}


@pytest.mark.parametrize("name", USES)
def test_a_local_model_refuses_what_it_lacks(name):
    assert needs(USES[name]) == {name}
    with pytest.raises(UnsupportedError, match="near"):
        check_request(USES[name], LOCAL)


def test_what_needs_nothing():
    assert needs(ask("x", thinking=Thinking(effort="none"))) == set()
    assert needs(ask("x", thinking=Thinking())) == set()
    check_request(ask("x", thinking=Thinking(effort="none")), LOCAL)


@pytest.mark.parametrize(
    "message",
    [
        Message(role=Role.TOOL, content="8", call="c"),
        Message(role=Role.ASSISTANT, content="", calls=(ToolCall(id="c", name="f", arguments="{}"),)),
    ],
)
def test_a_conversation_about_tools_is_refused(message):
    with pytest.raises(UnsupportedError, match="tools"):
        check_request(with_message(message), LOCAL)


def test_a_schema_is_compiled_here_only_for_local_models():
    strange = ask("x", json_schema={"type": "string", "pattern": "^a"})
    with pytest.raises(UnsupportedError, match="pattern"):
        check_request(strange, replace(LOCAL, json_schema=True))
    check_request(strange, replace(LOCAL, json_schema=True, remote=True))


def test_a_tool_that_must_be_called_must_be_there():
    with pytest.raises(InputError, match="none is given"):
        check_request(ask("x", tool_choice=ToolChoice(mode="required")), replace(LOCAL, lacks=frozenset()))


@pytest.mark.parametrize("name", [name for name in USES if name not in {"image", "file"}])
def test_what_is_lacking_is_dropped_where_that_is_allowed(name):
    request, dropped = without_lacking(USES[name], replace(LOCAL, drop=True))
    assert dropped == (name,)
    check_request(request, LOCAL)
    assert without_lacking(USES[name], LOCAL) == (USES[name], ())


def test_stop_strings_are_dropped_too():
    request = replace(ask("x"), sampling=Sampling(stop=("x",), seed=3))
    profile = replace(LOCAL, drop=True, lacks=frozenset({"stop"}))
    kept, dropped = without_lacking(request, profile)
    assert (kept.sampling, dropped) == (Sampling(seed=3), ("stop",))


@pytest.mark.parametrize(
    "request_",
    [USES["image"], USES["file"], ask("x", tools=(WEATHER,), tool_choice=ToolChoice(mode="required"))],
)
def test_what_the_conversation_is_about_is_never_dropped(request_):
    assert without_lacking(request_, replace(LOCAL, drop=True)) == (request_, ())
