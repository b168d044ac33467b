"""Encryption of single fields.

A sealed value is text: `enc:1:KEY:BODY`, where KEY is the id of a data key and BODY the base64 of a random nonce of 12
bytes, the ciphertext, and a tag of 16 bytes (AES-256-GCM). Table, row and column are associated data, so that a value
that was moved to another place does not open. With random nonces one key may seal 2^32 values (NIST SP 800-38D, 8.3);
`athanor encryption rotate` makes a new one.

What is plain and begins with `enc:` is written as `enc:0:` and the text, so that nothing that a caller sends is taken
for a sealed value.
"""

from __future__ import annotations

import binascii
import os
from typing import Any

import orjson

from athanor.errors import EncryptionError
from athanor.store.keyring import KeyRing

MARK = "enc:"
SEALED = "enc:1:"
_PLAIN = "enc:0:"


class Cipher:
    """Seals and opens fields. Threads share one.

    `place` is always the table, the row's key and the column, in this order; what was sealed for one place opens
    nowhere else.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def seal(self, plain: str, *place: str) -> str:
        """`plain`, encrypted.

        Raises:
            EncryptionError: the store was opened without its master key.
        """
        key = self._keys.active()
        nonce = os.urandom(12)
        body = nonce + key.aead.encrypt(nonce, plain.encode("utf-8", "surrogatepass"), _about(key.id, place))
        return f"{SEALED}{key.id}:{binascii.b2a_base64(body, newline=False).decode()}"

    def seal_content(self, plain: str, *place: str) -> str:
        """As `seal`, where `encryption.content` is on; else `plain`. The empty text stays empty.

        Raises:
            EncryptionError: the store is encrypted and was opened without its master key.
        """
        if plain and self._keys.sealing:
            return self.seal(plain, *place)
        return f"{_PLAIN}{plain}" if plain.startswith(MARK) else plain

    def open(self, value: str, *place: str) -> str:
        """What was sealed, or what is plain.

        Raises:
            EncryptionError: the key is missing or another, the value was changed or moved, or it is plain in a store
                where everything is sealed.
        """
        if value.startswith(SEALED):
            return self._opened(value, place)
        if value and self._keys.whole:
            raise EncryptionError(
                "A value is plain in a store where everything is sealed: it was not written by Athanor.",
                where="/".join(place),
                hint="If it is yours, run `athanor encryption enable --accept-plain`.",
            )
        return value.removeprefix(_PLAIN)

    def seal_json(self, plain: Any, *place: str) -> Any:
        """For a column of JSON: a string of it as `seal_content` seals it, or `plain` itself."""
        return self.seal_content(orjson.dumps(plain).decode(), *place) if self._keys.sealing else plain

    def open_json(self, value: Any, *place: str) -> Any:
        """What `seal_json` was given. Raises as `open`."""
        if isinstance(value, str) and value.startswith(SEALED):
            return orjson.loads(self.open(value, *place))
        if value:
            self.open("json", *place)
        return value

    def secret(self, purpose: str) -> bytes:
        """32 bytes for `purpose` (such as hashing with a key), the same at every call and after every rotation.

        Raises:
            EncryptionError: the store was opened without its master key.
        """
        return self._keys.secret(purpose)

    def _opened(self, value: str, place: tuple[str, ...]) -> str:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  imported by then, for the keys

        id_, _, body = value[len(SEALED) :].partition(":")
        key = self._keys.get(id_, where="/".join(place))
        try:
            raw = binascii.a2b_base64(body)
            if binascii.b2a_base64(raw, newline=False).decode() != body:
                raise ValueError("written otherwise")  # base64 has bits that nothing is read from
            return key.aead.decrypt(raw[:12], raw[12:], _about(id_, place)).decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError) as error:
            raise EncryptionError(
                "A sealed value was changed, or moved here from another row.",
                where="/".join(place),
                hint="Restore it from a backup, or delete the row.",
            ) from error


def key_of(value: Any) -> str | None:
    """The id of the key that sealed `value`; `None` where it is plain."""
    if isinstance(value, str) and value.startswith(SEALED):
        return value[len(SEALED) :].partition(":")[0]
    return None


def _about(key: str, place: tuple[str, ...]) -> bytes:
    # No part holds the separator unescaped: ids, names of tables and columns have none.
    return "\x1f".join(("athanor", key, *place)).encode("utf-8", "surrogatepass")
