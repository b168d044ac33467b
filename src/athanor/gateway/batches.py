"""Batches: a file of requests, answered in the background by one job that outlives its worker.

What is finished is appended to a file in the home folder, line by line, before it counts as finished. A job that is
taken up again after a kill reads it and goes on; only the lines that were under way are asked again.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import orjson
from anyio import to_thread

from athanor.errors import (
    AthanorError,
    BudgetError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
    JobError,
    NotFoundError,
    RateLimitError,
    TooLargeError,
)
from athanor.governance import Keys, check_door
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import ApiKey, Context, File, Job, JobState, Principal, new_id

Speak = Callable[[bytes, Context], Awaitable[tuple[int, bytes]]]
"""Answers the body of one request at one endpoint: the status and the body of the answer.

Raises `RateLimitError`, `EngineUnavailableError` and `EngineTimeoutError`, after which the line is asked again; every
other error is an answer.
"""

DOOR = "batches"
WINDOW_SECONDS = 86400.0
MAX_LINES = 50_000
MAX_BYTES = 200 << 20
_AT_ONCE = 8
"""Lines of a batch that are asked at the same time."""
_TRIES = 4
"""Of a line whose engine is out of reach."""
_TELL_SECONDS = 1.0
_LAST_WORDS_SECONDS = 30.0
"""After a batch was stopped, until its worker must have noticed."""


@dataclass(frozen=True, slots=True)
class _Line:
    key: str
    """The caller's name for it."""
    body: bytes


class Batches:
    """Makes batches, and does jobs of the kind `batch`."""

    KIND = "batch"

    def __init__(self, store: Store, keys: Keys, folder: Path) -> None:
        self._store = store
        self._keys = keys
        self._folder = folder
        self._audit = AuditLog(store)
        self._endpoints: dict[str, Speak] = {}

    def speak(self, endpoint: str, how: Speak) -> None:
        """Answer lines for `endpoint`, such as `/v1/embeddings`, by `how`."""
        self._endpoints[endpoint] = how

    async def create(self, file: File, endpoint: str, ctx: Context, metadata: Mapping[str, str] | None) -> Job:
        """Queue a batch of the caller's.

        Raises:
            InputError: lines for this endpoint are not answered.
            TooLargeError: the file is larger than a batch may be.
        """
        if endpoint not in self._endpoints:
            raise InputError(f"Batches for {endpoint!r} are not answered.", where="endpoint")
        if file.size > MAX_BYTES:
            raise TooLargeError(f"The file is larger than {MAX_BYTES >> 20} MiB.", where="input_file_id")
        arguments = {
            "file": file.id,
            "sha256": file.sha256,
            "endpoint": endpoint,
            "principal": ctx.principal.id,
            "key": ctx.key.id if ctx.key is not None else None,
            "expires_at": time.time() + WINDOW_SECONDS,
            "metadata": dict(metadata) if metadata else None,
        }

        def enqueue() -> Job:
            with self._store.write() as conn:
                job = self._store.jobs.enqueue(self.KIND, arguments, conn=conn)
                details = {"kind": self.KIND, "file": file.id}
                self._audit.record(Action.JOB_ASKED, by=ctx.principal, subject=job.id, details=details, conn=conn)
            return job

        return await to_thread.run_sync(enqueue)

    async def settle(self, job: Job) -> None:
        """Give out what an ended batch has, when nobody is left who would."""
        done = job.state is JobState.DONE
        if not self.busy(job) or job.state in {JobState.QUEUED, JobState.RUNNING}:
            return
        if done or time.time() - job.updated_at > _LAST_WORDS_SECONDS:
            await to_thread.run_sync(partial(self._close, job))

    async def settle_all(self) -> None:
        """Give out what all ended batches have, whether anybody asks for them or not."""
        for job in await to_thread.run_sync(partial(self._store.jobs.list, kind=self.KIND, limit=1000)):
            await self.settle(job)

    def busy(self, job: Job) -> bool:
        """Are there lines that may not be in a file yet."""
        return self._path(job).exists()

    def file_id(self, job: Job, kind: str) -> str:
        """The id of a batch's file of outputs (`o`) or of errors (`e`), whether there is one or not."""
        return f"file_{job.id.partition('_')[2]}{kind}"

    async def run(self, job: Job) -> Mapping[str, object]:
        """Do the job.

        Raises:
            InputError: the file is none of requests.
            JobError: nobody here answers its lines.
        """
        speak = self._endpoints.get(job.arguments["endpoint"])
        if speak is None:
            raise JobError("This process answers no batches: it has no doors.")
        try:
            lines = await to_thread.run_sync(self._read, job)
            run = _Run(job, lines, speak, self._store, self._keys, self._path(job))
            await run.run()
            await to_thread.run_sync(self._publish, job)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                now = await to_thread.run_sync(self._store.jobs.get, job.id)
                if now.state is JobState.CANCELLED:  # by a person; else another worker goes on where this one stopped
                    await to_thread.run_sync(self._close, job)
            raise
        return {"expired": run.expired}

    def _close(self, job: Job) -> None:
        self._publish(job)
        self._path(job).unlink(missing_ok=True)

    def _path(self, job: Job) -> Path:
        return self._folder / f"{job.id}.jsonl"

    def _read(self, job: Job) -> list[_Line]:
        raw = self._store.blobs.read(job.arguments["sha256"])
        found: dict[str, _Line] = {}
        for number, text in enumerate(raw.splitlines(), 1):
            if not text.strip():
                continue
            line = _parsed(text, number, job.arguments["endpoint"])
            if line.key in found:
                raise InputError(f"Line {number}: its custom_id is not unique.", where="custom_id")
            found[line.key] = line
            if len(found) > MAX_LINES:
                raise InputError(f"A batch has at most {MAX_LINES} lines.", where="input_file_id")
        if not found:
            raise InputError("The file holds no requests.", where="input_file_id")
        return list(found.values())

    def _publish(self, job: Job) -> None:
        """Turn what is finished into files. What is there already stays."""
        for kind, word in (("o", "output"), ("e", "error")):
            with tempfile.TemporaryFile() as out:
                for row in finished(self._path(job)):
                    if row["kind"] == kind:
                        out.write(row["line"].encode() + b"\n")
                if out.tell():
                    self._keep(job, self.file_id(job, kind), f"{batch_id(job)}_{word}.jsonl", out)

    def _keep(self, job: Job, id_: str, name: str, out: BinaryIO) -> None:
        try:
            self._store.files.get(id_)
        except NotFoundError:
            size = out.tell()
            out.seek(0)
            sha256 = self._store.blobs.put(out)
            file = File(
                id=id_,
                name=name,
                size=size,
                sha256=sha256,
                purpose="batch_output",
                principal=job.arguments["principal"],
                created_at=time.time(),
            )
            by = self._store.principals.find(file.principal)
            with self._store.write() as conn:
                self._store.files.insert(file, conn=conn)
                self._audit.record(Action.FILE_UPLOADED, by=by, subject=id_, details={"sha256": sha256}, conn=conn)


def batch_id(job: Job) -> str:
    """A batch's id: its job's under another prefix."""
    return f"batch_{job.id.partition('_')[2]}"


def finished(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are finished. One that a kill cut in half is none."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                yield orjson.loads(raw)


def _parsed(text: bytes, number: int, endpoint: str) -> _Line:
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"Line {number} is no JSON: {error}.", where="input_file_id") from None
    if not isinstance(line, dict) or not isinstance(line.get("custom_id"), str) or not line["custom_id"]:
        raise InputError(f"Line {number}: a request has a `custom_id`, which is a string.", where="custom_id")
    if line.get("method") != "POST" or line.get("url") != endpoint:
        raise InputError(f"Line {number}: the method is POST, and the url is {endpoint}.", where="url")
    if not isinstance(line.get("body"), dict):
        raise InputError(f"Line {number}: a request has a `body`, which is an object.", where="body")
    return _Line(line["custom_id"], orjson.dumps(line["body"]))


class _Run:
    """One taking up of a job."""

    def __init__(self, job: Job, lines: list[_Line], speak: Speak, store: Store, keys: Keys, path: Path) -> None:
        self._job = job
        self._lines = lines
        self._speak = speak
        self._store = store
        self._keys = keys
        self._path = path
        self._expires: float = job.arguments["expires_at"]
        self._done = 0
        self._failed = 0
        self.expired = False
        """There was no time for some lines."""
        self._told = 0.0
        self._who: tuple[float, Principal, ApiKey | None] | None = None

    async def run(self) -> None:
        before = await to_thread.run_sync(self._resume)
        left = iter([line for line in self._lines if line.key not in before])
        with self._path.open("ab", buffering=0) as out:
            await self._tell(force=True)
            async with anyio.create_task_group() as group:
                for _ in range(_AT_ONCE):
                    group.start_soon(self._work, left, out)
        await self._tell(force=True)

    def _resume(self) -> set[str]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before: set[str] = set()
        for row in finished(self._path):
            before.add(row["key"])
            self._count(row["kind"])
        if self._path.exists():
            raw = self._path.read_bytes()
            whole = raw.rfind(b"\n") + 1
            if whole != len(raw):  # a kill cut the last line in half
                os.truncate(self._path, whole)
        return before

    async def _work(self, left: Iterator[_Line], out: Any) -> None:
        for line in left:
            trace = new_id("tr")
            status, body, error = await self._ask(line, trace)
            kind = "o" if status == 200 else "e"
            # The body is JSON already: it is put in as it is.
            head = orjson.dumps({"id": f"batch_req_{trace[3:]}", "custom_id": line.key})[:-1]
            reply = b"null" if body is None else b'{"status_code":%d,"request_id":"%b","body":%b}' % (
                status, trace.encode(), body
            )  # fmt: skip
            text = head + b',"response":' + reply + b',"error":' + orjson.dumps(error) + b"}"
            out.write(orjson.dumps({"key": line.key, "kind": kind, "line": text.decode()}) + b"\n")
            self._count(kind)
            await self._tell()

    async def _ask(self, line: _Line, trace: str) -> tuple[int, bytes | None, Any]:
        """Status, body, and the error of a line that got no answer."""
        tries = 0
        while time.time() < self._expires:
            try:
                who, key = await self._caller()
                check_door(key, DOOR)
                ctx = Context(principal=who, key=key, trace=trace if not tries else new_id("tr"), door=DOOR)
                status, body = await self._speak(line.body, ctx)
            except AthanorError as error:
                tries += not isinstance(error, RateLimitError)
                if not _again(error) or tries >= _TRIES:
                    return 0, None, {"code": error.code, "message": str(error)}
                pause = error.retry_after if error.retry_after is not None else 2.0**tries
                left = max(0.0, self._expires - time.time())
                await asyncio.sleep(min(pause * (1 + random.random() / 4), left))  # noqa: S311 - jitter
            else:
                return status, body, None
        self.expired = True
        return 0, None, {"code": "batch_expired", "message": "The batch's 24 hours were over before this line's turn."}

    async def _caller(self) -> tuple[Principal, ApiKey | None]:
        """Who made the batch, if the key is still good. Read again now and then: a key can be revoked meanwhile."""
        now = time.time()
        if self._who is None or now - self._who[0] > 5:
            name = self._job.arguments["key"]
            if name is None:
                who = await to_thread.run_sync(self._store.principals.get, self._job.arguments["principal"])
                self._who = (now, who, None)
            else:
                key, who = await to_thread.run_sync(self._keys.get, name)
                self._who = (now, who, key)
        _, who, found = self._who
        if found is not None and (found.revoked_at is not None or (found.expires_at or now + 1) <= now):
            raise InputError("The key that made this batch is revoked or has expired.", where="key")
        return who, found

    def _count(self, kind: str) -> None:
        self._done += kind == "o"
        self._failed += kind == "e"

    async def _tell(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._told < _TELL_SECONDS:
            return
        self._told = now
        assert self._job.lease_owner is not None
        tell = partial(
            self._store.jobs.progress,
            self._job.id,
            self._job.lease_owner,
            total=len(self._lines),
            done=self._done,
            failed=self._failed,
        )
        await to_thread.run_sync(tell)


def _again(error: AthanorError) -> bool:
    """May the same line succeed later: money that is spent does not come back within the window."""
    if isinstance(error, BudgetError):
        return False
    return isinstance(error, RateLimitError | EngineUnavailableError | EngineTimeoutError)
