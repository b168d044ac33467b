"""Passwords: which are good enough, and their hashes.

Argon2id with the first choice of OWASP's Password Storage Cheat Sheet (19 MiB, 2 iterations, 1 lane), written as a PHC
string: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`. Length counts, not kinds of characters (NIST SP 800-63B, 3.1.1.2).
"""

from __future__ import annotations

import os
import re
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Any

from athanor.config import AccessSettings
from athanor.errors import InputError

LONGEST = 1024
"""Characters; a longer text is no password."""
_SALT, _HASH = 16, 32
_PARAMETERS = re.compile(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$")


class Passwords:
    """Judges, hashes and verifies passwords by the settings."""

    def __init__(self, settings: AccessSettings) -> None:
        self._minimum = settings.password_length
        self._cost = (settings.argon2_memory_kib, settings.argon2_iterations, settings.argon2_lanes)
        self._nobody: str | None = None

    def check(self, password: str, name: str) -> None:
        """Let a new password of the user called `name` pass.

        Raises:
            InputError: it is too short, too long, or among the first that anybody tries.
        """
        text = _normal(password)
        if len(text) < self._minimum:
            hint = "Several words in a row are easy to remember."
            raise InputError(f"A password has at least {self._minimum} characters.", where="password", hint=hint)
        if len(text) > LONGEST:
            raise InputError(f"A password has at most {LONGEST} characters.", where="password")
        if _guessed(text.casefold(), name.casefold()):
            raise InputError("This password is among the first that anybody tries.", where="password")

    def hash(self, password: str) -> str:
        """The hash to store. Takes some 40 ms and the memory of the settings: not for an event loop."""
        memory, iterations, lanes = self._cost
        kdf = _argon2()(salt=os.urandom(_SALT), length=_HASH, iterations=iterations, lanes=lanes, memory_cost=memory)
        hashed: str = kdf.derive_phc_encoded(_normal(password).encode())
        return hashed

    def verify(self, password: str, hashed: str | None) -> bool:
        """Is `password` that of the hash. `None` is never right, and takes as long."""
        from cryptography.exceptions import InvalidKey  # noqa: PLC0415  not at start-up

        if self._nobody is None:
            self._nobody = self.hash(os.urandom(_SALT).hex())
        try:
            _argon2().verify_phc_encoded(_normal(password[: LONGEST + 1]).encode(), hashed or self._nobody)
        except InvalidKey:
            return False
        return hashed is not None

    def stale(self, hashed: str) -> bool:
        """Was it made with other parameters than those of the settings."""
        found = _PARAMETERS.match(hashed)
        return found is None or tuple(map(int, found.groups())) != self._cost


def _argon2() -> Any:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415  not at start-up

    return Argon2id


def _normal(password: str) -> str:
    """The same text from every keyboard (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode(errors="replace").decode()


@cache
def _common() -> frozenset[str]:
    """What most lists of leaked passwords begin with, without the digits and signs that people hang on to them."""
    text = files("athanor.governance").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


def _guessed(text: str, name: str) -> bool:
    words = _common() | {_letters(name)}
    spelled = _unit(_letters(text.translate(str.maketrans("@$013457", "asoleast"))))
    plain = _unit(_letters(text))
    rising = text in "0123456789" * 8 or text in "9876543210" * 8
    repeated = len(_unit(text)) * 2 <= len(text)
    return rising or repeated or len(set(text)) < 5 or text == name or bool({spelled, plain} & (words - {""}))


def _letters(text: str) -> str:
    """Without digits and signs."""
    return re.sub(r"[\W\d_]+", "", text)


def _unit(text: str) -> str:
    """What `text` repeats; itself, where it repeats nothing."""
    return next((text[:n] for n in range(1, len(text) // 2 + 1) if text == text[:n] * (len(text) // n)), text)
