"""How the candidates of a search change places from stage to stage, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from athanor.console.plots import HUES, hue
from athanor.console.widgets import Tag
from athanor.rag import Stage

RANKS = 10
"""Places drawn of each stage."""
_STEP = 26
_TOP = 28
NAMES = {
    "lexical": "By words",
    "dense": "By meaning",
    "fused": "Fused",
    "feedback": "Feedback",
    "second search": "Second search",
    "merged": "Merged",
    "reranked": "Reranked",
    "final": "Result",
}


def bumps(stages: Sequence[Stage], names: dict[str, str]) -> None:
    """A line for each passage of the result through its place in every stage; beyond `RANKS` is at the foot.

    Args:
        names: passage id → what it is called in the tooltip, best first.
    """
    height = _TOP + _STEP * (RANKS + 1)
    places = [{key: place for place, (key, _) in enumerate(stage.ranked[:RANKS])} for stage in stages]
    with Tag("svg", "a-bumps", height=height, role="img", aria_label="Places of the passages in each stage"):
        for number, stage in enumerate(stages):
            Tag("text", "a-bumpname", text=NAMES.get(stage.name, stage.name), x=_x(number, len(stages)), y=14,
                text_anchor="middle")  # fmt: skip
        for number, (key, name) in enumerate(names.items()):
            for step in range(len(stages) - 1):
                _line(places, key, step, hue(min(number, HUES - 1)), name)
        for number in range(len(stages)):
            for key, place in places[number].items():
                of = list(names).index(key) if key in names else None
                css = hue(min(of, HUES - 1)) if of is not None else "is-lost"
                with Tag("circle", f"a-bump {css}", cx=_x(number, len(stages)), cy=_y(place), r=9):
                    Tag("title", text=f"{place + 1}. {names.get(key, 'not in the result')}")
                Tag("text", "a-bumpnumber", text=str(place + 1), x=_x(number, len(stages)), y=_y(place) + 4,
                    text_anchor="middle")  # fmt: skip


def _line(places: list[dict[str, int]], key: str, stage: int, css: str, name: str) -> None:
    here, there = places[stage].get(key), places[stage + 1].get(key)
    if here is None and there is None:
        return
    with Tag(
        "line", f"a-bumpline {css} {'is-faint' if here is None or there is None else ''}",
        x1=_x(stage, len(places)), x2=_x(stage + 1, len(places)),
        y1=_y(RANKS if here is None else here), y2=_y(RANKS if there is None else there),
    ):  # fmt: skip
        Tag("title", text=name)


def _x(stage: int, of: int) -> str:
    return f"{100 * (stage + 0.5) / of:.3f}%"


def _y(place: int) -> int:
    return _TOP + _STEP * place + _STEP // 2
