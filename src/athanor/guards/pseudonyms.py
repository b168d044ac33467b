"""Pseudonyms: `[PERSON_3]` for a person, the same throughout a conversation, and the way back.

They are unambiguous, because what looks like one in a text that goes out is replaced by one itself (`[LITERAL_1]`), so
that every pseudonym that comes back was made here. They are put back only where this very request has used them: what a
model makes up, or remembers of another request, stands for nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice

from athanor.guards.redact import label
from athanor.types import Decision, Finding

LIKE = re.compile(r"\[[ ]?([A-Za-z]{2,24}(?:\\?[_ ][A-Za-z]{1,24}){0,3})\\?[_ ]([0-9]{1,6})[ ]?\]")
"""A pseudonym, and what models make of one: other case, a blank for the line, Markdown's backslash before it."""
LONGEST = 120
"""Characters of a match of `LIKE`."""
GUARD, KNOWN, LITERAL = "pseudonyms", "pii.known", "literal"
"""Of findings made here: of values that were found before, and of what only looks like a pseudonym."""
_SHORTEST = 5
"""Characters from which a value that was found once is replaced wherever it stands."""
_MOST = 2000
"""Values of a conversation that are looked for in this way."""


class Talk:
    """The pseudonyms of one conversation. Requests that run at the same time share one."""

    def __init__(self, known: Mapping[str, str] | None = None, *, vault: str = "") -> None:
        """Args:
        known: pseudonym → value.
        vault: the conversation's name in the vault.
        """
        self.vault = vault
        self._values: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._last: dict[str, int] = {}
        self.fresh: dict[str, str] = {}
        """Pseudonym → value of those that are not in the vault yet."""
        for name, value in (known or {}).items():
            self._keep(name, value)

    def name(self, category: str, value: str) -> str:
        """The pseudonym of `value`, made if it has none. A value has one, whatever it was found as."""
        found = self._names.get(value)
        if found is None:
            kind = label(category)
            found = f"[{kind}_{self._last.get(kind, 0) + 1}]"
            self._keep(found, value)
            self.fresh[found] = value
        return found

    def values(self) -> Iterator[str]:
        """What has a pseudonym, the newest first."""
        return reversed(self._names)

    def __len__(self) -> int:
        return len(self._values)

    def _keep(self, name: str, value: str) -> None:
        self._values[name] = value
        self._names[value] = name
        kind, _, number = name[1:-1].rpartition("_")
        self._last[kind] = max(self._last.get(kind, 0), int(number))


class Pseudonyms:
    """The names of one request: those of its conversation, as far as it uses them.

    Args:
        key: of this installation, for hashes.
    """

    def __init__(self, talk: Talk | None = None, *, key: bytes = b"") -> None:
        self.talk = Talk() if talk is None else talk
        self._key = key
        self._used: dict[str, str] = {}

    def pseudonym(self, category: str, value: str) -> str:
        """What stands for `value` in this conversation."""
        name = self.talk.name(category, value)
        self._used[name] = value
        return name

    def hashed(self, category: str, value: str) -> str:
        """`[EMAIL:1f2e3d4c5b6a]`: the same for the same value everywhere on this installation, whatever its case and
        spaces; 48 bits of a keyed hash."""
        plain = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
        kind = label(category)
        digest = hmac.new(self._key, f"{kind}\0{plain}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"[{kind}:{digest.hexdigest()[:12]}]"

    @property
    def used(self) -> bool:
        """Does any pseudonym stand in this request."""
        return bool(self._used)

    def real(self, match: re.Match[str]) -> str | None:
        """What a match of `LIKE` stands for, if this request has used it."""
        kind = match[1].replace("\\", "").replace(" ", "_").upper()
        return self._used.get(f"[{kind}_{int(match[2])}]")

    def reveal(self, text: str) -> str:
        """`text` with values in place of this request's pseudonyms."""
        if not self._used or "[" not in text:
            return text
        return LIKE.sub(lambda match: match[0] if (value := self.real(match)) is None else value, text)

    def again(self, text: str, *, inside: bool = False) -> list[Finding]:
        """Where values stand that have a pseudonym in this conversation already.

        Args:
            inside: of words, too.
        """
        found: list[Finding] = []
        for value in islice(self.talk.values(), _MOST):
            if len(value) < _SHORTEST or value not in text:
                continue
            left = r"(?<!\w)" if value[0].isalnum() and not inside else ""
            right = r"(?!\w)" if value[-1].isalnum() and not inside else ""
            matches = re.finditer(f"{left}{re.escape(value)}{right}", text)
            found += [_finding(KNOWN, match, "has a pseudonym in this conversation") for match in matches]
        return found

    @staticmethod
    def alike(text: str) -> list[Finding]:
        """Where something stands that only looks like a pseudonym."""
        return [_finding(LITERAL, match, "looks like a pseudonym") for match in LIKE.finditer(text)]


def _finding(category: str, match: re.Match[str], reason: str) -> Finding:
    return Finding(
        guard=GUARD,
        category=category,
        score=1.0,
        start=match.start(),
        end=match.end(),
        reason=reason,
        decision=Decision.REDACT,
    )
