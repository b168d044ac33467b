"""Names of entries, made clean: they come from strangers and become source names."""

from __future__ import annotations

import re
import unicodedata

from athanor.data.folder import is_junk

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]")
"""With the marks that reverse the direction of writing: `gpj.exe` must not look like `exe.jpg`."""
_DRIVE = re.compile(r"^[A-Za-z]:")
_MAX_PART = 200
_MAX_NAME = 1000


def clean_name(name: str, *, windows: bool = False) -> str:
    """`name` as a relative path with `/`, without `.` and `..`, roots, drives and control characters; in NFC.

    Never empty. With `windows`, a backslash divides too.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    text = unicodedata.normalize("NFC", text)
    if windows and "/" not in text:
        text = text.replace("\\", "/")
    text = _DRIVE.sub("", text)
    parts = [_part(part) for part in text.split("/")]
    kept = "/".join(part for part in parts if part not in {"", ".", ".."})
    return kept[-_MAX_NAME:].lstrip("/") or "unnamed"


def clean_part(name: str) -> str:
    """`name` as the last part of a path: no divider in it."""
    return clean_name(re.sub(r"[/\\]+", " ", name))


def _part(part: str) -> str:
    part = _CONTROLS.sub(" ", part).strip()
    if len(part) <= _MAX_PART:
        return part
    # The end stays: it says which format it is.
    stem, dot, suffix = part.rpartition(".")
    if dot and len(suffix) <= 10:
        return f"{stem[: _MAX_PART - len(suffix) - 1]}.{suffix}"
    return part[:_MAX_PART]


def is_junk_path(name: str) -> bool:
    """Whether a part of the path is what programs leave behind for themselves: locks, caches, metadata."""
    return any(is_junk(part) for part in name.split("/"))


class Names:
    """Gives each name once: the second `a.txt` becomes `a (2).txt`. Remembers 8 bytes for each, not the name."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def unique(self, name: str) -> str:
        found, count = name, 1
        while hash(found) in self._given:
            count += 1
            folder, slash, last = name.rpartition("/")
            stem, dot, suffix = last.rpartition(".")
            found = f"{folder}{slash}{stem} ({count}){dot}{suffix}" if dot and stem else f"{name} ({count})"
        self._given.add(hash(found))
        return found
