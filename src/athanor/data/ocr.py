"""Text from pictures, by a tesseract that is installed on the machine.

A parser's process may start nothing; this one command it may, exactly as it was put together before the process was
confined: the picture goes in by a pipe, the words come out as a table (TSV). The command inherits the process's limits
on memory and files and has no network either.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALL = "Install tesseract to read them (Debian: apt install tesseract-ocr; macOS: brew install tesseract)."
MIN_CONFIDENCE = 30.0
"""Percent; a word that tesseract is less sure of is dropped."""
LOW_CONFIDENCE = 70.0
"""Percent; a page whose words have less on average is named in a warning."""
NOISE = 45.0
"""Percent; a page whose words have less on average holds no text but a picture."""
_ENVIRONMENT = {"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
"""One thread: as many pages as the pool has processes are read at once, and two are little faster than one."""
_WORD_LEVEL, _LINE_LEVEL, _FIELDS = "5", "4", 12
_MAX_OUTPUT = 32 << 20
_SUFFIXES = ("stdin", "stdout")


class OcrError(Exception):
    """The picture could not be read, and why. `damaged`: it is no whole picture."""

    def __init__(self, reason: str, *, damaged: bool = False) -> None:
        super().__init__(reason)
        self.damaged = damaged


@dataclass(slots=True)
class OcrWord:
    """A word and its box in pixels from the upper left corner, and percent of confidence."""

    text: str
    left: int
    top: int
    width: int
    height: int
    confidence: float


@dataclass(slots=True)
class OcrLine:
    """Words of one printed line. `paragraph` counts from 0 over the whole answer, `page` from 1."""

    page: int
    paragraph: int
    words: list[OcrWord]


@dataclass(frozen=True, slots=True)
class Ocr:
    """A tesseract that may be asked."""

    command: tuple[str, ...]
    seconds: float
    """For one picture."""

    @classmethod
    def find(cls, languages: str, seconds: float) -> Ocr | None:
        """The one on the search path; None where none is installed. To be called before the process is confined."""
        found = shutil.which("tesseract")
        if not found:
            return None
        return cls((str(Path(found).resolve()), *_SUFFIXES, "-l", languages, "--psm", "3", "tsv"), seconds)

    @property
    def languages(self) -> str:
        return self.command[4]

    def allows(self, args: tuple[Any, ...]) -> bool:
        """Whether the arguments of the audit event `subprocess.Popen` are those of `read`."""
        executable, command, folder, environment = args
        return (
            executable == self.command[0]
            and tuple(command) == self.command
            and folder is None
            and environment == _ENVIRONMENT
        )

    def read(self, picture: bytes) -> list[OcrLine]:
        """The lines of a picture (PGM, PNG, JPEG, TIFF), in the order of reading, without doubtful words.

        Raises:
            OcrError: not within the time, or tesseract refuses the picture or the languages.
        """
        try:
            done = subprocess.run(
                self.command, input=picture, capture_output=True, timeout=self.seconds, env=_ENVIRONMENT, check=False
            )
        except subprocess.TimeoutExpired:
            raise OcrError(f"it took more than {self.seconds:g} s") from None
        except OSError as error:
            raise OcrError(f"tesseract cannot be started ({error.strerror})") from error
        if done.returncode or len(done.stdout) > _MAX_OUTPUT:
            raise _complaint(done.stderr)
        return list(_lines(done.stdout.decode(errors="replace")))


def _complaint(stderr: bytes) -> OcrError:
    said = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    if found := next((line for line in said if line.startswith("Failed loading language")), ""):
        language = found.partition("'")[2].partition("'")[0]
        return OcrError(f"tesseract has no language {language!r}; install it, or change knowledge.ocr_languages")
    damaged = any("pixRead" in line for line in said)
    return OcrError(said[0][:200] if said else "tesseract failed", damaged=damaged)


def _lines(table: str) -> Iterator[OcrLine]:
    """Lines from tesseract's TSV, all of their words with the height of the line. Malformed rows are left out."""
    reach, line = (0, 0), OcrLine(0, 0, [])
    key: tuple[str, ...] = ()
    paragraphs: dict[tuple[str, ...], int] = {}
    for row in table.split("\n"):
        fields = row.split("\t", _FIELDS - 1)
        if len(fields) < _FIELDS or fields[0] not in {_WORD_LEVEL, _LINE_LEVEL}:
            continue
        try:
            left, top, width, height = (int(field) for field in fields[6:10])
            confidence = float(fields[10])
        except ValueError:
            continue
        if fields[0] == _LINE_LEVEL:
            reach = (top, height)
            continue
        text = fields[11].strip()
        if not text or confidence < MIN_CONFIDENCE:
            continue
        if tuple(fields[1:5]) != key:
            if line.words:
                yield line
            key = tuple(fields[1:5])
            paragraph = paragraphs.setdefault(key[:3], len(paragraphs))
            line = OcrLine(int(fields[1]) if fields[1].isdecimal() else 1, paragraph, [])
        line.words.append(OcrWord(text, left, reach[0] or top, width, reach[1] or height, confidence))
    if line.words:
        yield line


def confidence(lines: Sequence[OcrLine]) -> float:
    """Mean percent over the letters of all words; 0 without words."""
    letters = sum(len(word.text) for line in lines for word in line.words)
    total = sum(len(word.text) * word.confidence for line in lines for word in line.words)
    return total / letters if letters else 0.0


def summary(read: Sequence[tuple[int, float]], failed: Sequence[tuple[int, str]]) -> list[str]:
    """What the user should know: `read` holds page numbers with their confidence, `failed` numbers and reasons."""
    said = []
    if read:
        mean = sum(percent for _, percent in read) / len(read)
        said.append(f"Read from pictures by OCR: {page_list([n for n, _ in read])}; mean confidence {mean:.0f} %.")
    if low := [number for number, percent in read if percent < LOW_CONFIDENCE]:
        said.append(f"Much of the text may be wrong on {page_list(low)}.")
    reasons = dict.fromkeys(reason for _, reason in failed)
    said += [f"OCR failed on {page_list([n for n, why in failed if why == reason])}: {reason}." for reason in reasons]
    return said


def page_list(numbers: Sequence[int]) -> str:
    """`page 3`, or `pages 1-4, 9 and 12 more ranges`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:5]]
    more = f" and {len(runs) - 5} more ranges" if len(runs) > 5 else ""
    return f"page{'s' if len(numbers) > 1 else ''} {', '.join(shown)}{more}"
