"""The dialogs of the keys' page, and what is read from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from athanor.console.widgets import Tag, button, dialog, notice, square
from athanor.errors import InputError
from athanor.types import NO_LIMITS, ApiKey, Limits, RoleName, Scopes

# Field → (label, whole numbers only).
LIMITS = {
    "usd_per_day": ("US dollars per day", False),
    "usd_per_month": ("US dollars per month", False),
    "requests_per_minute": ("Requests per minute", True),
    "tokens_per_minute": ("Tokens per minute", True),
    "concurrency": ("Requests at once", True),
}
SCOPES = {
    "models": ("Models and routes", "gpt-*, assistant"),
    "knowledge": ("Knowledge bases", "handbook"),
    "doors": ("Interfaces", "chat.completions"),
}


def ask_new(teams: Sequence[str]) -> None:
    """Ask what a new key shall be good for; the form emits `key-create`."""
    with dialog("New key") as made:
        made.classes("is-wide")
        with Tag("form", "a-stack", data_emit="key-create"):
            with Tag("div", "a-form"):
                _input("name", "Who is it for", required=True, hint="Person or program", focus=True)
                _input("key_name", "Name of the key", hint="The same, if empty")
                _choice("role", "Role", [(role.value, role.value) for role in RoleName], RoleName.USER.value)
                _choice("team", "Team", [("", "none"), *((name, name) for name in teams)], "")
                _input("days", "Ends after days", hint="Never", number=True)
                _terms(Scopes(), NO_LIMITS, record=False)
            _actions("Make key")


def ask_change(key: ApiKey) -> None:
    """Ask what shall be changed; the form emits `key-change`."""
    with dialog(f"Change {key.name}") as made:
        made.classes("is-wide")
        with Tag("form", "a-stack", data_emit="key-change"):
            Tag("input", type="hidden", name="key", value=key.id)
            with Tag("div", "a-form"):
                _input("name", "Name of the key", value=key.name, focus=True)
                _terms(key.scopes, key.limits, record=key.record_content)
            _actions("Save")


def show_secret(key: ApiKey, secret: str) -> None:
    """The secret, for the one time that it can be read."""
    with dialog(f"The secret of {key.name}") as made:
        made.classes("is-wide")
        notice("This is the only time that it is shown: only its hash is stored.", kind="is-warn")
        with Tag("div", "a-secret"):
            Tag("code", text=secret)
            square("copy", "Copy the secret", data_copy=secret)
        with Tag("div", "a-actions"):
            button("I have it", css="is-main", data_close="", data_focus="")


def limits_from(fields: Mapping[str, Any]) -> Limits:
    """The limits of a form; an empty field is without a limit.

    Raises:
        InputError: a field holds no number of at least 0.
    """
    given: dict[str, Any] = {}
    for name, (label, whole) in LIMITS.items():
        value = number_of(fields, name, label, whole=whole)
        given[name] = None if value is None else int(value) if whole else value
    return Limits(**given)


def number_of(fields: Mapping[str, Any], name: str, label: str, *, whole: bool = False) -> float | None:
    """A field's number; `None` where it is empty.

    Raises:
        InputError: it holds no number of at least 0.
    """
    text = text_of(fields, name).replace(",", ".").replace(" ", "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not math.isfinite(value) or value < 0 or (whole and value != int(value)):
        raise InputError(f"{label}: {text!r} is no {'whole ' if whole else ''}number of at least 0.", where=name)
    return value


def scopes_from(fields: Mapping[str, Any], before: Scopes) -> Scopes:
    """The scopes of a form: names with commas; an empty field opens everything."""
    given = {}
    for name in SCOPES:
        names = tuple(part for part in (word.strip() for word in text_of(fields, name).split(",")) if part)
        # A scope of no name at all cannot be written into a field: it stays as it was until something is.
        given[name] = names or (() if getattr(before, name) == () else None)
    return replace(before, **given)


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """A field's text."""
    return str(fields.get(name, "")).strip()


def _terms(scopes: Scopes, limits: Limits, *, record: bool) -> None:
    for name, (label, hint) in SCOPES.items():
        names = getattr(scopes, name)
        value, hint = ", ".join(names or ()), "None" if names == () else f"All; or {hint}"  # noqa: PLW2901
        _input(name, label, value=value, hint=hint)
    for name, (label, whole) in LIMITS.items():
        limit = getattr(limits, name)
        _input(name, label, value="" if limit is None else f"{limit:.10g}", hint="No limit", number=True, whole=whole)
    with Tag("label", "a-check is-all"):
        Tag("input", type="checkbox", name="record", value="1", checked=record or None)
        Tag("span", text="Keep the texts of its requests and answers")


def _input(name: str, label: str, *, value: str = "", hint: str = "", **more: Any) -> None:
    if more.pop("number", False):
        more |= {"type": "number", "min": 0, "step": 1 if more.pop("whole", False) else "any"}
    if more.pop("focus", False):
        more["data_focus"] = ""
    with Tag("label", "a-label", text=label):
        Tag(
            "input", "a-input", name=name, value=value, placeholder=hint,
            **{"type": "text", "maxlength": 1000, "autocomplete": "off", "spellcheck": "false", **more},
        )  # fmt: skip


def _choice(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str) -> None:
    with Tag("label", "a-label", text=label), Tag("span", "a-pick"), Tag("select", "a-select", name=name):
        for value, text in options:
            Tag("option", text=text, value=value, selected=value == chosen or None)


def _actions(word: str) -> None:
    with Tag("div", "a-actions"):
        button("Cancel", data_close="")
        button(word, css="is-main", type="submit")
