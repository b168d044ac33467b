"""A home folder with a month of traffic: teams, keys with budgets, routes that fall back, answers from the cache.

Every request goes through the whole gateway to a scripted model with a price; only the clock of its trace is set back.
Who asks for what is the same every time.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace

import orjson

from athanor.config import load_settings
from athanor.errors import AthanorError
from athanor.gateway import App, handle, open_app
from athanor.governance import Grant, Teams
from athanor.observe import spans
from athanor.testing import HashEmbedder
from athanor.types import ApiKey, CacheUse, Context, Limits, Message, Principal, Request, Role, RoleName, Scopes, new_id

DAY = 86400.0
SENTENCE = (
    "The pump runs at its rated pressure once both valves are open and the filter has been rinsed so check the gauge "
    "first then note the reading in the log and compare it with that of last week before you change anything at all"
)
WORDS = SENTENCE.split()
MODELS = {
    # name: (dollars per million tokens in, out, cached; seconds per token)
    "claude-sonnet": (3.0, 15.0, 0.3, 0.004),
    "gpt-4o": (2.5, 10.0, 1.25, 0.003),
    "gpt-4o-mini": (0.15, 0.6, 0.075, 0.0015),
    "gemini-flash": (0.3, 2.5, 0.03, 0.001),
    "smollm2-135m": (0.0, 0.0, 0.0, 0.0005),
}
ASKS = (
    "Summarise the maintenance log of line two.",
    "Which valve has to be opened first?",
    "Draft a reply to the customer about the late delivery.",
    "What does error E42 of the controller mean?",
    "Translate the warranty terms into Finnish.",
    "List the parts that were replaced in March.",
    "Is the pressure sensor covered by the warranty?",
    "Explain the reading of the flow meter.",
)
_now: contextvars.ContextVar[float] = contextvars.ContextVar("now")


def settings_text(home: Path) -> str:
    """The settings of such a home."""
    home.mkdir(parents=True, exist_ok=True)
    lines = ['chat = "smollm2-135m"', "[server]", "max_body_mb = 8"]
    dice = random.Random(7)
    for name, (prompt, completion, cached, delay) in MODELS.items():
        rules: list[dict[str, object]] = [
            {"pattern": f"^{number} ", "answer": " ".join(dice.choices(WORDS, k=dice.randint(20, 90))), "delay": delay}
            for number in range(8)
        ]
        if name == "claude-sonnet":
            rules.insert(0, {"pattern": "overloaded", "then": "error"})
        file = home / f"{name}.json"
        file.write_bytes(orjson.dumps({"rules": rules}))
        price = f"{{ prompt = {prompt}, completion = {completion}, cached = {cached} }}"
        lines += [f'[models."{name}"]', f'source = "scripted:{file}"', 'backend = "scripted"', f"price = {price}"]
    lines += [
        "[routes.assistant]", 'use = ["claude-sonnet"]', 'fall_back_to = ["gpt-4o"]',
        "retry = { attempts = 2, first_pause_s = 0.05 }", "breaker = { failures = 1000 }",
        "[routes.support]", 'use = ["gpt-4o-mini"]', 'cache = "exact"',
        "[limits]", "usd_per_month = 2.0",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


async def _callers(app: App) -> list[tuple[Principal, ApiKey, str, float]]:
    """(who, key, the name that it asks for, its share of the traffic)."""
    teams = Teams(app.store, app.keys.forget)
    teams.create("Support", Limits(usd_per_month=0.75))
    teams.create("Research", Limits(usd_per_month=1.0, tokens_per_minute=2_000_000))
    teams.create("Sales")
    made = []
    for name, role, team, grant, model, share in (
        ("Website chat", RoleName.USER, "Support", Grant(
            limits=Limits(usd_per_day=0.5, requests_per_minute=600), scopes=Scopes(models=("support",))), "support", 5),
        ("Support desk", RoleName.USER, "Support", Grant(
            limits=Limits(usd_per_day=1.0), record_content=True), "assistant", 3),
        ("Alice", RoleName.DEVELOPER, "Research", Grant(limits=Limits(usd_per_day=2.0)), "claude-sonnet", 2),
        ("Nightly reports", RoleName.USER, "Research", Grant(
            limits=Limits(concurrency=24), scopes=Scopes(models=("gemini-*", "gpt-*"))), "gemini-flash", 3),
        ("Proposal writer", RoleName.USER, "Sales", Grant(), "gpt-4o", 2),
        ("Local tests", RoleName.DEVELOPER, "Sales", Grant(limits=Limits(requests_per_minute=40)), "smollm2-135m", 1),
    ):  # fmt: skip
        key, secret = app.keys.create(name, role, grant=grant, team=team)
        made.append((*app.keys.identify(secret.reveal()), model, float(share)))
        assert made[-1][1].id == key.id
    return made


async def _one(app: App, caller: tuple[Principal, ApiKey, str, float], at: float, dice: random.Random) -> None:
    who, key, model, _ = caller
    number = dice.randrange(8)
    # Money counts by the thousands of tokens: prompts are as long as those of people with documents.
    text = f"{number} {ASKS[number]} {' '.join(dice.choices(WORDS, k=dice.randint(200, 2400)))}"
    if model == "support":
        text = f"{number} {ASKS[number]}" + f" ({dice.randrange(6)})"
    if model == "assistant" and dice.random() < 0.15:
        text += " overloaded"
    _now.set(at)
    ctx = Context(
        principal=who, key=key, trace=new_id("tr"), door="messages" if model == "assistant" else "chat.completions"
    )
    wanted = "gpt-5-nano" if dice.random() < 0.02 else model
    request = Request(
        model=wanted, messages=(Message(role=Role.USER, content=text),), stream=dice.random() < 0.7, cache=CacheUse()
    )
    left = dice.random() < 0.03
    try:
        async with aclosing(handle(request, ctx, app)) as events:
            seen = 0
            async for _ in events:
                seen += 1
                if left and seen > 8:
                    break
    except AthanorError:
        pass
    if dice.random() < 0.06:
        rating = dice.choice((1, 1, 1, -1))
        comment = "The filter is not mentioned." if rating < 0 else ""
        app.store.feedback.put(trace=ctx.trace, principal=who.id, rating=rating, comment=comment)


async def _fill(home: Path, requests: int, now: float) -> None:
    arguments = {"home": str(home)}
    settings = load_settings(home / "athanor.toml", arguments=arguments, environment={}).settings
    dice = random.Random(11)
    real = spans.time
    spans.time = SimpleNamespace(time=lambda: _now.get(real.time()), perf_counter=real.perf_counter)  # type: ignore[assignment]
    try:
        async with open_app(settings, embedder=HashEmbedder()) as app:
            callers = await _callers(app)
            slots = asyncio.Semaphore(24)

            async def later(number: int, at: float) -> None:
                own = random.Random(number)  # of its own, because who comes first is chance
                async with slots:
                    await _one(app, own.choices(callers, [c[3] for c in callers])[0], at, own)

            times = []
            while len(times) < requests:
                # More of it lately, less at weekends and at night.
                ago = 30 * dice.random() ** 1.3
                at = now - 60 - ago * DAY
                moment = time.gmtime(at)
                if dice.random() < (0.3 if moment.tm_wday > 4 else 1.0) * (0.25 if not 6 <= moment.tm_hour < 19 else 1):
                    times.append(at)
            await asyncio.gather(*(later(number, at) for number, at in enumerate(sorted(times))))
    finally:
        spans.time = real


def fill(home: Path, *, requests: int = 600, now: float | None = None) -> str:
    """Make a home folder with so many requests in the thirty days before `now`; gives its settings."""
    text = settings_text(home)
    (home / "athanor.toml").write_text(text)
    work = _fill(home, requests, time.time() if now is None else now)
    with ThreadPoolExecutor(1) as thread:  # a test with a browser has a loop of its own in this one
        thread.submit(asyncio.run, work).result()
    return text
