"""`athanor encryption`: what it shows, and what it changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from athanor.cli.main import cli
from athanor.config import EncryptionSettings, Settings
from athanor.errors import ConfigError, EncryptionError
from athanor.store import MasterKey, Store
from athanor.types import Content

MARK = "the-furnace-feeds-itself"
Run = Callable[..., Any]


def record(store: Store, count: int) -> None:
    store.contents.insert(
        [Content(trace=f"t{i}", at=float(i), request={"m": MARK}, answer={"m": MARK}) for i in range(count)]
    )


def read(settings: Settings, count: int) -> bool:
    store = Store.of(settings)
    try:
        found = [store.contents.get(f"t{i}") for i in range(count)]
    finally:
        store.close()
    return all(content is not None and content.answer == {"m": MARK} for content in found)


def on_disk(home: Path) -> bool:
    return MARK.encode() in b"".join(path.read_bytes() for path in home.glob("athanor.db*"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    def run(*words: str, json_: bool = True) -> Any:
        result: Result = CliRunner().invoke(cli, ["--home", str(home), *words, *(["--json"] if json_ else [])])
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout) if json_ else result.output

    return run


def test_a_plain_store_is_sealed(home: Path, run: Run) -> None:
    plain = Store.open(f"sqlite:///{home}/athanor.db", blobs=home / "blobs")
    record(plain, 3)
    plain.close()
    assert on_disk(home)
    assert run("encryption", "status")["plain"] == {"contents": 6}
    assert "athanor encryption enable" in run("encryption", "status", json_=False)
    assert run("encryption", "enable") == {"rows": 3, "whole": True}
    assert not on_disk(home)
    status = run("encryption", "status")
    assert (status["plain"], status["sealed"], status["whole"]) == ({}, {"contents": 6}, True)
    assert read(Settings(home=home), 3)
    with pytest.raises(ConfigError, match="keep contents plain"):
        run("--set", "encryption.content=false", "encryption", "enable")


def test_rotation(home: Path, run: Run) -> None:
    store = Store.of(Settings(home=home))
    record(store, 2)
    store.close()
    old = next(key["id"] for key in run("encryption", "status")["keys"] if key["purpose"] == "fields")
    told = run("encryption", "rotate")
    assert told["rows"] == 2
    assert told["retired"] == [old]
    values = {key["id"]: key["values"] for key in run("encryption", "status")["keys"]}
    assert (values[old], values[told["key"]]) == (0, 4)
    assert read(Settings(home=home), 2)
    assert {entry["action"] for entry in run("audit", "list")} == {"encryption.rotated"}


def test_the_master_key_moves(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.of(Settings(home=home))
    record(store, 2)
    store.close()
    first = run("encryption", "status")["master"]
    second = run("encryption", "rotate", "--master")["master"]
    assert second not in {first, None}
    assert run("encryption", "status")["master"] == second
    with pytest.raises(ConfigError, match="not set"):
        run("encryption", "rotate", "--master", "--to-env", "FURNACE")
    key = run("encryption", "key", json_=False).strip()
    monkeypatch.setenv("FURNACE", key)
    third = run("encryption", "rotate", "--master", "--to-env", "FURNACE")["master"]
    assert third == MasterKey.parse(key, "$FURNACE").id
    with pytest.raises(EncryptionError, match="not the master key"):
        run("encryption", "status")
    (home / "master.key").unlink()
    moved = Settings(home=home, encryption=EncryptionSettings.model_validate({"key": {"env": "FURNACE"}}))
    assert read(moved, 2)
    assert not (home / "master.key").exists()


def test_a_key_is_shown_only_when_it_is_made(home: Path, run: Run) -> None:
    shown = run("encryption", "status", json_=False) + json.dumps(run("encryption", "status"))
    shown += run("encryption", "rotate", "--master", json_=False)
    assert (home / "master.key").read_text().strip().removeprefix("athanor-key:") not in shown
    assert "athanor-key:" not in shown
