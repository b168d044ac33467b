"""Personal data: what has a form of its own by recognisers, names and addresses by a model."""

from __future__ import annotations

import logging

from athanor.engines import LocalSettings, Tagger
from athanor.engines.adapters.tagger import OnnxTagger
from athanor.errors import AthanorError
from athanor.guards.parts import Parts
from athanor.guards.personal import CATEGORIES, find, find_all
from athanor.guards.subject import Subject
from athanor.models import resolve_tagger
from athanor.types import NOTHING_FOUND, Context, Origin, Verdict

log = logging.getLogger(__name__)


class PersonalGuard:
    """Finds `pii.*`. Without a tagger, or while it cannot work, what has a form of its own is still found."""

    name = "personal"
    categories = CATEGORIES
    reach = None
    """Whether a word is a name is seen by its sentence."""

    def __init__(self, tagger: Tagger | None = None, *, missing: AthanorError | None = None) -> None:
        self._tagger = tagger
        self.missing = missing
        """Why there is no tagger."""

    @classmethod
    def make(cls, parts: Parts) -> PersonalGuard:
        """With the catalogue's tagger, whose process starts with the first text; without one, where its weights are
        not installed or not the pinned ones."""
        try:
            resolved = resolve_tagger(cache=parts.settings.home / "verified.json")
        except AthanorError as error:
            log.warning("names and addresses are not found: %s %s", error.message, error.hint or "")
            return cls(missing=error)
        return cls(OnnxTagger(resolved, LocalSettings(wait=parts.settings.processor_wait)))

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        if not any(char.isalnum() for char in subject.plain):
            return NOTHING_FOUND
        found = find(subject) if self._tagger is None else await find_all(subject, self._tagger)
        return Verdict(findings=tuple(found)) if found else NOTHING_FOUND

    async def aclose(self) -> None:
        """End the tagger's process."""
        if self._tagger is not None:
            await self._tagger.aclose()
