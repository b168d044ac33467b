"""Books (EPUB 2 and 3): the chapters in reading order, each read as HTML.

Books under digital rights management are refused; fonts may be obfuscated, which hides no text. Sources: EPUB 3.3,
sections 4 (container), 5 (package document) and 7 (navigation).
"""

from __future__ import annotations

import posixpath
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

from athanor.data.build import TextBuilder, collapse, stem
from athanor.data.parsers._html_walk import Walker
from athanor.data.parsers._ooxml import add_picture, read_part, read_xml
from athanor.data.parsers.html import page_tree
from athanor.data.zipguard import open_checked
from athanor.errors import DocumentError
from athanor.types import ParsedDocument

_MIME = "application/epub+zip"
_C = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_ENC = "{http://www.w3.org/2001/04/xmlenc#}"
_NCX = "{http://www.daisy.org/z3986/2005/ncx/}"
_FONTS = frozenset(["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"])
"""Obfuscation of fonts, which is no encryption."""
_PAGES = frozenset(["application/xhtml+xml", "text/html", "application/x-dtbook+xml"])
_MAX_CHAPTERS = 10_000
_TITLE = 200


class EpubParser:
    """Each file of the spine with text is a chapter, with the place `chapter 3 · Title`."""

    mimes: tuple[str, ...] = (_MIME,)
    suffixes: tuple[str, ...] = (".epub",)

    def parse(self, path: Path, name: str) -> ParsedDocument:
        with open_checked(path, name) as archive:
            return _Book(archive, name).read()


class _Book:
    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self._out = TextBuilder()
        self._chapters = 0
        self._titles: dict[str, str] = {}
        self._skipped: list[str] = []
        container = read_xml(archive, "META-INF/container.xml", name, dtd=True)
        root = next(container.iter(f"{_C}rootfile"), None) if container is not None else None
        self._root = _clean((root.get("full-path") or "") if root is not None else "")
        package = read_xml(archive, self._root, name, dtd=True) if self._root else None
        if package is None:
            raise DocumentError("It holds no book: its package document is missing.", reason="corrupt", where=name)
        self._package: Any = package

    def read(self) -> ParsedDocument:
        items = {item.get("id"): item for item in self._package.iter(f"{_OPF}item")}
        spine = [items[ref.get("idref")] for ref in self._package.iter(f"{_OPF}itemref") if ref.get("idref") in items]
        chapters = [
            self._path(item)
            for item in spine[:_MAX_CHAPTERS]
            if item.get("media-type") in _PAGES and "nav" not in (item.get("properties") or "").split()
        ]
        self._refuse_locked(set(chapters))
        self._read_titles(list(items.values()))
        for part in dict.fromkeys(chapters):
            self._chapter(part)
        warnings = []
        if len(spine) > _MAX_CHAPTERS:
            warnings.append(f"Only the first {_MAX_CHAPTERS:,} of {len(spine):,} chapters were read.")
        if self._skipped:
            more = f" and {len(self._skipped) - 5} more" if len(self._skipped) > 5 else ""
            warnings.append(f"Chapters that could not be read: {', '.join(self._skipped[:5])}{more}.")
        title = collapse(self._package.findtext(f".//{_DC}title") or "")[:_TITLE]
        return self._out.build(title=title or stem(self._name), mime=_MIME, warnings=tuple(warnings))

    def _path(self, item: Any, folder: str = "") -> str:
        """Part of the container that an item of the manifest is."""
        address = unquote(urldefrag(item.get("href") or "")[0])
        return _clean(posixpath.join("/", folder or posixpath.dirname(self._root), address))

    def _refuse_locked(self, chapters: set[str]) -> None:
        root = read_xml(self._archive, "META-INF/encryption.xml", self._name, dtd=True)
        for data in root.iter(f"{_ENC}EncryptedData") if root is not None else ():
            method = data.find(f"{_ENC}EncryptionMethod")
            target = data.find(f"{_ENC}CipherData/{_ENC}CipherReference")
            part = _clean(unquote(target.get("URI") or "")) if target is not None else ""
            if part in chapters and (method is None or method.get("Algorithm") not in _FONTS):
                raise DocumentError(
                    "The book is encrypted (digital rights management), so its text cannot be read.",
                    reason="encrypted",
                    where=self._name,
                    hint="Ask its seller for a copy without protection.",
                )

    def _read_titles(self, items: list[Any]) -> None:
        """Titles of chapters from the book's own table of contents: that of EPUB 3, or else that of EPUB 2."""
        for item in items:
            part = self._path(item)
            folder = posixpath.dirname(part)
            if "nav" in (item.get("properties") or "").split():
                tree, _ = page_tree(read_part(self._archive, part, self._name) or b"", self._name)
                for link in tree.iter("a") if tree is not None else ():
                    self._title(link.get("href"), folder, "".join(link.itertext()))
            elif item.get("media-type") == "application/x-dtbncx+xml":
                root = read_xml(self._archive, part, self._name, dtd=True)
                for point in root.iter(f"{_NCX}navPoint") if root is not None else ():
                    content = point.find(f"{_NCX}content")
                    text = point.findtext(f"{_NCX}navLabel/{_NCX}text") or ""
                    self._title(content.get("src") if content is not None else None, folder, text)

    def _title(self, address: str | None, folder: str, text: str) -> None:
        part, fragment = urldefrag(address or "")
        key = _clean(posixpath.join("/", folder, unquote(part)))
        if part and collapse(text) and (key not in self._titles or not fragment):
            self._titles.setdefault(key, collapse(text)[:_TITLE])

    def _chapter(self, part: str) -> None:
        data = read_part(self._archive, part, self._name)
        try:
            tree = page_tree(data, self._name)[0] if data is not None else None
        except DocumentError:
            tree, data = None, None
        if data is None:
            self._skipped.append(part)
        body = tree.find("body") if tree is not None else None
        if body is None:
            return
        heading = next((node for node in body.iter("h1", "h2", "h3") if collapse("".join(node.itertext()))), None)
        title = self._titles.get(part, "")
        if not title and heading is not None:
            title = collapse("".join(heading.itertext()))[:_TITLE]
        if not collapse("".join(body.itertext())) and next(body.iter("img"), None) is None:
            return
        self._chapters += 1
        self._out.place(f"chapter {self._chapters}" + (f" · {title}" if title else ""))
        if heading is None and title:
            self._out.add("heading", title, 1)
        folder = posixpath.dirname(part)
        Walker(self._out, whole=True, load=lambda address, alt: self._load(folder, address, alt)).walk(body)

    def _load(self, folder: str, address: str, alt: str) -> None:
        if address and ":" not in address.split("/", maxsplit=1)[0]:
            add_picture(self._archive, _clean(posixpath.join("/", folder, unquote(address))), self._out, alt)


def _clean(path: str) -> str:
    """A path inside the container: normal, and never above its root."""
    return posixpath.normpath("/" + path.lstrip("/")).lstrip("/")
