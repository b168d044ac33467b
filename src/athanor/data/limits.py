"""What one document may cost, and the refusals that follow from it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from athanor.errors import DocumentError

EXIT_MEMORY = 77
"""Exit code of a parser process that ended itself for its memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserLimits:
    """Limits on the reading of one document, in a process of its own."""

    seconds: float = 120.0
    """Wall-clock time."""
    memory_bytes: int = 1 << 30
    """Address space of the process on Linux; resident memory elsewhere."""
    file_bytes: int = 100 << 20
    """Size of the file."""
    text_bytes: int = 64 << 20
    """Size of the text that comes out, in UTF-8."""
    container_bytes: int = 64 << 30
    """Size of a file that holds others; it is read in pieces."""
    members: int = 1_000_000
    """Members of one such file, at all depths."""
    unpacked_bytes: int = 16 << 30
    """Bytes that may be unpacked from one such file, at all depths."""
    depth: int = 3
    """Containers within each other: an archive in a mail in an archive is 3."""
    parser: str = ""
    """Name of the parser plug-in that goes before all others for the formats it reads."""
    ocr: bool = True
    """Read pages without text by OCR, where tesseract is installed."""
    ocr_languages: str = "eng"
    """As tesseract takes them: `eng+deu`."""
    ocr_page_seconds: float = 60.0
    """For the OCR of one page."""
    ocr_seconds: float = 3600.0
    """For the OCR of one document, beside `seconds`."""


def check_file(path: Path, name: str, limits: ParserLimits, *, container: bool = False) -> None:
    """Refuse what is no ordinary file, or too large for a document (for a `container`).

    Raises:
        DocumentError: reason `unreadable`, `unsupported_type` or `too_large`.
    """
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            path.open("rb").close()
    except OSError as error:
        reason = error.strerror or "unknown"
        raise DocumentError(f"The file cannot be opened: {reason}.", reason="unreadable", where=name) from error
    if not stat.S_ISREG(found.st_mode):
        raise DocumentError("It is not an ordinary file.", reason="unsupported_type", where=name)
    limit = limits.container_bytes if container else limits.file_bytes
    if found.st_size > limit:
        message = f"The file has {found.st_size / 2**20:,.0f} MiB; the limit is {limit / 2**20:,.0f} MiB."
        raise DocumentError(message, reason="too_large", where=name, hint="Split it, or raise ingest.max_file_mb.")


def memory_error(name: str, limits: ParserLimits) -> DocumentError:
    """The document needs more memory than a parser may have."""
    message = f"Reading it needs more than {limits.memory_bytes / 2**20:,.0f} MiB of memory."
    return DocumentError(message, reason="memory", where=name, hint="Split it, or raise ingest.memory_mb.")
