"""Makes what a scanner makes: pages that are pictures."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import pypdfium2

from tests.data.makers import Placed, _assemble, make_pdf

Picture = tuple[int, int, bytes]
"""Width and height in pixels, and one byte of grey for each."""


def printed(folder: Path, pages: Sequence[Sequence[Placed]], *, dots: int = 200, noise: int = 0) -> list[Picture]:
    """Pictures of pages. `noise` darkens or lightens every 29th pixel by up to so much."""
    chance = random.Random(1)
    made = []
    file = pypdfium2.PdfDocument(make_pdf(folder / "printed.pdf", pages))
    for page in file:
        bitmap = page.render(scale=dots / 72, grayscale=True)
        data, stride = bytes(bitmap.buffer), bitmap.stride
        data = bytearray().join(data[row * stride : row * stride + bitmap.width] for row in range(bitmap.height))
        if noise:
            for at in range(0, len(data), 29):
                data[at] = min(max(data[at] + chance.randint(-noise, noise), 0), 255)
        made.append((bitmap.width, bitmap.height, bytes(data)))
    file.close()
    return made


def make_scan(path: Path, pictures: Sequence[Picture], *, over: bytes = b"") -> Path:
    """A PDF of A4 pages that are pictures; `over` are operators of text that is drawn over each."""
    count = len(pictures)
    objects: dict[int, bytes] = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (count, b" ".join(b"%d 0 R" % (5 + 3 * i) for i in range(count))),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: b"<< >>",
    }
    for i, (width, height, data) in enumerate(pictures):
        at = 5 + 3 * i
        stream = b"q 595 0 0 842 0 0 cm /I Do Q\n" + over
        packed = zlib.compress(data, 1)
        objects[at] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> /XObject << /I %d 0 R >> >> >>" % (at + 1, at + 2)
        )
        objects[at + 1] = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)
        objects[at + 2] = (
            b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 "
            b"/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (width, height, len(packed), packed)
        )
    path.write_bytes(_assemble(objects, b"0" * 16, b""))
    return path


def make_png(path: Path, picture: Picture) -> Path:
    """A grey PNG of 200 dots an inch."""
    width, height, data = picture
    rows = b"".join(b"\0" + data[row * width : (row + 1) * width] for row in range(height))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    size = chunk(b"pHYs", struct.pack(">IIB", 7874, 7874, 1))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + size + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))
    return path
