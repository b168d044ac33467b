"""`/console/guards`: what guards found, in whose request, and what was done about it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from anyio import to_thread
from starlette.requests import Request

from athanor.console.gate import Visit, visit
from athanor.console.rules import sees
from athanor.console.traces import PERIODS
from athanor.console.widgets import Tag, badge, button, empty, goto, moment, page, problem
from athanor.errors import AthanorError
from athanor.gateway import App
from athanor.types import Decision, GuardEvent, Origin

ROWS = 100
KINDS = {"allow": "is-good", "flag": "is-warn", "redact": "is-warn", "block": "is-bad"}
DONE = {"allow": "let through", "flag": "flagged", "redact": "redacted", "block": "blocked"}
"""Decision → the word for what was done."""
FROM = {
    Origin.SYSTEM: "system prompt", Origin.USER: "request", Origin.DOCUMENT: "document", Origin.TOOL: "tool",
    Origin.MODEL: "answer",
}  # fmt: skip
_TABS = (("/guards", "Events"), ("/guards/try", "Playground"), ("/guards/policy", "Policy"))


def tabs(here: Visit, active: str) -> None:
    """The pages about guards, as far as this person may open them."""
    with Tag("nav", "a-tabs", aria_label="Guards"):
        for path, name in _TABS:
            if sees(here.principal, path):
                Tag("a", text=name, href=f"/console{path}", aria_current="page" if path == active else None)


async def show(
    request: Request,
    category: str = "",
    action: str = "",
    origin: str = "",
    who: str = "",
    trace: str = "",
    hours: str = "",
    after: str = "",
) -> None:
    """Draw the page. Everything that is chosen is in its address, so that it can be kept and sent on."""
    here = visit(request)
    chosen = {"category": category, "action": action, "origin": origin, "who": who, "trace": trace, "hours": hours}
    chosen = {name: value.strip() for name, value in chosen.items()}
    with page("shield", "Guards", css="is-wide"):
        with Tag("div", "a-pagehead"), Tag("div"):
            Tag("h1", text="Guards")
            Tag("p", text="What was found in requests, documents and answers. No text is kept here, only where it was.")
        tabs(here, "/guards")
        _filters(chosen)
        body = Tag("div", "a-stack")
    try:
        rows, names, counts = await to_thread.run_sync(_read, here.app, chosen, after.strip())
    except AthanorError as error:
        with body:
            problem(error)
        return
    with body:
        _state(here.app, counts)
        if rows:
            _table(rows, names, chosen, paged=bool(after))
        elif any(chosen.values()) or after:
            empty("shield", "No event fits", "Take a filter away, or look at a longer time.")
        else:
            empty(
                "shield",
                "Nothing was found yet",
                "As soon as a guard finds something that a policy names, it is listed here.",
            )


def _read(
    app: App, chosen: Mapping[str, str], after: str
) -> tuple[list[GuardEvent], Mapping[str, str], Mapping[Decision, int]]:
    who: str | None = chosen["who"] or None
    if who is not None and (found := app.store.principals.find(who)) is not None:
        who = found.id
    since = _since(chosen["hours"])
    rows = app.store.guard_events.list(
        category=chosen["category"] or None, since=since, after=after or None, limit=ROWS + 1, principal=who,
        action=chosen["action"] or None, origin=chosen["origin"] or None, trace=chosen["trace"] or None,
    )  # fmt: skip
    counts = dict.fromkeys(Decision, 0)
    for _, done, count in app.store.guard_events.counts(since=since):
        counts[done] += count
    names = {one.id: one.name for one in app.store.principals.list()}
    names |= {one.id: one.name for one in app.store.keys.list()}
    return rows, names, counts


def _since(hours: str) -> float | None:
    try:
        return time.time() - 3600 * min(max(float(hours), 0.0), 1e6)
    except ValueError:
        return None


def _filters(chosen: Mapping[str, str]) -> None:
    with Tag("form", "a-filters", method="get", action="/console/guards", role="search"):
        for name, label, hint in (
            ("category", "Category", "pii.*, secret.aws"), ("who", "From", "Name or id"), ("trace", "Trace", "Its id"),
        ):  # fmt: skip
            with Tag("label", text=label):
                Tag(
                    "input", "a-input is-long", name=name, value=chosen[name], placeholder=hint, maxlength=200,
                    autocomplete="off", spellcheck="false",
                )  # fmt: skip
        done = [("", "Anything"), *((d.value, DONE[d.value].capitalize()) for d in Decision if d is not Decision.ALLOW)]
        where = [("", "Anywhere"), *((o.value, FROM[o].capitalize()) for o in Origin)]
        for name, label, options in (("action", "Done", done), ("origin", "In", where), ("hours", "When", PERIODS)):
            with Tag("label", text=label), Tag("span", "a-pick"), Tag("select", "a-select", name=name):
                for value, text in options:
                    Tag("option", text=text, value=value, selected=value == chosen[name] or None)
        button("Search", css="is-main", type="submit")
        if any(chosen.values()):
            Tag("a", "a-button is-quiet", text="Clear", href="/console/guards")


def _state(app: App, counts: Mapping[Decision, int]) -> None:
    """What is in force, what is missing, and how much was done in the chosen time."""
    chain = app.guards
    with Tag("dl", "a-tiles"):
        for name, value, more in (
            ("Mode", chain.settings.mode, f"policies {chain.book.current.version}"),
            *((DONE[d.value].capitalize(), str(counts[d]), "") for d in Decision if d is not Decision.ALLOW),
            ("Guards", str(len(chain.guards)), f"{len(chain.missing)} missing" if chain.missing else ""),
        ):
            with Tag("div", "a-tile"):
                Tag("dt", text=name)
                Tag("dd", text=value)
                if more:
                    Tag("p", text=more)
    if chain.missing:
        with Tag("details", "a-small"):
            Tag("summary", text=f"Guards that are not there: {', '.join(sorted(chain.missing))}")
            for name, why in sorted(chain.missing.items()):
                Tag("p", "a-muted", text=f"{name}: {why}")


def _table(rows: Sequence[GuardEvent], names: Mapping[str, str], chosen: Mapping[str, str], *, paged: bool) -> None:
    with Tag("div", "a-card"):
        with Tag("div", "a-scrollx"), Tag("table", "a-log is-list"):
            with Tag("thead"), Tag("tr"):
                for name in ("When", "Done", "What", "Why", "Where", "From", "Policy", "Trace"):
                    Tag("th", text=name, scope="col")
            with Tag("tbody"):
                for row in rows[:ROWS]:
                    _row(row, names)
        if paged or len(rows) > ROWS:
            query = {name: value for name, value in chosen.items() if value}
            with Tag("div", "a-pages"):
                goto("back", "Newest", f"/console/guards?{urlencode(query)}", css="is-small") if paged else Tag("span")
                if len(rows) > ROWS:
                    older = urlencode({**query, "after": rows[ROWS - 1].id})
                    goto("shield", "Older", f"/console/guards?{older}", css="is-small")


def _row(row: GuardEvent, names: Mapping[str, str]) -> None:
    with Tag("tr", data_event=row.id):
        with Tag("td", "is-tight"):
            moment(row.at)
        with Tag("td", "is-tight"):
            badge(DONE[row.action.value], KINDS[row.action.value])
            if row.action is not row.decision:
                Tag("span", "a-muted", text=f" policy: {row.decision.value}")
        with Tag("td", "is-tight"):
            Tag("a", text=row.category, href=f"/console/guards?{urlencode({'category': row.category})}")
            Tag("span", "a-muted", text=f" {row.score:.2f}")
        Tag("td", "a-muted", text=row.reason)
        with Tag("td", "is-tight is-extra"):
            Tag("span", text=FROM[row.origin])
            Tag(
                "span",
                "a-muted",
                text=f" {row.place}, {row.start}–{row.end}" if row.place else f" {row.start}–{row.end}",
            )
        with Tag("td", "is-name is-extra"):
            Tag("span", text=names.get(row.principal, row.principal))
            if row.key and (key := names.get(row.key, row.key)) != names.get(row.principal):
                Tag("span", "a-muted", text=f" ({key})")
        Tag("td", "is-tight is-extra a-muted", text=row.policy)
        with Tag("td", "is-tight"):
            if row.trace:
                Tag("a", text="open", href=f"/console/traces/{row.trace}", aria_label=f"Trace {row.trace}")
