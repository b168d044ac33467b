"""How much of the end of a growing text may still become a match: so little that an answer flows, and never too little.

Everything here errs towards waiting. A match that has begun and has no end yet is held by the stream itself.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"(?:\S+|\s+)\Z")
"""A blank waits for what follows it, so that a private key of many lines is not taken to end with each of them."""
_SPELLED = re.compile(r"(?:(?<!\S)\S{1,3}\s{1,3}){6,}\S{0,3}\Z")
"""Letters with gaps between them, or bytes: what is spelled out is read as one word."""

_OPEN_SECRETS = (
    re.compile(
        # A name, what stands between it and its value, and as much of the value as has come.
        r"""(?ix)[\w.-]{0,30}(?:pass(?:w(?:or(?:d|t)?|d)?|phrase)?|contrase\w*|pwd|secret|credentials?|key|token)
        [\w.-]{0,13}["'`\]*]{0,3}\s{0,3}(?:(?::=|=>|==?|:|is|war|ist|es|wa?|i)\s{0,3}["'`]?[^\s"'`]{0,128})?\Z"""
    ),
    re.compile(r"(?i)\b(?:api|access)\s{1,3}(?:k(?:ey?)?)?\Z"),
    re.compile(r"(?is)aws.{0,90}\Z"),
    re.compile(
        r"""(?ix)authorization["']?\s{0,3}[:=]?\s{0,3}["']?(?:b(?:e(?:a(?:r(?:er?)?)?)?)?|bas(?:ic?)?|token?)?
        \s{0,3}[\w.+/=~-]*\Z"""
    ),
    re.compile(r"-{1,5}(?:BEGIN [A-Z0-9 ]{0,60}-{0,5})?\Z"),
    re.compile(r"(?is)(?:ibm|iam|cloudant|twilio|authtoken|discord|square).{0,100}\Z"),
    _SPELLED,
)


def of_secrets(text: str) -> int:
    """For `SecretsGuard`: the last word, and a name whose value may be coming."""
    return _longest(text, _OPEN_SECRETS)


_OPEN_MARKUP = (
    re.compile(r"<(?:[^<>\"']|\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z))*\Z"),  # a tag that is not closed
    re.compile(r"\]\((?:[^()]|\((?:[^()]|\([^()]*\)?)*\)?)*\Z"),  # the address of a link
    re.compile(r"\]:\s*<?\S*\Z"),
    re.compile(r"(?<!`)`{1,2}(?!`)[^`\n]*\Z"),  # code of one line: in it, a link is shown and not done
    re.compile(r"(?:\x1b|[\x90\x98\x9b\x9d-\x9f])[^\x07\x9c]*\Z"),
    re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+\Z"),
)


def of_markup(text: str) -> int:
    """For `MarkupGuard`: the last word, and a tag, an address or an escape that is not at its end."""
    return _longest(text, _OPEN_MARKUP)


def _longest(text: str, open_: tuple[re.Pattern[str], ...]) -> int:
    word = _WORD.search(text, max(0, len(text) - 4096))
    start = len(text) if word is None else word.start()
    for pattern in open_:
        match = pattern.search(text)
        if match is not None:
            start = min(start, match.start())
    return len(text) - start
