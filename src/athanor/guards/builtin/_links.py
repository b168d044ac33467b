"""Where a link leads, and what it carries there."""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

_BLANK = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2060\ufeff]+")
_SCRIPTS = ("javascript", "vbscript", "livescript", "data", "blob", "file", "filesystem", "jar", "mhtml", "view-source")
_PICTURES = re.compile(r"data:image/(?:png|jpe?g|gif|webp|avif|bmp)[;,]", re.IGNORECASE)
_REMOTE = re.compile(r"(?:https?|wss?|ftps?|sftp|smb|nfs|ldaps?|gopher|dict):", re.IGNORECASE)
LONG = 120
"""Characters of query and fragment together over which a link carries more than a page needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A link's target as a browser reads it."""

    scheme: str
    """In lower case; empty for an address within the page's own site."""
    host: str
    """In lower case, without port; empty where there is none."""
    carries: str
    """Why it is thought to carry data; empty where it is not."""

    @property
    def script(self) -> bool:
        """Does opening it run something, or leave the web."""
        return self.scheme in _SCRIPTS

    def on(self, hosts: Sequence[str]) -> bool:
        """Is its host one of `hosts`, which may hold wildcards: `*.example.org` covers `example.org` too."""
        return any(fnmatchcase(self.host, one) or one == f"*.{self.host}" for one in hosts)


def target(url: str) -> Target:
    """What `url` is. Browsers forgive much: blanks within, entities, backslashes, one slash or none."""
    raw = html.unescape(url)
    text = _BLANK.sub("", raw)
    head = unquote(text[:64]) if re.match(r"(?i)[a-z]*%[0-9a-f]{2}", text) else text
    scheme = head.partition(":")[0].lower()
    if scheme in _SCRIPTS and ":" in head:
        return Target(scheme="" if _PICTURES.match(text) else scheme, host="", carries="")
    text = text.replace("\\", "/")
    remote = _REMOTE.match(text)
    if not remote and not text.startswith("//"):
        return Target(scheme=scheme if scheme == "mailto" and ":" in text else "", host="", carries="")
    scheme = remote[0][:-1].lower() if remote else "https"
    rest = (text[remote.end() :] if remote else text).lstrip("/")
    try:
        parts = urlsplit(f"//{rest}")
        host = (parts.hostname or "").rstrip(".")
        user = parts.username
    except ValueError:
        return Target(scheme=scheme, host="", carries="its address cannot be read")
    with suppress(UnicodeError):
        host = host if host.isascii() else host.encode("idna").decode()
    why = "a user name before the host" if user else _carries(host, parts.path, parts.query, parts.fragment)
    return Target(scheme=scheme, host=host, carries=why)


def _carries(host: str, path: str, query: str, fragment: str) -> str:
    """Why this address may take data away."""
    if len(query) + len(fragment) > LONG:
        return f"more than {LONG} characters of query"
    values = [value for _, value in parse_qsl(query, keep_blank_values=True)] or [unquote_plus(query)]
    if any(_told(value) for value in (*values, unquote_plus(fragment))):
        return "a sentence in its query"
    pieces = [*values, *(unquote(part) for part in path.split("/")), fragment]
    if any(_encoded(piece) for piece in pieces) or any(_encoded(label, least=32) for label in host.split(".")[:-2]):
        return "encoded data"
    if len(re.findall(r"%[0-9A-Fa-f]{2}", query + path)) >= 12:
        return "encoded characters"
    return ""


def _told(value: str) -> bool:
    """Words of a text rather than of a search."""
    return (
        len(value.split()) >= 8 or "@" in value or bool(re.search(r"\{\{?[\w .-]+\}?\}|\[[\w .-]+\]|<[\w .-]+>", value))
    )


def _encoded(piece: str, *, least: int = 24) -> bool:
    """Base64, hexadecimal or base32, as far as its letters tell. Words with hyphens are none, nor is a UUID."""
    for run in re.findall(rf"[A-Za-z0-9+/_=]{{{least},}}", piece.replace("-", " " if piece.count("-") > 3 else "-")):
        digits = sum(c.isdigit() for c in run)
        mixed = (digits > 0) + any(c.islower() for c in run) + any(c.isupper() for c in run)
        if mixed >= 2 and "__" not in run and (digits >= 2 or mixed == 3) and _entropy(run) >= 3.3:
            return True
        if re.fullmatch(r"(?i)[0-9a-f]+", run) and len(run) > 40:
            return True
    return False


def _entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
