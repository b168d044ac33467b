"""Known attacks by what they mean: a small matrix of vectors. The nearest names its family, and not its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from athanor.guards.corpora import Row, drawn
from athanor.guards.features import VECTOR, Reading, WordVectors, read
from athanor.plugins.arrays import np

NEAR = 0.93
"""Cosine from which on a window is a known attack in other words."""
_LEAST = 5
"""Words of a window that is compared: fewer are like too much."""
_MOST = 1500
_OPENING = 0.35
"""Weight of a window's first two words beside the mean of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """Vectors of attacks, and the family of each."""

    vectors: Any
    """float32, unit rows."""
    families: tuple[str, ...]
    places: Any
    """int, the family of each row."""

    def of(self, reading: Reading, windows: Any) -> tuple[float, str, int] | None:
        """The cosine, the family and the window of the nearest attack among `windows` (places in the reading)."""
        sizes = reading.words[windows, 1] - reading.words[windows, 0]
        windows = windows[sizes >= _LEAST]
        if not len(windows) or not len(self.vectors):
            return None
        cosines = _turned(reading.dense[windows]) @ self.vectors.T
        window, row = np.unravel_index(int(cosines.argmax()), cosines.shape)
        return float(cosines[window, row]), self.families[int(self.places[row])], int(windows[window])

    def arrays(self) -> dict[str, Any]:
        """For `HeadFile.arrays`."""
        return {
            "nearest.vectors": np.round(self.vectors * 127).astype("i1"),
            "nearest.places": self.places.astype("i2"),
        }


def nearest_of(arrays: Mapping[str, Any], families: Sequence[str]) -> Nearest:
    """What `Nearest.arrays` wrote."""
    return Nearest(
        vectors=arrays["nearest.vectors"].astype("f4") / np.float32(127),
        families=tuple(families),
        places=arrays["nearest.places"],
    )


def known(rows: Sequence[Row], vectors: WordVectors) -> Nearest:
    """The attacks among `rows` that are attacks wherever they stand, at most `_MOST`."""
    chosen = sorted((row for row in rows if row.user == 1), key=lambda row: drawn(row.text))
    chosen.sort(key=lambda row: row.source == "grammar")
    found: list[Any] = []
    names: list[str] = []
    for row in chosen:
        reading = read(row.text[:2000], vectors)
        if reading is None or len(found) >= _MOST:
            continue
        sizes = reading.words[:, 1] - reading.words[:, 0]
        if sizes.max() < _LEAST:
            continue
        found.append(_turned(reading.dense[int(sizes.argmax())][None])[0])
        names.append(f"{row.source}: {row.family}")
    families = tuple(sorted(set(names)))
    table = np.array(found, dtype="f4").reshape(len(found), 2 * VECTOR)
    return Nearest(
        vectors=table, families=families, places=np.array([families.index(name) for name in names], dtype="i4")
    )


def _turned(dense: Any) -> Any:
    parts = np.concatenate([dense[:, :VECTOR], dense[:, VECTOR : 2 * VECTOR] * _OPENING / 3], axis=1)
    return parts / np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-6)
