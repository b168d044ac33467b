"""Books made by ebooklib, and broken ones."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

import pytest
from ebooklib import epub

from athanor.data.places import span_place
from athanor.errors import DocumentError
from tests.data.makers_office import PNG, make_zip
from tests.data.reading import outline, read


def make(path: Path) -> Path:
    book = epub.EpubBook()
    book.set_title("The Long Walk")
    book.add_item(epub.EpubItem(uid="p", file_name="images/a b.png", media_type="image/png", content=PNG))
    pages = []
    for number, body in enumerate(
        [
            "<h1>Setting out</h1><p>We left at dawn.</p><img src='images/a%20b.png' alt='A map of the way'/>",
            "<p>No heading in this one.</p><footer>A note at the end.</footer>",
            "<h2>Coming home</h2><ul><li>bread</li><li>salt</li></ul><img src='https://evil.test/x.png' alt=''/>",
        ],
        1,
    ):
        page = epub.EpubHtml(title=f"Part {number}", file_name=f"c{number}.xhtml")
        page.content = f"<html><body>{body}</body></html>"
        book.add_item(page)
        pages.append(page)
    book.toc = tuple(pages)
    book.add_item(epub.EpubNcx())
    book.add_item(epub.EpubNav())
    book.spine = ["nav", pages[1], pages[0], pages[2]]
    epub.write_epub(str(path), book)
    return path


def test_chapters_in_reading_order(tmp_path: Path) -> None:
    document = read(make(tmp_path / "a.epub"), "blob")
    assert document.mime == "application/epub+zip"
    assert document.title == "The Long Walk"
    assert outline(document) == [
        ("h1", "Part 2"),
        ("paragraph", "No heading in this one."),
        ("paragraph", "A note at the end."),
        ("h1", "Setting out"),
        ("paragraph", "We left at dawn."),
        ("paragraph", "[Picture: A map of the way]"),
        ("h2", "Coming home"),
        ("list", "- bread\n- salt"),
    ]
    assert [anchor.place for anchor in document.anchors] == [
        "chapter 1 · Part 2",
        "chapter 2 · Part 1",
        "chapter 3 · Part 3",
    ]
    at = document.text.index("dawn")
    assert span_place(document.anchors, at, at + 4) == "chapter 2 · Part 1"
    assert [(found.mime, found.alt) for found in document.pictures] == [("image/png", "A map of the way")]


def locked(made: Path, path: Path, algorithm: str) -> Path:
    encryption = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:e="http://www.w3.org/2001/04/xmlenc#">'
        f'<e:EncryptedData><e:EncryptionMethod Algorithm="{algorithm}"/><e:CipherData>'
        '<e:CipherReference URI="EPUB/c1.xhtml"/></e:CipherData></e:EncryptedData></encryption>'
    )
    with zipfile.ZipFile(made) as source:
        parts = {entry: source.read(entry) for entry in source.namelist() if entry != "mimetype"}
    return make_zip(path, {**parts, "META-INF/encryption.xml": encryption}, mimetype="application/epub+zip")


def test_a_locked_book_is_refused_and_hidden_fonts_are_not(tmp_path: Path) -> None:
    made = make(tmp_path / "a.epub")
    with pytest.raises(DocumentError, match="digital rights") as caught:
        read(locked(made, tmp_path / "b.epub", "http://www.w3.org/2001/04/xmlenc#aes256-cbc"))
    assert caught.value.reason == "encrypted"
    assert "dawn" in read(locked(made, tmp_path / "b.epub", "http://www.idpf.org/2008/embedding")).text


def test_addresses_do_not_leave_the_book(tmp_path: Path) -> None:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="{}"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="../../../etc/passwd" '
        'media-type="text/html"/></manifest><spine><itemref idref="a"/><itemref idref="a"/></spine></package>'
    )
    parts = {"META-INF/container.xml": container.format("x/p.opf"), "x/p.opf": package}
    with pytest.raises(DocumentError) as caught:
        read(make_zip(tmp_path / "a.epub", parts))
    assert caught.value.reason == "no_text"
    with pytest.raises(DocumentError, match="package document") as caught:
        read(make_zip(tmp_path / "b.epub", {"META-INF/container.xml": container.format("../../etc/passwd")}))
    assert caught.value.reason == "corrupt"


def test_damage_is_read_or_refused(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.epub").read_bytes()
    for at in range(0, len(whole), 61):
        (tmp_path / "b.epub").write_bytes(whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :])
        with contextlib.suppress(DocumentError):
            read(tmp_path / "b.epub")
