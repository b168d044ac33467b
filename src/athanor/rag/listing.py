"""The text of a container's document: what it holds, and what of that was not read and why."""

from __future__ import annotations

import re
from collections.abc import Collection

from athanor.rag.permissions import access_for
from athanor.types import Access, Document, KnowledgeBase, Reader

LISTING = "text/x-athanor-listing"
"""MIME type of a container that has no text of its own."""
MOST = 10_000
"""Members that a listing names, and as many more that were not read; it counts them all."""
_TAB = "\t"
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEAD = re.compile(r"[\d,]+ members?, [\d,]+ bytes unpacked")


class Listing:
    """Collects what a container holds. Names are relative to it."""

    def __init__(self) -> None:
        self.members = self.size = 0
        self._sizes: dict[str, int] = {}
        self._unread: dict[str, str] = {}
        self.unread = 0

    def add(self, name: str, size: int) -> None:
        """One more member, of so many bytes."""
        self.members += 1
        self.size += size
        if len(self._sizes) < MOST:
            self._sizes[name] = size

    def refuse(self, name: str, size: int, reason: str) -> None:
        """A member that was added was not read."""
        self.unread += 1
        if len(self._unread) < MOST:
            self._unread[name] = reason
            self._sizes.setdefault(name, size)

    def names(self) -> list[str]:
        """Those that `text` names."""
        return [*self._sizes]

    def text(self, without: Collection[str] = ()) -> str:
        """The listing, without these members and what they hold."""
        lines = []
        for name, size in sorted(self._sizes.items()):
            if not any(path in without for path in paths(name)):
                reason = self._unread.get(name)
                lines.append(_line(name, size, "" if reason is None else f"not read: {reason}"))
        more = self.members - len(self._sizes)
        if more > 0:
            lines.append(f"… and {more:,} more")
        head = _head(self.members, self.size, self.unread)
        return "\n".join([head, "", *lines]) + "\n" if len(lines) >= self.members or more > 0 else _again(lines)


def paths(name: str) -> list[str]:
    """`name` and the names of all that it may be inside of, the nearest first: `a/b/c`, `a/b`, `a`."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]


def listing_for(base: KnowledgeBase, document: Document, text: str, reader: Reader) -> str:
    """`text` of `document` as `reader` may see it: as if the container did not hold what is closed to them."""
    if document.mime != LISTING or all(reader.may_read(rule.access) for rule in base.rules):
        return text
    # Its counts may be of more than it names, so they are made anew even where all that it names is open.
    lines = [line for line in text.splitlines()[2:] if _TAB in line]
    return _again([line for line in lines if reader.may_read(_access(base, document, line))])


def struck(text: str, names: Collection[str]) -> str:
    """A listing without these members, nor what they hold. Another text stays as it is."""
    if not _HEAD.match(text):
        return text
    lines = text.splitlines()[2:]
    kept = [line for line in lines if not any(path in names for path in paths(line.partition(_TAB)[0]))]
    return text if len(kept) == len(lines) else _again(kept)


def _access(base: KnowledgeBase, document: Document, line: str) -> Access:
    name = line.partition(_TAB)[0]
    return access_for(base, *(f"{document.source}/{path}" for path in paths(name)), document.source)


def _again(lines: list[str]) -> str:
    """A listing of these lines: its counts are theirs."""
    members = [line.split(_TAB) for line in lines if _TAB in line]
    size = sum(int(re.sub(r"\D", "", parts[1])) for parts in members)
    unread = sum(len(parts) > 2 for parts in members)
    return "\n".join([_head(len(members), size, unread), "", *(_TAB.join(parts) for parts in members)]) + "\n"


def _head(members: int, size: int, unread: int) -> str:
    what = "1 member" if members == 1 else f"{members:,} members"
    rest = f"; {unread:,} not read" if unread else ""
    return f"{what}, {size:,} bytes unpacked{rest}."


def _line(name: str, size: int, note: str) -> str:
    parts = [_BREAKS.sub(" ", name), f"{size:,} bytes"]
    return _TAB.join([*parts, _BREAKS.sub(" ", note)] if note else parts)
