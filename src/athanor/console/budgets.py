"""Limits and budgets, and how much of them is used: of the system, of teams, of keys."""

from __future__ import annotations

import time
from collections.abc import Mapping

from anyio import to_thread

from athanor.console.plots import meter
from athanor.console.widgets import Tag, empty
from athanor.gateway import App
from athanor.governance import Teams
from athanor.observe.figures import count, dollars
from athanor.types import NO_LIMITS, Limits

# Limit → (label, what of it is used).
_METERS = {
    "usd_per_day": ("Today", "usd_today"),
    "usd_per_month": ("This month", "usd_this_month"),
    "requests_per_minute": ("Requests in the last minute", "requests_last_minute"),
    "tokens_per_minute": ("Tokens in the last minute", "tokens_last_minute"),
    "concurrency": ("Running now", "running"),
}


async def show_budgets(app: App) -> None:
    """All that have a limit."""
    found = await to_thread.run_sync(_limited, app)
    with Tag("div"):
        Tag("h2", text="Limits and budgets")
        Tag("p", "a-muted a-small", text="Days and months are UTC. What running requests hold counts as used.")
    if not found:
        empty(
            "costs", "No limits", "'athanor keys limit', 'athanor teams limit' and [limits] in athanor.toml set them."
        )
        return
    with Tag("div", "a-budgets"):
        for what, name, limits, (kind, id_) in found:
            with Tag("section", "a-card a-budget"):
                with Tag("div"):
                    Tag("h3", text=name)
                    Tag("p", "a-small a-muted", text=what)
                # Here and not in the thread: meters belong to the loop.
                meters(limits, app.limits.spent(kind, id_))


def meters(limits: Limits, used: Mapping[str, float]) -> None:
    """A bar for each limit that is set."""
    for field, (label, measure) in _METERS.items():
        limit = getattr(limits, field)
        if limit is None:
            continue
        money = field.startswith("usd")
        amount = used.get(measure, 0.0) + (used.get("usd_held", 0.0) if money else 0.0)
        meter(label, amount, limit, words=dollars if money else count)


def _limited(app: App) -> list[tuple[str, str, Limits, tuple[str, str]]]:
    system = Limits(**app.settings.limits.model_dump())
    rows = [("Everything together", "The whole system", system, ("system", ""))]
    for team, members in Teams(app.store, app.keys.forget).list():
        rows.append((f"Team of {len(members)}", team.name, team.limits, ("team", team.id)))
    now = time.time()
    for key, owner in app.keys.list():
        if key.revoked_at is None and (key.expires_at is None or key.expires_at > now):
            name = key.name if key.name == owner.name else f"{owner.name}: {key.name}"
            rows.append(("Key", name, key.limits, ("key", key.id)))
    return [row for row in rows if row[2] != NO_LIMITS]
