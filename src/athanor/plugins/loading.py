"""Finding implementations by name, and optional dependencies by module."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from athanor.errors import ConfigError, MissingExtraError


def names(port: str) -> list[str]:
    """The names of all implementations of `port` (`engines`, …), sorted."""
    return sorted({point.name for point in _points(port, tuple(sys.path))})


def load(port: str, name: str) -> Any:
    """The implementation called `name`. Imports it, and nothing else.

    Raises:
        ConfigError: no such name; the hint lists those that exist.
        MissingExtraError: it needs an extra that is not installed.
    """
    return _point(port, name).load()


def load_module(port: str, name: str) -> ModuleType:
    """The module that names the implementation called `name`, for what it has beside its class. Raises as `load`."""
    return import_module(_point(port, name).module)


@lru_cache(maxsize=64)
def _points(port: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """What is installed on `path`. One look at all distributions takes 10 ms, and a start asks some twenty times."""
    return tuple(entry_points(group=f"athanor.{port}"))


def _point(port: str, name: str) -> EntryPoint:
    points = [point for point in _points(port, tuple(sys.path)) if point.name == name]
    if not points:
        raise ConfigError(f"There is no {port} plug-in named {name!r}.", hint=f"Known: {', '.join(names(port))}.")
    return points[0]


class LazyModule:
    """Stands for an optional module, and imports it when something of it is first used.

    For modules that are used throughout a file: the file can then be imported without the extra, and start-up does not
    pay for what the first request may not need.
    """

    def __init__(self, module: str, *, extra: str) -> None:
        self._module = module
        self._extra = extra

    def __getattr__(self, name: str) -> Any:
        value = getattr(require(self._module, extra=self._extra), name)
        setattr(self, name, value)
        return value


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Raises:
        MissingExtraError: `module` is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.split(".", maxsplit=1)[0] == error.name.split(".", maxsplit=1)[0]:
            raise MissingExtraError(f"The package behind {module!r}", extra=extra) from error
        raise
