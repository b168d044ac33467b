"""What a stream gives out is the same for every split, and never a part of what is taken out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.guards import Guard
from athanor.guards.builtin.markup import MarkupGuard
from athanor.guards.builtin.personal import PersonalGuard
from athanor.guards.builtin.secrets import SecretsGuard
from athanor.guards.normalise import subject_of
from athanor.guards.redact import redact
from athanor.guards.stream import LONGEST, Holdback, findings_of, sentence
from athanor.testing import PhraseGuard
from athanor.types import Decision, Finding, Origin
from tests.guards.chains import context

pytestmark = pytest.mark.anyio

PARTS = (
    "Call (212) 555-0142 today. ", "Write to ada.l@mail.example.org! ", "Card 4111 1111 1111 1111, please. ",
    "IBAN DE89 3704 0044 0532 0130 00.\n", "Mr. J. R. Smith, e.g., paid 12.50. ", "password = 7hT2kQ9xLm4w\n",
    "Key AKIAIOSFODNN7QRSTUVW. ", "![a b](https://evil.example.net/p.png?q=secret \"t\") ", "```\nhttp://x.org\n```\n",
    "<img src=\"https://e.example.net/a.png\" onerror=\"x()\"> ", "`code` and [x](javascript:alert(1)) ",
    "-----BEGIN PRIVATE KEY-----\nMIIBVgIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----\n",
    "Nothing. ", "Über 3 Straßen ",
)  # fmt: skip
GUARDS: tuple[Guard, ...] = (SecretsGuard(), MarkupGuard(), PersonalGuard())


async def look(text: str, guards: Sequence[Guard]) -> list[Finding]:
    found: list[Finding] = []
    for guard in guards:
        verdict = await guard.check(subject_of(text), Origin.MODEL, context())
        found += [replace(f, decision=Decision.REDACT) for f in verdict.findings if f.decision is not Decision.ALLOW]
    return found


async def streamed(pieces: Sequence[str], guards: Sequence[Guard] = GUARDS) -> str:
    holdback = Holdback(guards, look)
    said = [(await holdback.feed(piece)).text for piece in pieces]
    return "".join([*said, (await holdback.feed("", last=True)).text])


async def whole(text: str, guards: Sequence[Guard] = GUARDS) -> str:
    return redact(text, await findings_of(text, guards, look)).text


def made(seed: int, parts: int) -> str:
    dice = random.Random(seed)
    return "".join(dice.choice(PARTS) for _ in range(parts))


@pytest.mark.parametrize("seed", range(8))
async def test_every_split_point_gives_the_redaction_of_the_whole(seed: int) -> None:
    text = made(seed, 3)
    expected = await whole(text)
    for at in range(len(text) + 1):
        assert await streamed([text[:at], text[at:]]) == expected, (text[:at], text[at:])


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
async def test_every_split_point_of_a_thousand_texts(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        text = made(seed, 3)
        expected = await whole(text)
        for at in range(len(text) + 1):
            assert await streamed([text[:at], text[at:]]) == expected, (text[:at], text[at:])


@pytest.mark.parametrize("seed", range(12))
async def test_many_cuts_of_long_answers(seed: int) -> None:
    text = made(seed + 1000, 14)
    expected = await whole(text)
    dice = random.Random(seed)
    for count in (2, 15, 60):
        places = sorted(dice.randrange(len(text) + 1) for _ in range(count))
        pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
        assert await streamed(pieces) == expected


@given(st.text("abc .\n", max_size=60), st.lists(st.integers(0, 60), max_size=8), st.booleans())
@settings(max_examples=150, deadline=None)
async def test_any_text_and_any_cuts(text: str, places: list[int], far: bool) -> None:
    guards = [PhraseGuard({"ab": "pii.a", "b c": "secret.b", "cab\nc": "pii.c"})]
    if far:
        guards.append(PhraseGuard({"a. b": "pii.d", "cc": "pii.e"}, name="far", whole=True))
    cuts = sorted(min(place, len(text)) for place in places)
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert await streamed(pieces, guards) == await whole(text, guards)


async def test_a_long_stream_forgets_what_it_needs_no_more() -> None:
    holdback = Holdback(GUARDS, look)
    said = []
    for _ in range(40):
        said.append(
            (await holdback.feed("```\n" + "x = 1\n" * 40 + "```\nand [x](javascript:alert(1)) is a link.\n")).text
        )
        assert len(holdback._text) < 10_000
    said.append((await holdback.feed("", last=True)).text)
    assert "".join(said).count("[x][LINK]") == 40


async def test_code_that_is_open_long_before_is_known_for_code() -> None:
    text = "```\n" + "a line of code\n" * 60 + "```\n[x](javascript:alert(1)) and `b` [y](javascript:alert(2)).\n"
    expected = await whole(text)
    assert "javascript" not in expected
    assert await streamed([*text]) == expected


async def test_ticks_that_a_window_begins_in_are_no_fence() -> None:
    text = f"Take ```\nthe value\n``` and go. {'It is far away. ' * 20}\n![x](https://evil.example/p.png)\n"
    expected = await whole(text, [MarkupGuard()])
    assert "evil" not in expected
    for at in range(len(text) + 1):
        assert await streamed([text[:at], text[at:]], [MarkupGuard()]) == expected


async def test_what_blocks_is_told_before_any_of_it_is_given_out() -> None:
    told: list[str] = []
    given: list[str] = []

    async def settle(found: Sequence[tuple[Finding, str]]) -> None:
        assert "canary" not in "".join(given)
        told.extend(said for finding, said in found if finding.decision is Decision.BLOCK)

    async def blocking(text: str, guards: Sequence[Guard]) -> list[Finding]:
        return [replace(finding, decision=Decision.BLOCK) for finding in await look(text, guards)]

    holdback = Holdback([PhraseGuard({"the canary word": "leak.canary"})], blocking, settle)
    for char in "It is the canary word, they say, and so on and on.":
        piece = await holdback.feed(char)
        if told:
            break
        given.append(piece.text)
    assert told == ["the canary word"]
    assert "the can" not in "".join(given)


async def test_findings_are_told_once_with_their_places() -> None:
    text = "one hunter2 two hunter2 three"
    told: list[tuple[int, str]] = []

    async def settle(found: Sequence[tuple[Finding, str]]) -> None:
        told.extend((finding.start, said) for finding, said in found)

    holdback = Holdback([PhraseGuard({"hunter2": "secret.password"})], look, settle)
    for char in text:
        await holdback.feed(char)
    await holdback.feed("", last=True)
    assert told == [(4, "hunter2"), (16, "hunter2")]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It is. So be it.", ["It is. ", "So be it."]),
        ("Ask Dr. Smith. He knows.", ["Ask Dr. Smith. ", "He knows."]),
        ("J. R. R. Tolkien wrote. It sold.", ["J. R. R. Tolkien wrote. ", "It sold."]),
        ("Tel. 555 0100. E.g. this.", ["Tel. 555 0100. ", "E.g. this."]),
        ("Really?! \n\nYes.", ["Really?! \n\n", "Yes."]),
        ("a\nb", ["a\n", "b"]),
        ("", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    found, at = [], 0
    while (end := sentence(text, at, last=True)) is not None:
        found.append(text[at:end])
        at = end
    assert found == sentences


def test_a_sentence_without_end_is_cut_between_plain_words() -> None:
    text = "word Name Name 12 " * 200
    end = sentence(text, 0, last=False)
    assert end is not None
    assert end <= LONGEST
    assert sentence("x" * (LONGEST + 1), 0, last=False) == LONGEST
    assert sentence("x" * LONGEST, 0, last=False) is None
