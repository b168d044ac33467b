"""The header of a GGUF file: enough to make a profile of a model nobody described to us.

Layout (ggml-org/ggml, docs/gguf.md), little-endian: magic, version, tensor count, pair count, then pairs of key, type
and value. The file comes from anywhere, so every count and length is checked against a limit before it is believed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from athanor.errors import ModelError

_MAX_PAIRS = 4096
_MAX_KEY = 1 << 10
_MAX_TEXT = 1 << 20
_MAX_ELEMENTS = 1 << 22
_MAX_HEADER = 256 << 20
_MAX_NESTING = 2

_STRING, _ARRAY = 8, 9
# GGUF type → struct format.
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GGUFHeader:
    """What a file says of itself. Empty strings and zero where it says nothing."""

    architecture: str
    name: str
    licence: str
    context: int
    """Tokens the model was trained on."""
    size_label: str
    """Such as `135M`."""
    chat_template: bool
    version: int
    tensors: int


def read_header(path: Path) -> GGUFHeader:
    """Read the header of a GGUF file; some milliseconds.

    Raises:
        ModelError: it cannot be read, is no GGUF, or its header is damaged.
    """
    try:
        with path.open("rb") as file:
            return _header(_Reader(file, path))
    except OSError as error:
        raise ModelError(f"The weights cannot be read: {error.strerror}.", where=str(path)) from error


class _Reader:
    """Bounded reads."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = path.stat().st_size
        self._at = 0

    def take(self, count: int) -> bytes:
        self._claim(count)
        data = self._file.read(count)
        if len(data) != count:
            raise self.broken("it ends in the middle of the header")
        return data

    def skip(self, count: int) -> None:
        self._claim(count)
        self._file.seek(count, 1)

    def number(self, layout: str) -> int | float | bool:
        value: int | float | bool = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def count(self, layout: str, limit: int, what: str) -> int:
        value = int(self.number(layout))
        if value > limit:
            raise self.broken(f"it claims {value} {what}, over the limit of {limit}")
        return value

    def broken(self, why: str) -> ModelError:
        return ModelError(
            f"The file is no usable GGUF: {why}.",
            where=str(self._path),
            hint="The download may be incomplete; GGUF version 2 or 3, little-endian, is read.",
        )

    def _claim(self, count: int) -> None:
        self._at += count
        if self._at > min(self._size, _MAX_HEADER):
            raise self.broken("it ends in the middle of the header")


def _header(reader: _Reader) -> GGUFHeader:
    if reader.take(4) != b"GGUF":
        raise reader.broken("it does not begin with GGUF")
    version = int(reader.number("<I"))
    if version not in {2, 3}:
        raise reader.broken(f"version {version} is not known")
    tensors = reader.count("<Q", 1 << 20, "tensors")
    pairs = reader.count("<Q", _MAX_PAIRS, "settings")
    found: dict[str, str | int | float | bool | None] = {}
    for _ in range(pairs):
        key = reader.take(reader.count("<Q", _MAX_KEY, "characters in a name")).decode("utf-8", "replace")
        wanted = key.startswith("general.") or key.endswith((".context_length", ".chat_template"))
        found[key] = _value(reader, int(reader.number("<I")), wanted=wanted, depth=0)

    def text(key: str) -> str:
        value = found.get(key)
        return value if isinstance(value, str) else ""

    architecture = text("general.architecture")
    context = found.get(f"{architecture}.context_length")
    return GGUFHeader(
        architecture=architecture,
        name=text("general.name"),
        licence=text("general.license"),
        context=context if isinstance(context, int) and 0 < context <= 1 << 24 else 0,
        size_label=text("general.size_label"),
        chat_template="tokenizer.chat_template" in found,
        version=version,
        tensors=tensors,
    )


def _value(reader: _Reader, kind: int, *, wanted: bool, depth: int) -> str | int | float | bool | None:
    """A scalar or wanted text; None for what is only stepped over."""
    if kind in _SCALARS:
        return reader.number(_SCALARS[kind])
    if kind == _STRING:
        length = reader.count("<Q", _MAX_TEXT, "characters in a text")
        if wanted:
            return reader.take(length).decode("utf-8", "replace")
        reader.skip(length)
        return None
    if kind != _ARRAY or depth >= _MAX_NESTING:
        raise reader.broken(f"type {kind} is not known")
    inner = int(reader.number("<I"))
    elements = reader.count("<Q", _MAX_ELEMENTS, "elements in a list")
    if inner in _SCALARS:
        reader.skip(elements * struct.calcsize(_SCALARS[inner]))
    else:
        for _ in range(elements):
            _value(reader, inner, wanted=False, depth=depth + 1)
    return None
