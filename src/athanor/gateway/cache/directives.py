"""`cache-control` of a request (RFC 9111 §5.2.1), as far as it speaks to a cache of answers."""

from __future__ import annotations

import re

from athanor.types import CacheUse

_DIRECTIVE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?[^,"]*(?:,|$)')
_ESCAPED = re.compile(r"\\(.)")
_DEFAULT = CacheUse()


def parse_cache_control(header: str) -> CacheUse:
    """What the header allows. Directives that are unknown, or that do not fit here, are ignored, as the RFC wants.

    `no-cache` gets a new answer, `no-store` keeps the answer out of the cache, and `max-age=S` takes no answer that is
    older than S seconds; of several, the smallest counts, and one that is no number counts as 0. `only-if-cached`,
    `max-stale`, `min-fresh` and `no-transform` do not fit: an answer is either fresh or gone, and there is no origin
    that could be left alone.
    """
    if not header:
        return _DEFAULT
    read, write = True, True
    age: float | None = None
    at = 0
    while at < len(header):
        match = _DIRECTIVE.match(header, at)
        if match is None:  # no directive begins here: go on after the next comma
            at = header.find(",", at) + 1 or len(header)
            continue
        at = match.end()
        name = match[1].lower()
        if name == "no-cache":
            read = False
        elif name == "no-store":
            write = False
        elif name == "max-age":
            seconds = _seconds(match[2])
            age = seconds if age is None else min(age, seconds)
    return CacheUse(read=read, write=write, max_age=age)


def _seconds(value: str | None) -> float:
    """Delta-seconds, which some write in quotes. What is no number is stale at once."""
    text = value or ""
    if text.startswith('"'):
        text = _ESCAPED.sub(r"\1", text[1:-1])
    return float(min(int(text[:20]), 1 << 31)) if text.isascii() and text.isdigit() else 0.0
