"""The Parser port: one file in, source text and its structure out."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from athanor.types import ParsedDocument


@runtime_checkable
class Parser(Protocol):
    """Reads one family of formats. Registered under the entry-point group `athanor.parsers`.

    The registered object is called without arguments, in a child process that has no network. Importing its module and
    calling it must be cheap: heavy libraries are imported by `parse`.
    """

    @property
    def mimes(self) -> tuple[str, ...]:
        """MIME types it reads, the main one first."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File name endings it reads, lower case, with the dot."""
        ...

    def parse(self, path: Path, name: str) -> ParsedDocument:
        """Read the file at `path`. `name` is what the user calls it; `path` may be a blob without a suffix.

        The blocks of the result are in order, disjoint and inside its text.

        Raises:
            DocumentError: the document cannot be read; any other exception is reported as a corrupt document.
            MissingExtraError: a library that it needs is not installed.
        """
        ...
