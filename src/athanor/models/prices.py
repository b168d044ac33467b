"""What vendors charge and how much their models take: `prices.toml`, under the names that their APIs use."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from athanor.types import Price

# A snapshot costs what its model costs, unless it is listed itself.
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One model of a vendor."""

    vendor: str
    price: Price
    context: int
    """Tokens, prompt and answer together."""


def listing(model: str) -> Listing | None:
    """What is known of a vendor's model.

    Args:
        model: its name at the vendor, such as `gpt-4o`, `gpt-4o-2024-08-06` or `models/gemini-2.5-pro`.
    """
    known = _listings()
    name = model.removeprefix("models/")
    return known.get(name) or known.get(_SNAPSHOT.sub("", name))


@cache
def _listings() -> Mapping[str, Listing]:
    text = files("athanor.models").joinpath("prices.toml").read_text(encoding="utf-8")
    found = {}
    for vendor, models in tomllib.loads(text).items():
        for name, row in models.items():
            context = row.pop("context")
            found[name] = Listing(vendor=vendor, price=Price(**row), context=context)
    return found
