"""All recognisers of personal data in one call, with and without the model for names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from anyio import to_thread

from athanor.engines import Tagger
from athanor.guards.normalise import subject_of
from athanor.guards.personal import (
    cards,
    crypto,
    dates,
    documents,
    iban,
    ids,
    letters,
    mail,
    net,
    organization,
    phone,
    street,
    url,
)
from athanor.guards.personal.address import grown
from athanor.guards.personal.base import Recogniser, Span
from athanor.guards.personal.merge import merge
from athanor.guards.personal.names import LONG, WEIGHTS, named_by, worth_tagging
from athanor.guards.subject import Subject
from athanor.types import Decision, Finding, Tagging

GUARD = "personal"
POINT = 0.5
"""Score from which a finding counts where a policy has no threshold of its own."""
CATEGORIES = frozenset({
    "pii.account", "pii.age", "pii.card", "pii.coordinates", "pii.crypto", "pii.date_of_birth", "pii.email",
    "pii.iban", "pii.ip", "pii.licence", "pii.mac", "pii.national_id", "pii.organization", "pii.passport",
    "pii.person", "pii.phone", "pii.place", "pii.street", "pii.url",
})  # fmt: skip
WORDED: tuple[Recogniser, ...] = (mail.find, url.find, organization.find)
NUMBERED: tuple[Recogniser, ...] = (
    cards.find, iban.find, ids.find, letters.find, net.find_ip, net.find_mac, crypto.find, dates.find_births,
    dates.find_ages, documents.find, documents.find_places, street.find,
)  # fmt: skip
"""What they find has a digit in it."""
_DIGIT = re.compile(r"\d")


def find(text: str | Subject, *, regions: Sequence[str] = phone.REGIONS) -> list[Finding]:
    """Personal data that has a form of its own, in order and without overlaps. Pure; needs no model.

    Args:
        text: as it was given, or prepared; invisible characters and look-alikes hide nothing, and spans count the
            characters of the text as it was given.
        regions: countries (ISO 3166) whose telephone numbers are known without a word that names them.
    """
    subject = _prepared(text)
    return _findings(subject, spans_of(subject.plain, regions=regions))


async def find_all(
    text: str | Subject, tagger: Tagger | None, *, regions: Sequence[str] = phone.REGIONS
) -> list[Finding]:
    """As `find`, with names, streets and places by a model, where there is one; long texts are searched in a thread.

    Raises:
        AthanorError: the model cannot be used now.
    """
    subject = _prepared(text)
    tagging = await _tagged(subject.plain, tagger)
    search = partial(spans_of, subject.plain, tagging, regions=regions)
    # A second of work for a hundred thousand characters, more if they mean ill: others are served meanwhile.
    spans = search() if len(subject.plain) <= LONG else await to_thread.run_sync(search)
    return _findings(subject, spans)


def spans_of(
    text: str,
    tagging: Tagging | None = None,
    *,
    regions: Sequence[str] = phone.REGIONS,
    weights: Sequence[float] = WEIGHTS,
) -> list[Span]:
    """What stands in a text that is already plain, in order and without overlaps.

    Args:
        tagging: the model's, of this text; without it, only what has a form of its own is found.
        weights: see `names.WEIGHTS`.
    """
    spans = [*_structured(text, regions)]
    if tagging is not None:
        spans += named_by(text, tagging, spans, weights=weights)
    return grown(text, merge(text, spans))


async def _tagged(text: str, tagger: Tagger | None) -> Tagging | None:
    """The words that the model has read, with their places in `text`; `None` where there is nothing to read."""
    parts = worth_tagging(text) if tagger is not None else []
    if tagger is None or not parts:
        return None
    words: list[tuple[int, int]] = []
    scores: list[tuple[float, ...]] = []
    for (start, _), part in zip(parts, await tagger.tag([text[s:e] for s, e in parts]), strict=True):
        words += [(left + start, right + start) for left, right in part.words]
        scores += part.scores
    return Tagging(words=tuple(words), scores=tuple(scores))


def _prepared(text: str | Subject) -> Subject:
    return subject_of(text) if isinstance(text, str) else text


def _structured(text: str, regions: Sequence[str]) -> Iterator[Span]:
    for recognise in WORDED:
        yield from recognise(text)
    if _DIGIT.search(text):
        for recognise in NUMBERED:
            yield from recognise(text)
        yield from phone.find(text, regions)


def _findings(subject: Subject, spans: Iterable[Span]) -> list[Finding]:
    result = []
    for span in spans:
        start, end = subject.span(span.start, span.end)
        result.append(
            Finding(
                guard=GUARD,
                category=span.category,
                score=span.score,
                start=start,
                end=end,
                reason=span.reason,
                decision=Decision.FLAG if span.score >= POINT else Decision.ALLOW,
            )
        )
    return result
