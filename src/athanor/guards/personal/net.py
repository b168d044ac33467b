"""Addresses of machines: IPv4, IPv6 and MAC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from athanor.guards.personal.base import Span, named, words

REACH = 60
_V4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", re.ASCII)
_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:]|\.\d)", re.ASCII)
_MAC = re.compile(r"(?<![\w:.-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])", re.ASCII)
_MAC_DOTS = re.compile(r"(?<![\w.])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![\w]|\.\w)", re.ASCII)
_VERSION = words("version", "versions", "v", "ver", "release", "build", "firmware", "chapter", "section", "kapitel")
_NAMES = words("ip", "ipv4", "ipv6", "address", "addr", "host", "server", "client", "from", "remote", "login")


def find_ip(text: str) -> Iterator[Span]:
    """Addresses of the internet; those that name no one machine (loopback, unspecified) are left out."""
    for pattern in (_V4, _V6):
        for match in pattern.finditer(text):
            score = _score(match[0], text, match.start(), match.end())
            if score:
                yield Span(
                    category="pii.ip",
                    start=match.start(),
                    end=match.end(),
                    score=score,
                    reason="an address of the internet",
                )


def _score(written: str, text: str, start: int, end: int) -> float:
    try:
        address: IPv4Address | IPv6Address = ip_address(written)
    except ValueError:
        return 0.0
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        return 0.0
    if isinstance(address, IPv6Address) and not any(char.isdigit() for char in written):
        return 0.0  # `add::bad` is code
    if named(text, start, end, _VERSION, before=12, after=0):
        return 0.2
    near = named(text, start, end, _NAMES, before=32, after=0)
    return 0.5 if address.is_private and not near else 0.95


def find_mac(text: str) -> Iterator[Span]:
    """Hardware addresses in pairs or in Cisco's groups of four."""
    for pattern in (_MAC, _MAC_DOTS):
        for match in pattern.finditer(text):
            if len(set(match[0])) > 3:  # not 00:00:00:00:00:00
                yield Span(
                    category="pii.mac", start=match.start(), end=match.end(), score=0.9, reason="a hardware address"
                )
