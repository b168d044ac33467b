"""HTML by libxml2: the page's main content as text, with its headings, lists, tables, code and pictures.

Nothing is fetched and no script runs. Pictures are those that the page holds itself (`data:` addresses).
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from athanor.data.build import TextBuilder, collapse, stem
from athanor.data.encoding import decode
from athanor.data.parsers._html_main import chrome_of, main_parts
from athanor.data.parsers._html_walk import Walker
from athanor.errors import DocumentError
from athanor.plugins import require
from athanor.types import ParsedDocument

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.\-]+)""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9_:.\-]+)["']""")
_CUT = frozenset(["ERR_RESOURCE_LIMIT", "ERR_NO_MEMORY"])
"""Errors of libxml2 after which the rest of the page is missing."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_SUBSET = re.compile(r"(<!DOCTYPE[^>\[]{0,1000})\[.*?\]\s*>", re.IGNORECASE | re.DOTALL)
_DATA = re.compile(r"data:image/[\w.+-]{1,40}(;base64)?,", re.IGNORECASE)


class HtmlParser:
    """Takes `main`, or all `article`s, where there are any; without navigation, footers, asides and banners."""

    mimes: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    suffixes: tuple[str, ...] = (".html", ".htm", ".xhtml")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        tree, warnings = page_tree(path.read_bytes(), name)
        if tree is None:
            raise DocumentError("The page has no text.", reason="no_text", where=name)
        out = TextBuilder()
        roots = main_parts(tree)
        walker = Walker(out, chrome=chrome_of(roots), load=lambda address, alt: _load(out, address, alt))
        for root in roots:
            walker.walk(root)
        title = collapse(" ".join(tree.xpath("string(//head/title)").split()))[:200]
        document = out.build(title=title, mime="text/html", warnings=warnings)
        return document if document.title else out.build(title=stem(name), mime="text/html", warnings=warnings)


def page_tree(data: bytes, name: str) -> tuple[Any, tuple[str, ...]]:
    """The tree of a page (None for one without content), and warnings.

    Raises:
        DocumentError: reason `encoding`, or `corrupt` for a page that libxml2 cannot read whole.
    """
    declared = _XML_ENCODING.search(data[:1024]) or _CHARSET.search(data[:4096])
    text, warnings = decode(data, name, declared[1].decode("ascii") if declared else None)
    etree = require("lxml.etree", extra="knowledge")
    # huge_tree lifts libxml2's depth limit of 256, past which it would silently drop the rest of the page; time and
    # memory are bounded by the process.
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True, recover=True
    )
    clean = _SUBSET.sub(r"\1>", _CONTROLS.sub(" ", text), count=1)
    tree = etree.fromstring(clean.encode(), parser) if clean.strip() else None
    if any(entry.type_name in _CUT for entry in parser.error_log):
        raise DocumentError("The page is nested too deeply to be read whole.", reason="corrupt", where=name)
    return tree, warnings


def _load(out: TextBuilder, address: str, alt: str) -> None:
    """Put a picture that stands in its own address into `out`."""
    found = _DATA.match(address)
    if found is None or not out.pictures.has_room(len(address) * (3 if found[1] else 4) // 4):
        return
    try:
        data = unquote_to_bytes(address[found.end() :])
        out.picture(base64.b64decode(data) if found[1] else data, alt)
    except (binascii.Error, ValueError):
        out.pictures.lose("missing or damaged")
