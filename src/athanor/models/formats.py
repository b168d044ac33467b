"""What a file of weights is, told by its bytes: those that may carry code are refused, whatever they are called.

A pickle runs what it says when it is read. PyTorch's `.pt`, `.bin` and `.ckpt`, joblib's files and NumPy's arrays of
objects are pickles, often inside a ZIP, a TAR or a compressed stream. Nothing here unpickles or imports anything.
"""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import lzma
import pickletools
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from athanor.errors import ModelError, UnsafeWeightsError

_HEAD = 1 << 16
_MEMBERS = 10_000
_DEPTH = 2
"""Archives in archives that are looked into."""
_LONGEST_HEADER = 1 << 30
_CODE = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
"""Operations of a pickle that call something."""
PLAIN = frozenset({"gguf", "onnx", "safetensors", "npy", "npz", "json", "text"})
"""Formats that hold numbers and names and nothing that runs."""
_UNPACK: dict[bytes, Callable[[BinaryIO], bytes]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file).read(_HEAD),
    b"BZh": lambda file: bz2.BZ2Decompressor().decompress(file.read(_HEAD), _HEAD),
    b"\xfd7zXZ": lambda file: lzma.LZMADecompressor().decompress(file.read(_HEAD), _HEAD),
    **dict.fromkeys(
        (b"x\x01", b"x\x9c", b"x\xda"), lambda file: zlib.decompressobj().decompress(file.read(_HEAD), _HEAD)
    ),
}


def sniff(path: Path) -> str:
    """A word for what the file is: one of `PLAIN`, `pickle` (with where it was found), or `unknown`.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _kind(file, depth=0)
    except OSError as error:
        raise ModelError(f"The weights cannot be read: {error.strerror}.", where=str(path)) from error


def refuse_code(path: Path, *, strict: bool = False) -> str:
    """The file's format, which is none that runs code when it is loaded.

    Args:
        strict: refuse also what is not known.

    Raises:
        UnsafeWeightsError: it is a pickle, or (`strict`) unknown.
        ModelError: it cannot be read.
    """
    kind = sniff(path)
    if kind.startswith("pickle"):
        raise UnsafeWeightsError(
            f"This is a {kind}: it can run any code when it is loaded, so it is never loaded here.",
            where=str(path),
            hint="Take the model as GGUF, ONNX or safetensors.",
        )
    if strict and kind not in PLAIN:
        raise UnsafeWeightsError(
            "The format of these weights is not known, and strict mode loads only formats that hold no code.",
            where=str(path),
            hint=f"Known: {', '.join(sorted(PLAIN))}.",
        )
    return kind


def _kind(file: BinaryIO, *, depth: int) -> str:
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith((b"PK\x03\x04", *_UNPACK)) or head[257:262] == b"ustar":
        return _packed(file, head, depth) if depth < _DEPTH else "unknown"
    if head.startswith(b"\x93NUMPY"):
        return "pickle in an array of objects" if _objects(head) else "npy"
    for kind, found in (
        ("gguf", head.startswith(b"GGUF")),
        ("safetensors", head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _LONGEST_HEADER),
        ("pickle", _is_pickle(head)),
        ("onnx", head.startswith(b"\x08")),
    ):
        if found:
            return kind
    return _words(head)


def _packed(file: BinaryIO, head: bytes, depth: int) -> str:
    """Of what holds other files."""
    if head.startswith(b"PK\x03\x04"):
        return _zip(file, depth)
    unpack = next((unpack for magic, unpack in _UNPACK.items() if head.startswith(magic)), None)
    if unpack is None:
        return _tar(file, depth)
    found = "unknown"
    with suppress(OSError, EOFError, zlib.error, lzma.LZMAError):
        found = _kind(io.BytesIO(unpack(file)), depth=depth + 1)
    return f"{found}, compressed" if found.startswith("pickle") else "unknown"


def _is_pickle(head: bytes) -> bool:
    """Does it begin as a pickle: the mark of protocols 2 to 5, or operations of the older ones that call something."""
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return True
    called = False
    with suppress(Exception):  # whatever is no pickle breaks off somewhere
        for place, (operation, _, _) in enumerate(pickletools.genops(io.BytesIO(head))):
            called = called or operation.name in _CODE
            if operation.name == "STOP":
                return called and place > 0
    return False


def _objects(head: bytes) -> bool:
    """Does the header of a NumPy file name a type with objects (`O`)."""
    start, size = (10, int.from_bytes(head[8:10], "little")) if head[6:7] == b"\x01" else (12, 1 << 15)
    try:
        header = ast.literal_eval(head[start : start + size].split(b"\n")[0].decode("latin-1").strip())
        return "O" in _letters(header["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError):
        return True  # what cannot be read is not trusted


def _letters(descr: object) -> str:
    if isinstance(descr, str):
        return descr
    if isinstance(descr, list | tuple):  # a record's fields: (name, type, …)
        return "".join(_letters(field[1]) for field in descr if isinstance(field, tuple) and len(field) > 1)
    return "O"


def _zip(file: BinaryIO, depth: int) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()[:_MEMBERS]
            kinds = set()
            for name in names:
                with archive.open(name) as member:
                    kinds.add(_kind(io.BytesIO(member.read(_HEAD)), depth=depth + 1))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error):
        return "unknown"
    if any(kind.startswith("pickle") for kind in kinds) or any(name.endswith((".pkl", ".pickle")) for name in names):
        return "pickle in a ZIP"
    return "npz" if kinds == {"npy"} else "unknown"


def _tar(file: BinaryIO, depth: int) -> str:
    try:
        with tarfile.open(fileobj=file) as archive:
            for _, member in zip(range(_MEMBERS), archive, strict=False):
                inner = archive.extractfile(member) if member.isfile() else None
                if inner is not None:
                    kind = _kind(io.BytesIO(inner.read(_HEAD)), depth=depth + 1)
                    if kind.startswith("pickle"):
                        return "pickle in a TAR"
    except (tarfile.TarError, OSError, EOFError):
        return "unknown"
    return "unknown"


def _words(head: bytes) -> str:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # but for a character that the end of what was read cut in two
            return "unknown"
        text = head[: error.start].decode("utf-8")
    if "\0" in text:
        return "unknown"
    return "json" if text.lstrip()[:1] in {"{", "["} else "text"
