"""Makes the files that the tests read: small, byte by byte, and each wrong in one way."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

Placed = tuple[str, float, float, float]
"""Text, x, y from the bottom, size: all in points."""

_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
"""PDF 1.7 (ISO 32000-1), algorithm 2, step a."""

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def prose(lines: Sequence[str], *, top: float = 700, size: float = 11, x: float = 72) -> list[Placed]:
    """Lines under each other, closely set."""
    return [(line, x, top - i * size * 1.2, size) for i, line in enumerate(lines)]


def make_pdf(
    path: Path,
    pages: Sequence[Sequence[Placed]],
    *,
    title: str = "",
    outline: Sequence[tuple[str, int]] = (),
    password: str | None = None,
    drawn: bytes = b"",
    about: bytes = b"",
) -> Path:
    """A PDF in Helvetica. `outline` holds titles and page indexes; `password` encrypts it with 40-bit RC4.

    `drawn` are operators that come before the text of each page, `about` are entries of each page's dictionary.
    """
    count = len(pages)
    file_id = hashlib.md5(str(path).encode()).digest()
    secret = _Rc4(password, file_id) if password is not None else None
    first_page = 5
    marks = first_page + 2 * count
    objects: dict[int, bytes] = {
        2: b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (count, b" ".join(b"%d 0 R" % (first_page + 2 * i) for i in range(count))),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: b"<< /Title %s >>" % _string(title, secret, 4),
    }
    catalog = b"<< /Type /Catalog /Pages 2 0 R"
    for i, placed in enumerate(pages):
        number = first_page + 2 * i
        stream = drawn + b"\n".join(
            b"BT /F1 %g Tf %g %g Td (%s) Tj ET" % (size, x, y, _escape(text.encode("cp1252")))
            for text, x, y, size in placed
        )
        if secret:
            stream = secret.encrypt(stream, number + 1)
        objects[number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> %s >>" % (number + 1, about)
        )
        objects[number + 1] = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)
    if outline:
        catalog += b" /Outlines %d 0 R" % marks
        last = marks + len(outline)
        objects[marks] = b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count %d >>" % (marks + 1, last, len(outline))
        for i, (name, page) in enumerate(outline, start=1):
            near = b" /Prev %d 0 R" % (marks + i - 1) if i > 1 else b""
            near += b" /Next %d 0 R" % (marks + i + 1) if marks + i < last else b""
            target = b"[%d 0 R /XYZ 0 842 0]" % (first_page + 2 * page)
            objects[marks + i] = b"<< /Title %s /Parent %d 0 R /Dest %s%s >>" % (
                _string(name, secret, marks + i),
                marks,
                target,
                near,
            )
    objects[1] = catalog + b" >>"
    extra = secret.dictionary() if secret else b""
    path.write_bytes(_assemble(objects, file_id, extra))
    return path


def _assemble(objects: dict[int, bytes], file_id: bytes, encrypt: bytes) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = {}
    for number in sorted(objects):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, objects[number])
    start, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    out += b"".join(b"%010d 00000 n \n" % offsets[number] for number in range(1, size))
    ids = b"<%s>" % file_id.hex().encode()
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R /ID [%s %s]%s >>\n" % (size, ids, ids, encrypt)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def _escape(data: bytes) -> bytes:
    return data.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")


def _string(text: str, secret: _Rc4 | None, number: int) -> bytes:
    data = b"\xfe\xff" + text.encode("utf-16-be")
    return b"<%s>" % (secret.encrypt(data, number) if secret else data).hex().encode()


class _Rc4:
    """The standard security handler, revision 2 (ISO 32000-1, 7.6.3): enough to need a password."""

    def __init__(self, password: str, file_id: bytes) -> None:
        padded = (password.encode("latin-1") + _PADDING)[:32]
        self._owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
        permissions = (-4 & 0xFFFFFFFF).to_bytes(4, "little")
        self._key = hashlib.md5(padded + self._owner + permissions + file_id).digest()[:5]
        self._user = _rc4(self._key, _PADDING)

    def encrypt(self, data: bytes, number: int) -> bytes:
        key = hashlib.md5(self._key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]
        return _rc4(key, data)

    def dictionary(self) -> bytes:
        return b" /Encrypt << /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >>" % (
            self._owner.hex().encode(),
            self._user.hex().encode(),
        )


def _rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def make_docx(path: Path, body: str, *, before: str = "", parts: dict[str, str] | None = None) -> Path:
    """A DOCX with `body` as the inside of `w:body`; `before` stands before the root (for a DTD)."""
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>'
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", document)
        for name, text in (parts or {}).items():
            archive.writestr(name, text.replace("<w:root", f'<w:root xmlns:w="{_W}"'))
    return path


def paragraph(text: str, properties: str = "") -> str:
    """One `w:p`."""
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space='preserve'>{text}</w:t></w:r></w:p>"


def make_zip_bomb(path: Path, *, megabytes: int = 64) -> Path:
    """A DOCX of some ten KiB whose body unpacks to `megabytes`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            for _ in range(megabytes):
                part.write(b" " * (1 << 20))
    return path


def make_sparse(path: Path, size: int) -> Path:
    """A file of `size` bytes that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(b"\x7fELF")
        file.truncate(size)
    return path
