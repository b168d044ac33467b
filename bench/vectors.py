"""What the vector index costs: time and recall with and without a permission filter, building, memory.

    python bench/vectors.py [--quick] [--json] [--rows 100000,1000000] [--queries 500] [--ours]

For each number of rows × 384 (see `_vectors.Material` for how they are made): the product of numpy alone, usearch
alone (float32 and one byte a number: the limits), our index as it is used (opened from its files), and our exact
search. The filter leaves one document in a hundred. One query at a time in one thread, ten best, the truth by numpy.
Opening and memory are of a fresh process that maps the files. `--quick` takes 20,000 rows, 100 queries.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from _tables import table
from _vectors import DIMENSION, WANTED, Array, Material, nearest, resident, searched, size
from athanor.rag.vectors import Folder, LiveIndex
from athanor.types import VectorChanges, View

VIEW = View(base="bench", revision=1, classes=frozenset({1}))


def ours(material: Material, folder: Path) -> tuple[LiveIndex, dict[str, float]]:
    """Our index over `material` with its files in `folder`, and what making it took."""
    ids = tuple(f"chunk_{row:012d}" for row in range(len(material.vectors)))
    changes = VectorChanges(
        revision=1,
        added=ids,
        matrix=material.vectors.tobytes(),
        present=ids,
        documents=tuple(f"doc_{number:010d}" for number in material.documents.tolist()),
        classes=tuple(material.classes.tolist()),
    )
    index = LiveIndex(DIMENSION, Folder(folder))
    began = time.perf_counter()
    index.apply(changes)
    applied = time.perf_counter()
    del changes
    index.merge(threads=os.cpu_count())
    return index, {"apply_s": applied - began, "build_s": time.perf_counter() - applied, "file_MB": size(folder)}


def opened(folder: Path, queries: Path) -> dict[str, float]:
    """Of a fresh process: seconds to map the index, and MiB of memory before and after 100 searches."""
    code = (
        "import sys, time; from pathlib import Path; import numpy as np; from _vectors import resident;"
        "from athanor.rag.vectors import Folder, LiveIndex;"
        "folder, queries = Path(sys.argv[1]), np.load(sys.argv[2]); empty = resident(); began = time.perf_counter();"
        f"index = LiveIndex.open({DIMENSION}, Folder(folder)); took = time.perf_counter() - began;"
        "[index.search(q, 10) for q in queries[:100]];"
        "print(took, resident() - empty, resident('RssFile'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, folder, queries],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    took, own, mapped = map(float, run.stdout.split())
    return {"open_s": took, "own_MiB": own, "mapped_MiB": mapped}


def bare(material: Material, kind: str, truth: list[set[int]]) -> dict[str, float]:
    """usearch alone with vectors of `kind`, its defaults."""
    from usearch.index import Index  # noqa: PLC0415

    before = resident()
    index = Index(ndim=DIMENSION, metric="ip", dtype=kind)
    began = time.perf_counter()
    index.add(np.arange(len(material.vectors), dtype=np.uint64), material.vectors, threads=os.cpu_count() or 1)
    took = time.perf_counter() - began

    def search(query: Array) -> list[int]:
        found: list[int] = index.search(query, WANTED, threads=1).keys.tolist()
        return found

    return {**searched(search, material.queries, truth), "build_s": took, "own_MiB": resident() - before}


def measure(count: int, queries: int, *, alone: bool) -> dict[str, Any]:
    """All figures of `count` rows."""
    material = Material(count, queries)
    visible = material.classes == 1
    truth, filtered = nearest(material.vectors, material.queries), nearest(material.vectors, material.queries, visible)
    some = slice(0, min(queries, 100))  # what takes 20 ms and more

    def product(query: Array) -> list[int]:
        scores = material.vectors @ query
        best: list[int] = np.argpartition(-scores, WANTED)[:WANTED].tolist()
        return best

    found: dict[str, Any] = {"numpy product": searched(product, material.queries[some], truth[some])}
    for kind in ("f32", "i8"):
        if alone and (kind == "i8" or count <= 200_000):  # float32 would build for half an hour
            found[f"usearch alone, {kind}"] = bare(material, kind, truth)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index, built = ours(material, folder / "index")
        np.save(folder / "queries.npy", material.queries)
        built |= opened(folder / "index", folder / "queries.npy")

        def search(view: View | None, index: LiveIndex = index) -> Any:
            return lambda query: [int(chunk[6:]) for chunk, _ in index.search(query, WANTED, view=view)[0]]

        exact = LiveIndex(DIMENSION, few=count)
        exact._state = index.state.with_few(count)
        found["ours"] = {**searched(search(None), material.queries, truth), **built}
        found["ours, 1 % visible"] = searched(search(VIEW), material.queries, filtered)
        found["ours, exact"] = searched(search(None, exact), material.queries[some], truth[some])
    return {"rows": count, "visible": int(visible.sum()), "queries": queries, "figures": found}


def show(result: dict[str, Any]) -> None:
    def cell(row: dict[str, float], name: str, digits: int) -> str:
        return f"{row[name]:.{digits}f}" if name in row else "–"

    columns = {
        "recall@10": ("recall", 4),
        "p50 ms": ("p50_ms", 2),
        "p99 ms": ("p99_ms", 2),
        "build s": ("build_s", 1),
        "open s": ("open_s", 2),
        "own MiB": ("own_MiB", 0),
        "mapped MiB": ("mapped_MiB", 0),
        "files MB": ("file_MB", 0),
    }
    for one in result["sizes"]:
        table(
            f"{one['rows']:,} × {DIMENSION}, {one['queries']} queries; the filter leaves {one['visible']:,} rows",
            ["", *columns],
            [[name, *(cell(row, *what) for what in columns.values())] for name, row in one["figures"].items()],
        )
        row, filtered = one["figures"]["ours"], one["figures"]["ours, 1 % visible"]
        for what, value, aim, met in (
            ("p50", row["p50_ms"], "≤ 2 ms", row["p50_ms"] <= 2),
            ("recall@10", row["recall"], "≥ .98", row["recall"] >= 0.98),
            ("filtered recall@10", filtered["recall"], "1", filtered["recall"] == 1),
        ):
            print(f"  {what:20} {value:8.4g}  aim {aim:7} {'met' if met else 'NOT met'}")
    machine = result["machine"]
    print(f"\n{machine['processors']} processors; load average {machine['load']:.1f} before, ours not included.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 rows, 100 queries")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rows", default="100000,1000000", help="numbers of rows")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--ours", action="store_true", help="leave usearch alone out: half the time")
    arguments = parser.parse_args()
    sizes, queries = ([20_000], 100) if arguments.quick else ([*map(int, arguments.rows.split(","))], arguments.queries)
    machine = {"processors": os.cpu_count(), "load": os.getloadavg()[0]}
    result = {"machine": machine, "sizes": [measure(count, queries, alone=not arguments.ours) for count in sizes]}
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)


if __name__ == "__main__":
    main()
