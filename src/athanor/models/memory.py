"""Small JSON files in the state folder that remember what took time to find out. Losing one costs time only."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import orjson


def read_memory(path: Path | None) -> dict[str, Any]:
    """What was remembered; empty if the file is missing or damaged."""
    if path is None:
        return {}
    try:
        known = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return known if isinstance(known, dict) else {}


def write_memory(path: Path | None, known: dict[str, Any]) -> None:
    """Replace the file in one step; in a folder that cannot be written, do nothing."""
    if path is None:
        return
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(orjson.dumps(known, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
