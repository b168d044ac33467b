"""What a key opens: models, knowledge bases and interfaces by name, with `*` as a wildcard."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from athanor.errors import PermissionDeniedError
from athanor.types import ApiKey

Kind = Literal["models", "knowledge", "doors"]


def opens(key: ApiKey | None, kind: Kind, name: str) -> bool:
    """Does `key` open `name`. Who comes without a key (a person in the console) is not limited by one."""
    allowed = None if key is None else getattr(key.scopes, kind)
    return allowed is None or any(fnmatchcase(name, pattern) for pattern in allowed)


def check_door(key: ApiKey | None, door: str) -> None:
    """Let a request in by `door`.

    Raises:
        PermissionDeniedError: the key is not for this interface.
    """
    if not opens(key, "doors", door):
        raise PermissionDeniedError(f"This key is not for {door}.", where="doors", hint="Use another key.")
