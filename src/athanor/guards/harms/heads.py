"""Several questions about one text, answered at once from one reading of it: see `features` and `linear`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from athanor.guards.features import Reading, WordVectors, read, reading_of
from athanor.guards.sheet import HeadFile
from athanor.guards.subject import Subject
from athanor.plugins.arrays import np


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one head says of a text."""

    probability: float
    start: int
    """Of the window that says it most, in the text that was read."""
    end: int


class Heads:
    """Heads of one file, by category."""

    def __init__(self, file: HeadFile, vectors: WordVectors) -> None:
        self.heads = dict(file.heads)
        self.vectors = vectors
        # One row for each place, so that all heads are looked up at once.
        self._runs = np.ascontiguousarray(np.stack([head.runs for head in self.heads.values()], axis=1))

    def scores(self, text: str) -> dict[str, Score]:
        """Each category's score for `text`; empty where it has no word."""
        reading = read(text, self.vectors)
        return {} if reading is None else self.of(reading)

    def judged(self, subject: Subject) -> dict[str, Score]:
        """The same of a text that other guards look at, too, which is read once for all of them."""
        reading = reading_of(subject, self.vectors)
        return {} if reading is None else self.of(reading)

    def of(self, reading: Reading) -> dict[str, Score]:
        """The same of a text that was read already, with the same vectors."""
        found = {}
        sums = self._sums(reading)
        for place, (category, head) in enumerate(self.heads.items()):
            logits = sums[:, place] + head.dense(reading.dense)
            best = int(np.argmax(logits))
            start, end = reading.spans[best].tolist()
            found[category] = Score(probability=head.probability(reading, logits), start=start, end=end)
        return found

    def _sums(self, reading: Reading) -> Any:
        """What `Reading.sums` gives, for all heads: (windows, heads)."""
        total = self._runs[reading.openings].sum(axis=1, dtype="f8")
        for places, owners in reading.runs:
            running = np.concatenate(
                [np.zeros((1, len(self.heads))), np.cumsum(self._runs[places], axis=0, dtype="f8")]
            )
            bounds = np.searchsorted(owners, reading.words)
            size = np.sqrt(np.maximum(bounds[:, 1] - bounds[:, 0], 4))
            total += (running[bounds[:, 1]] - running[bounds[:, 0]]) / size[:, None]
        return total
