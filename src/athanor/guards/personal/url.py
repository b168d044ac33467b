"""Web addresses, and which of them lead to a person; home folders."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.personal.base import Span

CATEGORY = "pii.url"
REACH = 2048
PLAIN = 0.4
"""Score of an address that names no person as far as can be told."""
_URL = re.compile(
    r"(?<![\w@])(?:[a-z][a-z0-9+.-]{1,10}://[^\s<>\"'`{}|\\^]{1,2037}|www\.[^\s<>\"'`{}|\\^]{3,2040})", re.IGNORECASE
)
_TRAILING = ".,;:!?)]}'\"*_"
_PERSONAL = re.compile(
    r"//[^/\s@]{1,128}@|/~[\w.-]|/(?:users?|u|profiles?|people|person|members?|accounts?|author|in|@[\w.-]+)/[\w.%@+-]"
    r"|/@[\w.-]|[?&;](?:e-?mail|user(?:name|id|_id)?|uid|name|phone|token|session(?:id)?|customer(?:_id)?|ssn|dob)="
    r"|//(?:www\.|m\.|mobile\.)?(?:facebook|instagram|twitter|x|tiktok|github|gitlab|reddit|t|medium|keybase|threads)"
    r"\.(?:com|io|me|net|org)/[\w.@-]{2,}",
    re.IGNORECASE,
)
_HOME = re.compile(
    r"(?<![\w/\\.])(?:/home/|/Users/|[A-Za-z]:\\(?:Users|Documents and Settings)\\)([^\s/\\:*?\"<>|]{1,32})"
)
_NOBODY = frozenset({
    "user", "username", "users", "shared", "public", "default", "runner", "ubuntu", "debian", "ec2-user", "vagrant",
    "node", "app", "admin", "administrator", "me", "you", "name", "your_name", "yourname", "docker", "jovyan", "all",
})  # fmt: skip


def find(text: str) -> Iterator[Span]:
    """Addresses with a scheme or `www.`: those of a person score .9, others `PLAIN`; home folders that bear a name."""
    for match in _URL.finditer(text):
        end = match.end()
        while end > match.start() and text[end - 1] in _TRAILING:
            end -= 1
        if not any(char.isalnum() for char in text[match.start() : end].partition("://")[2] or match[0][4:]):
            continue
        personal = _PERSONAL.search(text, match.start(), end) is not None
        yield Span(
            category=CATEGORY, start=match.start(), end=end, score=0.9 if personal else PLAIN,
            reason="a web address of a person" if personal else "a web address",
        )  # fmt: skip
    for match in _HOME.finditer(text):
        if match[1].lower() not in _NOBODY and not match[1].startswith(("$", "{", "%", "<")):
            yield Span(
                category=CATEGORY, start=match.start(), end=match.end(), score=0.8, reason="a person's home folder"
            )
