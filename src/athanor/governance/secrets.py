"""Secrets: how they are made, how they are kept out of sight, how they are hashed."""

from __future__ import annotations

import hashlib
import secrets
from typing import NoReturn


class Secret:
    """A text that must not be printed. It has no repr, no format, and cannot be pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def new(cls, prefix: str) -> Secret:
        """`prefix` and 43 URL-safe characters that hold 256 random bits."""
        return cls(prefix + secrets.token_urlsafe(32))

    def reveal(self) -> str:
        """The text, to be shown to its owner once."""
        return self._text

    def hash(self) -> str:
        """SHA-256, in hexadecimal digits: what is stored.

        A slow, salted hash protects passwords, which can be guessed. 256 random bits cannot, so a fast hash is
        right: it costs nothing on every request and can be looked up in an index.
        """
        return hashlib.sha256(self._text.encode(errors="surrogatepass")).hexdigest()

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled.")
