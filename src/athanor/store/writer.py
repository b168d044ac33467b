"""Grouped writes: many small submissions, one transaction, one fsync."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection

from athanor.errors import StoreError
from athanor.store.append import Appender
from athanor.store.transactions import Database, count_hooks, drop_hooks

T = TypeVar("T")
_Item = tuple[Callable[[Any], Any], "Future[Any]", bool]
"""Work, its future, and whether it takes an `Appender`."""
GROUP = 256
"""Submissions in one transaction, at most."""


class GroupedWriter:
    """Runs submitted writes on one thread, grouped into transactions.

    There is no delay: a group is whatever arrived while the one before was being committed. Each submission
    has a savepoint, so one that raises takes nothing else with it. A future resolves after the COMMIT.
    """

    def __init__(self, database: Database, *, durable: bool = False) -> None:
        """Start nothing: the thread begins with the first submission.

        `durable` is that of `Database.write`. What is submitted here is a record of what happened, and the wait
        for it is part of every request: to survive `kill -9` is enough.
        """
        self._db = database
        self._durable = durable
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work(connection)` inside a coming transaction.

        The future holds its result once that is committed, else the error: its own, or that of the commit.

        Raises:
            StoreError: the writer is closed.
        """
        return self._put(work, appends=False)

    def append(self, work: Callable[[Appender], T]) -> Future[T]:
        """As `submit`, for work that only inserts rows, which costs a third of it."""
        return self._put(work, appends=True)

    def _put(self, work: Callable[[Any], T], *, appends: bool) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise StoreError("The store is closed.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="athanor-writer", daemon=True)
                self._thread.start()
            self._queue.put((work, future, appends))
        return future

    def flush(self) -> None:
        """Wait until everything submitted so far is committed, or has failed."""
        self.submit(lambda _: None).result()

    def close(self) -> None:
        """Commit what was submitted, then stop. Later submissions are refused."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            group, last = self._gather(item)
            self._commit([entry for entry in group if entry[1].set_running_or_notify_cancel()])
            if last:
                return

    def _gather(self, first: _Item) -> tuple[list[_Item], bool]:
        group = [first]
        while len(group) < GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, True
            group.append(item)
        return group, False

    def _commit(self, group: list[_Item]) -> None:
        if len(group) == 1:
            self._commit_one(*group[0])
            return
        done: list[tuple[Future[Any], Any]] = []
        refused: list[tuple[Future[Any], BaseException]] = []
        try:
            with self._db.write(durable=self._durable) as conn:
                appender = Appender.of(conn)
                for work, future, appends in group:
                    try:
                        with self._db.translated():
                            done.append((future, _in_savepoint(conn, work, appender if appends else conn)))
                    except Exception as error:
                        refused.append((future, error))
        except BaseException as failure:  # a future that never resolves would hang its request
            for _, future, _ in group:
                future.set_exception(failure)
            return
        for future, result in done:
            future.set_result(result)
        for future, cause in refused:
            future.set_exception(cause)

    def _commit_one(self, work: Callable[[Any], Any], future: Future[Any], appends: bool) -> None:
        """A group of one needs no savepoint: the transaction is its own."""
        try:
            if appends:
                with self._db.appending(durable=self._durable) as appender:
                    result = work(appender)
            else:
                with self._db.write(durable=self._durable) as conn:
                    result = work(conn)
        except BaseException as failure:
            future.set_exception(failure)
        else:
            future.set_result(result)


def _in_savepoint(conn: Connection, work: Callable[[Any], T], given: Any) -> T:
    """Run `work` so that an error of its own takes back what it wrote, and nothing else of the transaction."""
    hooks = count_hooks(conn)
    # By hand: `begin_nested` builds and compiles its statements anew, which cost as much as the insert.
    conn.exec_driver_sql("SAVEPOINT item")
    try:
        result = work(given)
    except BaseException:
        drop_hooks(conn, hooks)
        conn.exec_driver_sql("ROLLBACK TO SAVEPOINT item")
        conn.exec_driver_sql("RELEASE SAVEPOINT item")
        raise
    conn.exec_driver_sql("RELEASE SAVEPOINT item")
    return result
