"""Times as people write them on the command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


class Moment(click.ParamType[float]):
    """`30d`, `12h`, `90m` ago; or a date or time as in ISO 8601, which is local unless it says otherwise."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        if found := _AGO.fullmatch(text):
            return time.time() - float(found[1]) * _UNITS[found[2]]
        try:
            return datetime.fromisoformat(text).astimezone(UTC).timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no time. Write 30d, 12h, 90m, 2026-03-01 or 2026-03-01T08:00.", param, ctx)


MOMENT = Moment()
