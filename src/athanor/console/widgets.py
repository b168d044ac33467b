"""The pieces that pages are made of. Each is a native HTML element with a class of the design system.

Text is only ever given to `Tag(text=…)`, which makes a text node of it in the browser: nothing here renders HTML or
Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.element import Element

from athanor.console.gate import visit
from athanor.console.rules import can, sees
from athanor.errors import AthanorError
from athanor.types import Principal

Act = Callable[..., object]
"""What a click does: a function or a coroutine function, whose result is not used."""

NAV: tuple[tuple[str, str, str], ...] = (
    ("chat", "/console/", "Chat"),
    ("books", "/console/knowledge", "Knowledge"),
    ("chip", "/console/models", "Models"),
    ("trace", "/console/traces", "Traces"),
    ("costs", "/console/costs", "Costs"),
    ("shield", "/console/guards", "Guards"),
    ("key", "/console/keys", "Keys"),
    ("users", "/console/users", "Users"),
)
"""Icon, path, name. Who may not open a page does not see it here."""
_HEAD = '<link rel="stylesheet" href="/console/static/console.css"><script src="/console/static/console.js"></script>'


class Tag(Element):
    """A native element. Keyword attributes are HTML's, with `_` for `-`; `None` leaves one out."""

    def __init__(self, tag: str, css: str = "", *, text: str | None = None, **attributes: Any) -> None:
        super().__init__(tag)
        self.classes(css)
        self._text = text
        self._write(attributes)

    def _write(self, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            self._props[name.rstrip("_").replace("_", "-")] = value

    def say(self, text: str) -> None:
        """Replace the text."""
        if text != self._text:
            self._text = text
            self.update()

    def set(self, **attributes: Any) -> None:
        """Replace attributes."""
        self._write(attributes)
        self.update()

    def on_click(self, act: Act) -> Tag:
        """Call `act` without arguments."""
        self.on("click", act, args=[])
        return self


def icon(name: str) -> Tag:
    """An icon of the theme, for eyes only."""
    return Tag("span", f"a-i a-i-{name}", aria_hidden="true")


def button(label: str, act: Act | None = None, *, css: str = "", sign: str | None = None, **attributes: Any) -> Tag:
    """A button with a label, and with an icon where `sign` names one."""
    made = Tag("button", f"a-button {css}", **{"type": "button", **attributes})
    with made:
        if sign:
            icon(sign)
        Tag("span", text=label)
    return made.on_click(act) if act else made


def square(sign: str, label: str, act: Act | None = None, *, css: str = "", **attributes: Any) -> Tag:
    """A button that is only an icon; the label is its tooltip and its name."""
    made = Tag("button", f"a-square {css}", **{"type": "button", "title": label, "aria_label": label, **attributes})
    with made:
        icon(sign)
    return made.on_click(act) if act else made


def badge(label: str, kind: str = "") -> Tag:
    """A state in one word: `is-good`, `is-warn`, `is-bad` or plain."""
    return Tag("span", f"a-badge {kind}", text=label)


def notice(text: str, *, hint: str | None = None, kind: str = "is-bad", retry: Act | None = None) -> Tag:
    """One clear line about a problem, what to do about it, and a button that tries again."""
    made = Tag("div", f"a-notice {kind}", role="alert" if kind == "is-bad" else "status")
    with made:
        icon("alert")
        with Tag("div", "a-grow"):
            Tag("p", text=text)
            if hint:
                Tag("p", "a-small a-muted", text=hint)
        if retry:
            button("Try again", retry, css="is-small")
    return made


def problem(error: Exception, *, retry: Act | None = None) -> Tag:
    """An error as a notice. What was not foreseen keeps its details to the log."""
    if isinstance(error, AthanorError):
        return notice(error.message, hint=error.hint, retry=retry)
    return notice("Something failed that should not have.", hint="The server's log has the details.", retry=retry)


def busy(text: str) -> Tag:
    """Something is on its way."""
    made = Tag("div", "a-line a-muted", role="status")
    with made:
        Tag("span", "a-spin", aria_hidden="true")
        Tag("span", text=text)
    return made


def empty(sign: str, title: str, text: str) -> Tag:
    """There is nothing here yet, and what to do about it."""
    made = Tag("div", "a-empty")
    with made:
        icon(sign)
        Tag("h2", text=title)
        Tag("p", text=text)
    return made


def select(event: str, label: str, options: list[tuple[str, str]], chosen: str) -> Tag:
    """A menu of (value, label); a choice emits `event` with the value."""
    made = Tag("span", "a-pick")
    with made, Tag("select", "a-select", data_emit=event, aria_label=label):
        for value, name in options:
            Tag("option", text=name, value=value, selected=value == chosen or None)
    return made


@contextmanager
def dialog(title: str) -> Iterator[Tag]:
    """A modal dialog that is open from the start and removes itself when it closes."""
    with ui.context.client.content:
        made = Tag("dialog", "a-dialog", data_modal="", aria_label=title)
    made.on("close", made.delete, args=[])
    with made, Tag("div", "a-stack"):
        Tag("h2", text=title)
        yield made


def failed(error: Exception) -> None:
    """A dialog that says what did not work, and why."""
    with dialog("That did not work"):
        problem(error)
        with Tag("div", "a-actions"):
            button("Close", data_close="", data_focus="")


def confirm(title: str, text: str, action: str, act: Act) -> None:
    """Ask before something that cannot be undone."""
    with dialog(title):
        Tag("p", "a-muted", text=text)
        with Tag("div", "a-actions"):
            button("Cancel", data_close="", data_focus="")
            button(action, act, css="is-bad", data_close="")


@contextmanager
def shell(active: str, title: str) -> Iterator[Tag]:
    """The frame of every page: rail, navigation, main area."""
    client = ui.context.client
    client.title = f"{title} · Athanor"
    ui.add_head_html(_HEAD)
    if (slot := client.content.parent_slot) is not None:
        slot.parent.props("role=presentation")  # Quasar's page is a <main> around everything; ours is the one
    with Tag("div", "a-shell"):
        Tag("a", "a-skip", text="Skip to content", href="#main")
        with Tag("header", "a-rail"):
            with Tag("a", "a-brand", href="/console/"):
                icon("flame")
                Tag("span", text="Athanor")
            with Tag("nav", "a-nav", aria_label="Console"):
                for sign, path, name in NAV:
                    if not sees(visit(client.request).principal, path.removeprefix("/console")):
                        continue
                    with Tag("a", href=path, aria_current="page" if sign == active else None):
                        icon(sign)
                        Tag("span", text=name)
            who = visit(client.request).principal
            with Tag("a", "a-railbutton", href="/console/account", title=f"{who.name}: password and sessions"):
                icon("user")
                Tag("span", "a-clip", text=who.name)
            with Tag("button", "a-railbutton", type="button", data_theme_toggle="", title="Light or dark"):
                icon("moon")
                Tag("span", text="Light or dark")
            with Tag("form", method="post", action="/console/logout"), Tag("button", "a-railbutton", title="Sign out"):
                icon("exit")
                Tag("span", text="Sign out")
        main = Tag("main", "a-main", id_="main", tabindex="-1")
        with main:
            yield main


@contextmanager
def page(active: str, title: str, *, css: str = "") -> Iterator[Tag]:
    """A page that scrolls as a whole, in the frame."""
    with shell(active, title), Tag("div", "a-page"), Tag("div", f"a-inner {css}") as inner:
        yield inner


def may_edit(principal: Principal) -> bool:
    """May this person change what knowledge bases hold."""
    return can(principal, "knowledge.change")


def moment(at: float) -> Tag:
    """A time: in the viewer's own zone and language where scripts run, else in UTC, which is stated."""
    utc = datetime.fromtimestamp(at, UTC)
    return Tag("time", "a-numbers", text=utc.strftime("%Y-%m-%d %H:%M UTC"), datetime=utc.isoformat(), data_when="")


def goto(sign: str, label: str, path: str, *, css: str = "") -> Tag:
    """A link that looks like a button."""
    made = Tag("a", f"a-button {css}", href=path)
    with made:
        icon(sign)
        Tag("span", text=label)
    return made
