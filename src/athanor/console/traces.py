"""`/console/traces`: requests that this person may see, searched and filtered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urlencode

from anyio import to_thread
from starlette.requests import Request

from athanor.console.gate import visit
from athanor.console.widgets import Tag, badge, button, empty, goto, icon, moment, page, problem
from athanor.errors import AthanorError
from athanor.governance import Books, Search
from athanor.governance.books import Names, sees_all
from athanor.observe.figures import count, dollars, seconds
from athanor.store import Store
from athanor.types import Principal, RequestRecord

ROWS = 100
PERIODS = (
    ("", "Any time"),
    ("1", "Last hour"),
    ("24", "Last 24 hours"),
    ("168", "Last 7 days"),
    ("720", "Last 30 days"),
)
"""Hours."""
STATUSES = (
    ("", "Any status"), ("ok", "Answered"), ("failed", "Failed"), ("cancelled", "Cancelled"),
    ("rate_limited", "Refused: rate"), ("budget_exceeded", "Refused: budget"), ("engine_failed", "Model failed"),
    ("engine_timeout", "Model too slow"), ("not_found", "Not found"),
)  # fmt: skip


async def show(
    request: Request,
    trace: str = "",
    model: str = "",
    key: str = "",
    who: str = "",
    status: str = "",
    hours: str = "",
    before: str = "",
) -> None:
    """Draw the page. Everything that is chosen is in its address, so that it can be kept and sent on."""
    here = visit(request)
    chosen = {"trace": trace, "model": model, "key": key, "who": who, "status": status, "hours": hours}
    chosen = {name: value.strip() for name, value in chosen.items()}
    everybody = sees_all(here.principal)
    with page("trace", "Traces", css="is-wide"):
        with Tag("div", "a-pagehead"), Tag("div"):
            Tag("h1", text="Traces")
            Tag("p", text="Every request, whoever sent it." if everybody else "Your requests.")
        _filters(chosen, everybody=everybody)
        body = Tag("div")
    try:
        search = _search(chosen, before)
        rows, names, verdicts = await to_thread.run_sync(_read, here.app.store, search, here.principal)
    except AthanorError as error:
        with body:
            problem(error)
        return
    with body:
        if not rows:
            _nothing(filtered=any(chosen.values()) or bool(before))
        else:
            _table(rows, names, verdicts, chosen, everybody=everybody, paged=bool(before))


def _search(chosen: Mapping[str, str], before: str) -> Search:
    hours = _number(chosen["hours"])
    return Search(
        trace=chosen["trace"] or None,
        model=chosen["model"] or None,
        key=chosen["key"] or None,
        principal=chosen["who"] or None,
        status=chosen["status"] or None,
        since=time.time() - 3600 * hours if hours is not None else None,
        before=_number(before),
        limit=ROWS + 1,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e12 else None


def _read(
    store: Store, search: Search, by: Principal
) -> tuple[list[RequestRecord], Names, Mapping[str, tuple[int, int]]]:
    books = Books(store)
    rows = books.list(search, by=by)
    return rows, books.names(), store.feedback.counts([row.trace for row in rows])


def _filters(chosen: Mapping[str, str], *, everybody: bool) -> None:
    with Tag("form", "a-filters", method="get", action="/console/traces", role="search"):
        fields = [("trace", "Trace", "Part of an id", "is-long"), ("model", "Model", "Asked or answered", "")]
        fields += [("key", "Key", "Name or id", ""), ("who", "From", "Name or id", "")] if everybody else []
        for name, label, hint, css in fields:
            with Tag("label", text=label):
                Tag(
                    "input", f"a-input {css}", name=name, value=chosen[name], placeholder=hint, maxlength=200,
                    autocomplete="off", spellcheck="false",
                )  # fmt: skip
        for name, label, options in (("status", "Status", STATUSES), ("hours", "When", PERIODS)):
            own = chosen[name]
            shown = options if own in dict(options) else (*options, (own, own))
            with Tag("label", text=label), Tag("span", "a-pick"), Tag("select", "a-select", name=name):
                for value, text in shown:
                    Tag("option", text=text, value=value, selected=value == own or None)
        button("Search", css="is-main", type="submit")
        if any(chosen.values()):
            Tag("a", "a-button is-quiet", text="Clear", href="/console/traces")


def _nothing(*, filtered: bool) -> None:
    if filtered:
        empty("trace", "No request fits", "Take a filter away, or look at a longer time.")
    else:
        empty("trace", "No requests yet", "As soon as somebody asks a model, each request is listed here.")


def _table(
    rows: list[RequestRecord],
    names: Names,
    verdicts: Mapping[str, tuple[int, int]],
    chosen: Mapping[str, str],
    *,
    everybody: bool,
    paged: bool,
) -> None:
    with Tag("div", "a-card"):
        with Tag("div", "a-scrollx"), Tag("table", "a-log is-list"):
            with Tag("thead"), Tag("tr"):
                for name, css in (
                    ("When", ""), ("Status", ""), ("Model", ""), ("From", ""), ("Tokens in", "is-number"),
                    ("out", "is-number"), ("First", "is-number"), ("Time", "is-number"), ("Cost", "is-number"),
                    ("", ""),
                ):  # fmt: skip
                    Tag("th", css, text=name, scope="col")
            with Tag("tbody"):
                for row in rows[:ROWS]:
                    _row(row, names, verdicts.get(row.trace), everybody=everybody)
        if paged or len(rows) > ROWS:
            with Tag("div", "a-pages"):
                query = {name: value for name, value in chosen.items() if value}
                newest = f"/console/traces?{urlencode(query)}"
                goto("back", "Newest", newest, css="is-small") if paged else Tag("span")
                if len(rows) > ROWS:
                    older = {**query, "before": repr(rows[ROWS - 1].at)}
                    goto("trace", "Older", f"/console/traces?{urlencode(older)}", css="is-small")


def _row(row: RequestRecord, names: Names, verdict: tuple[int, int] | None, *, everybody: bool) -> None:
    usage = row.usage
    with Tag("tr", data_trace=row.trace):
        with Tag("td", "is-tight"), Tag("a", href=f"/console/traces/{row.trace}"):
            moment(row.at)
        with Tag("td", "is-tight"):
            status_badge(row.status)
        with Tag("td", "is-name"):
            Tag("span", text=row.model)
            if row.target and row.target != row.model:
                Tag("span", "a-muted", text=f" → {row.target}")
        with Tag("td", "is-name is-extra"):
            person, key = names.of("principal", row.principal), names.of("key", row.key)
            Tag("span", text=person if everybody else key or row.door)
            if everybody and key and key != person:
                Tag("span", "a-muted", text=f" ({key})")
        for text, css in (
            (count(usage.prompt_tokens) if usage.prompt_tokens else "", "is-extra"),
            (count(usage.completion_tokens) if usage.completion_tokens else "", "is-extra"),
            (seconds(row.first_token), "is-extra"),
            (seconds(row.duration), "is-extra"),
        ):
            Tag("td", f"is-number {css}", text=text)
        with Tag("td", "is-number"):
            Tag("span", text="cache" if row.cache and not usage.cost else dollars(usage.cost) if usage.cost else "")
        with Tag("td", "is-tight is-extra"):
            _verdict(verdict)


def _verdict(verdict: tuple[int, int] | None) -> None:
    for number, sign, css, word in zip(
        verdict or (0, 0), ("up", "down"), ("is-good-text", "is-bad-text"), ("good", "bad"), strict=True
    ):
        if number:
            with Tag("span", css, title=f"{number} × {word}", aria_label=f"{number} verdicts: {word}"):
                icon(sign)


def status_badge(status: str) -> Tag:
    """How a request ended."""
    kind = {"ok": "is-good", "cancelled": "is-warn"}.get(status, "is-bad")
    return badge(status.replace("_", " "), kind)
