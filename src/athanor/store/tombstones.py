"""Ids of documents that were erased: what a running request still says of them is not stored after the proof."""

from __future__ import annotations

import re

_ID = re.compile(r"doc_\w+")


class Tombstones:
    """What this process erased. Requests do not outlive it, so neither does this. Threads share one."""

    def __init__(self) -> None:
        self._ids: frozenset[str] = frozenset()

    def add(self, documents: frozenset[str]) -> None:
        """Refuse whatever names one of these from now on. Before they are erased, or something slips through."""
        self._ids |= documents

    def __bool__(self) -> bool:
        """Was anything erased. Without it no text need be made to look through."""
        return bool(self._ids)

    def named(self, text: str) -> bool:
        """Does `text` name a document that was erased."""
        return bool(self._ids) and not self._ids.isdisjoint(_ID.findall(text))
