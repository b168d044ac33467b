"""Sources: registering them, jobs when they are due and never two at once, failures, and git from end to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from athanor.config import GitSettings
from athanor.data import ParserLimits
from athanor.data.git import Repository, copy_folder
from athanor.errors import DocumentError, InputError, JobError, NotFoundError, PermissionDeniedError
from athanor.rag.erase import Eraser
from athanor.rag.indexes import Indexes
from athanor.rag.ingestion import Ingestion
from athanor.rag.origins import Origins
from athanor.rag.sync import Sources
from athanor.rag.sync_state import due, settled
from athanor.store import Store
from athanor.types import (
    SYSTEM_READER,
    Access,
    AccessRule,
    Block,
    Job,
    JobState,
    KnowledgeBase,
    ParsedDocument,
    Principal,
    Reader,
    RoleName,
    SyncSource,
)
from athanor.worker import Runner
from tests.data.repositories import Made, repository
from tests.rag.fakes import WordEmbedder

pytestmark = pytest.mark.anyio

HOUR = 3600.0


class PlainParsers:
    """Reads text in this process, for tests that are about something else."""

    limits = ParserLimits()

    async def parse(self, path: Path, name: str, *, member: str | None = None, **more: Any) -> ParsedDocument:
        if name.endswith(".png"):
            raise DocumentError("It is a picture.", reason="unsupported_type", where=name)
        text = path.read_text()
        blocks = (Block(kind="paragraph", start=0, end=len(text)),)
        return ParsedDocument(text=text, title=name, mime="text/plain", blocks=blocks, lines=True)


class World:
    def __init__(self, home: Path) -> None:
        parsers: Any = PlainParsers()
        self.home = home
        self.folder = home / "folder"
        self.folder.mkdir()
        self.store = Store.open(f"sqlite:///{home / 'a.db'}", blobs=home / "blobs")
        self.origins = Origins(home=home / "git", limits=parsers.limits, settings=GitSettings(hosts=("Example.org",)))
        embedder = WordEmbedder()
        self.ingestion = Ingestion(self.store, parsers, embedder, chunk_tokens=64, workers=1, origins=self.origins)
        self.sources = Sources(self.store, self.ingestion, self.origins)
        self.runner = Runner(self.store, {Ingestion.KIND: self.ingestion.run})
        profile = embedder.profile
        self.store.knowledge.create("docs", embedder=profile.id, dimension=profile.dimension)
        self.root = self.store.principals.create("root", RoleName.ADMIN)
        self.ada = self.store.principals.create("ada", RoleName.DEVELOPER)

    @property
    def base(self) -> KnowledgeBase:
        return self.store.knowledge.get("docs")

    def names(self) -> list[str]:
        return [document.source for document in self.store.knowledge.documents(self.base.id)]

    def add(self, place: object, *, by: Principal | None = None, **how: Any) -> SyncSource:
        return self.sources.add(self.base, str(place), reader=SYSTEM_READER, by=by or self.root, **how)

    def status(self, place: object = None) -> Any:
        found = self.sources.list(self.base, reader=SYSTEM_READER)
        return found[0] if place is None else next(one for one in found if str(place) in one.source.origin)

    def sync(self, place: object, **how: Any) -> Job:
        return self.sources.sync(self.base, str(place), reader=SYSTEM_READER, by=self.root, **how)

    async def run(self, job: Job) -> Job:
        """The job at its end."""
        assert await self.runner.run_once()
        return self.store.jobs.get(job.id)

    async def synced(self, place: object, **how: Any) -> dict[str, Any]:
        job = await self.run(self.sync(place, **how))
        assert job.state is JobState.DONE, job.message
        return dict(job.result)

    def end(self, job: Job, state: JobState, message: str = "") -> None:
        leased = self.store.jobs.lease("w", seconds=60)
        assert leased is not None
        assert leased.id == job.id
        if state is JobState.DONE:
            self.store.jobs.finish(job.id, "w", result={})
        else:
            self.store.jobs.fail(job.id, "w", message)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def made(world: World) -> Made:
    return repository(world.home / "origin")


# -- registering


async def test_a_folder_is_followed_and_what_changed_is_told(world: World) -> None:
    (world.folder / "a.md").write_text("The lamp burns.")
    source = world.add(world.folder, every=600.0)
    assert source.origin == f"folder:{world.folder}"
    status = world.status()
    assert (status.registered_by, status.job, status.documents) == ("root", None, 0)
    await world.synced(source.origin)
    (world.folder / "b.md").write_text("The ship sails.")
    (world.folder / "a.md").unlink()
    result = await world.synced(world.folder)
    assert (result["documents"], result["removed"]) == (1, 1)
    assert world.names() == ["b.md"]
    status = world.status()
    assert (status.documents, status.failed, status.source.failures, status.source.error) == (1, 0, 0, "")
    assert status.source.synced_at is not None
    assert 600 <= status.due_at - status.source.synced_at <= 660
    assert not status.running


async def test_registering_again_changes_how_and_forgets_nothing(world: World) -> None:
    source = world.add(world.folder, every=600.0)
    job = world.sync(source.origin)
    again = world.add(world.folder, every=None, by=world.root)
    assert (again.job, again.created_at, again.every) == (job.id, source.created_at, None)
    assert len(world.sources.list(world.base, reader=SYSTEM_READER)) == 1


async def test_two_sources_do_not_take_each_others_names(world: World) -> None:
    other = world.home / "other"
    other.mkdir()
    for folder, text in ((world.folder, "one"), (other, "two")):
        (folder / "README.md").write_text(f"The book {text}.")
    world.add(world.folder)
    world.add(other)
    await world.synced(world.folder)
    for _ in range(2):
        result = await world.synced(other)
        assert (result["documents"], result["failed"]) == (0, 1)
        assert (await world.synced(world.folder))["unchanged"] == 1
    (document,) = world.store.knowledge.documents(world.base.id)
    assert (document.version, document.status) == (1, "ready")
    (item,) = world.store.jobs.items(world.status("other").job.id, state=JobState.FAILED)
    assert "--prefix" in item.message
    world.add(other, prefix="/handbook")
    result = await world.synced(other)
    assert (result["documents"], result["failed"]) == (1, 0)
    assert world.names() == ["README.md", "handbook/README.md"]
    assert (await world.synced(other))["unchanged"] == 1
    world.add(other, prefix="book/")
    result = await world.synced(other)
    assert (result["documents"], result["removed"]) == (1, 1)
    assert world.names() == ["README.md", "book/README.md"]


@pytest.mark.parametrize("prefix", ["../x", "a/./b", "x\n", "y" * 300])
async def test_a_prefix_is_a_path(world: World, prefix: str) -> None:
    with pytest.raises(InputError):
        world.add(world.folder, prefix=prefix)


async def test_removing_a_source_takes_its_documents_and_stops_its_job(world: World) -> None:
    (world.folder / "a.md").write_text("The lamp burns.")
    source = world.add(world.folder, every=60.0)
    await world.synced(source.origin)
    job = world.sync(source.origin)
    gone = world.sources.remove(world.base, str(world.folder), reader=SYSTEM_READER, by=world.root)
    assert gone == 1
    assert world.names() == []
    assert world.store.jobs.get(job.id).state is JobState.CANCELLED
    assert world.sources.list(world.base, reader=SYSTEM_READER) == []
    assert world.sources.tick(time.time() + HOUR) == []
    with pytest.raises(NotFoundError):
        world.sync(source.origin)
    world.add(world.folder)
    await world.synced(world.folder)
    kept = world.sources.remove(world.base, source.origin, keep_documents=True, reader=SYSTEM_READER, by=world.root)
    assert (kept, world.names()) == (0, ["a.md"])
    actions = [entry.action for entry in world.store.audit.entries(limit=100)]
    assert actions.count("source.added") == 2
    assert actions.count("source.removed") == 2


async def test_an_emptied_folder_takes_nothing_with_it_unless_that_is_said(world: World) -> None:
    path = world.folder / "a.md"
    path.write_text("The lamp burns.")
    world.add(world.folder)
    await world.synced(world.folder)
    path.unlink()
    job = await world.run(world.sync(world.folder))
    assert job.state is JobState.FAILED
    assert "empty" in job.message
    assert world.names() == ["a.md"]
    assert (await world.synced(world.folder, full=True))["removed"] == 1


# -- who may


async def test_this_machine_is_for_administrators_and_hosts_are_named(world: World) -> None:
    missing = world.home / "missing"
    answers = []
    for place in (world.folder, missing, f"git:{world.folder}"):
        with pytest.raises(PermissionDeniedError) as caught:
            world.add(place, by=world.ada)
        answers.append(str(caught.value))
    assert len(set(answers)) == 1  # what is there is not told
    with pytest.raises(PermissionDeniedError, match="may read from there"):
        world.add("https://elsewhere.org/x", by=world.ada)
    with pytest.raises(NotFoundError):
        world.add(missing)
    assert world.add("https://example.org/x#main", by=world.ada).origin == "git:https://example.org/x#main"
    user = world.store.principals.create("eve", RoleName.USER)
    with pytest.raises(PermissionDeniedError):
        world.add("https://example.org/x", by=user)
    with pytest.raises(InputError, match="at least"):
        world.add(world.folder, every=1.0)


async def test_sources_of_a_base_with_closed_documents_are_the_administrators(world: World) -> None:
    source = world.add("https://example.org/x", by=world.ada)
    reader = Reader(identities=frozenset({f"principal:{world.ada.id}"}))
    assert len(world.sources.list(world.base, reader=reader)) == 1
    world.store.knowledge.set_rules(world.base.id, (AccessRule(pattern="hr/*", access=Access(readers=())),))
    assert world.sources.list(world.base, reader=reader) == []
    for act in (world.sources.sync, world.sources.remove):
        with pytest.raises(PermissionDeniedError):
            act(world.base, source.origin, reader=reader, by=world.ada)
    with pytest.raises(PermissionDeniedError):
        world.sources.add(world.base, "https://example.org/y", reader=reader, by=world.ada)
    assert len(world.sources.list(world.base, reader=SYSTEM_READER)) == 1


async def test_a_source_rests_when_who_registered_it_may_not_any_more(world: World) -> None:
    world.add("https://example.org/x", by=world.ada, every=60.0)
    assert not world.status().rests
    later = time.time() + HOUR
    closed = Sources(world.store, world.ingestion, replace(world.origins, settings=GitSettings()))
    assert closed.tick(later) == []
    (status,) = closed.list(world.base, reader=SYSTEM_READER)
    assert "ada" in status.rests
    assert status.due_at is None
    (job,) = world.sources.tick(later)
    assert job.arguments["principal"] == world.ada.id


# -- the schedule


async def test_a_job_is_made_when_it_is_due_and_one_at_a_time(world: World) -> None:
    source = world.add(world.folder, every=600.0)
    assert world.sources.tick(source.created_at - 1) == []
    (job,) = world.sources.tick(source.created_at)
    assert job.arguments["principal"] == world.root.id
    far = time.time() + 100 * HOUR
    assert world.sources.tick(far) == []
    assert world.status().due_at is None
    assert world.sync(source.origin).id == job.id  # asked for meanwhile: it is the same
    leased = world.store.jobs.lease("w", seconds=60)
    assert leased is not None
    assert world.sources.tick(far) == []
    assert world.sync(source.origin).id == job.id
    world.store.jobs.finish(job.id, "w", result={})
    ended = world.store.jobs.get(job.id).updated_at
    assert world.sources.tick(ended + 599) == []
    (second,) = world.sources.tick(ended + 661)
    assert second.id != job.id
    # A restart begins where it was: the rows say it all.
    again = Sources(world.store, world.ingestion, world.origins)
    assert again.tick(far) == []
    world.end(second, JobState.DONE)
    assert len(again.tick(far)) == 1
    assert world.sources.tick(far) == []


async def test_a_source_without_a_pause_waits_to_be_asked(world: World) -> None:
    world.add(world.folder)
    assert world.sources.tick(time.time() + 100 * HOUR) == []
    assert world.status().due_at is None


async def test_failures_are_kept_and_tried_again_ever_more_rarely(world: World) -> None:
    world.add(world.folder, every=60.0)
    pauses = []
    for number in range(1, 9):
        (job,) = world.sources.tick(time.time() + 100 * HOUR)
        assert world.status().source.failures == number - 1
        assert world.status().source.error == ("" if number == 1 else f"broken {number - 1}")
        world.end(job, JobState.FAILED, f"broken {number}")
        status = world.status()
        assert (status.source.failures, status.source.error) == (number, f"broken {number}")
        pauses.append(status.due_at - world.store.jobs.get(job.id).updated_at)
    assert pauses[:6] == sorted(pauses[:6])
    assert 60 <= pauses[0] <= 66
    assert 120 <= pauses[1] <= 132
    assert HOUR <= pauses[-1] <= 1.1 * HOUR
    (job,) = world.sources.tick(time.time() + 100 * HOUR)
    world.end(job, JobState.DONE)
    status = world.status()
    assert (status.source.failures, status.source.error) == (0, "")
    assert status.source.synced_at is not None


async def test_what_is_synchronised_daily_is_not_tried_again_only_tomorrow(world: World) -> None:
    source = SyncSource(base="b", origin="folder:/x", created_at=0.0, every=24 * HOUR, job="j")
    job = Job(id="j", kind="ingest", arguments={}, state=JobState.FAILED, created_at=0.0, updated_at=1000.0)
    first = due(settled(source, job), job)
    assert first is not None
    assert 1300 <= first <= 1330
    last = due(settled(replace(source, failures=99), job), job)
    assert last is not None
    assert 24 * HOUR <= last - 1000 <= 1.1 * 24 * HOUR


async def test_a_stopped_job_counts_neither_way(world: World) -> None:
    world.add(world.folder, every=60.0)
    (job,) = world.sources.tick(time.time())
    world.store.jobs.cancel(job.id)
    status = world.status()
    assert (status.source.failures, status.source.synced_at) == (0, None)
    assert status.due_at >= world.store.jobs.get(job.id).updated_at + 60


async def test_of_many_that_look_at_once_one_makes_the_job(world: World) -> None:
    world.add(world.folder, every=60.0)
    url = f"sqlite:///{world.home / 'a.db'}"
    stores = [Store.open(url, blobs=world.home / "blobs") for _ in range(3)]
    barrier = threading.Barrier(6)
    made: list[Job] = []

    def look(store: Store, *, ask: bool) -> None:
        sources = Sources(store, Ingestion(store, world.ingestion._parsers, WordEmbedder(), chunk_tokens=64, workers=1),
                          world.origins)  # fmt: skip
        barrier.wait()
        if ask:
            made.append(sources.sync(world.base, str(world.folder), reader=SYSTEM_READER, by=world.root))
        else:
            made.extend(sources.tick(time.time() + HOUR))

    threads = [threading.Thread(target=look, args=(store,), kwargs={"ask": ask}) for store in stores for ask in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    jobs = world.store.jobs.list(kind="ingest")
    assert len(jobs) == 1
    assert {job.id for job in made} == {jobs[0].id}
    actions = [entry.action for entry in world.store.audit.entries(limit=100)]
    assert actions.count("ingestion.started") == 1


# -- git, from end to end


async def test_a_repository_is_followed(world: World, made: Made) -> None:
    made.write("docs/a.md", "# Lamp\n\nThe lamp burns.")
    made.write("src/b.py", "def ship():\n    return 'sails'\n")
    first = made.commit()
    source = world.add(f"git:{made.path}#main", every=60.0)
    assert source.origin == f"git:{made.path}#main"
    result = await world.synced(source.origin)
    assert (result["documents"], result["state"]) == (2, first)
    assert world.status().source.state == first
    documents = {document.source: document for document in world.store.knowledge.documents(world.base.id)}
    assert {document.origin for document in documents.values()} == {source.origin}
    (chunk,) = world.store.chunks.of_document(documents["src/b.py"].id)
    assert (chunk.line, chunk.place) == (1, "lines 1–2")

    made.git("mv", "docs/a.md", "docs/c.md")
    made.write("d.md", "The moon shines.")
    made.git("rm", "--quiet", "src/b.py")
    second = made.commit()
    result = await world.synced(source.origin)
    assert (result["documents"], result["removed"], result["state"]) == (2, 2, second)
    assert world.names() == ["d.md", "docs/c.md"]
    made.write("d.md", "The moon sets.")
    made.commit()
    result = await world.synced(source.origin)
    assert (result["documents"], result["unchanged"]) == (1, 1)


async def test_an_unchanged_commit_is_no_work(world: World, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = made.commit(a="The lamp burns.")
    source = world.add(made.path.as_uri())
    await world.synced(source.origin)
    revision = world.base.revision

    async def fetch(*_: object, **__: object) -> str:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "fetch", fetch)
        result = await world.synced(source.origin)
    assert (result["unchanged"], result["documents"], result["state"]) == (1, 0, commit)
    assert world.base.revision == revision
    assert (await world.synced(source.origin, full=True))["state"] == commit


async def test_a_killed_synchronisation_goes_on(world: World, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        made.write(f"{number}.md", f"The lamp {number} burns.")
    commit = made.commit()
    source = world.add(f"git:{made.path}")
    job = world.sync(source.origin)
    real = world.ingestion._parsers.parse
    count = 0

    async def parse(*arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == 4:
            await anyio.sleep_forever()
        return await real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(world.ingestion._parsers, "parse", parse)
        async with anyio.create_task_group() as group:
            group.start_soon(world.runner.run_once)
            with anyio.fail_after(60):
                while count < 4 or len(world.names()) < 1:
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()  # as a killed process: nothing is put in order
    before = world.names()
    assert 1 <= len(before) < 6
    assert world.store.jobs.get(job.id).state is JobState.RUNNING
    assert world.sync(source.origin).id == job.id
    world.store.jobs.release()
    done = await world.run(job)
    assert (done.state, done.result["state"], len(world.names())) == (JobState.DONE, commit, 6)
    assert {d.version for d in world.store.knowledge.documents(world.base.id)} == {1}
    assert done.result["unchanged"] == len(before)


async def test_hostile_files_are_told_one_by_one(world: World, made: Made) -> None:
    made.write("a.md", "The lamp burns.")
    made.write("picture.png", b"\x89PNG\r\n\x1a\n")
    (made.path / "leak.md").symlink_to("/etc/passwd")
    made.git("add", "--all")
    made.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    made.git("commit", "--quiet", "--message", "x")
    source = world.add(f"git:{made.path}")
    job = await world.run(world.sync(source.origin))
    assert (job.result["documents"], job.result["failed"], job.result["skipped"]) == (1, 1, 2)
    items = {item.key: item for item in world.store.jobs.items(job.id)}
    assert items["leak.md"].state is JobState.FAILED
    assert items["module"].state is JobState.CANCELLED
    assert "root:" not in str(world.store.knowledge.documents(world.base.id))


async def test_a_repository_that_is_gone_is_a_failure_and_its_documents_stay(world: World, made: Made) -> None:
    made.commit(a="The lamp burns.")
    source = world.add(f"git:{made.path}", every=60.0)
    await world.synced(source.origin)
    made.path.rename(world.home / "elsewhere")
    job = await world.run(world.sync(source.origin))
    assert job.state is JobState.FAILED
    assert "no such repository" in world.status().source.error
    assert world.names() == ["a.md"]
    (world.home / "elsewhere").rename(made.path)
    await world.synced(source.origin)
    assert world.status().source.error == ""


async def test_the_copy_goes_with_its_source(world: World, made: Made) -> None:
    made.commit(a="The lamp burns.")
    source = world.add(f"git:{made.path}")
    await world.synced(source.origin)
    folder = copy_folder(world.home / "git", source.origin)
    assert folder.is_dir()
    world.sources.remove(world.base, source.origin, reader=SYSTEM_READER, by=world.root)
    assert not folder.exists()
    assert world.names() == []
    job = world.sources.once(world.base, source.origin, reader=SYSTEM_READER, by=world.root)
    assert (await world.run(job)).state is JobState.DONE
    assert world.names() == ["a.md"]
    assert world.sources.list(world.base, reader=SYSTEM_READER) == []


async def test_a_token_that_is_not_there_is_told_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = GitSettings.model_validate({"tokens": {"example.org": {"env": "NO_SUCH_TOKEN"}}})
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    with pytest.raises(Exception, match="NO_SUCH_TOKEN"):
        replace(world.origins, settings=settings).repository("git:https://example.org/x")
    monkeypatch.setenv("NO_SUCH_TOKEN", "hunter2")
    found = replace(world.origins, settings=settings).repository("git:https://example.org/x")
    assert found.tokens == {"example.org": "hunter2"}
    assert "hunter2" not in repr(found)
    assert replace(world.origins, settings=settings).repository("git:https://other.org/x").tokens == {}


async def test_a_job_of_a_repository_needs_git(world: World, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.commit(a="The lamp burns.")
    source = world.add(f"git:{made.path}")
    job = world.sync(source.origin)
    monkeypatch.setenv("PATH", str(world.home / "nothing"))
    with pytest.raises(JobError, match="not installed"):
        await world.origins.repository(source.origin).look()
    done = await world.run(job)
    assert (done.state, "not installed" in done.message) == (JobState.FAILED, True)


async def test_an_erasure_takes_the_copy_of_the_repository_too(world: World, made: Made) -> None:
    made.commit(a="The lamp burns.")
    source = world.add(f"git:{made.path}")
    await world.synced(source.origin)
    folder = copy_folder(world.home / "git", source.origin)
    indexes = Indexes(world.store, world.home / "vectors", pgvector=False)
    receipt = Eraser(world.store, indexes, lambda _: 0, uncopy=world.origins.forget).erase(world.base, "a.md")
    assert (receipt.complete, receipt.removed["copies of repositories"]) == (True, 1)
    assert not folder.exists()
    indexes.close()
