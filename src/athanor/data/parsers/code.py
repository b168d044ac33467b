"""Source code by definition. The source text is the file's own, so a citation names its lines.

A definition's heading reaches from the comments above it to its name; the rest of it is one block of code, or, when
that is long and holds definitions itself, several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from athanor.data.build import storable
from athanor.data.encoding import decode
from athanor.data.parsers._code_scan import Definition, braces, indented, python, statements
from athanor.types import Block, ParsedDocument

_BRACES = {
    "c": ".c .h",
    "cpp": ".cc .cpp .cxx .hpp .hh",
    "csharp": ".cs",
    "go": ".go",
    "java": ".java",
    "javascript": ".js .mjs .cjs .jsx",
    "kotlin": ".kt .kts",
    "php": ".php",
    "rust": ".rs",
    "scala": ".scala",
    "swift": ".swift",
    "typescript": ".ts .tsx .mts .cts",
}
"""Language as Pygments calls it → file name endings."""
_INDENTED = {"bash": ".sh .bash .zsh", "lua": ".lua", "perl": ".pl .pm", "r": ".r", "ruby": ".rb"}
_PLAIN = ".cfg .conf .css .ini .toml .xml .yaml .yml"
_BRACE_LANGUAGE = {suffix: language for language, all_ in _BRACES.items() for suffix in all_.split()}
_INDENT_LANGUAGE = {suffix: language for language, all_ in _INDENTED.items() for suffix in all_.split()}
_LONG = 1_200
"""Characters of a definition that is divided at those inside it."""
_MAX_SCANNED = 1_000_000
"""Characters of a file whose definitions are looked for: scanning takes about a second for so many."""
_MAX_DEPTH = 5


class CodeParser:
    """Python by its own grammar, and by indentation where it has errors; most other languages by their braces."""

    mimes: tuple[str, ...] = ("text/x-source",)
    suffixes: tuple[str, ...] = (
        ".py",
        ".pyi",
        ".sql",
        *_BRACE_LANGUAGE,
        *_INDENT_LANGUAGE,
        *_PLAIN.split(),
    )

    def parse(self, path: Path, name: str) -> ParsedDocument:
        text, warnings = decode(path.read_bytes(), name)
        text = storable(text)
        found: Sequence[Definition] = ()
        if len(text) <= _MAX_SCANNED:
            found = _definitions(text, Path(name).suffix.lower())
        elif Path(name).suffix.lower() not in _PLAIN.split():
            warnings += (f"Not divided by definitions: it has more than {_MAX_SCANNED:,} characters.",)
        return ParsedDocument(
            text=text,
            title=name,
            mime=self.mimes[0],
            blocks=tuple(_blocks(text, found, 0, len(text), 1)),
            warnings=warnings,
            lines=True,
        )


def _definitions(text: str, suffix: str) -> Sequence[Definition]:
    if suffix in {".py", ".pyi"}:
        return python(text)
    if suffix == ".sql":
        return statements(text)
    if language := _BRACE_LANGUAGE.get(suffix):
        return braces(text, language)
    return indented(text, language) if (language := _INDENT_LANGUAGE.get(suffix)) else ()


def _blocks(text: str, found: Sequence[Definition], start: int, end: int, level: int) -> Iterator[Block]:
    """Blocks of `text[start:end]`, which holds the definitions `found`."""
    at = start
    for one in found:
        if not at <= one.start < one.name_end <= one.end <= end:
            continue  # what a scanner misread stays in the code around it
        yield from _code(text, at, one.start)
        first, last = _stripped(text, one.start, one.name_end)
        yield Block(kind="heading", start=first, end=last, level=level)
        if one.inner and level < _MAX_DEPTH and one.end - one.start > _LONG:
            yield from _blocks(text, one.inner, one.name_end, one.end, level + 1)
        else:
            yield from _code(text, one.name_end, one.end)
        at = one.end
    yield from _code(text, at, end)


def _code(text: str, start: int, end: int) -> Iterator[Block]:
    start, end = _stripped(text, start, end)
    if start < end:
        yield Block(kind="code", start=start, end=end)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
