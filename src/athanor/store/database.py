"""The store: one database and one folder of blobs, with a repository for each noun."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection

from athanor.config import Settings
from athanor.store import migrations
from athanor.store.attempts import Attempts
from athanor.store.audit import Audit
from athanor.store.base import TextIndex
from athanor.store.blobs import Blobs, collect
from athanor.store.chunks import Chunks
from athanor.store.contexts import Contexts
from athanor.store.crypto import Cipher
from athanor.store.erasure import Erasure
from athanor.store.evaluations import Evaluations, Questions
from athanor.store.feedback import Feedback
from athanor.store.files import Files
from athanor.store.groups import Groups
from athanor.store.guard_events import GuardEvents
from athanor.store.jobs import Jobs
from athanor.store.keyring import KeyRing
from athanor.store.keys import Keys
from athanor.store.knowledge import Knowledge
from athanor.store.links import Links
from athanor.store.master import MasterKey, MasterSource
from athanor.store.principals import Principals
from athanor.store.requests import Contents, Requests, Traces
from athanor.store.resealing import Resealing
from athanor.store.responses import Responses
from athanor.store.shadows import Shadows
from athanor.store.sync_sources import SyncSources
from athanor.store.teams import Teams
from athanor.store.text_postgresql import PostgreSQLText
from athanor.store.text_sqlite import SQLiteText
from athanor.store.tombstones import Tombstones
from athanor.store.transactions import Database
from athanor.store.users import Users
from athanor.store.vaults import Vaults
from athanor.store.versions import Versions
from athanor.store.writer import GroupedWriter


class Store:
    """All state. Threads share one; each process opens its own.

    Calls block: from a coroutine, use a thread, or `writer` for small writes.
    """

    def __init__(self, database: Database, blobs: Path) -> None:
        """Use `database` as it is; `Store.open` is the usual way in."""
        self.database = database
        self.blobs = Blobs(blobs)
        self.key_ring = KeyRing(database)
        self.cipher = Cipher(self.key_ring)
        index: TextIndex = SQLiteText() if database.dialect == "sqlite" else PostgreSQLText()
        self.teams = Teams(database)
        self.principals = Principals(database)
        self.groups = Groups(database)
        self.keys = Keys(database)
        self.links = Links(database)
        self.users = Users(database)
        self.attempts = Attempts(database)
        self.files = Files(database, self.blobs)
        self.knowledge = Knowledge(database, index, self.blobs)
        self.chunks = Chunks(database, index)
        self.contexts = Contexts(database, index)
        self.versions = Versions(database)
        self.questions = Questions(database, self.cipher)
        self.evaluations = Evaluations(database, self.cipher)
        self.sync_sources = SyncSources(database)
        self.jobs = Jobs(database)
        self.requests = Requests(database)
        self.traces = Traces(database)
        self.tombstones = Tombstones()
        self.contents = Contents(database, self.tombstones, self.cipher)
        self.responses = Responses(database, self.tombstones, self.cipher)
        self.shadows = Shadows(database)
        self.feedback = Feedback(database, self.cipher)
        self.guard_events = GuardEvents(database)
        self.vaults = Vaults(database, self.cipher)
        self.audit = Audit(database)
        self.resealing = Resealing(database, self.cipher, self.key_ring)
        self.erasure = Erasure(database, self.cipher)
        self.writer = GroupedWriter(database)

    @classmethod
    def open(
        cls, url: str, *, blobs: Path, master: MasterSource | MasterKey | None = None, content: bool = True
    ) -> Store:
        """Open the database at `url`, creating it or bringing its schema up to date.

        Args:
            url: `sqlite:////absolute/file` or `postgresql+psycopg://user@host/name`.
            blobs: folder of large bytes; made when needed.
            master: what unwraps the keys of sealed fields. Without it a store that has such keys gives and takes
                neither contents nor secrets, and a store that has none keeps contents plain.
            content: seal contents, not only secrets.

        Raises:
            StoreError: the database cannot be opened, or was written by a newer Athanor.
            EncryptionError: the master key is missing, or is not the one of this database.
            MissingExtraError: the driver of PostgreSQL is not installed.
        """
        database = Database(url)
        try:
            migrations.ensure(database)
        except BaseException:
            database.close()
            raise
        store = cls(database, blobs)
        try:
            if master is not None:
                store.key_ring.unlock(master, content=content)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """Open the store that the settings name, with its master key. Raises as `open`."""
        url = settings.store.url or f"sqlite:///{settings.home / 'athanor.db'}"
        master = MasterSource(settings.encryption, settings.home)
        return cls.open(url, blobs=settings.home / "blobs", master=master, content=settings.encryption.content)

    def write(self) -> AbstractContextManager[Connection]:
        """One write transaction: `with store.write() as conn`, then `conn=conn` to every call inside.

        It is on disk when the block is left, and survives a power failure.

        Raises:
            ConflictError: a constraint refused a row.
            StoreError: the database failed, or this thread already writes.
        """
        return self.database.write()

    def read(self) -> AbstractContextManager[Connection]:
        """One read-only snapshot: `with store.read() as conn`, then `conn=conn` to every call inside.

        Raises:
            StoreError: the database failed.
        """
        return self.database.read()

    def collect(self, *, older: float = 3600.0) -> list[str]:
        """Remove the blobs that no row refers to and that are older than `older` seconds; their names."""
        with self.read() as conn:
            return collect(conn, self.blobs, older=older)

    def close(self) -> None:
        """Commit what the writer holds, then close every connection."""
        self.writer.close()
        self.database.close()
