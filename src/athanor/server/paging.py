"""Lists in OpenAI's shape, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query

from athanor.errors import NotFoundError

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """A window on a list that is ordered by its time of making."""

    limit: int
    order: str
    after: str | None
    before: str | None

    def cut(self, rows: Sequence[Row], place: Callable[[Row], tuple[float, str]]) -> tuple[list[Row], bool]:
        """The rows of the window, and whether more follow. `place` is when a row was made, and its id.

        Raises:
            NotFoundError: `after` or `before` is not in the list.
        """
        ordered = sorted(rows, key=place, reverse=self.order == "desc")
        ids = [place(row)[1] for row in ordered]
        first = 0 if self.after is None else _at(ids, self.after, "after") + 1
        end = len(ordered) if self.before is None else _at(ids, self.before, "before")
        window = ordered[first:end]
        if self.before is not None and self.after is None:
            return window[-self.limit :], len(window) > self.limit
        return window[: self.limit], len(window) > self.limit


def _at(ids: list[str], wanted: str, where: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise NotFoundError(f"There is no {wanted!r} in this list.", where=where) from None


async def paging(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
    before: str | None = None,
) -> Paging:
    return Paging(limit=limit, order=order, after=after, before=before)


PAGING = Depends(paging)


def page(data: Sequence[Mapping[str, Any]], more: bool) -> dict[str, Any]:
    """One page of a list in OpenAI's shape."""
    ids = [entry["id"] for entry in data]
    edges = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return {"object": "list", "data": [*data], **edges, "has_more": more}
