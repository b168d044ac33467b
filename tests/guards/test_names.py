"""Redactions that leave names: what goes on, what comes back, and what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.types import (
    Finished,
    Message,
    Role,
    TextDelta,
    ToolCall,
)
from tests.guards.chains import ask, chain, context, stream, text_of

pytestmark = pytest.mark.anyio

POLICY = """
[policies.default.any]
"pii.email" = { action = "redact", how = "pseudonym" }
"secret.*" = { action = "redact", how = "hash" }
"""


async def test_a_pseudonym_goes_on_and_its_value_comes_back(tmp_path: Path) -> None:
    checks = chain(tmp_path, POLICY)
    request = ask("Write to mail@example.org, and mail@example.org again.")
    guarded = await checks.admit(request, context())
    assert guarded.request.messages[0].content == "Write to [EMAIL_1], and [EMAIL_1] again."
    pieces = [TextDelta(text=piece) for piece in ("I wrote to [EM", "AIL_1] and [EMAIL_9", "].")]
    recorded = guarded.checked(stream(*pieces, Finished()))
    shown = [event async for event in guarded.revealed(recorded)]
    assert text_of(shown) == "I wrote to mail@example.org and [EMAIL_9]."
    again = await checks.admit(ask("Write to mail@example.org, and mail@example.org again.", "And now?"), context())
    assert "[EMAIL_1]" in again.request.messages[0].content


async def test_what_is_recorded_holds_the_pseudonym(tmp_path: Path) -> None:
    guarded = await chain(tmp_path, POLICY).admit(ask("Write to mail@example.org."), context())
    recorded = [event async for event in guarded.checked(stream(TextDelta(text="To [EMAIL_1]."), Finished()))]
    assert text_of(recorded) == "To [EMAIL_1]."


async def test_a_hash_is_the_same_everywhere_and_never_comes_back(tmp_path: Path) -> None:
    checks = chain(tmp_path, POLICY)
    one = (await checks.admit(ask("It is hunter2."), context())).request.messages[0].content
    two = (await checks.admit(ask("hunter2 it is."), context())).request.messages[0].content
    mark = one.removeprefix("It is ").removesuffix(".")
    assert mark.startswith("[SECRET:")
    assert two == f"{mark} it is."
    guarded = await checks.admit(ask("It is hunter2."), context())
    shown = [event async for event in guarded.revealed(guarded.checked(stream(TextDelta(text=mark), Finished())))]
    assert text_of(shown) == mark


async def test_arguments_of_calls_stay_json(tmp_path: Path) -> None:
    call = ToolCall(id="1", name="send", arguments='{"to": "mail@example.org", "n": 1}')
    request = ask("Send it.", Message(role=Role.ASSISTANT, content="", calls=(call,)))
    guarded = await chain(tmp_path, POLICY).admit(request, context())
    assert guarded.request.messages[1].calls[0].arguments == '{"to": "[EMAIL_1]", "n": 1}'
