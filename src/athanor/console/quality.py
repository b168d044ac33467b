"""`/console/quality`: how well a knowledge base did in its evaluations, and the versions of its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anyio import to_thread
from starlette.requests import Request

from athanor.console.gate import visit
from athanor.console.plots import whiskers
from athanor.console.widgets import Tag, badge, empty, goto, moment, page, problem
from athanor.console.words import many
from athanor.errors import AthanorError
from athanor.types import Evaluation, KnowledgeBase, KnowledgeVersion

SHOWN = 20
"""Evaluations drawn, the newest."""


async def show(request: Request, base: str = "") -> None:
    """Draw the page."""
    here = visit(request)
    app = here.app
    with page("books", "Quality", css="is-wide"):
        with Tag("div", "a-pagehead"), Tag("div"):
            Tag("h1", text="Quality")
            Tag("p", text="Each measure with its 95 % interval, evaluation by evaluation.")
        body = Tag("div", "a-stack")
    try:
        found = await app.knowledge.base(base, reader=await app.reader(here.principal))
        made = await to_thread.run_sync(app.store.evaluations.list, found.id)
        versions = await to_thread.run_sync(app.store.versions.list, found.id)
    except AthanorError as error:
        with body:
            problem(error)
        return
    with body:
        with Tag("div", "a-line a-wrap"):
            Tag("h2", "a-grow", text=found.name)
            goto("books", "Documents", f"/console/knowledge?base={found.id}", css="is-small")
            goto("trace", "Retrieval lab", f"/console/lab?base={found.id}", css="is-small")
        if made:
            _plots(sorted(made, key=lambda evaluation: evaluation.created_at)[-SHOWN:])
        else:
            empty("books", "Not measured yet", "Evaluations of this base are drawn here once they are stored.")
        _versions(found, versions)


def _plots(made: Sequence[Evaluation]) -> None:
    names = dict.fromkeys(
        name for evaluation in made for name, figure in evaluation.figures.items() if _value(figure) is not None
    )
    with Tag("section", "a-grid2"):
        for name in names:
            points = [
                (f"version {evaluation.version}, {evaluation.questions}", _interval(evaluation.figures.get(name)))
                for evaluation in made
            ]
            with Tag("div", "a-card"):
                last = next((point for _, point in reversed(points) if point is not None), None)
                with Tag("div", "a-cardhead"):
                    Tag("h2", text=name)
                    if last is not None:
                        Tag("span", "a-numbers", text=f"{last[0]:.3f} ({last[1]:.3f}–{last[2]:.3f})")
                with Tag("div", "a-pad"):
                    whiskers(points, about=f"{name} in {many(len(points), 'evaluation')}")


def _versions(base: KnowledgeBase, versions: Sequence[KnowledgeVersion]) -> None:
    with Tag("section", "a-card"):
        with Tag("div", "a-cardhead"):
            Tag("h2", text="Versions of the settings")
        with Tag("div", "a-scrollx"), Tag("table", "a-log"):
            with Tag("thead"), Tag("tr"):
                for name in ("Version", "Made", "Note", "Settings"):
                    Tag("th", text=name, scope="col")
            with Tag("tbody"):
                for version in sorted(versions, key=lambda version: -version.version):
                    _version(version, current=version.version == base.version)
                with Tag("tr"):
                    with Tag("td", "is-tight", text="0 "):
                        if base.version == 0:
                            badge("in use", "is-good")
                    Tag("td")
                    Tag("td", text="The defaults")
                    Tag("td")


def _version(version: KnowledgeVersion, *, current: bool) -> None:
    settings = version.settings
    with Tag("tr", data_version=str(version.version)):
        with Tag("td", "is-tight", text=f"{version.version} "):
            if current:
                badge("in use", "is-good")
        with Tag("td", "is-tight"):
            moment(version.created_at)
        Tag("td", text=version.note)
        chosen = ", ".join(f"{name} {getattr(settings, name)}" for name in settings.__slots__)
        Tag("td", "a-small a-muted", text=chosen)


def _value(figure: Any) -> float | None:
    value = figure.get("value") if isinstance(figure, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _interval(figure: Any) -> tuple[float, float, float] | None:
    """(value, low, high) of a measure; an interval that nobody computed is the value itself."""
    value = _value(figure)
    if value is None:
        return None
    low, high = figure.get("low"), figure.get("high")
    return value, float(value if low is None else low), float(value if high is None else high)
