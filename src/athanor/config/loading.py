"""Layers of settings: arguments over environment over file over defaults."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from athanor.config.settings import Settings
from athanor.errors import ConfigError

_PREFIX = "ATHANOR_"
# Variables of ours that are not settings: the file's place, and the key a client sends.
_NOT_SETTINGS = {"ATHANOR_CONFIG", "ATHANOR_API_KEY", "ATHANOR_URL", "ATHANOR_DATA"}


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, and for each dotted key the place its value came from."""

    settings: Settings
    sources: Mapping[str, str]
    file: Path | None


def load_settings(
    file: Path | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Read settings from all layers.

    Args:
        file: the TOML file; unset looks at `$ATHANOR_CONFIG`, then `./athanor.toml`, then `~/.athanor/athanor.toml`.
        arguments: dotted key → value, the strongest layer.
        environment: variables; `ATHANOR_SERVER__PORT=9000` sets `server.port`.

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown, or a value does not fit.
    """
    environment = os.environ if environment is None else environment
    path = _find(file, environment)
    tree: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if path is not None:
        _merge(tree, _read(path), sources, str(path))
    for name, value in sorted(environment.items()):
        if name.startswith(_PREFIX) and name not in _NOT_SETTINGS:
            key = name.removeprefix(_PREFIX).lower().replace("__", ".")
            _merge(tree, _nest(key, value), sources, f"${name}")
    for key, value in (arguments or {}).items():
        _merge(tree, _nest(key, value), sources, "argument")
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, sources) from error
    return LoadedSettings(settings.model_copy(update={"home": settings.home.expanduser()}), sources, path)


def flatten(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All settings as dotted key and value, in the order of declaration. Secrets show as their reference only."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        key = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from flatten(value, f"{key}.")
        elif isinstance(value, dict):
            for entry, inner in value.items():
                yield from flatten(inner, f"{key}.{entry}.")
        else:
            yield key, value


def _find(file: Path | None, environment: Mapping[str, str]) -> Path | None:
    named = file or (Path(environment["ATHANOR_CONFIG"]) if environment.get("ATHANOR_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError("The settings file does not exist.", where=str(named))
        return named
    home = Path(environment.get("ATHANOR_HOME", "~/.athanor")).expanduser()
    return next((path for path in (Path("athanor.toml"), home / "athanor.toml") if path.is_file()), None)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file is not valid TOML: {error}.", where=str(path)) from error
    except OSError as error:
        raise ConfigError(f"The settings file cannot be read: {error.strerror}.", where=str(path)) from error


def _nest(key: str, value: object) -> dict[str, Any]:
    *parents, leaf = key.split(".")
    tree: dict[str, Any] = {leaf: value}
    for parent in reversed(parents):
        tree = {parent: tree}
    return tree


def _merge(
    into: dict[str, Any], layer: Mapping[str, Any], sources: dict[str, str], source: str, prefix: str = ""
) -> None:
    for name, value in layer.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and isinstance(into.get(name, {}), dict):
            _merge(into.setdefault(name, {}), value, sources, source, f"{key}.")
        else:
            into[name] = value
            sources[key] = source


def _explain(error: ValidationError, sources: Mapping[str, str]) -> ConfigError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    source = next((place for name, place in sources.items() if name == key or name.startswith(f"{key}.")), None)
    if first["type"] == "extra_forbidden":
        known = _siblings(first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(known)}."
        return ConfigError(f"Unknown setting {key!r}.", where=source, hint=hint)
    return ConfigError(f"The setting {key!r} does not fit: {first['msg']}.", where=source)


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Settings
    for part in location:
        field = section.model_fields.get(str(part))
        if field is None:
            continue
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
        elif part == "models":
            section = Settings.model_fields["models"].annotation.__args__[1]  # type: ignore[union-attr]
    return sorted(section.model_fields)
