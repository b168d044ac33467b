"""What guards are made of, and how those that are installed are found."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from athanor.config import Settings
from athanor.engines import Embedder
from athanor.errors import AthanorError, ConfigError, MissingExtraError
from athanor.guards.base import Guard
from athanor.observe import Metrics
from athanor.plugins import load, names
from athanor.store import Store

log = logging.getLogger(__name__)

PORT = "guards"
"""Entry points are in the group `athanor.guards`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The running system, as far as a guard may see it: given to `make(parts)` of each guard's class."""

    settings: Settings
    store: Store
    embedder: Embedder
    """May be still loading, or missing: then `embed` raises, and says why."""
    metrics: Metrics = field(default_factory=Metrics)
    secret: bytes = field(default=b"\0" * 32, repr=False)
    """Of this installation; see `key`."""

    def key(self, purpose: str) -> bytes:
        """32 bytes of this installation for one purpose, such as `events`; the same at every start."""
        return hmac.digest(self.secret, purpose.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The guards of this installation."""

    guards: tuple[Guard, ...] = ()
    missing: Mapping[str, AthanorError] = field(default_factory=dict)
    """Name → why it is not there: an extra that is not installed, weights that are not found."""


def find(parts: Parts) -> Found:
    """Make every guard that is installed. One that cannot be made is named in `missing` and in the log, and takes no
    other with it."""
    guards: list[Guard] = []
    missing: dict[str, AthanorError] = {}
    for name in names(PORT):
        try:
            guards.append(_made(name, parts))
        except MissingExtraError as error:
            log.info("guard %s is not installed: %s", name, error)
            missing[name] = error
        except AthanorError as error:
            log.error("guard %s cannot work: %s", name, error)
            missing[name] = error
        except Exception as error:  # a plug-in of somebody else's must not keep the system from starting
            log.exception("guard %s cannot be made", name)
            missing[name] = ConfigError(f"The guard {name!r} cannot be made: {type(error).__name__}.")
    return Found(guards=tuple(guards), missing=missing)


def _made(name: str, parts: Parts) -> Guard:
    kind = load(PORT, name)
    make = getattr(kind, "make", None)
    guard = kind() if make is None else make(parts)
    if not isinstance(guard, Guard):
        raise ConfigError(
            f"The guard {name!r} is no Guard.", hint="It needs name, categories, reach and check: see guards/base.py."
        )
    if guard.name != name:
        raise ConfigError(f"The guard {name!r} calls itself {guard.name!r}.", hint="Name it as its entry point does.")
    return guard


def secret_of(home: Path) -> bytes:
    """The installation's own 32 random bytes, in `guards.key` of the home folder; made where there are none.

    Raises:
        ConfigError: the file cannot be read, or is not 32 bytes of hex.
    """
    path = home / "guards.key"
    try:
        if not path.exists():
            # Whole, or not at all: another process may be starting too.
            new = path.with_name(f"guards.key.{os.getpid()}")
            new.touch(mode=0o600)
            new.write_text(os.urandom(32).hex())
            with suppress(FileExistsError):
                os.link(new, path)
            new.unlink()
        secret = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise ConfigError(f"The guards' key cannot be read: {error}.", where=str(path)) from error
    if len(secret) != 32:
        raise ConfigError("The guards' key is not 32 bytes.", where=str(path), hint="Restore it from a copy.")
    return secret
