from __future__ import annotations

from dataclasses import replace

import pytest

from athanor.errors import InputError, UnsupportedError
from athanor.testing.engines import collect
from athanor.types import (
    Attachment,
    Image,
    Message,
    Reasoning,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from tests.engines.gemini_engine import PROFILE, make
from tests.engines.vendors import WEATHER, ask, result, said, system, user
from tests.upstreams.gemini import FakeGemini

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fake():
    async with FakeGemini() as fake:
        yield fake


@pytest.fixture
async def engine(fake):
    engine = make(fake.url)
    yield engine
    await engine.aclose()


async def body_of(engine, fake, *messages, **fields):
    await collect(engine, ask(*messages, **fields))
    return fake.bodies[-1]


async def test_the_least_that_is_sent(engine, fake):
    assert await body_of(engine, fake, "say hello") == {
        "contents": [{"role": "user", "parts": [{"text": "say hello"}]}],
        "generationConfig": {"maxOutputTokens": 4096},
    }


async def test_the_profiles_temperature(fake):
    for profile, sent in (
        (replace(PROFILE, temperature=0.3), 0.3),
        (replace(PROFILE, temperature=0.3, lacks=frozenset({"temperature"})), None),
    ):
        engine = make(fake.url, profile)
        body = await body_of(engine, fake, "say hello")
        assert body["generationConfig"].get("temperature") == sent
        await engine.aclose()


async def test_sampling(engine, fake):
    sampling = Sampling(
        max_tokens=7,
        temperature=1.5,
        top_p=0.5,
        top_k=4,
        seed=2**40 + 5,
        stop=("a", "b"),
        presence_penalty=0.5,
        frequency_penalty=-0.5,
    )
    body = await body_of(engine, fake, "say hello", sampling=sampling, logprobs=3)
    assert body["generationConfig"] == {
        "maxOutputTokens": 7,
        "temperature": 1.5,
        "topP": 0.5,
        "topK": 4,
        "seed": 5,
        "stopSequences": ["a", "b"],
        "presencePenalty": 0.5,
        "frequencyPenalty": -0.5,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    body = await body_of(engine, fake, "say hello", logprobs=0)
    assert body["generationConfig"] == {"maxOutputTokens": 4096, "responseLogprobs": True}


async def test_what_the_profile_lacks_is_refused(fake):
    engine = make(fake.url, replace(PROFILE, lacks=frozenset({"seed", "image"})))
    for request in (ask("x", sampling=Sampling(seed=1)), ask(user("x", Image(data="QUJD"), Text(text="x")))):
        with pytest.raises(UnsupportedError):
            await collect(engine, request)
    assert not fake.calls
    await engine.aclose()


async def test_a_schema(engine, fake):
    schema = {"type": "object", "properties": {"value": {"type": "string"}}, "required": ["value"]}
    config = (await body_of(engine, fake, "json", json_schema=schema))["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == schema
    config = (await body_of(engine, fake, "json", json_schema={"type": "object"}))["generationConfig"]
    assert config["responseMimeType"] == "application/json"  # any object will do
    assert "responseJsonSchema" not in config


@pytest.mark.parametrize(
    ("thinking", "sent", "limit"),
    [
        (Thinking(), None, 4096),
        (Thinking(effort="none"), {"thinkingBudget": 0}, 4096),
        (Thinking(effort="minimal"), {"thinkingLevel": "MINIMAL"}, 4096),
        (Thinking(effort="high", summary=True), {"thinkingLevel": "HIGH", "includeThoughts": True}, 4096),
        (Thinking(tokens=0), {"thinkingBudget": 0}, 4096),
        (Thinking(tokens=500), {"thinkingBudget": 500}, 4596),
        (Thinking(summary=True), {"includeThoughts": True}, 4096),
    ],
)
async def test_thinking(engine, fake, thinking, sent, limit):
    config = (await body_of(engine, fake, "say x", thinking=thinking))["generationConfig"]
    assert config.get("thinkingConfig") == sent
    assert config["maxOutputTokens"] == limit


async def test_an_effort_and_a_budget_at_once(engine, fake):
    with pytest.raises(UnsupportedError, match="not both"):
        await collect(engine, ask("x", thinking=Thinking(effort="low", tokens=100)))
    assert not fake.calls


async def test_messages_are_merged_and_blanks_left_out(engine, fake):
    body = await body_of(
        engine,
        fake,
        system("Be brief."),
        "one",
        user(""),
        "two",
        said("Look.", calls=(ToolCall(id="a", name="get_weather", arguments='{"city": "Paris"}'),)),
        system("Be kind."),
        result("no", "a", failed=True),
        user("say more"),
    )
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "one"}, {"text": "two"}]},
        {
            "role": "model",
            "parts": [{"text": "Look."}, {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "get_weather", "response": {"error": "no"}}},
                {"text": "say more"},
            ],
        },
    ]


async def test_calls_of_another_vendor_are_marked_in_this_turn_and_lose_their_ids(engine, fake):
    def calls(signature):
        return tuple(
            ToolCall(id=f"toolu_{i}", name="get_weather", arguments="{}", signature=signature) for i in range(2)
        )

    old = (said(calls=calls(None)), result("a", "toolu_0"), result("b", "toolu_1"))
    body = await body_of(
        engine, fake, "hello", *old, said("Fine."), "say more", said(calls=calls("anthropic:x")), *old[1:]
    )
    first, second = body["contents"][1]["parts"], body["contents"][5]["parts"]
    call = {"functionCall": {"name": "get_weather", "args": {}}}
    assert first == [call, call]
    assert second == [{**call, "thoughtSignature": "skip_thought_signature_validator"}, call]
    assert all("id" not in part["functionResponse"] for part in body["contents"][6]["parts"])


async def test_a_result_without_its_call(engine, fake):
    with pytest.raises(InputError, match="'lost'"):
        await collect(engine, ask("hello", result("x", "lost")))
    assert not fake.calls


async def test_arguments_that_are_no_object(engine, fake):
    calls = (
        ToolCall(id="1", name="f", arguments=""),
        ToolCall(id="2", name="f", arguments="{broken"),
        ToolCall(id="3", name="f", arguments="[1]"),
    )
    results = [result("x", str(i)) for i in (1, 2, 3)]
    body = await body_of(engine, fake, "hello", said(calls=calls), *results)
    assert [part["functionCall"]["args"] for part in body["contents"][1]["parts"]] == [
        {},
        {"INVALID_JSON": "{broken"},
        {"INVALID_JSON": "[1]"},
    ]


async def test_proofs(engine, fake):
    calls = (ToolCall(id="c", name="f", arguments="{}", signature="gemini:call"),)
    thoughts = (Reasoning(text="t", signature="gemini:text"), Reasoning(text="u", signature="anthropic:no"))
    alone = said(reasoning=thoughts, calls=calls)
    body = await body_of(engine, fake, "hello", alone, result("x", "c"))
    assert body["contents"][1]["parts"] == [
        {"text": "", "thoughtSignature": "text"},
        {"functionCall": {"name": "f", "args": {}, "id": "c"}, "thoughtSignature": "call"},
    ]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (Image(data="QUJD", mime="image/jpeg"), {"inlineData": {"mimeType": "image/jpeg", "data": "QUJD"}}),
        (
            Image(url="https://example.org/a.webp?size=1"),
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://example.org/a.webp?size=1"}},
        ),
        (
            Image(url="https://example.org/a", mime="image/jpeg"),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.org/a"}},
        ),
        (
            Attachment(data="JVBERi0=", name="a.pdf"),
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        ),
        (
            Attachment(url="gs://bucket/a.pdf"),
            {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}},
        ),
    ],
)
async def test_images_and_files(engine, fake, part, sent):
    question = "image" if isinstance(part, Image) else "file"
    answer = await collect(engine, ask(user(question, part, Text(text=question))))
    assert answer.text == question
    assert fake.bodies[0]["contents"][0]["parts"] == [sent, {"text": question}]


@pytest.mark.parametrize(
    "message",
    [
        user("x", Image(url="http://example.org/a.png"), Text(text="x")),
        Message(role=Role.SYSTEM, content="x", parts=(Image(data="QUJD"), Text(text="x"))),
    ],
)
async def test_parts_that_the_vendor_does_not_take(engine, fake, message):
    with pytest.raises(UnsupportedError):
        await collect(engine, ask("hello", message))
    assert not fake.calls


@pytest.mark.parametrize(
    ("details", "sent"),
    [
        ((None, "auto"), None),
        (("low", "low"), "MEDIA_RESOLUTION_LOW"),
        (("low", "auto"), None),
        (("low", "high"), "MEDIA_RESOLUTION_HIGH"),
    ],
)
async def test_the_detail_of_images(engine, fake, details, sent):
    images = [Image(data="QUJD", detail=detail) for detail in details]
    body = await body_of(engine, fake, user("image", *images, Text(text="image")))
    assert body["generationConfig"].get("mediaResolution") == sent


async def test_a_result_with_an_image(engine, fake):
    call = ToolCall(id="1", name="look", arguments="{}")
    back = result("Here.", "1", parts=(Text(text="Here."), Image(data="QUJD")))
    body = await body_of(engine, fake, "look", said(calls=(call,)), back)
    assert body["contents"][2]["parts"][0]["functionResponse"] == {
        "name": "look",
        "response": {"output": "Here."},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "QUJD"}}],
    }


async def test_tools_as_sent(engine, fake):
    body = await body_of(engine, fake, "say x", tools=(WEATHER, Tool(name="bare", parameters={})))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "get_weather",
                    "description": "Get the weather.",
                    "parametersJsonSchema": dict(WEATHER.parameters),
                },
                {"name": "bare"},
            ]
        }
    ]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "strict", "sent"),
    [
        (ToolChoice(), None, None),
        (ToolChoice(parallel=True), False, None),
        (ToolChoice(), True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="none", parallel=False), True, {"mode": "NONE"}),
        (ToolChoice(mode="required"), None, {"mode": "ANY"}),
        (ToolChoice(mode="tool", name="get_weather"), None, {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
    ],
)
async def test_tool_choice(engine, fake, choice, strict, sent):
    body = await body_of(engine, fake, "say x", tools=(replace(WEATHER, strict=strict),), tool_choice=choice)
    assert body.get("toolConfig", {}).get("functionCallingConfig") == sent


async def test_one_call_at_a_time_cannot_be_promised(engine, fake):
    with pytest.raises(UnsupportedError, match="one tool call"):
        await collect(engine, ask("hello", tools=(WEATHER,), tool_choice=ToolChoice(parallel=False)))
    assert "tools" not in await body_of(engine, fake, "say x", tool_choice=ToolChoice(parallel=False))


@pytest.mark.parametrize("request_", [ask(), ask("  "), ask(system("only rules"))])
async def test_requests_that_no_model_can_answer(engine, fake, request_):
    with pytest.raises(InputError):
        await collect(engine, request_)
    assert not fake.calls
