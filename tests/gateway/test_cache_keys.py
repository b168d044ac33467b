"""When two requests are the same to the cache, and what a caller may ask of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.gateway.cache import exact_key, parse_cache_control
from athanor.types import (
    AnswerMode,
    Attachment,
    CacheUse,
    Image,
    Message,
    Profile,
    Reasoning,
    Request,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)

PROFILE = Profile(name="m", context=4096, licence="none", grounded=AnswerMode.EXTRACTIVE)


def ask(text: str = "hello", **changes: Any) -> Request:
    return replace(Request(model="m", messages=(Message(role=Role.USER, content=text),)), **changes)


def key(request: Request, *, profile: Profile = PROFILE, scope: str = "s", policy: str = "1") -> bytes:
    found = exact_key(request, profile, scope=scope, policy=policy)
    assert found is not None
    return found


TOOL = Tool(name="f", parameters={"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}})
FULL = Request(
    model="m",
    messages=(
        Message(role=Role.SYSTEM, content="Be kind."),
        Message(role=Role.USER, content="ab", parts=(Text(text="a"), Image(data="AA=="), Text(text="b"))),
        Message(
            role=Role.ASSISTANT,
            content="",
            calls=(ToolCall(id="c1", name="f", arguments="{}"),),
            reasoning=(Reasoning(text="hm", signature="x"),),
        ),
        Message(role=Role.TOOL, content="42", call="c1"),
    ),
    sampling=Sampling(max_tokens=9, temperature=0.5, seed=3, stop=("x",)),
    json_schema={"type": "object", "properties": {"q": {"type": "string"}}},
    tools=(TOOL,),
    thinking=Thinking(effort="low"),
    logprobs=2,
)


def with_message(place: int, **changes: Any) -> Request:
    messages = list(FULL.messages)
    messages[place] = replace(messages[place], **changes)
    return replace(FULL, messages=tuple(messages))


CHANGES = {
    "model": replace(FULL, model="n"),
    "system": with_message(0, content="Be rude."),
    "role": with_message(0, role=Role.USER),
    "name": with_message(0, name="bob"),
    "part": with_message(1, parts=(Text(text="a"), Image(data="AB=="), Text(text="b"))),
    "part order": with_message(1, parts=(Image(data="AA=="), Text(text="a"), Text(text="b"))),
    "part kind": with_message(1, parts=(Text(text="a"), Attachment(data="AA=="), Text(text="b"))),
    "image detail": with_message(1, parts=(Text(text="a"), Image(data="AA==", detail="low"), Text(text="b"))),
    "image by url": with_message(1, parts=(Text(text="a"), Image(url="AA=="), Text(text="b"))),
    "call arguments": with_message(2, calls=(ToolCall(id="c1", name="f", arguments='{"a":1}'),)),
    "reasoning": with_message(2, reasoning=()),
    "tool result": with_message(3, content="43"),
    "tool failed": with_message(3, failed=True),
    "call id": with_message(3, call="c2"),
    "order": replace(FULL, messages=(FULL.messages[1], FULL.messages[0], *FULL.messages[2:])),
    "fewer": replace(FULL, messages=FULL.messages[:3]),
    "max_tokens": replace(FULL, sampling=replace(FULL.sampling, max_tokens=10)),
    "temperature": replace(FULL, sampling=replace(FULL.sampling, temperature=0.6)),
    "top_p": replace(FULL, sampling=replace(FULL.sampling, top_p=0.5)),
    "top_k": replace(FULL, sampling=replace(FULL.sampling, top_k=5)),
    "seed": replace(FULL, sampling=replace(FULL.sampling, seed=4)),
    "stop": replace(FULL, sampling=replace(FULL.sampling, stop=("x", "y"))),
    "presence": replace(FULL, sampling=replace(FULL.sampling, presence_penalty=0.5)),
    "frequency": replace(FULL, sampling=replace(FULL.sampling, frequency_penalty=0.5)),
    "schema": replace(FULL, json_schema={"type": "object", "properties": {"q": {"type": "number"}}}),
    "no schema": replace(FULL, json_schema=None),
    "mode": replace(FULL, mode=AnswerMode.GENERATIVE),
    "tool": replace(FULL, tools=(replace(TOOL, description="does it"),)),
    "two tools": replace(FULL, tools=(TOOL, replace(TOOL, name="g"))),
    "strict": replace(FULL, tools=(replace(TOOL, strict=True),)),
    "choice": replace(FULL, tool_choice=ToolChoice(mode="required")),
    "parallel": replace(FULL, tool_choice=ToolChoice(parallel=False)),
    "thinking": replace(FULL, thinking=Thinking(effort="high")),
    "summary": replace(FULL, thinking=Thinking(effort="low", summary=True)),
    "logprobs": replace(FULL, logprobs=3),
    "no logprobs": replace(FULL, logprobs=None),
}


def test_every_change_of_meaning_changes_the_key() -> None:
    keys = {name: key(request) for name, request in CHANGES.items()} | {"": key(FULL)}
    assert len(set(keys.values())) == len(keys)


def test_the_changes_cover_every_field_of_a_request_and_of_its_sampling() -> None:
    def changed(of: Any, get: Callable[[Request], Any]) -> set[str]:
        return {f.name for f in fields(of) for r in CHANGES.values() if getattr(get(r), f.name) != getattr(of, f.name)}

    assert {f.name for f in fields(Request)} - changed(FULL, lambda r: r) == {"stream", "user", "cache"}
    assert {f.name for f in fields(Sampling)} == changed(FULL.sampling, lambda r: r.sampling)
    messages = {f.name for r in CHANGES.values() for a, b in zip(FULL.messages, r.messages, strict=False)
                for f in fields(Message) if getattr(a, f.name) != getattr(b, f.name)}  # fmt: skip
    assert {f.name for f in fields(Message)} - messages == {"cache"}


@pytest.mark.parametrize(
    "other",
    [
        replace(FULL, stream=False),
        replace(FULL, user="u"),
        replace(FULL, cache=CacheUse(max_age=5)),
        with_message(0, cache=True),
        replace(FULL, json_schema=MappingProxyType(dict(FULL.json_schema or {}))),
    ],
    ids=["stream", "user", "directives", "prompt cache", "kind of mapping"],
)
def test_what_does_not_change_the_answer_does_not_change_the_key(other: Request) -> None:
    assert key(other) == key(FULL)


@pytest.mark.parametrize(
    ("profile", "scope", "policy"),
    [
        (replace(PROFILE, name="x"), "s", "1"),
        (replace(PROFILE, temperature=0.9), "s", "1"),
        (replace(PROFILE, max_tokens=5), "s", "1"),
        (replace(PROFILE, lacks=frozenset({"seed"})), "s", "1"),
        (PROFILE, "t", "1"),
        (PROFILE, "s", "2"),
    ],
)
def test_profile_scope_and_policy_are_part_of_the_key(profile: Profile, scope: str, policy: str) -> None:
    assert key(ask(), profile=profile, scope=scope, policy=policy) != key(ask())


def test_strings_do_not_run_into_each_other() -> None:
    assert key(ask(), scope="a", policy="b") != key(ask(), scope="ab", policy="")


def test_defaults_are_the_same_as_saying_them() -> None:
    said = ask(sampling=Sampling(temperature=0, max_tokens=PROFILE.max_tokens))
    assert key(said) == key(ask())
    vendors = replace(PROFILE, temperature=None, remote=True)  # whose defaults nobody here knows
    assert key(said, profile=vendors) != key(ask(), profile=vendors)


def test_what_is_no_json_is_not_the_same_as_nothing() -> None:
    assert key(ask(sampling=Sampling(top_p=float("nan")))) != key(ask())
    assert exact_key(ask("\ud800"), PROFILE, scope="", policy="") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered(inner) for name, inner in reversed(value.items())}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), JSON)
def test_the_order_of_json_keys_is_irrelevant_and_all_else_is_not(schema: dict[str, Any], other: Any) -> None:
    first = ask(json_schema=schema, tools=(Tool(name="f", parameters=schema),))
    second = ask(json_schema=reordered(schema), tools=(Tool(name="f", parameters=reordered(schema)),))
    assert key(first) == key(second)
    changed = {**schema, "x-other": other}
    same = json.dumps(changed, sort_keys=True) == json.dumps(schema, sort_keys=True)
    assert (key(ask(json_schema=changed)) == key(ask(json_schema=schema))) is same


# Directives


@pytest.mark.parametrize(
    ("header", "read", "write", "age"),
    [
        ("", True, True, None),
        ("no-cache", False, True, None),
        ("No-Store", True, False, None),
        ("no-cache, no-store", False, False, None),
        (" max-age=60 ,no-store", True, False, 60),
        ('max-age="60"', True, True, 60),
        ("max-age=60, max-age=5", True, True, 5),
        ("max-age=ten", True, True, 0),
        ("max-age", True, True, 0),
        ("max-age=99999999999999999999999", True, True, 2**31),
        ("only-if-cached, max-stale=3, min-fresh=2, no-transform", True, True, None),
        ('x="no-store, no-cache", max-age=7', True, True, 7),
        ('x="a\\"b, no-store"', True, True, None),
        ("no-cached, x-no-store, community=no-store", True, True, None),
        ('no-cache="field"', False, True, None),
        (",,;=, no-cache", False, True, None),
        ('"unclosed, no-store', True, False, None),
    ],
)
def test_directives(header: str, read: bool, write: bool, age: float | None) -> None:
    assert parse_cache_control(header) == CacheUse(read=read, write=write, max_age=age)


@settings(deadline=None)
@given(st.text(alphabet='abno-cachestr=,;" \\12\t', max_size=60))
def test_no_header_breaks_the_parser(header: str) -> None:
    parse_cache_control(header)
