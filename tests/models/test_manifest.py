"""Manifests: every flipped byte is found, and strict mode loads what somebody who is trusted vouches for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from athanor import guards
from athanor.config import ModelSettings
from athanor.errors import (
    ConflictError,
    InputError,
    ModelError,
    NotFoundError,
    UnsafeWeightsError,
    UnsignedWeightsError,
    WeightsMismatchError,
)
from athanor.models import resolve_chat
from athanor.models.manifest import NAME, _message, admit, checked_bytes, make, manifest_of, problems, read
from athanor.models.renew import renew
from athanor.models.signing import Signers, SigningKey, written
from athanor.models.verify import Verifier
from tests.models.makers import gguf


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "m" / "model.gguf"
    path.parent.mkdir()
    path.write_bytes(gguf())
    return path


def sign(path: Path, key: SigningKey | None) -> Path:
    target = path.with_name(f"{path.name}.{NAME}")
    target.write_bytes(make(path.parent, [path.name], key=key))
    return target


def load(path: Path, home: Path, *, strict: bool, sha256: str | None = None) -> object:
    return resolve_chat("mine", ModelSettings(source=str(path), sha256=sha256), home, strict=strict)


def test_every_flipped_byte_of_a_manifest_is_found(weights: Path, home: Path) -> None:
    raw = sign(weights, SigningKey.of(home)).read_bytes()
    assert read(raw, "m").files["model.gguf"].size == weights.stat().st_size
    for place in range(len(raw)):
        for bit in (1, 32, 128):
            with pytest.raises(ModelError):
                read(raw[:place] + bytes([raw[place] ^ bit]) + raw[place + 1 :], "m")


def test_a_flipped_byte_of_the_weights_is_found_at_load(weights: Path, home: Path) -> None:
    sign(weights, None)
    assert load(weights, home, strict=False)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsMismatchError, match="its manifest tells of"):
        load(weights, home, strict=False)
    (line,) = problems(weights.with_name(f"{weights.name}.{NAME}"))
    assert "model.gguf" in line


def test_strict_mode_wants_somebody_to_vouch(weights: Path, home: Path) -> None:
    assert load(weights, home, strict=False)
    with pytest.raises(UnsignedWeightsError, match="not signed") as caught:
        load(weights, home, strict=True)
    assert "athanor models sign" in str(caught.value.hint)
    assert load(weights, home, strict=True, sha256=Verifier().sha256(weights)), "the owner of the settings vouches"

    key = SigningKey.of(home)
    sign(weights, key)
    with pytest.raises(UnsignedWeightsError, match=key.id):
        load(weights, home, strict=True)
    Signers(home).add(written(key.public), "us")
    assert load(weights, home, strict=True)
    assert admit(weights, Verifier().sha256(weights), home=home, pinned=False, strict=True) == key.id
    Signers(home).remove(key.id)
    with pytest.raises(UnsignedWeightsError):
        load(weights, home, strict=True)


def test_a_stranger_s_signature_is_no_help(weights: Path, home: Path, tmp_path: Path) -> None:
    Signers(home).add(written(SigningKey.of(home).public), "us")
    sign(weights, SigningKey.of(tmp_path / "stranger"))
    with pytest.raises(UnsignedWeightsError):
        load(weights, home, strict=True)


def test_a_signature_is_not_moved_to_other_files(weights: Path, home: Path) -> None:
    key = SigningKey.of(home)
    manifest = sign(weights, key)
    body = json.loads(manifest.read_bytes())
    del body["digest"]
    for change in (0, 1):
        body["files"]["model.gguf"]["size"] += change
        forged = body | {"digest": hashlib.sha256(_message(body)).hexdigest()}
        raw = json.dumps(forged, indent=2).encode() + b"\n"
        if change:
            with pytest.raises(WeightsMismatchError):
                read(raw, "m")
        else:
            assert read(raw, "m").signer == key.id


def test_an_unsigned_manifest_vouches_for_nothing(weights: Path, home: Path) -> None:
    sign(weights, None)
    with pytest.raises(UnsignedWeightsError):
        load(weights, home, strict=True)


def test_strict_mode_takes_the_catalogue(home: Path) -> None:
    assert resolve_chat("smollm2-135m", None, home, strict=True)


def test_a_pickle_is_refused_in_any_mode(weights: Path, home: Path) -> None:
    weights.write_bytes(b"\x80\x04K\x01.")
    for strict in (False, True):
        with pytest.raises(UnsafeWeightsError):
            load(weights, home, strict=strict)


def test_a_folder_has_one_manifest(weights: Path, home: Path) -> None:
    second = weights.with_name("other.gguf")
    second.write_bytes(gguf(context=8192))
    (weights.parent / NAME).write_bytes(make(weights.parent, ["model.gguf", "other.gguf"], key=SigningKey.of(home)))
    found = manifest_of(second)
    assert found is not None
    assert found[0].signer == SigningKey.of(home).id
    third = weights.with_name("third.gguf")
    third.write_bytes(gguf())
    assert manifest_of(third) is None


def test_another_program_s_manifest_is_let_be(weights: Path, home: Path) -> None:
    (weights.parent / NAME).write_text('{"name": "an app"}')
    assert load(weights, home, strict=False)


def test_keys_and_signers(home: Path) -> None:
    key = SigningKey.of(home)
    assert SigningKey.of(home).id == key.id
    for name in ("signing.key",):
        assert (home / name).stat().st_mode & 0o777 == 0o600
    signers = Signers(home)
    assert signers.list() == []
    added = signers.add(written(key.public), "us")
    assert (home / "signers.json").stat().st_mode & 0o777 == 0o600
    assert signers.list() == [added]
    with pytest.raises(ConflictError):
        signers.add(written(key.public), "again")
    with pytest.raises(InputError):
        signers.add("athanor-signer:AAAA", "short")
    with pytest.raises(NotFoundError):
        signers.remove("nobody")


def test_packaged_files_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "code.py").write_text("")
    manifest = renew(tmp_path)
    before = manifest.read_bytes()
    assert checked_bytes(tmp_path, "a.txt") == b"words"
    assert renew(tmp_path).read_bytes() == before, "nothing changed, nothing is written"
    (tmp_path / "a.txt").write_text("swords")
    with pytest.raises(WeightsMismatchError):
        checked_bytes(tmp_path, "a.txt")
    renew(tmp_path)
    assert checked_bytes(tmp_path, "a.txt") == b"swords"
    (tmp_path / "b.txt").write_text("new")
    with pytest.raises(WeightsMismatchError):
        checked_bytes(tmp_path, "b.txt")


def test_the_shipped_weights_of_guards_are_those_of_their_manifest() -> None:
    folder = Path(guards.__file__).parent / "weights"
    assert list(problems(folder / NAME)) == [], "make manifest renews it"
    named = set(read((folder / NAME).read_bytes(), "weights").files)
    there = {path.name for path in folder.iterdir() if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert named == there - {NAME}, "make manifest renews it"
