"""All that a container holds, at every depth, within one budget; and one member of it, found again by its key.

A key is the way down: at each container its kind and the entry's own key, `zip:4:9ae1>mail:2`. What is unpacked on the
way lies in the scratch files of the process; the way stays open, so that members read in order cost one pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from athanor.data.base import Entry, FileKind, Member, OpenContainer
from athanor.data.containers import containers, look
from athanor.data.containers.names import is_junk_path
from athanor.data.containers.zips import changed
from athanor.data.limits import ParserLimits
from athanor.data.scratch import Scratch
from athanor.errors import DocumentError

_STEP = ">"


@dataclass(slots=True)
class _Level:
    """A container on the way down."""

    step: str
    """Key of the entry that it is, with its parent's kind; empty for the outermost."""
    kind: str
    opened: OpenContainer
    file: BinaryIO | None
    """Its scratch file."""

    def close(self) -> None:
        self.opened.close()
        if self.file is not None:
            self.file.close()


@dataclass(slots=True)
class _Budget:
    members: int
    size: int


class Walker:
    """Lists and reads containers. One at a time is open."""

    def __init__(self, limits: ParserLimits, scratch: Scratch) -> None:
        self.limits = limits
        self._scratch = scratch
        self._levels: list[_Level] = []
        self._of: tuple[object, ...] = ()

    def close(self) -> None:
        """Close what is open, and forget it."""
        while self._levels:
            self._levels.pop().close()
        self._of = ()

    def list(self, path: Path, name: str, after: str | None) -> Iterator[Member | float]:
        """The members in order, those behind the one with the key `after`; a number is progress without one.

        Raises:
            DocumentError: the container itself cannot be read.
        """
        kind = look(path, name)[1]
        if not kind:
            raise DocumentError("It holds no other files.", reason="unsupported_type", where=name)
        self.close()
        budget = _Budget(self.limits.members, self.limits.unpacked_bytes)
        opened = containers()[kind].open(path, name, self.limits.members)
        try:
            yield from _Listing(self.limits, self._scratch, budget).walk(opened, kind, after)
        finally:
            opened.close()

    def extract(self, path: Path, name: str, key: str) -> BinaryIO:
        """A scratch file with the member of this key. The caller closes it.

        Raises:
            DocumentError: there is no such member, or it cannot be read.
        """
        found = path.stat()
        of = (path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if of != self._of:
            self.close()
        self._of = of
        steps = key.split(_STEP)
        if len(steps) > self.limits.depth:
            raise changed(name)
        kinds = [step.partition(":")[0] for step in steps]
        keys = [step.partition(":")[2] for step in steps]
        keep = 0
        while keep < min(len(self._levels), len(steps)):
            wanted = "" if keep == 0 else steps[keep - 1]
            if (self._levels[keep].step, self._levels[keep].kind) != (wanted, kinds[keep]):
                break
            keep += 1
        while len(self._levels) > keep:
            self._levels.pop().close()
        try:
            for depth in range(keep, len(steps)):
                if kinds[depth] not in containers():
                    raise changed(name)
                file = None if depth == 0 else self._spool(self._levels[-1].opened.read(keys[depth - 1]), name)
                at = path if file is None else self._scratch.path(file)
                opened = containers()[kinds[depth]].open(at, name, self.limits.members)
                step = "" if depth == 0 else steps[depth - 1]
                self._levels.append(_Level(step, kinds[depth], opened, file))
            return self._spool(self._levels[-1].opened.read(keys[-1]), name)
        except BaseException:
            self.close()
            raise

    def _spool(self, pieces: Iterator[bytes], name: str) -> BinaryIO:
        file, size = self._scratch.open(), 0
        try:
            for piece in pieces:
                size += len(piece)
                if size > self.limits.file_bytes:
                    raise too_large(size, self.limits, name)
                file.write(piece)
            file.flush()
        except BaseException:
            file.close()
            raise
        return file


@dataclass(slots=True)
class _Listing:
    """One listing, with what is left of its budget."""

    limits: ParserLimits
    scratch: Scratch
    budget: _Budget
    spent: bool = False
    """The budget is; nothing more is read."""

    def walk(
        self, opened: OpenContainer, kind: str, after: str | None, *, above: str = "", prefix: str = "", depth: int = 1
    ) -> Iterator[Member | float]:
        """The members of one container. `above` is its key with a `>`, `prefix` its name with a `/`."""
        start, below = _split(after, kind)
        waiting = start is not None
        for entry in opened.entries(start):
            if isinstance(entry, float):
                yield entry
                continue
            if is_junk_path(entry.name):
                continue
            resumed = waiting and entry.key == start
            if waiting and not resumed:
                continue
            waiting = False
            key = f"{above}{kind}:{entry.key}"
            for found in self._entry(opened, entry, key, depth, (below or "") if resumed else None):
                if isinstance(found, float):
                    yield entry.progress
                    continue
                yield replace(found, name=f"{prefix}{found.name}", progress=entry.progress)
                if self.spent:
                    return

    def _entry(
        self, opened: OpenContainer, entry: Entry, key: str, depth: int, after: str | None
    ) -> Iterator[Member | float]:
        """The member that an entry is, unless it comes before `after`, and those that it holds."""
        if after is None and (problem := self._refusal(entry)) is not None:
            yield Member(key=key, name=entry.name, size=max(entry.size, 0), problem=problem)
            return
        if after == "" and entry.plain:
            return
        file = None
        holds, kind = FileKind.DOCUMENT, ""
        try:
            file, size, sha256 = self._read(opened, entry)
            if file is not None:
                holds, kind = look(self.scratch.path(file), entry.name)
            if holds is not FileKind.CONTAINER and after is None:
                yield Member(key=key, name=entry.name, size=size, sha256=sha256)
            if holds is not FileKind.DOCUMENT and file is not None:
                yield from self._nested(self.scratch.path(file), entry, kind, (key, after or None), depth)
        except DocumentError as problem:
            if after == "" and holds is not FileKind.BOTH:
                return  # it was told before: the listing goes on behind it
            problem.where = entry.name
            yield Member(key=key, name=entry.name, size=max(entry.size, 0), problem=problem)
        finally:
            if file is not None:
                file.close()

    def _nested(
        self, path: Path, entry: Entry, kind: str, way: tuple[str, str | None], depth: int
    ) -> Iterator[Member | float]:
        key, after = way
        name = entry.name
        opened = containers()[kind].open(path, name, self.budget.members)
        try:
            if depth >= self.limits.depth:
                if next((found for found in opened.entries(None) if isinstance(found, Entry)), None) is None:
                    return
                message = f"What it holds was not read: containers are nested more than {self.limits.depth} deep."
                problem = DocumentError(message, reason="expands_too_much", where=name, hint="Unpack it by hand.")
                yield Member(key=key, name=f"{name} (contents)", size=0, problem=problem)
                return
            yield from self.walk(opened, kind, after, above=f"{key}{_STEP}", prefix=f"{name}/", depth=depth + 1)
        finally:
            opened.close()

    def _read(self, opened: OpenContainer, entry: Entry) -> tuple[BinaryIO | None, int, str]:
        """Hash an entry. Its bytes go to a scratch file, unless it certainly holds nothing."""
        digest, size = hashlib.sha256(), 0
        file = None if entry.plain else self.scratch.open()
        try:
            for piece in opened.read(entry.key):
                size += len(piece)
                self.budget.size -= len(piece)
                if size > self.limits.file_bytes:
                    raise too_large(size, self.limits, entry.name)
                if self.budget.size < 0:
                    raise self._over(entry.name, f"would unpack to more than {self.limits.unpacked_bytes >> 20:,} MiB")
                digest.update(piece)
                if file is not None:
                    file.write(piece)
            if file is not None:
                file.flush()
        except BaseException:
            if file is not None:
                file.close()
            raise
        return file, size, digest.hexdigest()

    def _refusal(self, entry: Entry) -> DocumentError | None:
        self.budget.members -= 1
        if self.budget.members < 0:
            return self._over(entry.name, f"holds more than {self.limits.members:,} members")
        if entry.problem is not None:
            return entry.problem
        return too_large(entry.size, self.limits, entry.name) if entry.size > self.limits.file_bytes else None

    def _over(self, name: str, what: str) -> DocumentError:
        self.spent = True
        message = f"It and all behind it were not read: the container {what}."
        hint = "Split it, or raise ingest.max_members and ingest.max_unpacked_mb."
        return DocumentError(message, reason="expands_too_much", where=name, hint=hint)


def too_large(size: int, limits: ParserLimits, name: str) -> DocumentError:
    """The refusal of a member over the limit for files."""
    more = f"{size / 2**20:,.0f}" if size > limits.file_bytes + (1 << 20) else f"more than {limits.file_bytes >> 20:,}"
    message = f"It has {more} MiB unpacked; the limit is {limits.file_bytes / 2**20:,.0f} MiB."
    return DocumentError(message, reason="too_large", where=name, hint="Raise ingest.max_file_mb.")


def _split(after: str | None, kind: str) -> tuple[str | None, str | None]:
    """The entry to go on from, and the way below it."""
    if not after:
        return None, None
    step, _, below = after.partition(_STEP)
    at, _, key = step.partition(":")
    return (key if at == kind else None), below or None
