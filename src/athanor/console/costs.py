"""`/console/costs`: what was spent and used, by whom and by which model; how fast it was; limits and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from anyio import to_thread
from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from athanor.console.budgets import show_budgets
from athanor.console.gate import visit
from athanor.console.plots import HUES, hue, share, stacked, tiles
from athanor.console.rules import can
from athanor.console.widgets import Tag, empty, page, problem, select
from athanor.errors import AthanorError
from athanor.governance import Books
from athanor.governance.books import Names
from athanor.observe.figures import count, dollars, percent, seconds, short
from athanor.types import Principal

PERIODS = (("7", "Last 7 days"), ("30", "Last 30 days"), ("90", "Last 90 days"), ("month", "This month"))
GROUPS = (("target", "By model"), ("model", "By name asked for"), ("key", "By key"), ("team", "By team"),
          ("principal", "By person or program"), ("door", "By interface"), ("status", "By outcome"))  # fmt: skip
MEASURES = (("cost", "US dollars"), ("requests", "Requests"), ("tokens", "Tokens"))
_NOBODY = {"team": "no team", "key": "no key (console)", "target": "no model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is chosen."""

    period: str
    by: str
    measure: str

    @property
    def since(self) -> datetime:
        """Midnight, UTC: whole days only, so that bars can be compared."""
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return today.replace(day=1) if self.period == "month" else today - timedelta(days=int(self.period) - 1)

    @property
    def days(self) -> list[str]:
        first, today = self.since.date(), datetime.now(UTC).date()
        return [str(first + timedelta(days=n)) for n in range((today - first).days + 1)]

    def with_(self, name: str, value: str) -> str:
        """The address of this view with one thing changed."""
        chosen = {"period": self.period, "by": self.by, "measure": self.measure, name: value}
        return f"/costs?{urlencode(chosen)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was read for a view."""

    groups: Sequence[Mapping[str, Any]]
    by_day: Sequence[Mapping[str, Any]]
    outcomes: Sequence[Mapping[str, Any]]
    latencies: Sequence[Mapping[str, Any]]
    names: Names


async def show(request: Request, period: str = "30", by: str = "target", measure: str = "cost") -> None:
    """Draw the page."""
    here = visit(request)
    view = View(
        period=period if period in dict(PERIODS) else "30",
        by=by if by in dict(GROUPS) else "target",
        measure=measure if measure in dict(MEASURES) else "cost",
    )
    everything = can(here.principal, "costs.of_all")
    with page("costs", "Costs", css="is-wide"):
        with Tag("div", "a-pagehead"):
            with Tag("div"):
                Tag("h1", text="Costs")
                Tag("p", text=f"{'Everything' if everything else 'Your requests'}, by days in UTC.")
            with Tag("div", "a-line a-wrap"):
                for name, label, options in (
                    ("period", "Period", PERIODS), ("by", "Group", GROUPS), ("measure", "Measure", MEASURES)
                ):  # fmt: skip
                    select(f"costs-{name}", label, list(options), getattr(view, name))
                    ui.on(f"costs-{name}", lambda event, name=name: _choose(view, name, event))
        body = Tag("div", "a-stack")
        try:
            figures = await to_thread.run_sync(_read, Books(here.app.store), view, here.principal)
        except AthanorError as error:
            with body:
                problem(error)
            return
        with body:
            _draw(view, figures)
        if everything:
            with Tag("div", "a-stack"):
                await show_budgets(here.app)


def _choose(view: View, name: str, event: GenericEventArguments) -> None:
    ui.navigate.to(view.with_(name, str(event.args)))


def _read(books: Books, view: View, by: Principal) -> Figures:
    since = view.since.timestamp()
    return Figures(
        groups=books.costs([view.by], since=since, by=by),
        by_day=books.costs(["day", view.by], since=since, by=by),
        outcomes=books.costs(["status", "cache"], since=since, by=by),
        latencies=books.latencies("target", since=since, by=by),
        names=books.names(),
    )


def _draw(view: View, figures: Figures) -> None:
    if not figures.groups:
        empty("costs", "Nothing was asked in this time", "Costs appear with the first request.")
        return
    _totals(figures)
    groups = sorted(figures.groups, key=lambda row: -_measured(row, view.measure))
    with Tag("section", "a-card a-plot", aria_label="By day"):
        with Tag("div", "a-plothead"):
            Tag("h2", text=f"{dict(MEASURES)[view.measure]} per day")
        words = dollars if view.measure == "cost" else count
        series = _series(view, groups, figures)
        about = f"{dict(MEASURES)[view.measure]} per day, stacked"
        stacked(view.days, series, words=words, money=view.measure == "cost", about=about)
    _groups(view, groups, figures.names)
    _latencies(figures.latencies)


def _measured(row: Mapping[str, Any], measure: str) -> float:
    return float(row["prompt_tokens"] + row["completion_tokens"] if measure == "tokens" else row[measure])


def _named(view: View, names: Names, id_: str | None) -> str:
    name = names.of(view.by, id_).replace("_", " ") if view.by == "status" else names.of(view.by, id_)
    return name or _NOBODY.get(view.by, "none")


def _series(view: View, groups: Sequence[Mapping[str, Any]], figures: Figures) -> dict[str, list[float]]:
    """The largest groups by day, and one for all the others."""
    own = [row[view.by] for row in groups[: HUES - 1 if len(groups) > HUES else HUES]]
    place = {day: number for number, day in enumerate(view.days)}
    # Two keys of one name are two groups: told apart by what does not show.
    labels: dict[str | None, str] = {}
    for id_ in own:
        label = _named(view, figures.names, id_)
        labels[id_] = label if label not in labels.values() else f"{label} ({id_})"
    series = {label: [0.0] * len(place) for label in labels.values()}
    for row in figures.by_day:
        label = labels.get(row[view.by], f"{len(groups) - len(own)} others")
        values = series.setdefault(label, [0.0] * len(place))
        if row["day"] in place:
            values[place[row["day"]]] += _measured(row, view.measure)
    return {label: values for label, values in series.items() if any(values)}


def _totals(figures: Figures) -> None:
    rows = figures.outcomes
    total = {
        name: sum(row[name] for row in rows)
        for name in ("cost", "requests", "prompt_tokens", "completion_tokens", "cached_tokens", "saved")
    }
    failed = sum(row["requests"] for row in rows if row["status"] not in {"ok", "cancelled"})
    hits = sum(row["requests"] for row in rows if row["cache"])
    each = dollars(total["cost"] / total["requests"]) if total["requests"] else "$0"
    vendor = total["cached_tokens"] / total["prompt_tokens"] if total["prompt_tokens"] else 0.0
    tiles(
        [
            ("Spent", dollars(total["cost"]), f"{each} per request"),
            ("Requests", count(total["requests"]), f"{count(failed)} failed or refused"),
            ("Tokens in", short(total["prompt_tokens"]), f"{percent(vendor)} from vendors' caches" if vendor else ""),
            ("Tokens out", short(total["completion_tokens"]), ""),
            ("Saved by the cache", dollars(total["saved"]), f"{count(hits)} hits"),
        ]
    )


def _groups(view: View, groups: Sequence[Mapping[str, Any]], names: Names) -> None:
    whole = sum(_measured(row, view.measure) for row in groups) or 1.0
    with Tag("section", "a-card", aria_label=dict(GROUPS)[view.by]):
        with Tag("div", "a-cardhead"):
            Tag("h2", text=dict(GROUPS)[view.by])
        with Tag("div", "a-scrollx"), Tag("table", "a-log"):
            with Tag("thead"), Tag("tr"):
                for name, css in (
                    ("", ""), ("Requests", "is-number"), ("Tokens in", "is-number"), ("Tokens out", "is-number"),
                    ("Cost", "is-number"), ("Saved", "is-number"), ("Share", ""), ("", "is-number"),
                ):  # fmt: skip
                    Tag("th", css, text=name, scope="col")
            with Tag("tbody"):
                for number, row in enumerate(groups):
                    colour = number if number < HUES - 1 or len(groups) <= HUES else HUES - 1
                    with Tag("tr"):
                        with Tag("td", "is-name"), Tag("span", "a-line"):
                            Tag("span", f"a-swatch {hue(colour)}")
                            Tag("span", text=_named(view, names, row[view.by]))
                        for text in (
                            count(row["requests"]), count(row["prompt_tokens"]), count(row["completion_tokens"]),
                            dollars(row["cost"]), dollars(row["saved"]) if row["saved"] else "",
                        ):  # fmt: skip
                            Tag("td", "is-number", text=text)
                        part = _measured(row, view.measure) / whole
                        with Tag("td"):
                            share(part, colour)
                        Tag("td", "is-number", text=percent(part))


def _latencies(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    with Tag("section", "a-card", aria_label="How fast"):
        with Tag("div", "a-cardhead"):
            Tag("h2", text="How fast")
            Tag("span", "a-small a-muted", text="Answers of models, without errors and cache hits: p50, p95, p99")
        with Tag("div", "a-scrollx"), Tag("table", "a-log"):
            with Tag("thead"), Tag("tr"):
                for name in ("", "Answers", "First p50", "p95", "p99", "Whole p50", "p95", "p99"):
                    Tag("th", "is-number" if name else "", text=name, scope="col")
            with Tag("tbody"):
                for row in rows:
                    with Tag("tr"):
                        Tag("td", "is-name", text=row["target"] or "no model")
                        Tag("td", "is-number", text=count(row["answers"]))
                        for what in ("first_token", "duration"):
                            for mark in (50, 95, 99):
                                Tag("td", "is-number", text=seconds(row.get(f"{what}_p{mark}")))
