"""Links, pictures, HTML and terminal control in texts: what acts when an answer is shown.

A picture is fetched as soon as it is seen, so its address can carry away what the model has read; a link needs a
click. Spans are chosen so that a placeholder in their place leaves readable, inert text: of `[words](address)` the part
in round brackets, of an HTML tag the tag, of a script all of it.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from athanor.guards.builtin._links import Target, target
from athanor.guards.builtin._pending import of_markup
from athanor.guards.parts import Parts
from athanor.guards.subject import Subject
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Verdict

REACH = 256
"""Characters after which a link, a tag or an escape is recognised. What is longer is found as far as it has come."""

_CODE = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:^ {0,3}(?P=fence)[`~]* *$|\Z)"
    r"|(?<!`)(?P<ticks>`{1,3})(?!`)(?:[^`\n]|\n(?!\n))+?(?<!`)(?P=ticks)(?!`)",
    re.MULTILINE,
)
_INLINE = re.compile(
    r"\]\(\s*(?:<(?P<angle>[^<>\n]*)>?|(?P<bare>(?:[^\s()\\]|\\.|\((?:[^\s()]|\([^\s()]*+\))*+\))*+))"
    r"(?:\s+(?:\"[^\"]*\"?|'[^']*'?|\([^)]*\)?))?\s*\)?"
)
_DEFINED = re.compile(r"^ {0,3}\[[^\]\n]{1,200}\]:\s*<?(?P<url>[^\s<>]+)>?", re.MULTILINE)
_BARE = re.compile(
    r"<?\b(?P<url>(?:https?|ftp|wss?)://[^\s<>\"'`\]}|\\^]+|(?:javascript|vbscript):[^\s<>\"'`]+)>?", re.I
)
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z0-9:-]{0,40})"
    r"(?P<rest>(?:\s|/)(?:[^<>\"']|\"[^\"]{0,4000}(?:\"|\Z)|'[^']{0,4000}(?:'|\Z))*+)?(?:>|(?=<)|\Z)"
)
_WHOLE = ("script", "style", "iframe", "object", "applet", "noscript", "svg", "math", "template", "noembed", "xmp")
_ACTIVE = frozenset(
    (*_WHOLE, "embed", "form", "input", "button", "textarea", "select", "link", "meta", "base", "frame", "frameset",
     "body", "html", "head", "portal", "dialog", "marquee", "isindex", "param", "import", "foreignobject")
)  # fmt: skip
_FETCHED = frozenset(("img", "image", "video", "audio", "source", "track", "picture", "bgsound", "input", "embed"))
_ATTRIBUTE = re.compile(r"(?P<name>[^\s\"'<>/=]+)\s*=\s*(?:\"(?P<a>[^\"]*)|'(?P<b>[^']*)|(?P<c>[^\s\"'>]+))")
_ADDRESSES = (
    "src",
    "href",
    "xlink:href",
    "action",
    "formaction",
    "data",
    "poster",
    "background",
    "srcset",
    "cite",
    "ping",
)
_CSS = re.compile(r"(?i)url\(\s*['\"]?(?P<url>[^'\")\s]+)|@import\s+['\"](?P<more>[^'\"]+)")
_ESCAPE = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|\Z)?"  # OSC: titles, links, the clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c|\Z)?"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, the cursor, erasing
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f]+"
    r"|\r(?!\n|\Z)"
)  # fmt: skip


class MarkupGuard:
    """What is shown must not act: fetch, run, or steer a terminal.

    Args:
        hosts: whose links and pictures are let through; with `*` for any. Where some are named, a link to any other
            host is a finding in answers too.
    """

    name = "markup"
    categories = frozenset(
        ("link.image", "link.data", "link.script", "link.deceptive", "link.host", "markup.html", "terminal.escape")
    )
    reach = REACH

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._hosts = tuple(host.lower() for host in hosts)

    @classmethod
    def make(cls, parts: Parts) -> Self:
        """By the setting `guards.hosts`."""
        return cls(getattr(getattr(parts.settings, "guards", None), "hosts", ()))

    def pending(self, text: str) -> int:
        """How many of the last characters of `text` may still become something that acts."""
        return of_markup(text)

    @staticmethod
    def lead(text: str, at: int) -> str:
        """What makes the characters of `text` from `at` on read as they do there: the fence or the ticks of code that
        is open, and something before what does not begin a line."""
        line = "" if at == 0 or text[at - 1] == "\n" else "."
        if "`" in text or "~~~" in text:
            for match in _CODE.finditer(text):
                if match.start() < at < match.end():
                    # Ticks that begin a line would be a fence.
                    return f"{match['fence']}\n{line}" if match["fence"] else f".{match['ticks']}."
        return line

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        """Everything in `subject` that would act, with what stands in code as mere findings that change nothing."""
        text = subject.text
        found = [*_escapes(text)]
        if "](" in text or "]:" in text or "//" in text or "<" in text or "script:" in text.lower():
            found += self._markup(text, origin)
        return Verdict(findings=tuple(sorted(found, key=lambda f: f.start))) if found else NOTHING_FOUND

    def _markup(self, text: str, origin: Origin) -> list[Finding]:
        code = _Spans(match.span() for match in _CODE.finditer(text)) if "`" in text or "~~~" in text else _Spans()
        found: list[Finding] = []
        taken = _Spans()
        for finding, span in (*self._tags(text), *self._links(text, origin)):
            if taken.meets(*span):
                continue
            taken.add(*span)
            if finding is not None:
                # In code it is shown, not done.
                found.append(_quiet(finding) if code.meets(finding.start, finding.end) else finding)
        return found

    def _tags(self, text: str) -> Iterator[tuple[Finding | None, tuple[int, int]]]:
        done = 0
        for match in _TAG.finditer(text):
            name, start, end = match["name"].lower(), match.start(), match.end()
            if start < done or ("://" in match[0] and ":" in name):  # the latter is an autolink: <https://…>
                continue
            if not match["close"] and name in _WHOLE:
                # With what it holds; while its end has not come, to the end of the text.
                closing = re.compile(rf"</{re.escape(name)}\s*>", re.IGNORECASE).search(text, end)
                end = closing.end() if closing else len(text)
            category, why = self._tag(name, match["rest"] or "")
            if category:
                done = end
                yield _finding(category, 1.0, start, end, why), (start, end)

    def _tag(self, name: str, rest: str) -> tuple[str, str]:
        """Category and reason of what a tag does; empty where it does nothing."""
        for attribute in _ATTRIBUTE.finditer(rest):
            value = html.unescape(attribute["a"] or attribute["b"] or attribute["c"] or "")
            if found := self._attribute(name, attribute["name"].lower(), value):
                return found
        return ("markup.html", f"an HTML <{name}>") if name in _ACTIVE else ("", "")

    def _attribute(self, name: str, key: str, value: str) -> tuple[str, str] | None:
        if key.startswith("on"):
            return "markup.html", f"a <{name}> that runs a script"
        if key == "style" and self._css(value):
            return "link.image", f"a <{name}> whose style fetches from a host that is not on the list"
        if key in _ADDRESSES:
            to = target(re.split(r"[,\s]", value.strip(), maxsplit=1)[0] if key == "srcset" else value)
            away = bool(to.host) and not to.on(self._hosts)
            if to.script:
                return "markup.html", f"a <{name}> that runs a script"
            if away and (name in _FETCHED or key in ("poster", "background", "srcset")):
                return "link.image", f"a <{name}> fetched from a host that is not on the list"
            if away and to.carries:
                return "link.data", f"a link that carries data: {to.carries}"
        return None

    def _css(self, style: str) -> bool:
        targets = (target(match["url"] or match["more"]) for match in _CSS.finditer(style))
        return any(to.host and not to.on(self._hosts) for to in targets)

    def _links(self, text: str, origin: Origin) -> Iterator[tuple[Finding | None, tuple[int, int]]]:
        for match in _INLINE.finditer(text):
            span = (match.start() + 1, match.end())
            label, image = _label(text, match.start())
            to = target(match["angle"] if match["angle"] is not None else match["bare"])
            yield self._judged(to, span, origin, image=image, label=label), span
        lower = text.lower() if "![" in text else ""
        for pattern in (_DEFINED, _BARE):
            for match in pattern.finditer(text):
                start, end = match.span("url") if pattern is _DEFINED else match.span()
                end -= len(match["url"]) - len(match["url"].rstrip(".,;:!?)*_~"))
                image = pattern is _DEFINED and _shown(lower, match[0])
                yield self._judged(target(match["url"]), (start, end), origin, image=image, label=""), (start, end)

    def _judged(self, to: Target, span: tuple[int, int], origin: Origin, *, image: bool, label: str) -> Finding | None:
        if to.script:
            return _finding("link.script", 1.0, *span, f"a link of the kind {to.scheme}:")
        if (not to.host and not to.carries) or (to.host and to.on(self._hosts)):
            return None
        if image:
            return _finding("link.image", 1.0, *span, "a picture fetched from a host that is not on the list")
        if to.carries:
            return _finding("link.data", 0.9, *span, f"a link that carries data: {to.carries}")
        said = target(label if "//" in label else f"//{label}").host if label else ""
        if said and not _akin(said, to.host):
            return _finding("link.deceptive", 0.9, *span, "a link that shows another host than it leads to")
        # Anybody may link anywhere; what a document or a tool brings is worth knowing, and a list of hosts is meant.
        strict = bool(self._hosts) or origin in (Origin.DOCUMENT, Origin.TOOL)
        decision = Decision.FLAG if strict else Decision.ALLOW
        return _finding("link.host", 0.3, *span, "a link to a host that is not on the list", decision)


class _Spans:
    """Spans that do not meet, and whether another one meets any of them."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._spans = sorted(spans)

    def add(self, start: int, end: int) -> None:
        insort(self._spans, (start, end))

    def meets(self, start: int, end: int) -> bool:
        place = bisect_left(self._spans, (start, end))
        return any(s < end and start < e for s, e in self._spans[max(0, place - 1) : place + 1])


def _escapes(text: str) -> Iterator[Finding]:
    if text.isprintable():
        return
    for match in _ESCAPE.finditer(text):
        yield _finding("terminal.escape", 1.0, *match.span(), "control characters that steer a terminal")


def _label(text: str, close: int) -> tuple[str, bool]:
    """The words of the link whose `]` is at `close`, where they are a host name, and whether it is a picture."""
    depth = 0
    for place in range(close, max(-1, close - 400), -1):
        if text[place] == "]":
            depth += 1
        elif text[place] == "[":
            depth -= 1
            if depth == 0:
                words = text[place + 1 : close].strip().strip("`*_")
                host = re.fullmatch(r"(?:https?://)?(?:[\w-]+\.)+[A-Za-z]{2,}(?:/\S*)?", words)
                return words if host else "", place > 0 and text[place - 1] == "!"
    return "", False


def _shown(lower: str, definition: str) -> bool:
    """Is there, in a text of small letters, a picture by the label that `definition` defines."""
    label = definition.strip()[1:].partition("]:")[0].strip().lower()
    return f"![{label}]" in lower or f"][{label}]" in lower


def _akin(a: str, b: str) -> bool:
    """Are two hosts of one site."""
    a, b = a.removeprefix("www."), b.removeprefix("www.")
    return a == b or a.endswith(f".{b}") or b.endswith(f".{a}")


def _quiet(finding: Finding) -> Finding:
    return _finding(finding.category, 0.1, finding.start, finding.end, f"{finding.reason}, in code", Decision.ALLOW)


def _finding(
    category: str, score: float, start: int, end: int, reason: str, decision: Decision = Decision.REDACT
) -> Finding:
    return Finding(
        guard=MarkupGuard.name,
        category=category,
        score=score,
        start=start,
        end=end,
        reason=reason,
        decision=decision,
    )
