"""Pickles are told by their bytes, whatever they are called and wrapped in."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from athanor.errors import ModelError, UnsafeWeightsError
from athanor.models.formats import refuse_code, sniff
from tests.models.makers import gguf


class Evil:
    """Would run something if it were ever unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return Path.mkdir, ("/nonexistent/pickled",)


def zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/version", "3\n")
        archive.writestr(name, data)
    return out.getvalue()


def tarred(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("pickle")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


PICKLES = [pickle.dumps(Evil(), protocol=protocol) for protocol in range(6)]
RECORDS = np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")])
HIDDEN = {
    **{f"protocol {number}": data for number, data in enumerate(PICKLES)},
    "torch zip": zipped("archive/data.pkl", PICKLES[2]),
    "torch zip under another name": zipped("archive/weights.dat", PICKLES[4]),
    "torch tar": tarred(PICKLES[2]),
    "joblib gzip": gzip.compress(PICKLES[4]),
    "joblib zlib": zlib.compress(PICKLES[4]),
    "joblib bz2": bz2.compress(PICKLES[4]),
    "joblib xz": lzma.compress(PICKLES[4]),
    "zip in gzip": gzip.compress(zipped("data.pkl", PICKLES[2])),
    "array of objects": saved(np.array([{}, 1], dtype=object)),
    "record with an object": saved(RECORDS),
    "objects in an npz": zipped("a.npy", saved(RECORDS)),
}


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("ending", ["pt", "gguf", "safetensors"])
def test_pickles_are_refused(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / f"model.{ending}"
    path.write_bytes(HIDDEN[name])
    with pytest.raises(UnsafeWeightsError, match="pickle"):
        refuse_code(path)


def harmless() -> dict[str, bytes]:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    arrays = io.BytesIO()
    np.savez_compressed(arrays, a=np.arange(5), b=np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]))
    return {
        "gguf": gguf(),
        "safetensors": len(header).to_bytes(8, "little") + header + b"\0\0\0\0",
        "npy": saved(np.arange(5.0)),
        "npz": arrays.getvalue(),
        "json": b'{"model": {}}',
        "text": b"words\nand words\n",
        "onnx": b"\x08\x08\x12\x07pytorch:\x9f\x01",
    }


@pytest.mark.parametrize("kind", harmless())
def test_plain_formats_are_known(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(harmless()[kind])
    assert refuse_code(path, strict=True) == kind


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", zipped("config.json", b"{}"), b"\xff\xfe\x00" * 9])
def test_what_is_not_known_is_refused_by_strict_mode_only(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model"
    path.write_bytes(data)
    if not data:
        assert sniff(path) == "text"
        return
    assert refuse_code(path) == "unknown"
    with pytest.raises(UnsafeWeightsError, match="not known"):
        refuse_code(path, strict=True)


@pytest.mark.parametrize("name", ["torch zip", "torch tar", "joblib gzip", "objects in an npz", "array of objects"])
def test_broken_files_end_in_a_word(tmp_path: Path, name: str) -> None:
    data, path = HIDDEN[name], tmp_path / "model"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length] + b"\xff" + data[length + 1 :])
        assert sniff(path)
        path.write_bytes(data[:length])
        assert sniff(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        sniff(tmp_path / "nothing")
