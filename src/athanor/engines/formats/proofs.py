"""Vendors' opaque proofs of what a model thought: each vendor is sent its own back, and never another's.

A conversation moves between vendors when one fails or a route decides so, and a vendor refuses the whole request for
one proof that it did not write. So a proof carries its vendor's name while it is with us and our callers.
"""

from __future__ import annotations

from collections.abc import Iterable

from athanor.types import Reasoning


def seal(vendor: str, proof: str) -> str:
    """The proof with its vendor's name."""
    return f"{vendor}:{proof}"


def unseal(vendor: str, sealed: str | None) -> str | None:
    """The proof as `vendor` wrote it; None if it is another's. One without a name is taken for the vendor's own."""
    if not sealed:
        return None
    name, colon, proof = sealed.partition(":")  # the proofs are base64, which has no colon
    if not colon:
        return sealed
    return proof if name == vendor else None


def own(vendor: str, reasoning: Iterable[Reasoning]) -> list[tuple[Reasoning, str]]:
    """The thoughts that `vendor` can be given back, with their proofs."""
    return [(thought, proof) for thought in reasoning if (proof := unseal(vendor, thought.signature)) is not None]
