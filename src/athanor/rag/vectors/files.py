"""The files of an index: `<folder>/<token>/` with vectors, graph and rows, and `<folder>/current.json` that names it.

Files are written under a name that nobody reads, synced, and become current by the replacement of one small file. A
process that is killed at any moment leaves the former files in force, and processes never write into each other's.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from athanor.rag.arrays import Matrix, np
from athanor.rag.vectors.graph import Graph
from athanor.rag.vectors.rows import Columns, Names
from athanor.store.blobs import sync_folder

_FORMAT = 1
_CURRENT = "current.json"
_VECTORS, _GRAPH, _COLUMNS, _NAMES = "vectors.f32", "graph.usearch", "columns.npy", "names.json"
_ABANDONED = 3600.0
"""Seconds after which files that are not current belong to nobody."""
_BLOCK = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `current.json` says."""

    folder: str
    revision: int
    dimension: int
    count: int
    """Rows, the dead ones included."""
    present: int
    sizes: dict[str, int]
    """Bytes of each file."""
    digests: dict[str, str]
    """BLAKE2b (160 bits) of each file."""
    format: int = _FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The current files, mapped."""

    manifest: Manifest
    vectors: Matrix
    graph: Graph
    columns: Columns
    names: Names


class Folder:
    """The folder of the index of one knowledge base."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def manifest(self) -> Manifest | None:
        """Of the current files; `None` where there are none, or where it cannot be read."""
        try:
            found = Manifest(**orjson.loads((self.path / _CURRENT).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return found if found.format == _FORMAT else None

    def open(self, dimension: int) -> Opened | None:
        """Map the current files, or `None` where they are not whole.

        Sizes are compared, and the digests of all but the vectors: a damaged graph would take the process with it.
        A damaged vector only misleads, and `damages` finds it.
        """
        manifest = self.manifest()
        if manifest is None or manifest.dimension != dimension or self.damages(manifest, but=(_VECTORS,)):
            return None
        folder = self.path / manifest.folder
        try:
            names = orjson.loads((folder / _NAMES).read_bytes())
            table = np.load(folder / _COLUMNS)
            vectors, graph = _map(folder, manifest)
        except (OSError, ValueError):
            return None
        if not (table.shape == (4, manifest.count) and len(names["ids"]) == len(graph) == manifest.count):
            return None
        return Opened(
            manifest=manifest,
            vectors=vectors,
            graph=graph,
            columns=Columns(alive=table[0] != 0, classes=table[1], documents=table[2], revisions=table[3]),
            names=Names(names["ids"], names["documents"]),
        )

    def write(
        self,
        vectors: Iterable[Matrix],
        graph: Graph,
        columns: Columns,
        *,
        ids: list[str],
        documents: list[str],
        revision: int,
    ) -> tuple[Matrix, Graph]:
        """Make these the current files, and map the vectors and the graph. The former ones are removed.

        Raises:
            OSError: the disk refused.
        """
        folder = self.path / secrets.token_hex(8)
        folder.mkdir(parents=True)
        try:
            dimension = 0
            with (folder / _VECTORS).open("wb") as out:
                for part in vectors:
                    dimension = part.shape[1]
                    out.write(np.ascontiguousarray(part, dtype="<f4").data)
            graph.save(folder / _GRAPH)
            count = len(columns.alive)
            table = np.stack([columns.alive.astype(np.int64), columns.classes, columns.documents, columns.revisions])
            np.save(folder / _COLUMNS, table)
            (folder / _NAMES).write_bytes(orjson.dumps({"ids": ids, "documents": documents}))
            files = [_VECTORS, _GRAPH, _COLUMNS, _NAMES]
            sync_folder(folder)
            manifest = Manifest(
                folder=folder.name,
                revision=revision,
                dimension=dimension,
                count=count,
                present=int(np.count_nonzero(columns.alive)),
                sizes={name: (folder / name).stat().st_size for name in files},
                digests={name: _synced_digest(folder / name) for name in files},
            )
            former = self.manifest()
            self._publish(manifest)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._clean(manifest, former)
        return _map(folder, manifest)

    def damages(self, manifest: Manifest, *, but: tuple[str, ...] = ()) -> list[str]:
        """One line for each file that is not what was written; the contents of those in `but` are not read."""
        found = []
        for name, size in manifest.sizes.items():
            path = self.path / manifest.folder / name
            if not path.is_file():
                found.append(f"{name} is gone.")
            elif path.stat().st_size != size:
                found.append(f"{name} has {path.stat().st_size} bytes, and {size} were written.")
            elif name not in but and _digest(path) != manifest.digests[name]:
                found.append(f"{name} is not what was written.")
        return found

    def drop(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _publish(self, manifest: Manifest) -> None:
        fresh = self.path / f"{_CURRENT}.{manifest.folder}"
        with fresh.open("wb") as out:
            out.write(orjson.dumps(asdict(manifest)))
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self.path / _CURRENT)
        sync_folder(self.path)

    def _clean(self, manifest: Manifest, former: Manifest | None) -> None:
        """Remove the former files and what killed processes left; what another process maps stays readable to it."""
        for path in self.path.iterdir():
            if path.name in (_CURRENT, manifest.folder):
                continue
            try:
                abandoned = path.stat().st_mtime < time.time() - _ABANDONED
            except FileNotFoundError:  # another process cleans too
                continue
            if abandoned or (former is not None and path.name == former.folder):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _map(folder: Path, manifest: Manifest) -> tuple[Matrix, Graph]:
    shape = (manifest.count, manifest.dimension)
    vectors: Matrix = np.asarray(np.memmap(folder / _VECTORS, dtype="<f4", mode="r", shape=shape))
    return vectors, Graph.open(folder / _GRAPH, manifest.dimension)


def _digest(path: Path) -> str:
    found = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _synced_digest(path: Path) -> str:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return _digest(path)
