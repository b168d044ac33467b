"""One command finds one flipped byte, wherever it is."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from athanor.cli import verify as command
from athanor.cli.main import cli
from athanor.config import Settings
from athanor.models.manifest import NAME
from athanor.store import Store
from athanor.types import Content
from tests.models.makers import gguf

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with something of everything, and a model of one's own."""
    home = tmp_path / "home"
    store = Store.of(Settings(home=home))
    store.blobs.put(b"the text of a document")
    store.contents.insert([Content(trace="t", at=1.0, request={"m": "words"}, answer={"m": "more words"})])
    for number in range(3):
        store.audit.append(principal="p", action="key.created", subject=f"key_{number}")
    store.close()
    (home / "model.gguf").write_bytes(gguf())
    (home / "athanor.toml").write_text(
        f'chat = "mine"\n[knowledge]\nreranker = ""\n[models.mine]\nsource = "file:{home / "model.gguf"}"\n'
    )
    return home


@pytest.fixture
def run(home: Path) -> Run:
    def run(*arguments: str, json_: bool = True) -> tuple[int, Any]:
        words = ["--home", str(home), "--config", str(home / "athanor.toml"), *arguments]
        result = CliRunner().invoke(cli, [*words, "--json"] if json_ else words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout) if json_ else result.stdout

    return run


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the guards' weights in the place of those that are installed."""
    copy = tmp_path / "guards"
    shutil.copytree(str(files("athanor.guards") / "weights"), copy / "weights")
    monkeypatch.setattr(command, "files", lambda _: copy)
    return copy / "weights"


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def found(run: Run) -> list[str]:
    code, findings = run("verify")
    wrong = [finding["what"] for finding in findings if finding["problem"]]
    assert code == (1 if wrong else 0)
    return wrong


def change(home: Path, statement: str) -> None:
    with sqlite3.connect(home / "athanor.db") as database:
        database.executescript(statement)


def test_what_is_whole_is_said_to_be(run: Run) -> None:
    assert run("models", "sign", "model.gguf", json_=False)[0] != 0, "there is no such file here"
    code, findings = run("verify")
    assert code == 0
    names = {finding["what"] for finding in findings}
    assert {"audit chain", "sealed values", "texts and files", "model mine", "guards' weights", "embedder"} <= names


def test_a_changed_entry_of_the_audit_chain(run: Run, home: Path) -> None:
    change(home, "DROP TRIGGER audit_no_update; UPDATE audit SET subject = 'key_8' WHERE sequence = 2")
    assert found(run) == ["audit chain"]
    code, told = run("audit", "verify")
    assert (code, told["problems"]) == (1, ["Entry 2 was changed."])


def test_a_cut_chain_is_found_by_a_head_that_was_kept(run: Run, home: Path, tmp_path: Path) -> None:
    kept = tmp_path / "head.json"
    kept.write_text(run("audit", "head", json_=False)[1])
    assert run("audit", "verify", "--head", str(kept))[0] == 0
    change(home, "DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE sequence = 3")
    assert run("audit", "verify")[0] == 0, "the chain alone does not show it"
    code, told = run("audit", "verify", "--head", str(kept))
    assert code == 1
    assert "cut off" in told["problems"][0]
    kept.write_text(kept.read_text().replace('"sequence": 3', '"sequence": 2'))
    assert CliRunner().invoke(cli, ["--home", str(home), "audit", "verify", "--head", str(kept)]).exit_code != 0


def test_a_flipped_byte_of_a_model(run: Run, home: Path) -> None:
    assert run("models", "sign", str(home / "model.gguf"))[0] == 0
    assert found(run) == []
    flip(home / "model.gguf", -1)
    assert found(run) == ["model mine"]
    assert run("models", "verify")[0] == 1


def test_a_flipped_byte_of_a_manifest(run: Run, home: Path) -> None:
    run("models", "sign", str(home / "model.gguf"))
    flip(home / f"model.gguf.{NAME}", 100)
    assert found(run) == ["model mine"]


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_byte_of_a_guard_s_weights(run: Run, shipped: Path, place: int) -> None:
    weights = max(shipped.iterdir(), key=lambda path: path.stat().st_size)
    flip(weights, place)
    assert found(run) == ["guards' weights"]


def test_a_flipped_byte_of_the_guards_manifest(run: Run, shipped: Path) -> None:
    flip(shipped / NAME, 60)
    assert found(run) == ["guards' weights"]


def test_a_flipped_byte_of_a_sealed_value(run: Run, home: Path) -> None:
    change(home, "UPDATE contents SET answer = substr(answer, 1, 40) || 'A' || substr(answer, 42)")
    before = found(run)
    change(home, "UPDATE contents SET answer = substr(answer, 1, 40) || 'B' || substr(answer, 42)")
    assert "sealed values" in before + found(run)


def test_a_flipped_byte_of_a_document_s_text(run: Run, home: Path) -> None:
    (blob,) = (path for path in (home / "blobs").rglob("*") if path.is_file())
    flip(blob, 3)
    assert found(run) == ["texts and files"]


def test_a_changed_data_key(run: Run, home: Path) -> None:
    change(home, "UPDATE data_keys SET wrapped = replace(wrapped, substr(wrapped, 20, 1), '/')")
    assert found(run) == ["store"]


def test_signers(run: Run, home: Path) -> None:
    code, told = run("models", "sign", str(home / "model.gguf"))
    assert code == 0
    assert [signer["id"] for signer in run("models", "signers")[1]] == [told["signer"]], "our own is trusted"
    strict = ("--set", "weights.strict=true")
    words = ["--home", str(home), "--config", str(home / "athanor.toml"), *strict, "models", "verify"]
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert run("models", "distrust", told["signer"], json_=False)[0] == 0
    assert CliRunner().invoke(cli, words).exit_code == 1
    key = run("models", "signer", json_=False)[1].strip()
    assert run("models", "trust", key, "--name", "us")[0] == 0
    assert CliRunner().invoke(cli, words).exit_code == 0
    with_acts = {entry["action"] for entry in run("audit", "list")[1]}
    assert {"manifest.signed", "signer.trusted", "signer.removed"} <= with_acts
