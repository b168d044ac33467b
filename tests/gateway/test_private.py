"""What remote models get to see, over the vendors' own formats, on loopback."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from athanor.config import ModelSettings, load_settings
from athanor.errors import AthanorError, BlockedError
from athanor.gateway import App, handle, open_app
from athanor.gateway.models import leaves
from athanor.gateway.vectors import embed
from athanor.testing import HashEmbedder, OverlapReranker, PhraseGuard
from athanor.types import (
    AnswerMode,
    Attachment,
    Event,
    Finished,
    Message,
    Reasoning,
    ReasoningDelta,
    Request,
    Role,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from tests.gateway.conftest import context, learn
from tests.upstreams.anthropic import FakeAnthropic
from tests.upstreams.openai import FakeOpenAI
from tests.upstreams.scenes import KEY, Asked, Call, FakeVendor, Refused, Scene, pieces_of

pytestmark = pytest.mark.anyio

VALUES = ("Ada Lovelace", "ada@example.org", "+44 20 7946 0000", "12 Analytical Row", "hunter2")
FINDS = {
    "ada lovelace": "pii.person",
    "ada@example.org": "pii.email",
    "+44 20 7946 0000": "pii.phone",
    "12 analytical row": "pii.street",
    "hunter2": "secret.password",
    "top secret": "topic.secret",
}
POLICY = """
[policies.default.remote]
"secret.*" = "redact"
"topic.*" = "block"
"pii.*" = { action = "redact", how = "pseudonym" }
"""
SAID = "Write to Ada Lovelace (ada@example.org, +44 20 7946 0000), 12 Analytical Row. My word is hunter2."


class Calling(FakeOpenAI):
    """Thinks about every pseudonym that it is told, and calls a tool with it; says it piece by piece."""

    def scene(self, call: Call, asked: Asked) -> Scene:
        if asked.text.startswith("echo"):
            return super().scene(call, asked)
        names = re.findall(r"\[[A-Z_]+_\d+\]", asked.text)
        said = " and ".join(names)
        return Scene(
            thoughts=tuple(said), pieces=tuple(said), calls=(("call_1", "send", {"to": names}),), reason="tool_calls"
        )


class Refusing(FakeOpenAI):
    def scene(self, call: Call, asked: Asked) -> Scene:
        raise Refused(503, "Overloaded.")


@dataclass
class World:
    app: App
    fakes: dict[str, FakeVendor]

    async def ask(self, model: str, *messages: Message | str, **more: Any) -> list[Event]:
        said = tuple(Message(role=Role.USER, content=m) if isinstance(m, str) else m for m in messages)
        ctx = context(self.app)
        return [event async for event in handle(Request(model=model, messages=said, **more), ctx, self.app)]

    def wire(self, model: str) -> str:
        """Everything that a vendor was sent."""
        return "".join(orjson.dumps([call.body, call.headers]).decode() for call in self.fakes[model].calls)


Opener = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def world(tmp_path: Path) -> Opener:
    @asynccontextmanager
    async def opening(policy: str = POLICY, **settings: Any) -> AsyncIterator[World]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        (tmp_path / "vendor.key").write_text(KEY)
        (home / "guards.toml").write_text(policy)
        fakes: dict[str, FakeVendor] = {
            "openai": FakeOpenAI(),
            "anthropic": FakeAnthropic(),
            "calling": Calling(),
            "bad": Refusing(),
            "vectors": FakeOpenAI(),
        }
        arguments: dict[str, Any] = {
            "home": str(home),
            "chat": "openai",
            "routes.pair.use": ["bad"],
            "routes.pair.fall_back_to": ["anthropic"],
            "routes.pair.retry.attempts": 1,
            "models.vectors.embeddings": True,
            **settings,
        }
        async with AsyncExitStack() as stack:
            for name, fake in fakes.items():
                await stack.enter_async_context(fake)
                arguments |= {
                    f"models.{name}.source": fake.url,
                    f"models.{name}.backend": "anthropic" if name == "anthropic" else "openai",
                    f"models.{name}.api_key": {"file": str(tmp_path / "vendor.key")},
                }
                arguments.setdefault(f"models.{name}.trusted", False)
            loaded = load_settings(arguments=arguments, environment={}).settings
            app = await stack.enter_async_context(
                open_app(loaded, embedder=HashEmbedder(), reranker=OverlapReranker(), guards=[PhraseGuard(FINDS)])
            )
            yield World(app, fakes)

    return opening


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def clean(wire: str, values: Sequence[str] = VALUES) -> None:
    assert [value for value in values if value.lower() in wire.lower()] == []


@pytest.mark.parametrize("model", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [True, False])
async def test_nothing_personal_is_on_the_wire_and_the_caller_sees_it(world: Opener, model: str, stream: bool) -> None:
    async with world() as w:
        events = await w.ask(model, f"say {SAID}", stream=stream)
        clean(w.wire(model))
        assert "[PERSON_1]" in w.wire(model)
        assert text(events) == SAID.replace("hunter2", "[SECRET]")
        assert isinstance(events[-1], Finished)


async def test_no_part_of_a_request_leaves_as_it_is(world: Opener) -> None:
    called = ToolCall(id="call_1", name="look", arguments='{"who": "Ada Lov\\u0065lace", "n": [1, "ada@example.org"]}')
    messages = (
        Message(role=Role.SYSTEM, content=f"The customer is {VALUES[0]}."),
        Message(role=Role.USER, content=f"I am {VALUES[0]}.", name=VALUES[1]),
        Message(role=Role.ASSISTANT, content=f"Hello {VALUES[0]}!", calls=(called,)),
        Message(role=Role.TOOL, content=f'{{"street": "{VALUES[3]}"}}', call="call_1"),
        Message(
            role=Role.USER,
            content=f"echo {VALUES[2]}",
            parts=(Attachment(data="JVBERg==", name=f"{VALUES[0]}.pdf"), Text(text=f"echo {VALUES[2]}")),
        ),
    )
    tool = Tool(
        name="look",
        description=f"Ask {VALUES[1]}.",
        parameters={"type": "object", "properties": {"who": {"type": "string", "description": f"As {VALUES[0]}"}}},
    )
    async with world() as w:
        events = await w.ask("openai", *messages, tools=(tool,), user=VALUES[1])
        clean(w.wire("openai"))
        sent: Any = w.fakes["openai"].bodies[0]
        arguments = next(m for m in sent["messages"] if m.get("tool_calls"))["tool_calls"][0]["function"]["arguments"]
        assert orjson.loads(arguments) == {"who": "[PERSON_1]", "n": [1, "[EMAIL_1]"]}
        for value in VALUES[:4]:
            assert value in text(events)


async def test_tools_get_values_only_when_they_go_back_to_the_caller(world: Opener) -> None:
    async with world() as w:
        events = await w.ask("calling", SAID)
        calls = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))
        clean(w.wire("calling"))
        assert orjson.loads(calls) == {"to": [*VALUES[:4]]}
        assert text(events) == " and ".join(VALUES[:4])
        thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
        assert thought == " and ".join(VALUES[:4])


async def test_values_that_would_break_json_go_into_it_escaped(world: Opener) -> None:
    async with world() as w:
        guard = w.app.guards.guards[0]
        assert isinstance(guard, PhraseGuard)
        guard._phrases['ada "the first" king'] = "pii.person"
        schema = {"type": "object", "properties": {"value": {"type": "string"}}}
        events = await w.ask("calling", 'I am Ada "the first" King', json_schema=schema)
        calls = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))
        assert orjson.loads(calls) == {"to": ['Ada "the first" King']}
        assert orjson.loads(f'"{text(events)}"') == 'Ada "the first" King'


async def test_a_fallback_is_no_way_around(world: Opener) -> None:
    async with world() as w:
        events = await w.ask("pair", f"say {SAID}")
        clean(w.wire("bad") + w.wire("anthropic"))
        assert w.fakes["bad"].calls
        assert w.fakes["anthropic"].calls
        assert text(events).startswith("Write to Ada Lovelace (ada@example.org")


async def test_passages_of_a_knowledge_base_are_redacted_and_quoted_as_they_are(world: Opener, tmp_path: Path) -> None:
    async with world() as w:
        folder = tmp_path / "docs"
        folder.mkdir()
        await learn(
            w.app, folder, {"ada.md": f"# Owner\n\nThe engine belongs to {VALUES[0]}, who lives at {VALUES[3]}.\n"}
        )
        events = await w.ask("docs", "Who owns the engine?", mode=AnswerMode.GENERATIVE)
        assert w.fakes["openai"].calls, "the remote model was asked"
        clean(w.wire("openai"))
        assert isinstance(events[-1], Finished)


async def test_vectors_elsewhere_are_of_redacted_texts(world: Opener) -> None:
    async with world() as w:
        ctx = context(w.app)
        await embed("vectors", [SAID, f"I am {VALUES[0]}", f"You are {VALUES[0]}"], ctx, w.app)
        clean(w.wire("vectors"))
        sent: Any = w.fakes["vectors"].bodies[0]
        assert sent["input"][1:] == ["I am [PERSON_1]", "You are [PERSON_1]"]


async def test_a_value_keeps_its_name_over_turns_and_starts(world: Opener) -> None:
    first = f"say I am {VALUES[0]} of {VALUES[1]}"
    async with world() as w:
        assert text(await w.ask("openai", first)) == first[4:]
    async with world() as w:
        answer = Message(role=Role.ASSISTANT, content="Hello.")
        await w.ask("openai", first, answer, "say Bob asks for Ada@Example.org and ada@example.org, says Ada Lovelace")
        sent: Any = w.fakes["openai"].bodies[0]
        said = sent["messages"][-1]["content"]
        assert said == "say Bob asks for [EMAIL_2] and [EMAIL_1], says [PERSON_1]"


async def test_what_was_found_once_is_replaced_everywhere(world: Opener) -> None:
    async with world() as w:
        guard = w.app.guards.guards[0]
        await w.ask("openai", "say a", Message(role=Role.ASSISTANT, content=f"I know {VALUES[0]}"), "say b")
        assert isinstance(guard, PhraseGuard)
        guard._phrases.clear()
        guard._phrases["nothing"] = "pii.person"
        w.app.guards.forget()
        await w.ask("openai", "say a", f"say and {VALUES[0]}!")
        clean(w.wire("openai"))


async def test_the_vault_is_sealed_and_nobody_elses(world: Opener, tmp_path: Path) -> None:
    async with world() as w:
        await w.ask("openai", f"say {SAID}")
        await w.ask("openai", f"say {SAID}", user="somebody else")
        rows = sqlite3.connect(next((tmp_path / "home").glob("*.db"))).execute("SELECT * FROM pseudonyms").fetchall()
        assert len(rows) == 8
        assert len({row[0] for row in rows}) == 2
    stored = b"".join(path.read_bytes() for path in (tmp_path / "home").glob("*.db*"))
    assert not [value for value in VALUES if value.encode() in stored]


async def test_what_looks_like_a_pseudonym_stays_what_it_was(world: Opener) -> None:
    async with world() as w:
        said = f"The field [PERSON_1] is for {VALUES[0]}; [EMAIL_7] and [person 1] too."
        assert text(await w.ask("openai", f"say {said}")) == said
        assert "is for [PERSON_1]" in w.wire("openai")
        assert "[LITERAL_1]" in w.wire("openai")


async def test_a_model_cannot_ask_for_values_of_another_request(world: Opener) -> None:
    async with world() as w:
        await w.ask("openai", "say hi", f"say I am {VALUES[0]}")
        # The same beginning, so the same vault; and the model makes up a name that is in it.
        events = await w.ask("openai", "say hi", "echo")
        assert VALUES[0] not in text(events)
        w.fakes["openai"].scene = lambda call, asked: Scene(pieces=pieces_of("Ask [PERSON_1] or [EMAIL_1]"))  # type: ignore[method-assign]
        assert text(await w.ask("openai", "say hi", f"to {VALUES[1]}")) == f"Ask [PERSON_1] or {VALUES[1]}"


async def test_what_a_vendor_has_signed_goes_back_as_it_wrote_it(world: Opener) -> None:
    async with world() as w:
        await w.ask("anthropic", f"say I am {VALUES[0]}")
        thought = Reasoning(text=f"{VALUES[0]}s wish.", signature="sig")
        answered = Message(role=Role.ASSISTANT, content="Yes?", reasoning=(thought,))
        await w.ask("anthropic", f"say I am {VALUES[0]}", answered, "say more")
        sent: Any = w.fakes["anthropic"].bodies[1]
        blocks = sent["messages"][1]["content"]
        assert blocks[0]["thinking"] == "[PERSON_1]s wish."
        assert blocks[0]["signature"] == "sig"


async def test_the_policy_can_keep_a_request_here(world: Opener) -> None:
    async with world() as w:
        with pytest.raises(BlockedError, match=r"topic\.secret"):
            await w.ask("openai", "say this is TOP SECRET")
        assert not w.fakes["openai"].calls


async def test_a_guard_that_fails_lets_nothing_leave(world: Opener) -> None:
    async with world() as w:
        guard = w.app.guards.guards[0]
        assert isinstance(guard, PhraseGuard)
        guard.failure = RuntimeError("broken")
        with pytest.raises(AthanorError):
            await w.ask("openai", f"say {SAID}")
        assert not w.fakes["openai"].calls


async def test_a_trusted_model_gets_everything_as_it_is(world: Opener) -> None:
    async with world(**{"models.openai.trusted": True}) as w:
        assert text(await w.ask("openai", f"say {SAID}")) == SAID
        assert VALUES[0] in w.wire("openai")


async def test_observing_changes_nothing(world: Opener) -> None:
    async with world(**{"guards.mode": "observe"}) as w:
        assert text(await w.ask("openai", f"say {SAID}")) == SAID
        assert VALUES[0] in w.wire("openai")


@pytest.mark.parametrize(
    ("source", "trusted", "expected"),
    [
        ("https://api.openai.com/v1", None, True),
        ("http://10.0.0.5:8000/v1", None, True),
        ("http://127.0.0.1:8000/v1", None, False),
        ("http://localhost:8000/v1", None, False),
        ("http://[::1]:8000/v1", None, False),
        ("http://localhost.example.org/v1", None, True),
        ("http://127.0.0.1:8000/v1", False, True),
        ("https://api.openai.com/v1", True, False),
        ("package:smollm2-135m/model.gguf", False, False),
    ],
)
def test_which_models_are_remote(source: str, trusted: bool | None, expected: bool) -> None:
    assert leaves(ModelSettings(source=source, trusted=trusted)) is expected
