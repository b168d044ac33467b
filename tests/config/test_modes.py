"""The home folder is its owner's alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from athanor.cli.client import Workspace
from athanor.cli.doctor import examine
from athanor.cli.main import cli
from athanor.cli.serving import holding
from athanor.config import EncryptionSettings, Settings, load_settings
from athanor.config.modes import close, close_up, exposed
from athanor.models import write_memory
from athanor.models.signing import Signers, SigningKey, written
from athanor.observe.anchors import Anchors
from athanor.store import MasterSource, Store


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The worst that a shell can bring along."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_nothing_is_written_that_others_may_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    store = Store.of(Settings(home=home))
    store.blobs.put(b"the text of a document")
    store.audit.append(principal="p", action="key.created", subject="s")
    Anchors(store, home).note()
    store.close()
    Signers(home).add(written(SigningKey.of(home).public), "us")
    MasterSource(EncryptionSettings(), home).prepare()
    write_memory(home / "verified.json", {"a": 1})
    assert {path.name for path in home.iterdir()} >= {"athanor.db", "master.key", "signing.key", "blobs", "audit.heads"}
    assert [str(found) for found in exposed(home)] == []


@pytest.mark.usefixtures("open_umask")
def test_a_start_closes_the_folder_and_its_secrets(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    for name in ("local.key", "athanor.db", "notes.txt"):
        (home / name).touch(mode=0o644)
    with holding(home):
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "local.key").stat().st_mode & 0o777 == 0o600
        assert (home / "athanor.db").stat().st_mode & 0o777 == 0o600
        (home / "later").touch()
        assert (home / "later").stat().st_mode & 0o077 == 0
    assert close_up(home) == []


def test_what_is_open_is_found_and_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "blobs" / "ab").mkdir(parents=True)
    (home / "hub" / "model").mkdir(parents=True)
    for folder in (home, home / "blobs", home / "blobs" / "ab", home / "hub"):
        folder.chmod(0o700)
    (home / "blobs" / "ab" / "cd").touch(mode=0o600)
    (home / "hub" / "model" / "file").touch()
    (home / "link").symlink_to("/etc/passwd")
    assert list(exposed(home)) == []
    (home / "blobs" / "ab" / "cd").chmod(0o604)
    (home / "blobs").chmod(0o750)
    found = {each.path.name: each.mode for each in exposed(home)}
    assert found == {"cd": 0o604, "blobs": 0o750}
    for each in list(exposed(home)):
        close(each)
    assert list(exposed(home)) == []
    assert list(exposed(tmp_path / "nowhere")) == []


def test_doctor_tells_and_mends(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "local.key").touch()
    (home / "local.key").chmod(0o644)
    workspace = Workspace(lambda more: load_settings(None, arguments={"home": str(home), **more}))
    finding = next(f for f in examine(workspace) if f.what == "file permissions")
    assert finding.level == "problem"
    assert "local.key has mode 0644 instead of 0600" in finding.detail
    assert "athanor doctor --fix" in finding.mend
    CliRunner().invoke(cli, ["--home", str(home), "doctor", "--fix"])
    assert (home / "local.key").stat().st_mode & 0o777 == 0o600
    assert next(f for f in examine(workspace) if f.what == "file permissions").level == "ok"
