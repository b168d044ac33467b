"""The files of a commit: which are read, under which names, and which are not and why. Nothing is checked out.

A tree is only read, and what is taken out of it is written under names of ours: so what a hostile tree calls its files,
and where its links lead, is text and nothing else.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from athanor.data.folder import is_junk
from athanor.data.git.program import Git
from athanor.errors import DocumentError, JobError

FILE, LINK, MODULE = "100", "120", "160"
"""How the modes of files, symbolic links and submodules begin."""
MAX_PATH = 1024
"""Characters of a name."""
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something in a tree that is no tree."""

    name: str
    """Path in the repository, with `/`, in Unicode's composed form (NFC)."""
    kind: str
    """`FILE`, `LINK` or `MODULE`."""
    object: str
    """Id of its content."""
    size: int
    """Bytes."""


async def entries(git: Git, commit: str, *, most: int) -> AsyncIterator[Entry]:
    """What the tree of `commit` holds, in git's order, without what `is_junk`.

    Raises:
        JobError: it holds more than `most` entries.
        GitFailed: the tree cannot be read.
    """
    count = 0
    async with git.started("ls-tree", "-r", "-z", "--long", "--full-tree", commit) as running:
        rest = b""
        while data := await running.stdout.read(_PIECE):
            *lines, rest = (rest + data).split(b"\0")
            if len(rest) > _PIECE:
                raise JobError("The tree of the repository is damaged.", where="git")
            count += len(lines)
            if count > most:
                raise JobError(f"The repository holds more than {most:,} files.", hint="See ingest.max_members.")
            for line in lines:
                if (entry := _entry(line)) is not None:
                    yield entry
        await running.finish()


def _entry(line: bytes) -> Entry | None:
    facts, _, path = line.partition(b"\t")
    mode, _, name, size = facts.decode("ascii", "replace").split(maxsplit=3)
    text = unicodedata.normalize("NFC", path.decode("utf-8", "backslashreplace"))
    if any(is_junk(part) for part in text.split("/") if part not in {".", ".."}):
        return None
    return Entry(name=text, kind=mode[:3], object=name, size=int(size) if size.isdigit() else 0)


def name_problem(name: str) -> DocumentError | None:
    """Why nothing can be called so."""
    parts = name.split("/")
    if len(name) <= MAX_PATH and name.isprintable() and not {"", ".", ".."}.intersection(parts):
        return None
    return DocumentError(
        "Its name in the repository is no name of a file.",
        reason="unreadable",
        where=ascii(name[:100]),
        hint="Rename it.",
    )


def link_problem(name: str, target: str, names: Collection[str]) -> DocumentError | None:
    """Why the link `name` to `target` cannot be followed; `None` where what it leads to is read by its own name."""
    at = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if target.startswith("/") or at == ".." or at.startswith("../"):
        return DocumentError(
            "The link leads out of the repository and was not followed.", reason="outside_folder", where=name
        )
    if at != "." and at not in names:
        return DocumentError("The link leads to nothing that is read.", reason="unreadable", where=name)
    return None
