"""Members of containers on their way from the parser's process to ours: one frame for each batch of them."""

from __future__ import annotations

import re
from typing import Any

from athanor.data.base import Member
from athanor.data.wire import describe, pack, unpack_error
from athanor.errors import DocumentError

BATCH = 256
"""Members in one frame."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[0-9A-Za-z:./>-]{0,400}")
_NAME = 4096


def pack_members(members: list[Member], progress: float, statistics: dict[str, Any], *, last: bool = False) -> bytes:
    """One frame of a listing. `last` says that there are no more."""
    rows = [
        (m.key, m.name, m.size, m.sha256, m.progress, None if m.problem is None else describe(m.problem))
        for m in members
    ]
    return pack({"members": rows, "progress": progress, "last": last, **statistics})


def unpack_members(header: dict[str, Any]) -> list[Member]:
    """The members of a frame, checked.

    Raises:
        ValueError: the frame breaks the contract of `Member`.
    """
    return [_member(*row) for row in header["members"]]


def _member(key: str, name: str, size: int, sha256: str, progress: float, about: dict[str, Any] | None) -> Member:
    problem = None
    if about is not None:
        error = unpack_error({"error": about})
        if not isinstance(error, DocumentError):
            raise ValueError("not a member's problem")
        problem = error
    parts = name.split("/")
    if not _KEY.fullmatch(key) or len(name) > _NAME or any(part in {"", ".", ".."} for part in parts) or "\0" in name:
        raise ValueError("a member's name or key is not clean")
    if problem is None and not (_SHA256.fullmatch(sha256) and key):
        raise ValueError("a member has neither a hash nor a problem")
    progress = min(max(float(progress), 0.0), 1.0)
    return Member(key=key, name=name, size=int(size), sha256=sha256, progress=progress, problem=problem)
