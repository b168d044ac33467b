"""Secrets: keys, tokens, private keys and passwords, each with the exact characters that must go."""

from __future__ import annotations

import base64
import logging
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from athanor.errors import MissingExtraError
from athanor.guards.builtin._pending import of_secrets
from athanor.guards.builtin._secret_forms import CATEGORIES, OWN, Form, detect_secrets
from athanor.guards.subject import Decoded, Subject
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Verdict

log = logging.getLogger(__name__)

REACH = 160
"""Characters after which the longest form is recognised. What is longer is found as far as it has come: a finding that
ends where the text ends may go on."""

_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,8192}={0,2}(?![A-Za-z0-9+/_=-])")
_MOST = 64
"""Encoded runs of one text that are looked into."""
_URL_SAFE = str.maketrans("-_", "+/")
_NAMES = (
    "password", "passwd", "passwort", "passphrase", "contraseña", "pwd", "secret", "api_key", "api-key", "apikey",
    "api key", "access_key", "access key", "auth_key", "auth_token", "access_token", "client_secret",
    "private_key", "credential",
)  # fmt: skip
_ASSIGNED = re.compile(
    rf"""(?ix) (?<![a-z]) [\w.-]{{0,30}}? (?:{"|".join(re.escape(name) for name in _NAMES)}) (?:_?[a-z0-9]{{1,12}})?
    ["'`\]*]{{0,3}} \s{{0,3}} (?: :=|=>|==?|:|\bis\b|\bwar\b|\bist\b|\bes\b ) \s{{0,3}} (?P<quote>["'`]?)
    (?P<value> [^\s"'`<>{{}}()\[\]|\\]{{8,128}}+ ) (?! [(\[{{] )"""
)
_PLACEHOLDER = re.compile(
    r"(?i)\*\*|xxx|\.\.\.|…|your|my[_-]|example|changeme|placeholder|dummy|sample|redacted|insert|https?:|^[$%/.~@]|/.*/|"
    r"^(?:os|self|this|config|settings|process|env|request|req|ctx|options|args|params)[._]"
)


class SecretsGuard:
    """Forms with a prefix of their own, and values that a password's or key's name stands before.

    detect-secrets adds the forms of more services where it is installed. Its entropy plug-ins are not used.
    """

    name = "secrets"
    categories = CATEGORIES
    reach = REACH

    def __init__(self) -> None:
        self._forms: Sequence[Form] = ()

    def pending(self, text: str) -> int:
        """How many of the last characters of `text` may still become a secret."""
        return of_secrets(text)

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        """All secrets of `subject`: as it was given, as it reads without tricks, and in what it encodes."""
        forms = self._forms = self._forms or _all_forms()
        found = [*_scan(subject.text, forms)]
        if subject.plain != subject.text:
            for finding in _scan(subject.plain, forms):
                start, end = subject.span(finding.start, finding.end)
                found.append(replace(finding, start=start, end=end))
        for part in (*subject.decoded, *_hidden(subject.text)):
            found += [
                replace(finding, start=part.start, end=part.end, reason=f"{finding.reason}, encoded ({part.how})")
                for finding in _scan(part.text, forms)
            ]
        return Verdict(findings=tuple(_apart(found))) if found else NOTHING_FOUND


def _all_forms() -> Sequence[Form]:
    try:
        return (*OWN, *detect_secrets())
    except MissingExtraError:
        log.info("detect-secrets is not installed: secrets are found by the built-in forms alone")
        return OWN


def _scan(text: str, forms: Sequence[Form]) -> Iterator[Finding]:
    lower = text.lower()
    for form in forms:
        if not form.gates or any(gate in lower for gate in form.gates):
            for match in form.pattern.finditer(text):
                if form.valid is None or form.valid(match[form.group]):
                    yield _finding(form.category, form.what, form.score, match.span(form.group))
    if any(name in lower for name in _NAMES):
        yield from _assigned(text)


def _hidden(text: str) -> Iterator[Decoded]:
    """Encoded runs that hold plain characters. A key alone has no likeness to a language, so `subject.decoded` has not
    got it."""
    for match in islice(_RUN.finditer(text), _MOST):
        run = match[0]
        with suppress(ValueError):  # of every kind of mistake in the coding
            if re.fullmatch(r"[0-9A-Fa-f]+", run):
                said, how = bytes.fromhex(run), "hex"
            else:
                plain = run.rstrip("=").translate(_URL_SAFE)
                said, how = (
                    base64.b64decode(plain[: len(plain) - (len(plain) % 4 == 1)] + "==", validate=False),
                    "base64",
                )
            if said.isascii() and (shown := said.decode()).replace("\n", "").replace("\r", "").isprintable():
                yield Decoded(text=shown, start=match.start(), end=match.end(), how=how)


def _assigned(text: str) -> Iterator[Finding]:
    for match in _ASSIGNED.finditer(text):
        value = match["value"].rstrip(".,;:!?")
        if _random(value, quoted=bool(match["quote"])):
            start = match.start("value")
            yield _finding(
                "secret.password", "value after the name of a password or key", 0.6, (start, start + len(value))
            )


def _random(value: str, *, quoted: bool) -> bool:
    """Is it more like a secret than like a word, a name in a program or a stand-in."""
    if len(value) < 8 or _PLACEHOLDER.search(value):
        return False
    kinds = sum(any(test(c) for c in value) for test in (str.islower, str.isupper, str.isdigit)) + (
        not value.replace("_", "").replace("-", "").isalnum()
    )
    if not any(c.isdigit() for c in value) and kinds < 3:
        return False
    return kinds >= 2 and _entropy(value) >= (2.3 if quoted else 2.6)


def _entropy(value: str) -> float:
    """Shannon's, in bits a character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def _finding(category: str, what: str, score: float, span: tuple[int, int]) -> Finding:
    start, end = span
    return Finding(
        guard=SecretsGuard.name,
        category=category,
        score=score,
        start=start,
        end=end,
        reason=what,
        decision=Decision.REDACT,
    )


def _apart(found: list[Finding]) -> list[Finding]:
    """One finding for each place: the surest, and of these the longest. What sticks out of it is kept as well."""
    kept: list[Finding] = []
    for finding in sorted(found, key=lambda f: (-f.score, f.start - f.end, f.start)):
        if not any(k.start <= finding.start and finding.end <= k.end for k in kept):
            kept.append(finding)
    return sorted(kept, key=lambda f: f.start)
