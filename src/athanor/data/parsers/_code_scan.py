"""Where definitions begin and end in source code. Nothing here is run, and what is misread only stays undivided."""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from athanor.plugins import require

_PYTHON = re.compile(r"[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+\w+")
_HEADERS = {
    "bash": re.compile(r"[ \t]*(?:function[ \t]+[\w:.-]+|[\w:.-]+(?=[ \t]*\([ \t]*\)))"),
    "lua": re.compile(r"[ \t]*(?:local[ \t]+)?function[ \t]+[\w.:]+"),
    "perl": re.compile(r"[ \t]*(?:sub|package)[ \t]+[\w:]+"),
    "python": _PYTHON,
    "r": re.compile(r"[\w.]+(?=[ \t]*(?:<-|=)[ \t]*function\b)"),
    "ruby": re.compile(r"[ \t]*(?:class|module|def)[ \t]+[\w.:?!]+"),
}
"""Language → the first line of a definition, to the end of its name."""
_MARKS = ("#", "--", "@")
_BRACE_MARKS = ("//", "/*", "*", "#[", "@")
"""What comments and decorators begin with."""
_CLOSERS = re.compile(r"(?:end\b|[})\]])")
_TYPE = re.compile(
    r"\b(?:class|struct|enum|interface|namespace|union|record|trait|impl|mod|module|object|protocol|extension|type)"
    r"\b[^(){};=]{0,200}"
)
_FUNCTION = re.compile(r"\b(?:fn|fun|func|function)\b\s*(?:\([^()]{0,200}\)\s*)?\*?\s*[\w$]+")
_ARROW = re.compile(r"\b(?:const|let|var)\s+[\w$]+(?=[^;]{0,400}(?:=>|\bfunction\b))")
_CALL = re.compile(r"[~\w$][\w:~$.]{0,200}(?=\s*(?:<[^<>(){}]{0,200}>)?\s*\()")
_NO_FUNCTION = frozenset(
    ["if", "for", "while", "switch", "catch", "return", "sizeof", "synchronized", "using", "lock", "foreach", "elseif",
     "with", "unless", "until", "match", "when"]
)  # fmt: skip
_STRUCTURE = re.compile(r"[{}();]")
_STATEMENT = re.compile(
    r"^[ \t]*create\s+(?:or\s+replace\s+)?(?:(?:temp(?:orary)?|unique|materialized|recursive|unlogged|external)\s+)*"
    r"(?:table|view|function|procedure|trigger|index|type|schema|sequence|domain|policy)\s+(?:if\s+not\s+exists\s+)?"
    r"[\w.\"`\[\]]{1,200}",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(slots=True)
class Definition:
    """A definition in `text[start:end]`, comments above it included; its name ends at `name_end`."""

    start: int
    name_end: int
    end: int
    inner: list[Definition] = field(default_factory=list)


def python(text: str) -> Sequence[Definition]:
    """Definitions of a Python file: by its grammar, or by indentation where that does not hold."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's own code
            tree = ast.parse(text)
        return _from_tree(tree, text, _line_starts(text), 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return indented(text, "python")


def _from_tree(node: Any, text: str, starts: list[int], depth: int) -> list[Definition]:
    found: list[Definition] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
            name = _PYTHON.match(text, starts[child.lineno - 1])
            start = _with_comments(text, starts, first - 1)
            end = starts[child.end_lineno or child.lineno]
            if name and (not found or start >= found[-1].end):
                inner = _from_tree(child, text, starts, depth + 1) if depth < 8 else []
                found.append(Definition(start, name.end(), end, inner))
        elif isinstance(child, (ast.If, ast.Try, ast.With)) and depth < 8:
            found += _from_tree(child, text, starts, depth + 1)
    return found


def _line_starts(text: str) -> list[int]:
    """Offset of each line, and the end of the text."""
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    return [*starts, len(text)]


def _with_comments(text: str, starts: list[int], line: int, marks: tuple[str, ...] = _MARKS) -> int:
    """Where the comments right above `line` begin, or the line."""
    for above in range(line - 1, max(line - 60, -1), -1):
        if not text[starts[above] : starts[above + 1]].lstrip().startswith(marks):
            break
        line = above
    return starts[line]


def indented(text: str, language: str) -> Sequence[Definition]:
    """Definitions that end where a line stands as far to the left as they do."""
    starts, header = _line_starts(text), _HEADERS[language]
    roots: list[Definition] = []
    open_: list[tuple[int, Definition]] = []  # indentation
    for line in range(len(starts) - 1):
        content = text[starts[line] : starts[line + 1]]
        bare = content.lstrip()
        if not bare or bare.startswith("#"):
            continue
        depth = len(content) - len(bare)
        while open_ and depth <= open_[-1][0]:
            closes = depth == open_[-1][0] and _CLOSERS.match(bare)
            if closes or (depth == open_[-1][0] and bare[0] == "{"):
                open_[-1][1].end = starts[line + 1]
                if bare[0] == "{":
                    break
            open_.pop()
            if closes:
                break
        for _, around in open_:
            around.end = starts[line + 1]
        name = header.match(text, starts[line], starts[line + 1])
        if name and len(open_) < 20:
            siblings = open_[-1][1].inner if open_ else roots
            start = max(_with_comments(text, starts, line), siblings[-1].end if siblings else 0)
            if open_:
                start = max(start, open_[-1][1].name_end)
            made = Definition(start, name.end(), starts[line + 1])
            siblings.append(made)
            open_.append((depth, made))
    return roots


def statements(text: str) -> Sequence[Definition]:
    """Definitions of SQL: each reaches to the next one."""
    starts = _line_starts(text)
    names = list(_STATEMENT.finditer(text))
    firsts = [_with_comments(text, starts, bisect_right(starts, name.start()) - 1) for name in names]
    ends = [*firsts[1:], len(text)]
    return [Definition(first, name.end(), end) for first, name, end in zip(firsts, names, ends, strict=True)]


def braces(text: str, language: str) -> Sequence[Definition]:
    """Definitions whose bodies stand in braces."""
    masked, starts = _mask(text, language), _line_starts(text)
    roots: list[Definition] = []
    open_: list[tuple[Definition | None, int]] = []  # definition, or None for other braces; parentheses around it
    rounds, head = 0, 0
    for found in _STRUCTURE.finditer(masked):
        sign, at = found[0], found.start()
        if sign == "(":
            rounds += 1
        elif sign == ")":
            rounds = max(rounds - 1, 0)
        elif sign == "{":
            made = None if rounds else _header(text, masked, starts, head, at)
            around = next((one for one, _ in reversed(open_) if one), None)
            if made and len(open_) < 200:
                siblings = around.inner if around else roots
                made.start = max(made.start, around.name_end if around else 0, siblings[-1].end if siblings else 0)
                siblings.append(made)
            open_.append((made, rounds))
            rounds, head = 0, at + 1
        elif sign == "}" and open_:
            made, rounds = open_.pop()
            head = at + 1
            if made:
                made.end = at + 1
        elif not rounds:
            head = at + 1
    for made, _ in open_:
        if made:
            made.end = len(text)
    return roots


def _header(text: str, masked: str, starts: list[int], head: int, brace: int) -> Definition | None:
    """The definition whose body opens at `brace` and whose header stands after `head`."""
    head = max(head, brace - 2000)
    line = masked[head:brace]
    name = _TYPE.search(line) or _FUNCTION.search(line) or _ARROW.search(line)
    if name is None:
        calls = (found for found in _CALL.finditer(line) if found[0].split(".")[-1] not in _NO_FUNCTION)
        name = next(calls, None)
        if name is None or line[: name.start()].rstrip().endswith(("=", "return", "new", ".")):
            return None
    first = bisect_right(starts, head + name.start()) - 1
    start = max(_with_comments(text, starts, first, _BRACE_MARKS), head)
    name_end = head + name.start() + len(name[0].rstrip())
    return Definition(start, name_end, brace + 1)


def _mask(text: str, language: str) -> str:
    """`text` with blanks for what stands in comments and strings; of the same length."""
    lexers, tokens = require("pygments.lexers", extra="knowledge"), require("pygments.token", extra="knowledge")
    hidden: Iterable[Any] = (tokens.Comment, tokens.String)
    parts, at = [], 0
    for start, kind, value in lexers.get_lexer_by_name(language).get_tokens_unprocessed(text):
        if start != at:
            return text
        at += len(value)
        blank = any(kind in one for one in hidden)
        parts.append(re.sub(r"[^\n]", " ", value) if blank else value)
    masked = "".join(parts)
    return masked if len(masked) == len(text) else text
