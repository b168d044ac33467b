"""`/console/traces/TRACE`: one request, its stages in time, what it used and cost, what was said and thought of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anyio import to_thread
from starlette.requests import Request

from athanor.console.gate import visit
from athanor.console.plots import tiles
from athanor.console.traces import status_badge
from athanor.console.widgets import Tag, badge, goto, icon, moment, page, problem, square
from athanor.errors import AthanorError
from athanor.governance import Books
from athanor.governance.books import Names, Trace
from athanor.observe.figures import count, dollars, seconds
from athanor.types import Feedback, RequestRecord, Span

_MARKS = 4
_DEEPEST = 6


async def show(request: Request, trace: str) -> None:
    """Draw the page."""
    here = visit(request)
    books = Books(here.app.store)

    def read() -> tuple[Trace, Names]:
        return books.get(trace, by=here.principal), books.names()

    try:
        found, names = await to_thread.run_sync(read)
    except AthanorError as error:
        with page("trace", "Trace", css="is-wide"):
            _back()
            problem(error)
        return
    row = found.request
    with page("trace", "Trace", css="is-wide"):
        with Tag("div", "a-stack"):
            _back()
            with Tag("div", "a-line a-wrap"):
                Tag("h1", "a-break", text=row.model)
                status_badge(row.status)
                if row.cache:
                    badge(f"{row.cache} cache hit", "is-good")
        tiles(_figures(row))
        _stages(found.spans)
        with Tag("div", "a-two"):
            _facts(row, names)
            _verdicts(found.feedback, names)
        _said(found)


def _back() -> None:
    with Tag("div"):
        goto("back", "All traces", "/console/traces", css="is-small is-quiet")


def _figures(row: RequestRecord) -> list[tuple[str, str, str]]:
    usage = row.usage
    cost = f"saved {dollars(row.saved)}" if row.saved else ""
    first = "to the first piece" if row.first_token is not None else "nothing came"
    rate = ""
    if row.first_token is not None and usage.completion_tokens > 1 and row.duration > row.first_token:
        rate = f"{usage.completion_tokens / (row.duration - row.first_token):.0f} tokens/s"
    cached = f"{count(usage.cached_tokens)} from the vendor's cache" if usage.cached_tokens else ""
    thought = f"{count(usage.reasoning_tokens)} of reasoning" if usage.reasoning_tokens else rate
    return [
        ("Time", seconds(row.duration), "from request to end"),
        ("First piece", seconds(row.first_token) or "–", first),
        ("Tokens in", count(usage.prompt_tokens), cached),
        ("Tokens out", count(usage.completion_tokens), thought),
        ("Cost", dollars(usage.cost), cost),
    ]


def _facts(row: RequestRecord, names: Names) -> None:
    with Tag("section", "a-card"):
        with Tag("div", "a-cardhead"):
            Tag("h2", text="Request")
        with Tag("div", "a-pad"), Tag("dl", "a-pairs"):
            Tag("dt", text="When")
            with Tag("dd"):
                moment(row.at)
            for name, value in (
                ("From", names.of("principal", row.principal)),
                ("Key", names.of("key", row.key)),
                ("Team", names.of("team", row.team)),
                ("Interface", row.door),
                ("Asked for", row.model),
                ("Answered by", row.target),
            ):
                if value:
                    Tag("dt", text=name)
                    Tag("dd", text=value)
            Tag("dt", text="Trace")
            with Tag("dd", "a-line"):
                Tag("code", text=row.trace)
                square("copy", "Copy the trace's id", css="is-small", data_copy=row.trace)


def _verdicts(verdicts: Sequence[Feedback], names: Names) -> None:
    with Tag("section", "a-card"):
        with Tag("div", "a-cardhead"):
            Tag("h2", text="Feedback")
        if not verdicts:
            Tag("p", "a-pad a-muted a-small", text="Nobody has judged this answer.")
        for verdict in verdicts:
            good = verdict.rating > 0
            with Tag("div", "a-message"):
                with Tag("div", "a-line a-small"):
                    with Tag("span", "is-good-text" if good else "is-bad-text"):
                        icon("up" if good else "down")
                    Tag("b", text="Good answer" if good else "Bad answer")
                    Tag("span", "a-muted", text=names.of("principal", verdict.principal))
                    with Tag("span", "a-muted"):
                        moment(verdict.created_at)
                if verdict.comment:
                    Tag("p", text=verdict.comment)


# --- what was said


def _said(found: Trace) -> None:
    content = found.content
    with Tag("section", "a-card"):
        with Tag("div", "a-cardhead"):
            Tag("h2", text="What was said")
            if content is not None:
                badge("recorded", "is-warn")
        if content is None:
            text = "The texts of this request are not kept. A key can ask for it, or [traces] content in athanor.toml."
            Tag("p", "a-pad a-muted a-small", text=text)
            return
        for message in content.request.get("messages", ()):
            _message(str(message.get("role", "")), _text(message))
        answer = content.answer
        if answer.get("reasoning"):
            _message("reasoning", str(answer["reasoning"]))
        _message("answer", _text({**answer, "calls": answer.get("tool_calls", ())}))


def _message(role: str, text: str) -> None:
    with Tag("div", "a-message"):
        Tag("b", "a-small a-muted", text=role)
        Tag("p", text=text or "(empty)")


def _text(message: Mapping[str, Any]) -> str:
    parts = [str(message.get("content", ""))]
    parts += [f"[{part.get('kind', 'attachment')}]" for part in message.get("parts", ()) if "text" not in part]
    parts += [f"{call.get('name', '')}({call.get('arguments', '')})" for call in message.get("calls", ())]
    return "\n".join(part for part in parts if part)


# --- the waterfall


def _stages(spans: Sequence[Span]) -> None:
    with Tag("section", "a-card"):
        with Tag("div", "a-cardhead"):
            Tag("h2", text="Stages")
            Tag("span", "a-small a-muted", text="Open a stage for what it noted." if spans else "")
        if not spans:
            Tag(
                "p",
                "a-pad a-muted a-small",
                text="The stages of this request have expired; its figures are kept longer.",
            )
            return
        start = min(span.started_at for span in spans)
        whole = max(span.started_at + span.duration for span in spans) - start or 1e-9
        with Tag("div", "a-water"):
            with Tag("div", "a-axis", aria_hidden="true"):
                Tag("span")
                with Tag("svg"):
                    for mark in range(_MARKS + 1):
                        anchor = "start" if mark == 0 else "end" if mark == _MARKS else "middle"
                        text = seconds(whole * mark / _MARKS) if mark else "0"
                        Tag("text", text=text, x=f"{100 * mark / _MARKS}%", y=14, text_anchor=anchor)
                Tag("span")
            for depth, span in _tree(spans):
                _stage(span, depth, start, whole)


def _stage(span: Span, depth: int, start: float, whole: float) -> None:
    kinds = [f"is-{span.name}"] if span.parent is not None else ["is-root"]
    if span.status != "ok":
        kinds.append("is-cancelled" if span.status == "cancelled" else "is-bad")
    about = span.attributes.get("target" if span.name == "attempt" else "model") or span.attributes.get("base") or ""
    begin, width = 100 * (span.started_at - start) / whole, 100 * span.duration / whole
    with Tag("details", f"a-stage {' '.join(kinds)}", data_stage=span.name):
        with Tag("summary"):
            with Tag("span", f"a-stagename a-clip a-step-{min(depth, _DEEPEST)}"):
                Tag("b", text=span.name)
                Tag("span", "a-clip", text=str(about))
            with Tag(
                "svg", role="img", aria_label=f"from {seconds(span.started_at - start)}, {seconds(span.duration)}"
            ):
                Tag("rect", x=f"{min(begin, 99.7):.3f}%", width=f"{max(width, 0.3):.3f}%", y=3, height=12, rx=2)
                first = span.attributes.get("first_s")
                if isinstance(first, float) and 0 < first < span.duration:
                    x = f"{begin + 100 * first / whole:.3f}%"
                    with Tag("line", x1=x, x2=x, y1=3, y2=15):
                        Tag("title", text=f"first piece after {seconds(first)}")
            Tag("span", "a-took", text=seconds(span.duration))
        with Tag("dl", "a-pairs"):
            for name, value in (("status", span.status), ("begins", seconds(span.started_at - start) or "0")):
                Tag("dt", text=name)
                Tag("dd", text=value)
            for name, value in span.attributes.items():
                if value not in ("", None):
                    Tag("dt", text=name.removesuffix("_s").replace("_", " "))
                    Tag("dd", text=_value(name, value))


def _value(name: str, value: Any) -> str:
    if name in {"cost", "saved"} and isinstance(value, int | float):
        return dollars(value)
    if name.endswith("_s") or name == "wait":
        return seconds(float(value))
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return count(value) if name.endswith("_tokens") else str(value)


def _tree(spans: Sequence[Span]) -> list[tuple[int, Span]]:
    """(depth, span): each span, then what happened within it."""
    known = {span.id for span in spans}
    below: dict[str | None, list[Span]] = {}
    for span in spans:
        below.setdefault(span.parent if span.parent in known else None, []).append(span)
    found: list[tuple[int, Span]] = []
    waiting = [(0, span) for span in reversed(below.get(None, []))]
    while waiting:
        depth, span = waiting.pop()
        found.append((depth, span))
        waiting += [(depth + 1, child) for child in reversed(below.get(span.id, []))]
    return found
