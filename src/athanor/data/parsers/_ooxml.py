"""Parts of Office containers (ECMA-376, part 2): their XML, their relations, their pictures."""

from __future__ import annotations

import posixpath
import zipfile
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from athanor.data.build import TextBuilder, collapse
from athanor.data.zipguard import DAMAGE
from athanor.errors import DocumentError
from athanor.plugins import require

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_STRICT = (b"http://purl.oclc.org/ooxml/", b"http://schemas.openxmlformats.org/")
"""Namespaces of the strict variant, and what stands for them in the usual one."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What a part refers to: the last word of the relation's type, and a part of the container (never a URL)."""

    kind: str
    part: str


def read_part(archive: zipfile.ZipFile, part: str, name: str) -> bytes | None:
    """Bytes of a part, or None where there is no such part. Raises DocumentError (`corrupt`)."""
    try:
        return archive.read(part)
    except KeyError:
        return None
    except DAMAGE as error:
        raise DocumentError(f"Its part {part!r} is damaged.", reason="corrupt", where=name) from error


def read_xml(archive: zipfile.ZipFile, part: str, name: str, *, dtd: bool = False) -> Any:
    """Root of a part, or None where there is no such part. No entity is expanded; a `dtd` is skipped, or refused.

    Raises:
        DocumentError: reason `corrupt`.
    """
    data = read_part(archive, part, name)
    if data is None:
        return None
    etree = require("lxml.etree", extra="knowledge")
    # No external entity is loaded, no internal one expanded, and libxml2's own depth and size limits stay on.
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(_transitional(data), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        message = f"Its part {part!r} is not valid XML: {collapse(str(getattr(error, 'msg', error)))}."
        raise DocumentError(message, reason="corrupt", where=name) from error
    if not dtd and root.getroottree().docinfo.doctype:
        message = f"Its part {part!r} declares a DTD, which no such document does."
        raise DocumentError(message, reason="corrupt", where=name)
    return root


def _transitional(data: bytes) -> bytes:
    if _STRICT[0] not in data[:4096]:
        return data
    for word in (b"drawingml/", b"wordprocessingml/", b"presentationml/", b"spreadsheetml/"):
        data = data.replace(_STRICT[0] + word, _STRICT[1] + word + b"2006/")
    return data.replace(_STRICT[0] + b"officeDocument/relationships", _STRICT[1] + b"officeDocument/2006/relationships")


def relations(archive: zipfile.ZipFile, part: str, name: str) -> dict[str, Relation]:
    """The relations of a part by id. External ones (links, linked pictures) are left out: nothing is fetched."""
    folder, file = posixpath.split(part)
    root = read_xml(archive, f"{folder}/_rels/{file}.rels".lstrip("/"), name)
    found = {}
    for node in root if root is not None else ():
        target = node.get("Target")
        if node.get("TargetMode") != "External" and target and node.get("Id"):
            path = posixpath.normpath(posixpath.join("/", folder, unquote(target))).lstrip("/")
            found[node.get("Id")] = Relation(node.get("Type", "").rsplit("/", maxsplit=1)[-1], path)
    return found


def core_title(archive: zipfile.ZipFile, name: str) -> str:
    """The title in the document's properties, or an empty string."""
    core = read_xml(archive, "docProps/core.xml", name)
    return collapse(core.findtext(_TITLE) or "") if core is not None else ""


def add_picture(archive: zipfile.ZipFile, part: str, out: TextBuilder, alt: str) -> None:
    """Put the picture in `part` before the next text of `out`. One that cannot be read is counted as left out."""
    try:
        if out.pictures.has_room(archive.getinfo(part).file_size):
            out.picture(archive.read(part), alt)
    except (KeyError, *DAMAGE):
        out.pictures.lose("missing or damaged")


def picture_text(alt: str) -> str:
    """How the description of a picture stands in the source text."""
    alt = collapse(alt)
    return f"[Picture: {alt}]" if alt else ""
