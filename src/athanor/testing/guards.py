"""What every `Guard` must do, as a class of tests: subclass it, and give it your guard.

class TestMine(GuardConformance):
    finds = (("call me on 555-0100", "pii.phone"),)
    lets = ("call me tomorrow",)

    @pytest.fixture
    def guard(self):
        return Mine()
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from athanor.guards import Guard
from athanor.guards.normalise import subject_of
from athanor.testing.engines import context
from athanor.types import Context, Decision, Finding, Origin

_CATEGORY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?|\*")
HOSTILE = (
    "",
    " \n\t",
    "\x00",
    "\ud800 lone surrogate \udfff",
    "\u202e\u200b\u200d\ufeff",
    "a" * 20_000,
    "ab \n" * 5_000,
    "((((" * 2_000 + "))))" * 2_000,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 300,
    "%41" * 3_000,
    "0123456789" * 2_000,
)
"""Texts that nobody means, and that somebody sends."""


class GuardConformance:
    """The tests. Attributes adapt them to a guard."""

    origin: ClassVar[Origin] = Origin.USER
    finds: ClassVar[Sequence[tuple[str, str]]] = ()
    """(text, category that is found in it)."""
    lets: ClassVar[Sequence[str]] = ()
    """Texts in which nothing is proposed."""
    moves: ClassVar[bool] = True
    """Does it find the same in a longer text, at its place there: not so where a text is judged as a whole."""

    @pytest.fixture
    async def guard(self) -> Any:
        raise NotImplementedError("give a guard that can work")

    def context(self) -> Context:
        """Whose request it is."""
        return context()

    async def found(self, guard: Guard, text: str) -> list[Finding]:
        """What `guard` proposes to act on in `text`; everything it says is looked at."""
        verdict = await guard.check(subject_of(text), self.origin, self.context())
        for finding in verdict.findings:
            self._is_sound(guard, finding, text)
        return [finding for finding in verdict.findings if finding.decision is not Decision.ALLOW]

    async def test_says_what_it_is(self, guard: Guard) -> None:
        assert isinstance(guard, Guard)
        assert re.fullmatch(r"[a-z][a-z0-9_]*", guard.name)
        assert guard.categories
        assert all(_CATEGORY.fullmatch(category) for category in guard.categories), guard.categories
        assert guard.reach is None or guard.reach > 0

    async def test_finds_what_is_there(self, guard: Guard) -> None:
        for text, category in self.finds:
            found = await self.found(guard, text)
            assert category in {finding.category for finding in found}, (text, found)

    async def test_lets_the_rest_be(self, guard: Guard) -> None:
        for text in self.lets:
            assert await self.found(guard, text) == [], text

    async def test_reaches_no_further_than_it_says(self, guard: Guard) -> None:
        for text, _ in self.finds:
            for finding in await self.found(guard, text):
                assert guard.reach is None or finding.end - finding.start <= guard.reach, (text, finding)

    async def test_finds_the_same_again_and_at_once(self, guard: Guard) -> None:
        texts = [text for text, _ in self.finds] + [*self.lets]
        one_by_one = [await self.found(guard, text) for text in texts]
        assert await asyncio.gather(*(self.found(guard, text) for text in texts)) == one_by_one

    async def test_finds_it_inside_a_longer_text(self, guard: Guard) -> None:
        if not self.moves:
            pytest.skip("it judges a text as a whole")
        before, after = "This is what somebody wrote. \n\n", "\n\nAnd that was all of it."
        for text, category in self.finds:
            alone = [f for f in await self.found(guard, text) if f.category == category]
            inside = [f for f in await self.found(guard, f"{before}{text}{after}") if f.category == category]
            places = {(f.start - len(before), f.end - len(before)) for f in inside}
            assert {(f.start, f.end) for f in alone} <= places, (text, alone, inside)

    async def test_stands_hostile_texts(self, guard: Guard) -> None:
        for text in HOSTILE:
            await self.found(guard, text)

    def _is_sound(self, guard: Guard, finding: Finding, text: str) -> None:
        assert finding.guard == guard.name
        assert 0 <= finding.score <= 1
        assert 0 <= finding.start <= finding.end <= len(text)
        assert any(_covers(category, finding.category) for category in guard.categories), finding.category
        assert finding.reason
        said = text[finding.start : finding.end].strip()
        # A reason is kept and shown where the text may not be.
        assert len(said) < 8 or said not in finding.reason, finding.category


def _covers(pattern: str, category: str) -> bool:
    return pattern in {"*", category} or (pattern.endswith(".*") and category.startswith(pattern[:-1]))
