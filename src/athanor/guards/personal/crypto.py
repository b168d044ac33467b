"""Addresses of crypto-currencies: base58check (Bitcoin, Litecoin, Dogecoin), bech32 and bech32m (BIP 173 and 350), and
Ethereum."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256

from athanor.guards.personal.base import Span

CATEGORY = "pii.crypto"
REACH = 90
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUE58 = {char: value for value, char in enumerate(_BASE58)}
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUE32 = {char: value for value, char in enumerate(_BECH32)}
_OLD = re.compile(r"(?<![A-Za-z0-9])[13LMD][1-9A-HJ-NP-Za-km-z]{25,34}(?![A-Za-z0-9])", re.ASCII)
_NEW = re.compile(r"(?<![A-Za-z0-9])(?:bc|ltc|tb)1[02-9ac-hj-np-z]{11,87}(?![A-Za-z0-9])", re.ASCII | re.IGNORECASE)
_ETHEREUM = re.compile(r"(?<![A-Za-z0-9])0x[0-9A-Fa-f]{40}(?![A-Za-z0-9])", re.ASCII)
_VERSIONS = frozenset({0x00, 0x05, 0x30, 0x32, 0x1E, 0x16})


def base58check(address: str) -> bool:
    """Whether the last four bytes are the start of the doubled SHA-256 of the rest, and the version is a known one."""
    if not set(address) <= _VALUE58.keys():
        return False
    value = 0
    for char in address:
        value = value * 58 + _VALUE58[char]
    try:
        raw = value.to_bytes(25, "big")
    except OverflowError:
        return False
    return raw[0] in _VERSIONS and sha256(sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def bech32(address: str) -> bool:
    """Whether the checksum is that of bech32 or of bech32m."""
    if address != address.lower() and address != address.upper():
        return False
    human, _, data = address.lower().rpartition("1")
    if not set(data) <= _VALUE32.keys():
        return False
    rest = 1
    for value in (*(ord(c) >> 5 for c in human), 0, *(ord(c) & 31 for c in human), *(_VALUE32[c] for c in data)):
        top = rest >> 25
        rest = (rest & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> bit & 1:
                rest ^= generator
    return rest in {1, 0x2BC830A3}


def find(text: str) -> Iterator[Span]:
    """Addresses whose checksum agrees; Ethereum's, which mostly bear none, by their form."""
    for pattern, check in ((_OLD, base58check), (_NEW, bech32), (_ETHEREUM, None)):
        for match in pattern.finditer(text):
            if check is None or check(match[0]):
                yield Span(
                    category=CATEGORY, start=match.start(), end=match.end(), score=1.0 if check else 0.8,
                    reason="an address of a crypto-currency",
                )  # fmt: skip
