"""The vector indexes of all knowledge bases: opened from their files, checked, brought up to date, kept in shape."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from athanor.errors import NotFoundError
from athanor.rag.index import VectorIndex
from athanor.rag.vectors import Folder, LiveIndex, StaleError, Stopped
from athanor.rag.vectors.check import differences
from athanor.rag.vectors.postgresql import PostgreSQLIndex
from athanor.store import Store
from athanor.store.vectors_postgresql import PostgreSQLVectors
from athanor.types import KnowledgeBase

log = logging.getLogger(__name__)

_AGAIN = 300.0
"""Seconds until a merge that failed (a full disk) is tried again. Searches are right meanwhile, and slower."""


class _Entry:
    """The index of one base."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.index: LiveIndex | None = None
        self.merging = False
        self.not_before = 0.0


class Indexes:
    """The vector indexes of all bases, brought up to date when they are asked for. Threads share one."""

    def __init__(
        self,
        store: Store,
        folder: Path | None = None,
        *,
        pgvector: bool = False,
        sizes: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Indexes of the bases in `store`.

        Args:
            folder: where the files of large indexes are kept, one folder for each base; `None` keeps them in memory.
            pgvector: search in PostgreSQL where the store is one that has the extension; off because it is several
                times slower than an index in this process (`design/vectors.md`), and of use where memory is dear.
            sizes: arguments of every `LiveIndex` in place of its defaults.
        """
        self._pgvector = PostgreSQLVectors(store.database) if pgvector else None
        if self._pgvector is not None and not self._pgvector.available():
            log.warning("pgvector 0.8 or newer is not in this database; vectors are searched in this process")
            self._pgvector = None
        self._remote: dict[str, PostgreSQLIndex] = {}
        self._store = store
        self._folder = folder
        self._sizes = sizes
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._due: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._closed = threading.Event()

    def current(self, base: KnowledgeBase) -> VectorIndex:
        """The index of `base` at its newest committed revision. Reads the store; call it in a thread.

        Raises:
            NotFoundError: the base is gone; its index is freed then.
        """
        try:
            revision = self._store.knowledge.get(base.id).revision
        except NotFoundError:
            self.drop(base.id)
            raise
        if self._pgvector is not None:
            return self._in_postgresql(self._pgvector, base, revision)
        return self._local(base, revision)

    def _in_postgresql(self, vectors: PostgreSQLVectors, base: KnowledgeBase, revision: int) -> PostgreSQLIndex:
        with self._lock:
            index = self._remote.setdefault(base.id, PostgreSQLIndex(vectors, base.id, base.dimension))
        if index.revision < revision:
            index.forward()
        return index

    def _local(self, base: KnowledgeBase, revision: int) -> LiveIndex:
        with self._lock:
            entry = self._entries.setdefault(base.id, _Entry())
        index = entry.index
        if index is not None and index.revision >= revision and (entry.merging or not index.overdue):
            return index
        with entry.lock:
            index = entry.index
            if index is None or index.revision < revision:
                index = entry.index = self._forward(base, index)
            if index.overdue and not entry.merging and time.monotonic() >= entry.not_before:
                self._schedule(base.id, entry)
        return index

    def drop(self, base: str) -> None:
        """Free the index of a base (by id) that is gone, and remove its files."""
        with self._lock:
            self._entries.pop(base, None)
            self._remote.pop(base, None)
        if (folder := self._files(base)) is not None:
            folder.drop()

    def verify(self, base: KnowledgeBase) -> list[str]:
        """One line for each way in which the index of `base` or its files differ from the store; empty when sound.

        Every vector is compared. Reads the store; call it in a thread.

        Raises:
            NotFoundError: the base is gone.
        """
        if self._pgvector is not None:
            return self._pgvector.problems(base.id)
        folder = self._files(base.id)
        manifest = None if folder is None else folder.manifest()
        found = [] if folder is None or manifest is None else folder.damages(manifest)
        return found + differences(self._store, base.id, self._local(base, self._store.knowledge.get(base.id).revision))

    def rebuild(self, base: KnowledgeBase) -> VectorIndex:
        """Forget the index of `base` and its files, and make it anew from the store.

        Raises:
            NotFoundError: the base is gone.
        """
        self.drop(base.id)
        return self.current(base)

    def settle(self) -> None:
        """Return when no index waits for work in the background, for tests and measurements."""
        while not self._closed.is_set():
            with self._lock:
                busy = any(entry.merging for entry in self._entries.values())
            if not busy:
                return
            time.sleep(0.005)

    def close(self) -> None:
        """Give up work in the background; it is made up for after the next start."""
        self._closed.set()
        self._due.put(None)
        worker = self._worker
        if worker is not None:
            worker.join()

    def _files(self, base: str) -> Folder | None:
        return None if self._folder is None else Folder(self._folder / base)

    def _forward(self, base: KnowledgeBase, index: LiveIndex | None) -> LiveIndex:
        """`index` at the newest revision; one from the files, or a new one, where there is none that can be used."""
        folder = self._files(base.id)
        thorough = index is None
        if index is None and folder is not None:
            index = LiveIndex.open(base.dimension, folder, **self._sizes)
        if index is not None:
            try:
                changes = self._store.chunks.changes(base.id, index.revision)
                if changes.revision < index.revision:
                    raise StaleError(f"The base is of revision {changes.revision}, and the index of {index.revision}.")
                index.apply(changes, thorough=thorough)
            except StaleError as error:
                log.warning("The vector index of %s is made anew: %s", base.name, error)
            else:
                return index
        index = LiveIndex(base.dimension, folder, **self._sizes)
        index.apply(self._store.chunks.changes(base.id, 0))
        return index

    def _schedule(self, base: str, entry: _Entry) -> None:
        if self._closed.is_set():
            return
        entry.merging = True
        self._due.put(base)
        with self._lock:
            if self._worker is None:
                # A daemon: a process that forgets to close must end all the same.
                self._worker = threading.Thread(target=self._work, name="athanor-vectors", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while (base := self._due.get()) is not None:
            with self._lock:
                entry = self._entries.get(base)
            if entry is None or entry.index is None:
                continue
            index = entry.index
            try:
                while index.overdue:
                    index.merge(stopped=self._closed.is_set)
            except Stopped:
                return
            except Exception:
                entry.not_before = time.monotonic() + _AGAIN
                log.exception("The vector index could not be merged; searches stay exact, and slower")
            finally:
                entry.merging = False
                self._tidy(base)

    def _tidy(self, base: str) -> None:
        """Remove the files of a base that was dropped while they were written."""
        with self._lock:
            folder = self._files(base) if base not in self._entries else None
        if folder is not None:
            folder.drop()
