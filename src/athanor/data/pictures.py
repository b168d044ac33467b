"""The pictures that a parser meets: told by their first bytes, counted, bounded."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

from athanor.data.wire import MAX_PICTURE, MAX_PICTURES
from athanor.types import Picture

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)


def picture_type(data: bytes) -> str:
    """MIME type of a raster picture by its first bytes, or an empty string. Names and declarations lie."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC if data.startswith(magic)), "")


class Pictures:
    """Collects the pictures of one document. A picture that stands in it often is kept where it stands first."""

    def __init__(self) -> None:
        self.found: list[Picture] = []
        self._bytes = 0
        self._seen: set[bytes] = set()
        self._lost: Counter[str] = Counter()

    def has_room(self, size: int) -> bool:
        """Whether a picture of `size` bytes may be read; if not, it is counted as left out."""
        if size <= MAX_PICTURE and self._bytes + size <= MAX_PICTURES:
            return True
        self.lose(f"larger than {MAX_PICTURE >> 20} MiB, or past {MAX_PICTURES >> 20} MiB in all")
        return False

    def lose(self, reason: str) -> None:
        """Count a picture that is left out."""
        self._lost[reason] += 1

    def add(self, start: int, data: bytes, alt: str = "") -> None:
        """Keep a picture that stands at source offset `start`."""
        key = blake2b(data, digest_size=16).digest()
        if key in self._seen or not self.has_room(len(data)):
            return
        mime = picture_type(data)
        if not mime:
            self.lose("drawings and formats that are no raster pictures")
            return
        self._seen.add(key)
        self._bytes += len(data)
        self.found.append(Picture(start=start, mime=mime, data=data, alt=alt))

    def warnings(self) -> tuple[str, ...]:
        """What was left out, for people."""
        return tuple(
            f"{count:,} picture{'s' if count > 1 else ''} left out ({reason})." for reason, count in self._lost.items()
        )
