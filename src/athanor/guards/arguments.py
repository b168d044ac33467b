"""JSON, such as a tool call's arguments: what guards read of it, and how something is taken out of its strings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from athanor.guards.redact import Edit, HowOf, Names, Redacted, grouped, redact, stand_in
from athanor.types import Finding, How

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[^\s]', re.DOTALL)
_KEY = re.compile(r"\s*:")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A string or a number of the JSON."""

    raw: tuple[int, int]
    start: int
    """In what guards read."""
    value: str
    string: bool

    @property
    def end(self) -> int:
        return self.start + len(self.value)


class Json:
    """A text that is JSON.

    What guards read has a line for each value, after the name that it has, with escapes undone: `phone: 555 0100`.
    """

    def __init__(self, raw: str, leaves: Sequence[_Leaf], text: str) -> None:
        self._raw = raw
        self._leaves = leaves
        self.text = text
        """What guards read; findings count its characters."""

    @classmethod
    def of(cls, raw: str) -> Json | None:
        """`raw` as JSON; `None` where it is none, and has to be read as it stands."""
        try:
            orjson.loads(raw.encode())
        except ValueError:  # UnicodeEncodeError is one
            return None
        leaves: list[_Leaf] = []
        pieces: list[str] = []
        length = 0
        for match in _TOKEN.finditer(raw):
            token = match[0]
            string = token[0] == '"'
            if not string and not token[-1].isdigit():
                continue
            value = orjson.loads(token) if string else token
            leaves.append(_Leaf(match.span(), length, value, string))
            after = ": " if string and _KEY.match(raw, match.end()) else "\n"
            pieces += (value, after)
            length += len(value) + len(after)
        return cls(raw, leaves, "".join(pieces))

    def redacted(self, findings: Sequence[Finding], how: HowOf = How.MASK, names: Names | None = None) -> Redacted:
        """The JSON without what was found: still JSON, of the same structure. A number that has to go becomes a
        string."""
        groups = grouped(findings, len(self.text))
        edits: list[Edit] = []
        for leaf in self._leaves:
            inside = [g for g in groups if g.start < leaf.end and leaf.start < g.end]
            if not inside:
                continue
            if leaf.string:
                parts: list[str] = []
                at = 0
                for group in inside:
                    start, end = max(group.start - leaf.start, 0), min(group.end - leaf.start, len(leaf.value))
                    parts += (leaf.value[at:start], stand_in(group, leaf.value[start:end], how, names))
                    at = end
                value = "".join((*parts, leaf.value[at:]))
            else:
                value = stand_in(inside[0], leaf.value, how, names)
            edits.append(Edit(start=leaf.raw[0], end=leaf.raw[1], text=orjson.dumps(value).decode()))
        pieces: list[str] = []
        at = 0
        for edit in edits:
            pieces += (self._raw[at : edit.start], edit.text)
            at = edit.end
        return Redacted(text="".join((*pieces, self._raw[at:])), edits=tuple(edits))


def readable(text: str) -> str:
    """What guards read of a text that may be JSON."""
    parsed = Json.of(text)
    return text if parsed is None else parsed.text


def redact_json(text: str, findings: Sequence[Finding], how: HowOf = How.MASK, names: Names | None = None) -> Redacted:
    """`text`, which may be JSON, without what was found in what is `readable` of it."""
    parsed = Json.of(text)
    return redact(text, findings, how, names) if parsed is None else parsed.redacted(findings, how, names)
