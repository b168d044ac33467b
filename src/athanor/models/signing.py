"""Who signs manifests: our own key, and the keys that are trusted (Ed25519).

Both are in the home folder. Who can write there can change the settings as well, so the list needs no signature.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import hashlib
import os
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from athanor.errors import ConflictError, InputError, ModelError, NotFoundError

_PREFIX = "athanor-signer:"
_KEY = "signing.key"
_SIGNERS = "signers.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A public key that is trusted."""

    id: str
    name: str
    public: str
    """Base64 of its 32 bytes."""
    added_at: float


def signer_id(public: bytes) -> str:
    """Tells public keys apart: 16 hex digits of a hash."""
    return hashlib.sha256(public).hexdigest()[:16]


def checks(public: bytes, signature: bytes, message: bytes) -> bool:
    """Did the owner of `public` sign `message`."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  few commands need it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class SigningKey:
    """Our own private key, in a file of mode 0600. It has no repr of its own bytes."""

    def __init__(self, private: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public: bytes = self._key.public_key().public_bytes_raw()

    @classmethod
    def exists(cls, home: Path) -> bool:
        """Was it made already."""
        return (home / _KEY).exists()

    @classmethod
    def of(cls, home: Path) -> SigningKey:
        """The key of this home folder, made at the first call.

        Raises:
            ModelError: its file cannot be read or written.
        """
        path = home / _KEY
        try:
            if not path.exists():
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
                fresh = path.with_name(f"{_KEY}.{secrets.token_hex(4)}")
                handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "wb") as out:
                    out.write(base64.b64encode(secrets.token_bytes(32)) + b"\n")
                with suppress(FileExistsError):
                    os.link(fresh, path)
                fresh.unlink()
            return cls(base64.b64decode(path.read_bytes(), validate=False))
        except (OSError, binascii.Error, ValueError) as error:
            raise ModelError(f"The signing key cannot be used: {error}.", where=str(path)) from error

    @property
    def id(self) -> str:
        """See `signer_id`."""
        return signer_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)


class Signers:
    """The public keys that are trusted; our own is one of them as soon as it is made."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file = home / _SIGNERS

    def list(self) -> list[Signer]:
        """All of them.

        Raises:
            ModelError: the list is damaged.
        """
        try:
            return [Signer(**entry) for entry in orjson.loads(self._file.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise ModelError("The list of trusted signers cannot be read.", where=str(self._file)) from error

    def trusts(self, public: bytes) -> bool:
        """Is it the key of somebody who is trusted. The whole key counts, not its id."""
        return any(base64.b64decode(signer.public) == public for signer in self.list())

    def add(self, text: str, name: str) -> Signer:
        """Trust a key, written as `athanor-signer:` and the base64 of its 32 bytes.

        Raises:
            InputError: it is not a key.
            ConflictError: it is trusted already.
        """
        try:
            public = base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            public = b""
        if len(public) != 32:
            raise InputError(
                "This is not the public key of a signer.",
                where="key",
                hint="`athanor models signer` prints one on the machine that signs.",
            )
        known = self.list()
        if any(base64.b64decode(signer.public) == public for signer in known):
            raise ConflictError(f"The signer {signer_id(public)} is trusted already.")
        made = Signer(id=signer_id(public), name=name, public=base64.b64encode(public).decode(), added_at=time.time())
        self._write([*known, made])
        return made

    def remove(self, id_: str) -> None:
        """Trust a signer no longer.

        Raises:
            NotFoundError: it is not trusted.
        """
        known = self.list()
        kept = [signer for signer in known if signer.id != id_]
        if len(kept) == len(known):
            raise NotFoundError(f"There is no trusted signer {id_!r}.")
        self._write(kept)

    def _write(self, signers: builtins.list[Signer]) -> None:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._file.with_name(f"{_SIGNERS}.{secrets.token_hex(4)}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(orjson.dumps([asdict(signer) for signer in signers], option=orjson.OPT_INDENT_2))
        fresh.replace(self._file)


def written(public: bytes) -> str:
    """A public key as `Signers.add` takes it."""
    return _PREFIX + base64.b64encode(public).decode()
