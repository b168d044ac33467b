"""`python -m athanor.guards.words MODEL TOKENIZER OUT`: vectors of words from an embedder's own table.

The table of an ONNX file (a quantised row for each piece of a word, with its scale) is read as data, whole words are
kept, and the table is turned onto its strongest directions. What is left is small enough to ship, and knows which words
mean nearly the same: a head that learned of one verb has heard of the others.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from athanor.errors import ModelError
from athanor.guards.features import VECTOR
from athanor.plugins.arrays import np

_TABLE, _SCALE = "word_embeddings.weight_q", "word_embeddings.weight_scale"
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def build(model: Path, tokenizer: Path) -> bytes:
    """The file of vectors of words.

    Raises:
        ModelError: the model has no quantised table of words.
    """
    data = memoryview(model.read_bytes())
    tensors = dict(_tensors(data))
    try:
        table = (
            np.frombuffer(tensors[_TABLE], dtype="i1").reshape(-1, 384) * np.frombuffer(tensors[_SCALE], "<f4")[:, None]
        )
    except KeyError as error:
        raise ModelError("This model has no quantised table of words.", where=str(model)) from error
    pieces: dict[str, int] = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    words = sorted(
        (piece, place) for piece, place in pieces.items() if piece.isalpha() and (len(piece) > 1 or piece in "ai")
    )
    rows = table[[place for _, place in words]].astype("f8")
    rows -= rows.mean(axis=0)
    _, _, directions = np.linalg.svd(rows, full_matrices=False)
    turned = rows @ directions[:VECTOR].T
    turned /= turned.std()
    hashes = np.array([crc32(word.encode()) for word, _ in words], dtype=np.uint32)
    _, first = np.unique(hashes, return_index=True)
    step = np.abs(turned).max() / 127
    parts = {"hashes": hashes[first], "step": np.float32(step), "table": np.round(turned[first] / step).astype("i1")}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in parts.items():
            raw = io.BytesIO()
            np.lib.format.write_array(raw, np.asarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, raw.getvalue())
    return out.getvalue()


def _tensors(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Initialisers of an ONNX file: graph (7) of the model, initializer (5) of the graph; name (8), raw_data (9)."""
    for number, graph in _fields(data):
        if number != 7:
            continue
        for inner, tensor in _fields(graph):
            if inner == 5:
                found = {key: value for key, value in _fields(tensor) if key in {8, 9}}
                name = bytes(found.get(8, b"")).decode()
                yield ".".join(name.split(".")[-2:]), found.get(9, memoryview(b""))


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Fields of a protocol buffer message, in order."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size = {_EIGHT: 8, _FOUR: 4}.get(kind)
        if kind == _BYTES:
            size, at = _varint(data, at)
        if size is None:
            raise ModelError("This is no ONNX file.")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


if __name__ == "__main__":
    Path(sys.argv[3]).write_bytes(build(Path(sys.argv[1]), Path(sys.argv[2])))
