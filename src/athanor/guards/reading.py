"""The policies' file: TOML in, `Policies` out, and every mistake with its line and what would be right."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from athanor.errors import ConfigError
from athanor.guards.policy import DEFAULT, Direction, Policies, Policy, Rule
from athanor.types import Decision, How

_CATEGORY = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LISTS = ("keys", "models", "bases")
_PLAIN = ("about", "extends", *_LISTS)
_RULE = ("action", "threshold", "how")
LONGEST = 256 << 10
"""Characters of a policies' file."""


def shipped() -> Policies:
    """The policies that count where there is no file."""
    return parse(files("athanor.guards").joinpath("default.toml").read_text(encoding="utf-8"), where="default.toml")


def version_of(text: str) -> str:
    """Twelve hex digits of the SHA-256 of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse(text: str, *, where: str) -> Policies:
    """Read a policies' file.

    Args:
        where: its name, for errors.

    Raises:
        ConfigError: it is no TOML, a key is unknown, or a value does not fit; with the line where one is known.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"The policies have {len(text)} characters; {LONGEST} are the most.", where=where)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The policies are not valid TOML: {error}.", where=where) from None
    return _Reader(text, where).read(tree)


def unheard(policies: Policies, categories: Iterable[str]) -> list[str]:
    """One line for each rule whose categories nobody finds: a slip of the pen, or a guard that is not installed.

    Args:
        categories: what the guards that are there can find.
    """
    known = [*categories]
    lines = []
    for policy in policies.policies.values():
        for direction, rules in policy.rules.items():
            lines += [
                f"policies.{policy.name}.{direction}: no guard here finds {pattern!r}"
                for pattern in rules
                if not any(_meet(pattern, category) for category in known)
            ]
    return lines


def _meet(pattern: str, category: str) -> bool:
    a, b = pattern.removesuffix("*"), category.removesuffix("*")
    if pattern.endswith("*") or category.endswith("*"):
        return f"{a}.".startswith(b) or f"{b}.".startswith(a)
    return a == b


class _Reader:
    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where

    def read(self, tree: Mapping[str, Any]) -> Policies:
        for name in tree:
            if name != "policies":
                raise self.error((), name, f"Unknown key {name!r}.", _near(name, ["policies"]))
        policies = {name: self._policy(name, body) for name, body in _table(tree, "policies", self).items()}
        if DEFAULT not in policies:
            raise ConfigError(
                "There is no policy named 'default'.",
                where=self._where,
                hint="Add [policies.default]; it counts where no other does.",
            )
        for policy in policies.values():
            self._check_line(policy, policies)
        return Policies(policies, version=version_of(self._text), text=self._text)

    def _policy(self, name: str, body: Any) -> Policy:
        place = ("policies", name)
        if not isinstance(body, dict):
            raise self.error(("policies",), name, f"policies.{name} is no table.", f"Write [policies.{name}].")
        if not _NAME.fullmatch(name):
            raise self.error(
                place, None, f"{name!r} is no name of a policy.", "Letters, digits, dot, dash, underscore."
            )
        rules: dict[Direction, Mapping[str, Rule]] = {}
        plain: dict[str, Any] = {}
        for key, value in body.items():
            if key in _PLAIN:
                plain[key] = self._plain(place, key, value)
            elif key in list(Direction):
                rules[Direction(key)] = self._rules(name, Direction(key), value)
            else:
                known = [*_PLAIN, *(d.value for d in Direction)]
                raise self.error(place, key, f"Unknown key policies.{name}.{key}.", _near(key, known))
        if name == DEFAULT:
            if plain.keys() - {"about"}:
                key = next(iter(plain.keys() - {"about"}))
                raise self.error(
                    place, key, f"'default' counts everywhere and has no {key!r}.", "Make another policy for that."
                )
            plain["extends"] = ""
        return Policy(name=name, rules=rules, **plain)

    def _plain(self, place: tuple[str, ...], key: str, value: Any) -> Any:
        full = ".".join((*place, key))
        if key in _LISTS:
            if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
                raise self.error(place, key, f"{full} is no list of names.", f'Write {key} = ["name", "prefix-*"].')
            return tuple(value)
        if not isinstance(value, str):
            raise self.error(place, key, f"{full} is no text.", f'Write {key} = "…".')
        return value

    def _rules(self, policy: str, direction: Direction, body: Any) -> Mapping[str, Rule]:
        place = ("policies", policy, direction.value)
        if not isinstance(body, dict):
            raise self.error(place[:2], direction.value, f"{'.'.join(place)} is no table of rules.", _EXAMPLE)
        found = {}
        for pattern, value in _flat(body):
            if not _CATEGORY.fullmatch(pattern):
                hint = 'A category is like "pii.email"; "pii.*" is all of a family, "*" is everything.'
                raise self.error(place, pattern, f"{pattern!r} is no category.", hint)
            found[pattern] = self._rule(place, pattern, value)
        return found

    def _rule(self, place: tuple[str, ...], pattern: str, value: Any) -> Rule:
        full = f'{".".join(place)}."{pattern}"'
        body = {"action": value} if isinstance(value, str) else value
        if not isinstance(body, dict):
            raise self.error(place, pattern, f"{full} is neither an action nor a table.", _EXAMPLE)
        for key in body:
            if key not in _RULE:
                raise self.error(place, pattern, f"Unknown key {key!r} in {full}.", _near(key, _RULE))
        if body.get("action") not in list(Decision):
            hint = _near(str(body.get("action")), [d.value for d in Decision])
            raise self.error(place, pattern, f"{full} has no action that is known.", hint)
        threshold = body.get("threshold")
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if threshold is not None and not (number and 0 <= threshold <= 1):
            raise self.error(place, pattern, f"The threshold of {full} is no number from 0 to 1.", None)
        how = body.get("how", How.MASK.value)
        if how not in list(How):
            hint = _near(str(how), [h.value for h in How])
            raise self.error(place, pattern, f"{full} has no 'how' that is known.", hint)
        action = Decision(body["action"])
        if "how" in body and action is not Decision.REDACT:
            raise self.error(place, pattern, f"{full} has 'how', and redacts nothing.", 'Use action = "redact".')
        return Rule(
            pattern=pattern,
            action=action,
            threshold=None if threshold is None else float(threshold),
            how=How(how),
            policy=place[1],
            direction=Direction(place[2]),
        )

    def _check_line(self, policy: Policy, policies: Mapping[str, Policy]) -> None:
        seen, at = {policy.name}, policy
        while at.extends:
            place = ("policies", at.name)
            if at.extends not in policies:
                hint = _near(at.extends, policies)
                raise self.error(place, "extends", f"There is no policy {at.extends!r} to extend.", hint)
            at = policies[at.extends]
            if at.name in seen:
                raise self.error(place, "extends", f"The policy {policy.name!r} extends itself.", None)
            seen.add(at.name)

    def error(self, place: tuple[str, ...], key: str | None, message: str, hint: str | None) -> ConfigError:
        line = _line(self._text, place, key)
        return ConfigError(message, where=self._where if line is None else f"{self._where}:{line}", hint=hint)


_EXAMPLE = 'Write "pii.email" = "redact", or = { action = "redact", threshold = 0.8, how = "mask" }.'


def _table(tree: Mapping[str, Any], name: str, reader: _Reader) -> Mapping[str, Any]:
    value = tree.get(name, {})
    if not isinstance(value, dict):
        raise reader.error((), name, f"{name} is no table.", f"Write [{name}.default].")
    return value


def _flat(body: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Rules, whether their category was quoted (`"pii.email" = …`) or became nested tables (`pii.email = …`)."""
    for key, value in body.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and not any(_meant(inner) for inner in value):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _meant(key: str) -> bool:
    """Is it a key of a rule, or a slip of the pen for one."""
    return bool(difflib.get_close_matches(key, _RULE, n=1, cutoff=0.8))


def _near(word: str, known: Iterable[str]) -> str:
    names = [*known]
    close = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(names)}."


_HEADER = re.compile(r"\s*\[\s*(.+?)\s*\]\s*(#.*)?")
_KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[A-Za-z0-9_.-]+)\s*=""")


def _line(text: str, place: tuple[str, ...], key: str | None) -> int | None:
    """Where `key` of the table `place` stands, counted from 1; the table's line where the key is not found."""
    table: tuple[str, ...] = ()
    header = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HEADER.fullmatch(line):
            table = tuple(_parts(match[1]))
            if key is not None and table[: len(place) + 1] == (*place, key):
                return number
            if table == place:
                header = header or number
        elif key is not None and (match := _KEY.match(line)):
            own = (*table, *_parts(match[1])) == (*place, key)
            if own or (table == place and match[1].strip("\"'") == key):
                return number
    return header


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(r""""[^"]*"|'[^']*'|[^.\s]+""", dotted)]
