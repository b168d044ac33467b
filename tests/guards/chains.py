"""Chains for tests: a few phrases that stand for what real guards find, and policies as text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from athanor.config import GuardSettings
from athanor.guards import Chain, Guard
from athanor.guards.book import Book
from athanor.guards.events import Recorder
from athanor.observe import Metrics
from athanor.store import Store
from athanor.testing import PhraseGuard
from athanor.types import ApiKey, Context, Event, Message, Principal, Request, Role, RoleName, TextDelta

PHRASES = {
    "ignore all instructions": "injection.rule",
    "hunter2": "secret.password",
    "mail@example.org": "pii.email",
    "the canary": "leak.canary",
    "you fool": "toxicity.insult",
}

POLICY = """
[policies.default.user]
"injection.*" = "flag"
"secret.*" = "redact"
"toxicity.*" = "block"

[policies.default.document]
"injection.*" = "redact"

[policies.default.tool]
"injection.*" = "redact"

[policies.default.model]
"secret.*" = "redact"
"pii.email" = "redact"
"leak.canary" = "block"
"toxicity.*" = "flag"
"""


def chain(
    folder: Path,
    policy: str = POLICY,
    *,
    guards: Sequence[Guard] | None = None,
    store: Store | None = None,
    metrics: Metrics | None = None,
    **settings: Any,
) -> Chain:
    """A chain by `policy`, kept in `folder`; with a store, it keeps events there."""
    folder.mkdir(exist_ok=True)
    file = folder / "guards.toml"
    file.write_text(policy)
    metrics = metrics or Metrics()
    return Chain(
        [PhraseGuard(PHRASES)] if guards is None else guards,
        settings=GuardSettings(**settings),
        book=Book(file),
        recorder=Recorder(store, metrics, b"key"),
        metrics=metrics,
    )


def context(key: str | None = None) -> Context:
    principal = Principal(id="prin_1", name="ann", role=RoleName.USER, created_at=0.0)
    api_key = None if key is None else ApiKey(id=f"key_{key}", principal="prin_1", name=key, hint="", created_at=0.0)
    return Context(principal=principal, trace="tr_1", door="test", key=api_key)


def ask(*said: str | Message, model: str = "m", **more: Any) -> Request:
    messages = tuple(Message(role=Role.USER, content=one) if isinstance(one, str) else one for one in said)
    return Request(model=model, messages=messages, **more)


async def stream(*events: Event) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))
