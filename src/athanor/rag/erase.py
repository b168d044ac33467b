"""The right to erasure: a document leaves every place that the system keeps, and a receipt shows it by a new look."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from athanor.errors import NotFoundError
from athanor.observe import Action, AuditLog
from athanor.rag._erase_listing import check_alone, still_listed, strike
from athanor.rag.index import decode
from athanor.rag.indexes import Indexes
from athanor.rag.permissions import no_match
from athanor.rag.repeats import needles_of, rare, speaks_of
from athanor.store import Store
from athanor.store.erasure import Held
from athanor.types import Document, KnowledgeBase, Principal

REMEMBERED = 1000
"""Erasures, the newest, that a start looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look after the commit: how much of the document was found, in how many tries."""

    where: str
    found: int
    tried: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was erased, and what was found of it afterwards. Ids and hashes only: it can be shown and kept."""

    base: str
    documents: tuple[str, ...]
    """Ids: the document, and the members of a container."""
    source_sha256: str
    """Of the source's name, which may itself be what had to go."""
    sha256: tuple[str, ...]
    """Of the bytes, texts and pictures that it had."""
    erased_at: float
    removed: Mapping[str, int]
    """Kind → how many."""
    checks: tuple[Check, ...]
    origin: str
    """`upload`, or the folder from which a synchronisation would bring it back as long as the file is there."""

    @property
    def complete(self) -> bool:
        """Was nothing found."""
        return not any(check.found for check in self.checks)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "complete": self.complete}


class Eraser:
    """Erases documents.

    Args:
        forget: makes the answer cache forget everything and refuse answers that cite these documents (by id); gives how
            many it held that do.
        batches: folder of the results of batches that run.
        uncopy: deletes what is kept of the repository with an origin; was there something.
    """

    def __init__(
        self,
        store: Store,
        indexes: Indexes,
        forget: Callable[[Sequence[str]], int],
        batches: Path | None = None,
        uncopy: Callable[[str], bool] | None = None,
    ) -> None:
        self._store = store
        self.indexes = indexes
        self._forget = forget
        self._batches = batches
        self._uncopy = uncopy
        self._audit = AuditLog(store)

    def erase(self, base: KnowledgeBase, source: str, *, by: Principal | None = None) -> Receipt:
        """Remove the document `source` (a name or an id) of `base`, members included; prove it. Blocks.

        From the commit on nothing finds it. What a process that is killed after it leaves behind, the next start
        removes (see `resume`).

        Raises:
            NotFoundError: there is no such document.
            ConflictError: it is a member of an upload, which would stay.
        """
        found = self._find(base, source)
        held = {document.id: self._store.erasure.held(document.id) for document in found}
        texts = [text for one in held.values() for text in self._texts(one)]
        ids = [document.id for document in found]
        speaks = speaks_of(ids, texts)
        results = self._results(ids)
        self._store.tombstones.add(frozenset(ids))
        with self._store.write() as conn:
            replaced = strike(self._store, found[0], conn)
            removed = self._remove(base, found, held, speaks, conn)
            for file, rest in results.items():
                self._store.files.delete(file, conn=conn)
                removed["batch results"] = removed.get("batch results", 0) + rest
            self._store.erasure.optimize(base.id, conn)
            details = {"documents": ids, "sha256": sorted(_names(held) | replaced), "removed": removed}
            self._audit.record(Action.DOCUMENT_ERASED, by=by, subject=found[0].id, details=details, conn=conn)
        removed["cached answers"] = self._forget(ids)
        if self._uncopy is not None and self._uncopy(found[0].origin):
            removed["copies of repositories"] = 1
        self.indexes.drop(base.id)
        self._drop_blobs(_names(held) | replaced)
        self._store.erasure.settle()
        receipt = Receipt(
            base=base.id,
            documents=tuple(ids),
            source_sha256=hashlib.sha256(found[0].source.encode()).hexdigest(),
            sha256=tuple(sorted(_names(held))),
            erased_at=time.time(),
            removed=removed,
            checks=tuple(self._look(base, found, held, texts, speaks)),
            origin=found[0].origin,
        )
        proof = {"complete": receipt.complete, "checks": [asdict(check) for check in receipt.checks]}
        self._audit.record(Action.ERASURE_PROVEN, by=by, subject=found[0].id, details=proof)
        return receipt

    def resume(self) -> int:
        """Clean up after erasures that were committed and not proven, because the process ended; how many. Blocks."""
        entries = self._store.audit.entries
        proven = {entry.subject for entry in entries(action=Action.ERASURE_PROVEN, limit=REMEMBERED)}
        begun = entries(action=Action.DOCUMENT_ERASED, limit=REMEMBERED)
        open_ones = [entry for entry in begun if entry.subject not in proven]
        for entry in open_ones:
            names, ids = entry.details["sha256"], entry.details["documents"]
            self._drop_blobs(names)
            self._store.erasure.settle()
            with self._store.read() as conn:
                kept = self._store.erasure.referenced(set(names), conn)
                left = sum(self._there(one, conn) for one in ids)
            files = [one for one in set(names) - kept if self._store.blobs.exists(one)]
            checks = [
                Check(where="by id", found=left, tried=len(ids)),
                Check(where="blobs on disk", found=len(files), tried=len(set(names) - kept)),
            ]
            proof = {
                "complete": not any(check.found for check in checks),
                "checks": [asdict(check) for check in checks],
                "resumed": True,
            }
            self._audit.record(Action.ERASURE_PROVEN, by=None, subject=entry.subject, details=proof)
        return len(open_ones)

    def _find(self, base: KnowledgeBase, source: str) -> list[Document]:
        found = self._store.knowledge.document_by_source(base.id, source)
        if found is None:
            try:
                found = self._store.knowledge.document(source)
            except NotFoundError:
                raise no_match(base, source) from None
            if found.knowledge_base != base.id:
                raise no_match(base, source)
        with self._store.read() as conn:
            check_alone(self._store, found, conn)
        every, waiting = {found.id: found}, [found]
        while waiting:
            for member in self._store.knowledge.members(base.id, waiting.pop().source):
                if member.id not in every:
                    every[member.id] = member
                    waiting.append(member)
        return [*every.values()]

    def _texts(self, held: Held) -> Iterable[str]:
        """The texts of all versions, and what of the other blobs is text."""
        for sha256 in sorted(held.sha256):
            if self._store.blobs.exists(sha256) and self._store.blobs.size(sha256) < 1 << 28:
                try:
                    yield self._store.blobs.read(sha256).decode("utf-8")
                except UnicodeDecodeError:
                    continue

    def _remove(
        self,
        base: KnowledgeBase,
        found: Sequence[Document],
        held: Mapping[str, Held],
        speaks: Callable[[str], bool],
        conn: Connection,
    ) -> dict[str, int]:
        removed = {"documents": len(found), "passages": sum(len(one.chunks) for one in held.values())}
        removed["versions"] = sum(document.version for document in found)
        self._store.knowledge.delete_document(found[0].id, conn=conn)
        files = {file for one in held.values() for file in one.files}
        for file in files:
            self._store.files.delete(file, conn=conn)
        removed["uploaded files"] = len(files)
        sources = {name for document in found for name in (document.source, f"{document.source}/(contents)")}
        return removed | self._store.erasure.purge([d.id for d in found], sources, speaks, conn)

    def _results(self, ids: Sequence[str]) -> dict[str, int]:
        """Files of batches' results that cite one of these documents → how many lines do.

        Such a file goes as a whole: what is left of a result would no longer be the answer to its batch.
        """
        needles = [one.encode() for one in ids]
        found = {}
        for purpose in ("batch_output", "batch"):
            for file in self._store.files.list(purpose=purpose, limit=100_000):
                if not self._store.blobs.exists(file.sha256):
                    continue
                with self._store.blobs.path(file.sha256).open("rb") as lines:
                    count = sum(any(needle in line for needle in needles) for line in lines)
                if count:
                    found[file.id] = count
        return found

    def _drop_blobs(self, names: Iterable[str]) -> None:
        with self._store.read() as conn:
            kept = self._store.erasure.referenced(set(names), conn)
        for sha256 in set(names) - kept:
            if self._store.blobs.exists(sha256):
                self._store.blobs.delete(sha256)

    # -- proof

    def _look(
        self,
        base: KnowledgeBase,
        found: Sequence[Document],
        held: Mapping[str, Held],
        texts: Sequence[str],
        speaks: Callable[[str], bool],
    ) -> Iterable[Check]:
        """Look for the document on every way that there is to it."""
        store = self._store
        ids = [document.id for document in found]
        chunks = {chunk for one in held.values() for chunk in one.chunks}
        with store.read() as conn:
            there = [d for d in found if store.knowledge.document_by_source(base.id, d.source, conn=conn)]
            yield Check(where="by source", found=len(there), tried=len(found))
            yield Check(where="by id", found=sum(self._there(one, conn) for one in ids), tried=len(ids))
            listed = still_listed(store, found[0], conn)
            yield Check(where="listings of its containers", found=sum(listed), tried=len(listed))
            versions = [self._there(d.id, conn, v) for d in found for v in range(1, d.version + 1)]
            yield Check(where="versions", found=sum(versions), tried=len(versions))
            words = rare(texts)
            hits = [
                hit for word in words for hit, _ in store.chunks.search_text(base.id, [word], limit=1000, conn=conn)
            ]
            yield Check(where="text index, by its rarest words", found=len(chunks.intersection(hits)), tried=len(words))
            for kind, keys in store.erasure.speaking(speaks, conn).items():
                yield Check(where=kind, found=len(keys), tried=1)
            names = _names(held)
            kept = store.erasure.referenced(names, conn)
            repeated = store.erasure.repeated(needles := needles_of(texts), conn)
        yield self._dense(base, held, chunks)
        left = [one for one in names - kept if store.blobs.exists(one)]
        yield Check(where="blobs on disk", found=len(left), tried=len(names - kept))
        yield Check(where="answer cache", found=self._forget(ids), tried=1)
        yield Check(where="results of batches", found=len(self._results(ids)) + self._running(ids), tried=1)
        unique = [one.encode() for one in needles if one not in repeated]
        raw = store.erasure.grep(unique)
        if raw is not None:
            yield Check(where="raw database files, by stretches of its text", found=raw, tried=len(unique))

    def _there(self, document: str, conn: Connection, version: int | None = None) -> bool:
        try:
            if version is None:
                self._store.knowledge.document(document, conn=conn)
            else:
                self._store.knowledge.document_version(document, version, conn=conn)
        except NotFoundError:
            return False
        return True

    def _dense(self, base: KnowledgeBase, held: Mapping[str, Held], chunks: set[str]) -> Check:
        vectors = [vector for one in held.values() for vector in one.vectors]
        found: set[str] = set()
        index = self.indexes.current(base)
        for vector in vectors[:1000]:
            near, known = index.search(decode(vector, base.dimension)[0], 10, also=chunks)
            found.update(chunks.intersection([*(chunk for chunk, _ in near), *known]))
        return Check(where="vector index, by its own vectors", found=len(found), tried=min(len(vectors), 1000))

    def _running(self, ids: Sequence[str]) -> int:
        """Files of batches that run now and cite the document: they are given out, and then erased by a second call."""
        if self._batches is None or not self._batches.exists():
            return 0
        needles = [one.encode() for one in ids]
        files = [path for path in self._batches.rglob("*") if path.is_file()]
        return sum(any(needle in path.read_bytes() for needle in needles) for path in files)


def _names(held: Mapping[str, Held]) -> set[str]:
    return {sha256 for one in held.values() for sha256 in one.sha256}
