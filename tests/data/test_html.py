from __future__ import annotations

import base64
from pathlib import Path

import pytest

from athanor.errors import DocumentError
from tests.data.makers_office import PNG
from tests.data.reading import outline, read_text

PAGE = """<!doctype html><html><head><title>Page &amp; title</title><style>p{}</style>
<script>evil()</script></head><body>
<nav><a>Menu</a></nav><main><h1>Head</h1>Loose <b>bold</b> text<br>second line<p>Next&nbsp;para&shy;graph</p>
<ul><li>one<ul><li>sub</li></ul></li><li>two</li></ul><ol><li>x<li>y</ol>
<pre>code
  indent<br>last</pre>
<table><caption>Cap</caption><tr><th>A<th>B</tr><tr><td>1<td>2 <i>z</i></tr></table>
<aside>advert</aside><blockquote>said</blockquote><p hidden>unseen</p><p style="display: none">unseen</p></main>
<footer>legal</footer></body></html>"""


def test_main_content_with_its_structure(tmp_path: Path) -> None:
    document = read_text(tmp_path, PAGE, "page.html")
    assert document.title == "Page & title"
    assert outline(document) == [
        ("h1", "Head"),
        ("paragraph", "Loose bold text\nsecond line"),
        ("paragraph", "Next paragraph"),
        ("list", "- one\n  - sub\n- two"),
        ("list", "1. x\n2. y"),
        ("code", "code\n  indent\nlast"),
        ("table", "Cap\nA | B\n1 | 2 z"),
        ("quote", "said"),
    ]


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    assert read_text(tmp_path, "\n<!-- c --><!DOCTYPE html><p>x", "a.txt").mime == "text/html"
    assert read_text(tmp_path, "<h1>Hi</h1>\n\ntext", "README.md").mime == "text/markdown"


def test_articles_are_taken_all_and_an_empty_main_is_not(tmp_path: Path) -> None:
    page = "<html><body><div>side</div><article><p>one</p></article><article><p>two</p></article></body></html>"
    assert [text for _, text in outline(read_text(tmp_path, page, "a.html"))] == ["one", "two"]
    shell = f"<html><body><main></main><div><p>{'real text ' * 30}</p></div></body></html>"
    assert "real text" in read_text(tmp_path, shell, "a.html").text


def test_layout_tables_are_flow(tmp_path: Path) -> None:
    page = "<html><body><table><tr><td><h2>Head</h2><p>Text</p></td><td><p>More</p></td></tr></table></body></html>"
    assert outline(read_text(tmp_path, page, "a.html")) == [
        ("h2", "Head"),
        ("paragraph", "Text"),
        ("paragraph", "More"),
    ]


def test_no_entity_is_loaded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOP SECRET")
    page = f'<!DOCTYPE html [<!ENTITY x SYSTEM "{secret.as_uri()}">]><html><body><p>before &x; after</p></body></html>'
    document = read_text(tmp_path, page, "a.html")
    assert "SECRET" not in document.text
    assert document.text.startswith("before")


def test_encodings_are_declared_or_told(tmp_path: Path) -> None:
    page = '<html><head><meta charset="{0}"></head><body><p>Grüße, Köln</p></body></html>'
    for declared, real in [("iso-8859-1", "cp1252"), ("utf-8", "utf-8"), ("UTF-8", "utf-16")]:
        assert read_text(tmp_path, page.format(declared).encode(real), "a.html").text == "Grüße, Köln"
    russian = '<html><head><meta charset="windows-1251"></head><body><p>Привет</p></body></html>'
    assert read_text(tmp_path, russian.encode("cp1251"), "a.html").text == "Привет"


def test_deep_nesting_is_read_or_refused_but_not_cut(tmp_path: Path) -> None:
    def page(depth: int) -> str:
        return "<html><body>" + "<div>" * depth + "deep" + "</div>" * depth + "<p>after</p></body></html>"

    assert read_text(tmp_path, page(1500), "a.html").text == "deep\n\nafter"
    with pytest.raises(DocumentError, match="too deeply") as caught:
        read_text(tmp_path, page(50_000), "a.html")
    assert caught.value.reason == "corrupt"


def test_a_page_without_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        read_text(tmp_path, "<html><body><script>x()</script><img src=a.png></body></html>", "a.html")
    assert caught.value.reason == "no_text"


def test_the_site_around_the_page_is_left_out(tmp_path: Path) -> None:
    links = "".join(f"<li><a href='/{i}'>Section {i}</a></li>" for i in range(9))
    page = f"""<html><body><div class="site-header">Shop name</div><ul>{links}</ul>
    <div id="cookie-banner" role="dialog"><p>We use cookies to improve your experience.</p><a>Accept all</a></div>
    <div class="content"><h1>Return policy</h1><p>{"You may return goods within thirty days. " * 9}</p>
    <ul><li>Unused <a href="#">goods</a></li><li>With the receipt</li></ul>
    <div class="share-buttons"><a>Tweet</a><a>Post</a></div></div>
    <div class="related">Other articles that you may like</div><div class="newsletter">Subscribe!</div>
    </body></html>"""
    assert [text for _, text in outline(read_text(tmp_path, page, "a.html"))] == [
        "Return policy",
        ("You may return goods within thirty days. " * 9).strip(),
        "- Unused goods\n- With the receipt",
    ]


def test_what_holds_most_of_the_text_is_content_whatever_its_name(tmp_path: Path) -> None:
    page = f"<html><body><div class='menu' role='banner'><p>{'The dishes of the day. ' * 20}</p></div></body></html>"
    assert "dishes" in read_text(tmp_path, page, "a.html").text


def test_pictures_of_the_page_itself(tmp_path: Path) -> None:
    data = base64.b64encode(PNG).decode()
    page = f"""<html><body><main><p>Before</p><img src="data:image/png;base64,{data}" alt="A red square">
    <img src="https://evil.test/x.png" alt="A blue circle"><img src="{tmp_path.as_uri()}/x.png"><p>After</p>
    <img src="data:image/svg+xml,%3Csvg/%3E"><a href="#"><img src="x" alt="Next"></a></main></body></html>"""
    document = read_text(tmp_path, page, "a.html")
    assert document.text == "Before\n\n[Picture: A red square] [Picture: A blue circle]\n\nAfter"
    assert [(found.mime, found.data, found.alt) for found in document.pictures] == [("image/png", PNG, "A red square")]
    assert document.pictures[0].start == len("Before")
    assert "1 picture left out" in document.warnings[0]
