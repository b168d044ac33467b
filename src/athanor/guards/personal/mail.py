"""E-mail addresses: RFC 5321 and 6531 within reason, and those that are spelled out for people."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.personal.base import Span

CATEGORY = "pii.email"
REACH = 320
"""64 characters, the sign, and 255 (RFC 5321, 4.5.3.1)."""
_LOCAL = "!#$%&'*+-/=?^_`{|}~."
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_DOMAIN = re.compile(
    rf"(?:{_LABEL}\.){{1,8}}(?:xn--[a-z0-9-]{{2,59}}|[^\W\d_]{{2,24}})(?![^\W_])|\[[0-9a-fA-F:.IPv]{{7,45}}\]"
)
_QUOTED = re.compile(r'"[^"\r\n\\]{1,62}"\Z')
_TLDS = (
    "com|org|net|edu|gov|io|co|info|biz|eu|uk|de|fr|it|es|nl|pl|se|no|dk|fi|ch|at|be|pt|ie|us|ca|au|in|jp|br|dev|app|me"
)
_AT = r"(?:\s?[\[({<]\s?(?:at|@|ät|arroba)\s?[\])}>]\s?|\s(?:at|AT|arroba)\s|\s@\s)"
_DOT = r"(?:\s?[\[({<]\s?(?:dot|punkt|point|punto|\.)\s?[\])}>]\s?|\s(?:dot|DOT|punto)\s)"
_SPELLED = re.compile(
    rf"(?<![\w.+-])[\w+-]{{1,32}}(?:(?:\.|{_DOT})[\w+-]{{1,32}}){{0,3}}{_AT}"
    rf"[\w-]{{1,63}}(?:(?:\.|{_DOT})[\w-]{{1,63}}){{0,3}}(?:(?:\.|{_DOT})(?:{_TLDS}))(?![\w-])",
    re.IGNORECASE,
)
_HIDES = re.compile(rf"{_AT}|{_DOT}", re.IGNORECASE)
_STATED = re.compile(r"[\[({<]|\s(?:dot|punto)\s|\s@\s", re.IGNORECASE)


def find(text: str) -> Iterator[Span]:
    """Addresses with their sign, and `name (at) host (dot) tld`."""
    place = text.find("@")
    while place >= 0:
        start = _local(text, place)
        domain = _DOMAIN.match(text, place + 1)
        if start < place and domain is not None:
            yield Span(category=CATEGORY, start=start, end=domain.end(), score=1.0, reason="an e-mail address")
        place = text.find("@", place + 1)
    if _HIDES.search(text):
        for match in _SPELLED.finditer(text):
            # `met at example.com` is no address: a bracket, a spelled dot or a sign with spaces makes it one.
            if _STATED.search(match[0]):
                yield Span(
                    category=CATEGORY, start=match.start(), end=match.end(), score=0.9,
                    reason="an e-mail address, spelled out",
                )  # fmt: skip


def _local(text: str, end: int) -> int:
    """Where the part before the sign begins; `end` where there is none."""
    if text[end - 1 : end] == '"':
        quoted = _QUOTED.search(text, max(0, end - 64), end)
        return quoted.start() if quoted else end
    start = end
    while start > 0 and end - start < 64 and (text[start - 1].isalnum() or text[start - 1] in _LOCAL):
        start -= 1
    # Signs that only quote or list the address. Inside a URL they part it from what stands before.
    cut = max(text.rfind(sign, start, end) for sign in "/=?&")
    start = max(start, cut + 1)
    while start < end and text[start] in "'`.{|*~!#$%^-":
        start += 1
    return end if text[end - 1] == "." else start
