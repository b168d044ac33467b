"""Policies: what is done about what guards find. Rules by category and direction, chosen by key, base and model.

Which policy counts: of those whose every selector fits, the one with the most specific selectors, compared key first,
then knowledge base, then model; of two equals the one further down in the file. `default` fits always.

Which rule counts: the policy's own rules come before those of the policy that it `extends`. Among these, the most
specific pattern (`pii.email` before `pii.*` before `*`); of two equals, the direction's own before those of `any`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from athanor.types import Context, Decision, Finding, How

DEFAULT = "default"
"""Name of the policy that counts where no other does, and that all others extend unless they say otherwise."""


class Direction(StrEnum):
    """Which way a text goes: the origins of `Origin`, what is written down, and what leaves for a vendor."""

    SYSTEM = "system"
    USER = "user"
    DOCUMENT = "document"
    TOOL = "tool"
    MODEL = "model"
    RECORDED = "recorded"
    """Traces, caches and data sets."""
    REMOTE = "remote"
    """Requests to a model that does not run here."""
    ANY = "any"
    """In a policy: the five origins."""


ORIGINS = frozenset({Direction.SYSTEM, Direction.USER, Direction.DOCUMENT, Direction.TOOL, Direction.MODEL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is done about the findings of some categories."""

    pattern: str
    """A category, a family (`pii.*`), or `*`."""
    action: Decision
    threshold: float | None = None
    """Findings that score less are let be; `None` leaves that to the guard's own operating point."""
    how: How = How.MASK
    """Of a redaction."""
    policy: str = ""
    """Name of the policy that it stands in."""
    direction: Direction = Direction.ANY

    def counts(self, finding: Finding) -> bool:
        """Is `finding` strong enough to act on."""
        if self.threshold is None:
            return finding.decision is not Decision.ALLOW
        return finding.score >= self.threshold


NO_RULE = Rule(pattern="*", action=Decision.ALLOW)
"""What no rule names is not looked for."""


class Rules:
    """The rules of one policy in one direction.

    Args:
        layers: the policy's own first, then what it extends; each with patterns as keys.
    """

    def __init__(self, layers: Sequence[Mapping[str, Rule]]) -> None:
        self._layers = tuple(layer for layer in layers if layer)
        self._known: dict[str, Rule] = {}

    def rule(self, category: str) -> Rule:
        """The rule that counts for `category`."""
        found = self._known.get(category)
        if found is None:
            found = next((layer[p] for layer in self._layers for p in _covering(category) if p in layer), NO_RULE)
            if len(self._known) < 10_000:  # categories are names that a plug-in makes up
                self._known[category] = found
        return found

    def decided(self, finding: Finding) -> Finding | None:
        """`finding` with the policy's word in place of the guard's; `None` where nothing follows."""
        rule = self.rule(finding.category)
        if rule.action is Decision.ALLOW or not rule.counts(finding):
            return None
        return finding if finding.decision is rule.action else replace(finding, decision=rule.action)

    def needs(self, categories: Iterable[str]) -> bool:
        """Can anything follow from a finding in one of `categories`, which may be families."""
        return self.strongest(categories) is not Decision.ALLOW

    def strongest(self, categories: Iterable[str]) -> Decision:
        """The most that can follow from a finding in one of `categories`, which may be families."""
        actions = [Decision.ALLOW]
        for category in categories:
            actions.append(self.rule(category).action)
            if category.endswith("*"):
                stem = category[:-1]
                below = {p for layer in self._layers for p in layer if p.startswith(stem)}
                actions += [self.rule(pattern).action for pattern in below]
        return max(actions, key=lambda action: action.severity)

    def __iter__(self) -> Iterator[Rule]:
        seen: set[str] = set()
        for layer in self._layers:
            for pattern, rule in layer.items():
                if pattern not in seen:
                    seen.add(pattern)
                    yield rule


def _covering(category: str) -> list[str]:
    """Every pattern that covers `category`, the most specific first: `pii.x.*` covers itself, `pii.x` and below."""
    patterns = [category]
    stem = category.removesuffix(".*")
    while stem and stem != "*":
        patterns.append(f"{stem}.*")
        stem = stem.rpartition(".")[0]
    return [*patterns, "*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy."""

    name: str
    about: str = ""
    keys: tuple[str, ...] = ()
    """Names or ids of keys, with `*` as a wildcard; empty is any key, and none."""
    models: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    """Names of knowledge bases."""
    extends: str = DEFAULT
    """Empty for a policy that stands alone."""
    rules: Mapping[Direction, Mapping[str, Rule]] = field(default_factory=dict)
    """Its own."""

    @property
    def chosen(self) -> bool:
        """Has it selectors, by which requests come to it. Without, it is there to be extended."""
        return bool(self.keys or self.models or self.bases)

    def fits(self, keys: Sequence[str], base: str, model: str) -> tuple[int, ...] | None:
        """How specifically its selectors fit, to be compared; `None` where one does not."""
        found = []
        for patterns, names in ((self.keys, keys), (self.bases, (base,)), (self.models, (model,))):
            best = _best(patterns, names)
            if best is None:
                return None
            found.append(best)
        return tuple(found)


def _best(patterns: Sequence[str], names: Sequence[str]) -> int | None:
    """0 where nothing is asked; more with every literal character that fits, most for a name without a wildcard."""
    if not patterns:
        return 0
    scores = [
        1 + len(pattern.replace("*", "")) + (1_000_000 if "*" not in pattern else 0)
        for pattern in patterns
        if any(name and fnmatchcase(name, pattern) for name in names)
    ]
    return max(scores, default=None)


class Policies:
    """Everything that one policies' file says.

    Args:
        policies: by name, in the order of the file; `default` is among them.
        version: short hash of the file's text.
        text: the file's text.
    """

    def __init__(self, policies: Mapping[str, Policy], *, version: str, text: str) -> None:
        self.policies = dict(policies)
        self.version = version
        self.text = text
        self._chosen: dict[tuple[tuple[str, ...], str, str], Policy] = {}
        self._rules: dict[tuple[str, Direction], Rules] = {}

    def of(self, ctx: Context | None, *, base: str | None, model: str) -> Policy:
        """The policy that counts for a request."""
        key = () if ctx is None or ctx.key is None else (ctx.key.name, ctx.key.id)
        place = (key, base or "", model)
        found = self._chosen.get(place)
        if found is None:
            if len(self._chosen) >= 4096:
                self._chosen.clear()
            found = self._chosen[place] = self._choose(*place)
        return found

    def rules(self, policy: Policy, direction: Direction) -> Rules:
        """The rules of `policy`, and of all that it extends."""
        found = self._rules.get((policy.name, direction))
        if found is None:
            layers: list[Mapping[str, Rule]] = []
            for one in self.line(policy):
                own = one.rules.get(direction, {})
                layers.append({**one.rules.get(Direction.ANY, {}), **own} if direction in ORIGINS else own)
            found = self._rules[policy.name, direction] = Rules(layers)
        return found

    def line(self, policy: Policy) -> list[Policy]:
        """`policy`, what it extends, what that extends, …"""
        found = [policy]
        while (name := found[-1].extends) and name != found[-1].name:
            found.append(self.policies[name])
        return found

    def _choose(self, keys: tuple[str, ...], base: str, model: str) -> Policy:
        best, found = (0, 0, 0), self.policies[DEFAULT]
        for policy in self.policies.values():
            if policy.chosen and (fit := policy.fits(keys, base, model)) is not None and fit >= best:
                best, found = (fit[0], fit[1], fit[2]), policy
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """What a request's texts go by: one policy, the same from its first text to the end of its answer."""

    policies: Policies
    policy: Policy
    ctx: Context
    model: str
    base: str | None
