"""The design system: one scale of type, one of space, one palette in light and dark.

Everything visible is made of these. `stylesheet()` turns them into CSS custom properties and puts `assets/console.css`,
the components' classes, behind them. A component names tokens only: no colour is written anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

TYPE: Mapping[str, str] = {
    # size / line height, in rem so that the browser's own setting scales it
    "type-small": "0.8125rem/1.25rem",
    "type-body": "0.9375rem/1.5rem",
    "type-read": "1rem/1.6875rem",
    "type-head": "1.0625rem/1.5rem",
    "type-title": "1.375rem/1.875rem",
    "type-display": "1.875rem/2.375rem",
}

FONTS: Mapping[str, str] = {
    # What the machine has: nothing is downloaded.
    "sans": 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif',
    "mono": 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace',
}

SPACE: Mapping[str, str] = {
    "s1": "4px",
    "s2": "8px",
    "s3": "12px",
    "s4": "16px",
    "s5": "24px",
    "s6": "32px",
    "s7": "48px",
    "s8": "72px",
}

SHAPE: Mapping[str, str] = {
    "radius-small": "6px",
    "radius": "10px",
    "radius-large": "16px",
    "rail": "232px",
    "column": "760px",
    "panel": "448px",
    "tap": "40px",
    "ease": "140ms cubic-bezier(.2, 0, 0, 1)",
}

LIGHT: Mapping[str, str] = {
    "ground": "#faf9f7",
    "surface": "#ffffff",
    "sunken": "#f2f0ec",
    "line": "#e4e0d9",
    "line-strong": "#8d877c",
    "text": "#211f1b",
    "muted": "#655f56",
    "accent": "#9c4218",
    "accent-strong": "#7f3412",
    "accent-soft": "#f8ebe2",
    "on-accent": "#ffffff",
    "mark": "#fce7a6",
    "mark-line": "#dcae2c",
    "good": "#2c6a41",
    "good-soft": "#e5f2e8",
    "warn": "#7d5600",
    "warn-soft": "#fbf1d8",
    "bad": "#a82a2a",
    "bad-soft": "#fbe9e7",
    "focus": "#2f66c9",
    "veil": "rgb(33 31 27 / 36%)",
    # Of plots, in the order in which they are taken; the last is for the rest.
    "hue-1": "#b4532a",
    "hue-2": "#2f6f8f",
    "hue-3": "#c99a2e",
    "hue-4": "#5b7f4a",
    "hue-5": "#7d5ba6",
    "hue-6": "#3a9a93",
    "hue-7": "#c06c84",
    "hue-8": "#9b958a",
}

DARK: Mapping[str, str] = {
    "ground": "#161513",
    "surface": "#1e1d1a",
    "sunken": "#282622",
    "line": "#37342f",
    "line-strong": "#7d776c",
    "text": "#ece8e1",
    "muted": "#a8a196",
    "accent": "#eb9a6a",
    "accent-strong": "#f3b48d",
    "accent-soft": "#3a281d",
    "on-accent": "#24150b",
    "mark": "#5a4712",
    "mark-line": "#d3a733",
    "good": "#8ccb9f",
    "good-soft": "#1e3125",
    "warn": "#e4bd66",
    "warn-soft": "#352b15",
    "bad": "#f19a93",
    "bad-soft": "#3d211f",
    "focus": "#8ab4f8",
    "veil": "rgb(0 0 0 / 56%)",
    "hue-1": "#e58a5c",
    "hue-2": "#6bb0d0",
    "hue-3": "#e2bd5c",
    "hue-4": "#94bd7f",
    "hue-5": "#b298d6",
    "hue-6": "#6cc7c0",
    "hue-7": "#e39ab0",
    "hue-8": "#7d776c",
}

# 20 × 20, drawn with one stroke: an outline is recognised at any size and in any colour.
ICONS: Mapping[str, str] = {
    "flame": "M10 2.5c.6 3 4.5 4.9 4.5 9a4.5 4.5 0 0 1-9 0c0-2 1-3.2 1.9-4.1.2 1.1.7 1.7 1.3 2 .1-2.6.2-4.7 1.3-6.9Z",
    "chat": "M3.5 5.5a2 2 0 0 1 2-2h9a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H9l-3.5 3v-3a2 2 0 0 1-2-2Z",
    "books": "M3.5 4h3v12h-3ZM6.5 4h3.5v12h-3.5ZM11.6 4.6l2.9-.7 2.7 11.6-2.9.7Z",
    "chip": "M5.5 5.5h9v9h-9ZM8 3v2.5M12 3v2.5M8 14.5V17M12 14.5V17M3 8h2.5M3 12h2.5M14.5 8H17M14.5 12H17",
    "moon": "M16 11.8A6.5 6.5 0 0 1 8.2 4a6.5 6.5 0 1 0 7.8 7.8Z",
    "exit": "M8 4H4.5v12H8M12.5 6.5 16 10l-3.5 3.5M16 10H8",
    "send": "M10 16V4.5M5 9l5-4.8L15 9",
    "stop": "M6 6h8v8H6Z",
    "close": "M5 5l10 10M15 5 5 15",
    "plus": "M10 4v12M4 10h12",
    "up": "M6.5 9 9.5 3.5c1.3 0 2 .9 1.8 2.1L10.9 8h4a1.5 1.5 0 0 1 1.5 1.8l-.9 4.9a1.5 1.5 0 0 1-1.5 1.3H6.5Z"
    "M3.5 9h3v7h-3Z",
    "down": "M6.5 11l3 5.5c1.3 0 2-.9 1.8-2.1L10.9 12h4a1.5 1.5 0 0 0 1.5-1.8l-.9-4.9A1.5 1.5 0 0 0 14 4H6.5Z"
    "M3.5 4h3v7h-3Z",
    "trash": "M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 8.5v5M11.5 8.5v5",
    "upload": "M10 13V4M6.5 7.5 10 4l3.5 3.5M4 13v3h12v-3",
    "page": "M5 3h6.5L15 6.5V17H5ZM11.5 3v3.5H15",
    "open": "M8 4.5H4.5v11h11V12M11.5 4h4.5v4.5M16 4l-7 7",
    "back": "M11.5 5 6.5 10l5 5",
    "trace": "M3 5h7M6 10h8M11 15h6",
    "costs": "M3.5 3.5v13h13M7 13.5V10M10.5 13.5V6M14 13.5V8.5",
    "shield": "M10 3l6 2v4.5c0 3.7-2.4 6.2-6 7.5-3.6-1.3-6-3.8-6-7.5V5ZM7.3 9.9l2 2 3.5-3.7",
    "key": "M12.5 11a3.75 3.75 0 1 0-3.6-2.7L3.5 13.7V16.5h2.8v-2h2v-2h1.4l1.1-1.1ZM13.5 6.5v.2",
    "user": "M10 10a3.25 3.25 0 1 0 0-6.5 3.25 3.25 0 0 0 0 6.5ZM3.8 16.5c.5-3 3-4.5 6.2-4.5s5.7 1.5 6.2 4.5",
    "users": "M7.5 10a2.75 2.75 0 1 0 0-5.5 2.75 2.75 0 0 0 0 5.5ZM2.5 16c.4-2.6 2.4-4 5-4s4.6 1.4 5 4"
    "M12.5 4.7a2.75 2.75 0 0 1 0 5.1M14.2 12.3c1.8.5 3 1.8 3.3 3.7",
    "copy": "M7.5 7.5h8v8h-8ZM12.5 7.5v-3h-8v8h3",
    "turn": "M15.5 6.5A6.5 6.5 0 1 0 16.5 10M15.8 3v3.7h-3.7",
    "edit": "M4 16l.8-3.4 8.4-8.4 2.6 2.6-8.4 8.4ZM11.5 5.9l2.6 2.6",
    "alert": "M10 3.5 17.5 16.5h-15ZM10 8.5v4M10 14.3v.2",
}


@cache
def stylesheet() -> str:
    """The whole style sheet."""
    fixed = {**SPACE, **SHAPE, **FONTS}
    light, dark = _declarations(LIGHT), _declarations(DARK)
    parts = [
        f":root{{color-scheme:light;{_declarations(fixed)}{_types()}{light}{_icons()}}}",
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}",
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}",
        *(_dense(asset(name)) for name in ("console.css", "books.css")),
        *(f".a-i-{name}{{mask-image:var(--icon-{name})}}" for name in ICONS),
    ]
    return "\n".join(parts)


def _dense(css: str) -> str:
    """Without comments, and without the space that only people need."""
    for pattern, rest in ((r"(?s)/\*.*?\*/", ""), (r"\s*([{};])\s*", r"\1"), (r"([:,]) ", r"\1")):
        css = re.sub(pattern, rest, css)
    return css


def asset(name: str) -> str:
    """A text file of `assets/`."""
    return files("athanor.console").joinpath("assets", name).read_text(encoding="utf-8")


def svg(name: str, colour: str) -> str:
    """An icon as a document of its own."""
    outline = f"fill='none' stroke='{colour}' stroke-width='1.5' stroke-linecap='round' stroke-linejoin='round'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 20 20' {outline}><path d='{ICONS[name]}'/></svg>"


def _declarations(tokens: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in tokens.items())


def _types() -> str:
    return "".join(f"--{name}:{value} var(--sans);" for name, value in TYPE.items())


def _icons() -> str:
    encoded = {name: svg(name, "black").replace("#", "%23").replace("<", "%3C").replace(">", "%3E") for name in ICONS}
    return "".join(f'--icon-{name}:url("data:image/svg+xml,{data}");' for name, data in encoded.items())
