"""A file of heads: plain arrays in an `.npz` that carries its own data sheet, and never a pickle."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from athanor.errors import ModelError
from athanor.guards.features import BITS, DENSE, WordVectors
from athanor.guards.linear import HIDDEN, Head
from athanor.models.manifest import admit, checked_bytes
from athanor.plugins.arrays import np

FORMAT = "athanor-heads/1"
_SHEET = "sheet.json"
_STEPS = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFile:
    """Heads by name, and what is known of them."""

    heads: Mapping[str, Head]
    sheet: Mapping[str, Any]
    """Sources with licences and counts, the split, the figures on rows that were never trained on, how it was made."""
    arrays: Mapping[str, Any] = field(default_factory=dict)
    """What else belongs to them."""


def written(file: HeadFile) -> bytes:
    """The file's bytes: the same heads and sheet give the same bytes."""
    arrays = {f"extra.{name}": array for name, array in file.arrays.items()}
    lines = {}
    for name, head in sorted(file.heads.items()):
        step = float(np.abs(head.runs).max() or 1.0) / _STEPS
        arrays[f"{name}.runs"] = np.round(head.runs / step).astype("i1")
        arrays[f"{name}.inner"] = head.inner.astype("f2")
        arrays[f"{name}.outer"] = head.outer.astype("f2")
        lines[name] = {"step": step, "line": list(head.line), "threshold": head.threshold}
    body = {"format": FORMAT, "bits": BITS, "dense": DENSE, "hidden": HIDDEN, "heads": lines, "sheet": file.sheet}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        _put(archive, _SHEET, json.dumps(body, indent=1, ensure_ascii=False, sort_keys=True).encode())
        for name, array in sorted(arrays.items()):
            raw = io.BytesIO()
            np.lib.format.write_array(raw, np.ascontiguousarray(array), allow_pickle=False)
            _put(archive, f"{name}.npy", raw.getvalue())
    return out.getvalue()


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name)  # of 1980: a file's bytes do not depend on when it was made
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)


def parsed(data: bytes, where: str) -> HeadFile:
    """The heads in `data`.

    Raises:
        ModelError: it is no such file, or one of another version.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            body = json.loads(archive.read(_SHEET))
            arrays = {name[:-4]: _array(archive.read(name)) for name in archive.namelist() if name.endswith(".npy")}
        if (body["format"], body["bits"], body["dense"], body["hidden"]) != (FORMAT, BITS, DENSE, HIDDEN):
            raise ModelError("These heads are of another version.", where=where, hint="Train them again.")
        heads = {
            name: Head(
                runs=arrays[f"{name}.runs"].astype("f4") * np.float32(line["step"]),
                inner=arrays[f"{name}.inner"].astype("f4"),
                outer=arrays[f"{name}.outer"].astype("f4"),
                line=tuple(line["line"]),
                threshold=float(line["threshold"]),
            )
            for name, line in body["heads"].items()
        }
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise ModelError("This is no file of heads.", where=where, hint="'athanor guards train' makes one.") from error
    extra = {name.removeprefix("extra."): array for name, array in arrays.items() if name.startswith("extra.")}
    return HeadFile(heads=heads, sheet=body["sheet"], arrays=extra)


def _array(data: bytes) -> Any:
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def save(path: Path, file: HeadFile) -> str:
    """Write it (a reader sees the old file or the new one); its sha256."""
    data = written(file)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.write_bytes(data)
    draft.replace(path)
    return hashlib.sha256(data).hexdigest()


def load(name: str, *, home: Path | None = None, strict: bool = False) -> HeadFile:
    """Heads that were trained here (`<home>/guards/<name>.npz`), else those that come with the package.

    Args:
        home: the installation's folder.
        strict: refuse a file that nobody vouches for.

    Raises:
        ModelError: it is not what its manifest says, is not signed where that is asked for, or cannot be read.
    """
    own = None if home is None else home / "guards" / f"{name}.npz"
    if own is None or not own.is_file():
        return parsed(checked_bytes(_folder(), f"{name}.npz"), f"{name}.npz")
    try:
        data = own.read_bytes()
    except OSError as error:
        raise ModelError(f"The heads cannot be read: {error.strerror}.", where=str(own)) from error
    admit(own, hashlib.sha256(data).hexdigest(), home=own.parent.parent, pinned=False, strict=strict)
    return parsed(data, str(own))


@lru_cache(maxsize=1)
def word_vectors() -> WordVectors:
    """The packaged vectors of words: of all-MiniLM-L6-v2 (Apache 2.0), reduced; see `words`."""
    return parsed_words(checked_bytes(_folder(), "words.npz"))


def parsed_words(data: bytes) -> WordVectors:
    """Vectors of words as `words.build` writes them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        hashes, table, step = (_array(archive.read(f"{name}.npy")) for name in ("hashes", "table", "step"))
    return WordVectors(hashes, table.astype("f4") * np.float32(step))


def _folder() -> Any:
    return resources.files("athanor.guards") / "weights"
