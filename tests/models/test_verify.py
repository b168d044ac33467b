from __future__ import annotations

import hashlib
import os

import pytest

from athanor.errors import ModelError, WeightsMismatchError
from athanor.models import Verifier


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"weights")
    return path


RIGHT = hashlib.sha256(b"weights").hexdigest()


def test_the_right_file_passes_and_another_is_refused(file):
    assert Verifier().check(file, RIGHT) == RIGHT
    with pytest.raises(WeightsMismatchError) as caught:
        Verifier().check(file, "f" * 64)
    assert all(part in str(caught.value) for part in (str(file), "f" * 64, RIGHT))


def test_a_proven_file_is_not_read_again(file, tmp_path, monkeypatch):
    cache = tmp_path / "state" / "verified.json"
    Verifier(cache).check(file, RIGHT)
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: pytest.fail("read again"))
    assert Verifier(cache).check(file, RIGHT) == RIGHT


def test_a_changed_file_is_read_again(file, tmp_path):
    cache = tmp_path / "verified.json"
    Verifier(cache).check(file, RIGHT)
    stat = file.stat()
    replacement = tmp_path / "new"
    replacement.write_bytes(b"weighty")  # same size, and the same time
    os.utime(replacement, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    replacement.replace(file)
    with pytest.raises(WeightsMismatchError):
        Verifier(cache).check(file, RIGHT)


@pytest.mark.parametrize("content", ["", "[]", "{nonsense", '{"x": [1]}', '{"x": "y"}'])
def test_a_damaged_cache_is_no_cache(file, tmp_path, content):
    cache = tmp_path / "verified.json"
    cache.write_text(content.replace("x", str(file)))
    assert Verifier(cache).sha256(file) == RIGHT


def test_a_read_only_state_costs_speed_only(file, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    assert Verifier(blocked / "verified.json").sha256(file) == RIGHT


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        Verifier().sha256(tmp_path / "none")
