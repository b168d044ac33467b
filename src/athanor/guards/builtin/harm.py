"""Requests for help with harm, by kind of harm."""

from __future__ import annotations

from collections.abc import Mapping

from athanor.guards.builtin.toxicity import HeadsGuard


class HarmGuard(HeadsGuard):
    """Asks a text for what it wants: for itself, and for five kinds of harm that it would do."""

    name = "harm"
    _reasons: Mapping[str, str] = {
        "harm.request": "reads as a request for help with harm",
        "harm.physical": "reads as a request that leads to injury",
        "harm.financial": "reads as a request that leads to fraud or damage to businesses",
        "harm.political": "reads as a request that harms a society",
        "harm.privacy": "reads as a request to break into what is private",
        "harm.psychological": "reads as a request to torment people",
    }
    categories = frozenset(_reasons)
