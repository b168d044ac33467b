"""Every door before every provider, streamed and not: the vendors' SDKs hear the same answer from each."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from tests.doors.callers import CALLERS, Ask, Caller, Completions, StreamFailedError
from tests.doors.conftest import FAKES, House
from tests.upstreams.anthropic import SIGNATURE
from tests.upstreams.openai import ENCRYPTED
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio
PROVIDERS = [*FAKES, "scripted"]
CUT = (openai.APIError, anthropic.APIError, StreamFailedError)


@pytest.fixture(scope="session")
def callers(house: House) -> dict[str, Caller]:
    """One client for each door: making one takes longer than most of these tests."""
    return {name: caller(house.url, house.key) for name, caller in CALLERS.items()}


@pytest.fixture(params=list(CALLERS))
def door(request: pytest.FixtureRequest, callers: dict[str, Caller]) -> Caller:
    return callers[request.param]


@pytest.fixture(params=PROVIDERS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_text(door: Caller, model: str, streamed: bool) -> None:
    heard = await door.ask(model, Ask(turns=["say Grüße 🌍 you"]), streamed)
    assert heard.text == "Grüße 🌍 you"
    assert (heard.reason, heard.calls, heard.thoughts) == ("stop", [], "")
    assert heard.pieces > 1 or not streamed
    if model != "scripted":
        assert heard.usage == (10, 4, 6, 0)


async def test_a_call_its_result_and_the_answer(door: Caller, model: str, streamed: bool) -> None:
    first = await door.ask(model, Ask(turns=["tools"], tools=True), streamed)
    assert first.text == "Let me look."
    assert [call[1:] for call in first.calls] == [("get_weather", {"city": "Paris"})]
    assert first.reason == "tool_calls"
    turns = ["tools", *first.history, *door.results(first.calls, ["sunny"])]
    second = await door.ask(model, Ask(turns=turns, tools=True), streamed)
    assert (second.text, second.reason) == ("It is sunny.", "stop")


async def test_parallel_calls(door: Caller, model: str, streamed: bool) -> None:
    heard = await door.ask(model, Ask(turns=["parallel"], tools=True), streamed)
    assert [call[2]["city"] for call in heard.calls] == ["Paris", "Rome"]
    assert len({call[0] for call in heard.calls}) == 2
    assert heard.reason == "tool_calls"
    turns = ["parallel", *heard.history, *door.results(heard.calls, ["sunny", "sunny"])]
    assert (await door.ask(model, Ask(turns=turns, tools=True), streamed)).text == "It is sunny."


async def test_reasoning(door: Caller, model: str, streamed: bool, house: House) -> None:
    heard = await door.ask(model, Ask(turns=["think"], think=True), streamed)
    assert (heard.thoughts, heard.text) == ("I think.", "Done.")
    assert heard.usage is not None
    assert heard.usage[3] == 2
    # The vendor's proof comes back to it through every door.
    again = await door.ask(model, Ask(turns=["think", *heard.history, "say ok"], think=True), streamed)
    assert again.text == "ok"
    proof = {"anthropic": SIGNATURE, "responses": ENCRYPTED}.get(model)
    if proof is not None:
        assert proof in json.dumps(house.fakes[model].bodies[-1])


async def test_json_by_a_schema(door: Caller, model: str, streamed: bool) -> None:
    properties = {"value": {"type": "string", "enum": ["x"]}}
    schema = {"type": "object", "properties": properties, "required": ["value"], "additionalProperties": False}
    heard = await door.ask(model, Ask(turns=["json"], schema=schema), streamed)
    assert json.loads(heard.text) == {"value": "x"}


@pytest.mark.parametrize(("scene", "text", "reason"), [("long", "cut", "length"), ("filter", "", "filtered")])
async def test_other_ends(door: Caller, model: str, streamed: bool, scene: str, text: str, reason: str) -> None:
    heard = await door.ask(model, Ask(turns=[scene]), streamed)
    assert (heard.text, heard.reason) == (text, reason)


async def test_stop_strings(door: Caller, model: str, streamed: bool) -> None:
    if door.name == "responses":
        pytest.skip("the API has no stop strings")
    ask = Ask(turns=["say one END two"], stop="END")
    if model == "responses":
        with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match="stop"):
            await door.ask(model, ask, streamed)
        return
    heard = await door.ask(model, ask, streamed)
    assert heard.text.strip() == "one"
    assert heard.reason == "stop"


async def test_pictures_and_files(door: Caller, model: str, streamed: bool) -> None:
    assert (await door.ask(model, Ask(turns=[door.user("image", image=True)]), streamed)).text == "image"
    assert (await door.ask(model, Ask(turns=[door.user("file", file=True)]), streamed)).text == "file"


@pytest.mark.parametrize(
    ("status", "ours"), [(400, 400), (401, 502), (403, 502), (404, 502), (429, 503), (500, 502), (503, 503)]
)
async def test_a_vendors_refusal_is_a_status_of_ours(
    door: Caller, model: str, streamed: bool, status: int, ours: int
) -> None:
    if model == "scripted":
        pytest.skip("no vendor")
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
        await door.ask(model, Ask(turns=[f"status {status}"]), streamed)
    assert caught.value.status_code == ours
    assert KEY not in str(caught.value.body)
    assert caught.value.response.headers["x-athanor-trace"].startswith("tr_")
    error: Any = caught.value.response.json()
    assert error["error"]["message"]
    if door.name == "messages":
        assert error["type"] == "error"
    if status in {429, 503}:
        assert caught.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("scene", ["break", "malformed", "error", "stall"])
async def test_an_answer_that_breaks_off(door: Caller, model: str, streamed: bool, scene: str, house: House) -> None:
    if scene == "stall" and (model == "scripted" or (door.name != "chat" and not streamed)):
        pytest.skip("it does not stall" if model == "scripted" else "costs a second each, and no door takes part in it")
    with pytest.raises(CUT) as caught:
        await door.ask(model, Ask(turns=[scene]), streamed)
    assert KEY not in str(caught.value)
    error = caught.value
    if isinstance(error, openai.APIStatusError | anthropic.APIStatusError) and not streamed:
        assert error.status_code in {502, 503, 504}
    if isinstance(error, StreamFailedError):
        assert error.failed.response.status == "failed"
        assert error.failed.response.error.message == error.error.message
        assert error.error.type == "error"


async def test_every_answer_is_on_the_books(door: Caller, model: str, streamed: bool, house: House) -> None:
    before = house.app.store.requests.count()
    await door.ask(model, Ask(turns=["say ok"]), streamed)
    assert house.app.store.requests.count() == before + 1
    row = house.app.store.requests.list(limit=1)[0]
    names = {"chat": "chat.completions"}
    assert (row.door, row.model, row.status) == (names.get(door.name, door.name), model, "ok")
    if model != "scripted":
        assert (row.usage.prompt_tokens, row.usage.cached_tokens, row.usage.completion_tokens) == (10, 4, 6)


async def test_completions_of_old(model: str, streamed: bool, house: House) -> None:
    door = Completions(house.url, house.key)
    heard = await door.ask(model, Ask(turns=["say Grüße 🌍 you"]), streamed)
    assert (heard.text, heard.reason) == ("Grüße 🌍 you", "stop")
    assert (await door.ask(model, Ask(turns=["long"]), streamed)).reason == "length"
    if model != "scripted":
        assert heard.usage == (10, 4, 6, 0)
    with pytest.raises(openai.APIError) as caught:
        await door.ask(model, Ask(turns=["error"]), streamed)
    assert KEY not in str(caught.value)
