"""Which parser reads a file: by its content first, by its name second.

A name lies easily (a PDF called `notes.txt`), and a blob has none. The name decides only between formats that look
alike: Markdown, source code and plain text.
"""

from __future__ import annotations

import codecs
import re
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from athanor.data.base import Parser
from athanor.data.encoding import looks_binary
from athanor.data.mail import looks_like_mail
from athanor.data.zipguard import DAMAGE
from athanor.errors import DocumentError, MissingExtraError
from athanor.plugins import load, names

_HEAD = 8192
_PDF = "application/pdf"
_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_HTML = "text/html"
_MAIL = "message/rfc822"
_XLS = "application/vnd.ms-excel"
_EPUB = "application/epub+zip"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_OFFICE = {
    "word/document.xml": _DOCX,
    "ppt/presentation.xml": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xl/workbook.xml": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xl/workbook.bin": "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
}
"""A part that only this kind of container has → MIME type."""
_TOLD = frozenset({_PDF, _EPUB, _XLS, _OPEN_DOCUMENT + "spreadsheet", *_OFFICE.values()})
"""MIME types that the content tells for certain, so that a name alone is not believed."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# First bytes of formats that have no parser here, and what to call them in a message.
_KNOWN = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"RIFF", "a RIFF file (WebP, WAV or AVI)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript document"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"fLaC", "a FLAC file"),
)
_ZIPS = {
    "content.xml": "an OpenDocument file",
    "META-INF/MANIFEST.MF": "a Java archive",
}
_LEADING = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*", re.DOTALL)
_HTML_START = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the first bytes say: a `mime` of which we are sure, or `label` for people, or plain text (neither)."""

    mime: str = ""
    label: str = ""


def registry(preferred: str = "") -> dict[str, Parser]:
    """All parsers by name. Ours come last, so that a plug-in for the same format goes before.

    One that calls itself `optional` is left out unless it is the `preferred` one, which goes before all others.

    A plug-in that cannot be loaded is left out and named on stderr: it must not stop the reading of all else.
    """
    found: dict[str, Parser] = {}
    for name in names("parsers"):
        try:
            parser = load("parsers", name)()
            if name == preferred or not getattr(parser, "optional", False):
                found[name] = parser
        except Exception as error:
            print(f"The parser plug-in {name!r} cannot be loaded: {error}", file=sys.stderr)
    ordered = sorted(
        found.items(), key=lambda item: (item[0] != preferred, type(item[1]).__module__.startswith("athanor."))
    )
    return dict(ordered)


def supported(parsers: Mapping[str, Parser]) -> list[str]:
    """File name endings that have a parser, sorted."""
    return sorted({suffix for parser in parsers.values() for suffix in parser.suffixes})


def detect(path: Path, name: str, parsers: Mapping[str, Parser]) -> Parser:
    """The parser for the file at `path` that the user calls `name`.

    Raises:
        DocumentError: reason `empty`, `encrypted`, `corrupt`, `encoding` or `unsupported_type`.
        MissingExtraError: no parser is installed at all.
    """
    if not parsers:
        raise MissingExtraError("The set of document parsers", extra="knowledge")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.strip(b"\0 \t\r\n") and path.stat().st_size == len(head):
        raise DocumentError("The file is empty.", reason="empty", where=name)
    seen = sniff(head, path, name)
    named = next((parser for parser in parsers.values() if Path(name).suffix.lower() in parser.suffixes), None)
    chosen = next((parser for parser in parsers.values() if seen.mime and seen.mime in parser.mimes), None)
    # What is not text by its content can only be known to a plug-in that claims the name; text called `.pdf` is text.
    if chosen is None and named is not None and _TOLD.isdisjoint(named.mimes):
        chosen = None if seen.label and _reads_text(named) else named
    if chosen is None and not seen.label:
        chosen = next((parser for parser in parsers.values() if "text/plain" in parser.mimes), None)
    if chosen is None:
        raise _unsupported(name, seen, parsers, named)
    return chosen


def sniff(head: bytes, path: Path, name: str) -> Seen:
    """What the first bytes say of a file.

    Raises:
        DocumentError: reason `encrypted` (an Office file with a password) or `corrupt` (a container cut short).
    """
    if b"%PDF-" in head[:1024]:
        return Seen(mime=_PDF)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _container(path, name)
    if head.startswith(_OLE):
        return _compound(path, name)
    if label := _foreign(head):
        return Seen(label=label)
    if looks_like_mail(head, name):
        return Seen(mime=_MAIL)
    html = _HTML_START.match(_ascii(head), _LEADING.match(_ascii(head)).end())  # type: ignore[union-attr]
    return Seen(mime=_HTML if html else "")


def _foreign(head: bytes) -> str:
    """What to call a file that is no text and no container; empty for text."""
    for magic, label in _KNOWN:
        if head.startswith(magic) and (not magic.isalnum() or looks_binary(head)):
            return label
    if head[4:8] == b"ftyp":
        return "a video or picture"
    return "binary data" if looks_binary(head) else ""


def _ascii(head: bytes) -> bytes:
    """`head` without the NULs of UTF-16, for looking at markup."""
    return head[2:].replace(b"\0", b"") if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else head


def _container(path: Path, name: str) -> Seen:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = set(archive.namelist())
            kind = archive.read("mimetype").strip() if _small(archive, entries) else b""
    except DAMAGE as error:
        raise DocumentError(
            "The file is cut short or damaged: it begins as a ZIP container (as DOCX files do) and has no directory.",
            reason="corrupt",
            where=name,
            hint="Open it in the program that made it and save it again.",
        ) from error
    if found := next((mime for part, mime in _OFFICE.items() if part in entries), ""):
        return Seen(mime=found)
    if kind == f"{_OPEN_DOCUMENT}spreadsheet".encode():
        return Seen(mime=f"{_OPEN_DOCUMENT}spreadsheet")
    if kind == _EPUB.encode() or "META-INF/container.xml" in entries:
        return Seen(mime=_EPUB)
    return Seen(label=next((label for entry, label in _ZIPS.items() if entry in entries), "a ZIP archive"))


def _small(archive: zipfile.ZipFile, entries: set[str]) -> bool:
    """Whether the container says by an entry of its own what it is, as OpenDocument and EPUB do."""
    return "mimetype" in entries and archive.getinfo("mimetype").file_size <= 200


def _compound(path: Path, name: str) -> Seen:
    """An OLE file: an Office document of before 2007, or a newer one inside an encrypted envelope."""
    with path.open("rb") as file:
        start = file.read(1 << 20)
        file.seek(max(path.stat().st_size - (1 << 20), 0))
        end = file.read()
    if any("EncryptedPackage".encode("utf-16-le") in part for part in (start, end)):
        raise DocumentError(
            "The document is encrypted with a password.",
            reason="encrypted",
            where=name,
            hint="Open it in Office and save it without a password.",
        )
    if any(f"{stream}\0".encode("utf-16-le") in part for part in (start, end) for stream in ("Workbook", "Book")):
        return Seen(mime=_XLS)
    return Seen(label="an Office document in the format of before 2007")


def _reads_text(parser: Parser) -> bool:
    return any(mime.startswith("text/") for mime in parser.mimes)


def _unsupported(name: str, seen: Seen, parsers: Mapping[str, Parser], named: Parser | None) -> DocumentError:
    suffix = Path(name).suffix.lower()
    if seen.label == "binary data" and named is not None:
        if _reads_text(named):
            message = f"It is named {suffix} but holds binary data, not text."
            return DocumentError(message, reason="encoding", where=name)
        return DocumentError(f"It is named {suffix} but is no such file.", reason="corrupt", where=name)
    hint = f"Supported: {', '.join(sorted({parser.suffixes[0] for parser in parsers.values()}))} and their kin."
    what = f"It is {seen.label}, which has no parser." if seen.label else "There is no parser for it."
    return DocumentError(what, reason="unsupported_type", where=name, hint=hint)
