"""Plots, drawn as SVG of the design system's colours: no library, no picture, and text that can be read aloud.

Lengths across are in per cent, so that a plot is as wide as its place and its letters keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from athanor.console.widgets import Tag
from athanor.observe.figures import percent, short

HUES = 8
HEIGHT = 220
"""Pixels of the plot's area."""
_LINES = 4

Words = Callable[[float], str]
"""A value for people."""


def hue(number: int) -> str:
    """The class of a colour; the first seven series have their own, the rest share the last."""
    return f"a-hue-{min(number + 1, HUES)}"


def ceiling(most: float) -> float:
    """A round number at or above `most`, whose quarters are round too."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return float(next(step for step in (1, 2, 4, 6, 8, 10) if most <= step * power * 1.0000001) * power)


def ticks(top: float, *, money: bool) -> list[str]:
    """The marks of an axis from 0 to `top`, all with as many decimals as their steps need."""
    step = top / _LINES
    places = next(n for n in range(13) if n == 12 or abs(round(step, n) - step) < step * 1e-6)
    values = [step * line for line in range(_LINES + 1)]
    if not money:
        return [short(value) for value in values]
    places = max(places, 2) if places else 0
    return ["$0", *(f"${value:,.{places}f}" for value in values[1:])]


def stacked(
    days: Sequence[str], series: Mapping[str, Sequence[float]], *, words: Words, money: bool, about: str
) -> None:
    """Stacked bars, one for each day, with a legend.

    Args:
        series: name → its values in the order of `days`; the first is at the bottom.
        words: values in the tooltips.
        money: the values are US dollars.
        about: what the plot shows, for those who do not see it.
    """
    totals = [sum(values[place] for values in series.values()) for place in range(len(days))]
    top = ceiling(max(totals, default=0.0))
    marks = ticks(top, money=money)
    with Tag("div", "a-canvas"):
        with Tag("svg", "a-yaxis", height=HEIGHT, aria_hidden="true"):
            for line in range(_LINES + 1):
                y = HEIGHT - HEIGHT * line / _LINES
                Tag("text", text=marks[line], x="100%", y=y + 4, text_anchor="end")
        with Tag("svg", "a-bars", height=HEIGHT, role="img", aria_label=about):
            for line in range(_LINES + 1):
                y = HEIGHT - HEIGHT * line / _LINES
                Tag("line", "a-grid" if line else "a-grid is-base", x1="0", x2="100%", y1=y, y2=y)
            for place, day in enumerate(days):
                _bar(place, len(days), day, {name: values[place] for name, values in series.items()}, top, words)
        with Tag("svg", "a-days", height=20, aria_hidden="true"):
            for place in _some(len(days)):
                Tag(
                    "text",
                    text=days[place][5:],
                    x=f"{100 * (place + 0.5) / len(days):.3f}%",
                    y=15,
                    text_anchor="middle",
                )
    with Tag("ul", "a-legend"):
        for number, name in enumerate(series):
            with Tag("li"):
                Tag("span", f"a-swatch {hue(number)}")
                Tag("span", "a-clip", text=name)


def _bar(place: int, of: int, day: str, parts: Mapping[str, float], top: float, words: Words) -> None:
    step = 100 / of
    gap = 0.14 if of <= 45 else 0.08
    below = 0.0
    total = sum(parts.values())
    for number, (name, value) in enumerate(parts.items()):
        if value <= 0:
            continue
        height = max(1.0, HEIGHT * value / top)
        y = max(0.0, HEIGHT - HEIGHT * below / top - height)
        with Tag(
            "rect", hue(number), x=f"{place * step + step * gap:.3f}%", width=f"{step * (1 - 2 * gap):.3f}%",
            y=f"{y:.2f}", height=f"{height:.2f}",
        ):  # fmt: skip
            of_all = f"\nall of {day}: {words(total)}" if len(parts) > 1 else ""
            Tag("title", text=f"{day}  {name}: {words(value)}{of_all}")
        below += value


def _some(count: int) -> list[int]:
    """Places for the axis: at most seven, evenly apart, the last among them."""
    step = math.ceil(count / 7)
    return list(range((count - 1) % step, count, step))


def share(part: float, number: int = 0) -> None:
    """A small bar: how much of the whole (0 to 1)."""
    with Tag("svg", "a-share", role="img", aria_label=percent(part)):
        Tag("rect", hue(number), x="0", y="0", height="8", width=f"{100 * min(1.0, max(0.0, part)):.2f}%")


def meter(label: str, used: float, limit: float, *, words: Words) -> None:
    """How much of a limit is used: a bar that warns from four fifths on."""
    part = used / limit if limit > 0 else 1.0
    kind = "is-bad" if part >= 1 else "is-warn" if part >= 0.8 else ""
    with Tag("div", "a-meter"):
        with Tag("div"):
            Tag("span", text=label)
            Tag("span", text=f"{words(used)} of {words(limit)}")
        Tag("progress", f"a-bar {kind}", value=min(1.0, part), max=1, aria_label=f"{label}: {percent(part)}")


def tiles(figures: Sequence[tuple[str, str, str]]) -> None:
    """A row of figures: (name, value, what else there is to say)."""
    with Tag("dl", "a-tiles"):
        for name, value, note in figures:
            with Tag("div", "a-tile"):
                Tag("dt", text=name)
                Tag("dd", text=value)
                if note:
                    Tag("p", text=note)


def whiskers(points: Sequence[tuple[str, tuple[float, float, float] | None]], *, about: str) -> None:
    """Values from 0 to 1, each with its interval, in order.

    Args:
        points: (what it is of, (value, low, high)); `None` leaves a gap.
        about: what the plot shows, for those who do not see it.
    """
    known = [point for _, point in points if point is not None]
    top = ceiling(max((high for _, _, high in known), default=1.0))
    marks = ticks(top, money=False)
    high = HEIGHT // 2
    with Tag("div", "a-canvas"):
        with Tag("svg", "a-yaxis", height=high, aria_hidden="true"):
            for line in range(_LINES + 1):
                Tag("text", text=marks[line], x="100%", y=high - high * line / _LINES + 4, text_anchor="end")
        with Tag("svg", "a-bars", height=high, role="img", aria_label=about):
            for line in range(_LINES + 1):
                y = high - high * line / _LINES
                Tag("line", "a-grid" if line else "a-grid is-base", x1="0", x2="100%", y1=y, y2=y)
            for place, (name, point) in enumerate(points):
                if point is not None:
                    _whisker(f"{100 * (place + 0.5) / len(points):.3f}%", name, point, high / top, high)


def _whisker(x: str, name: str, point: tuple[float, float, float], scale: float, base: int) -> None:
    value, low, high = point
    with Tag("line", "a-whisker", x1=x, x2=x, y1=f"{base - low * scale:.2f}", y2=f"{base - high * scale:.2f}"):
        Tag("title", text=f"{name}: {low:.3f} to {high:.3f}")
    with Tag("circle", "a-hue-1", cx=x, cy=f"{base - value * scale:.2f}", r=4):
        Tag("title", text=f"{name}: {value:.3f}")
