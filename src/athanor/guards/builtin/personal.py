"""Personal data: what has a form of its own by recognisers, names and addresses by a model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec

from athanor.engines import LocalSettings, Tagger
from athanor.engines.adapters.tagger import OnnxTagger
from athanor.errors import AthanorError, MissingExtraError
from athanor.guards.parts import Parts
from athanor.guards.personal import CATEGORIES, find_all
from athanor.guards.personal.phone import REGIONS
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

    def __init__(
        self,
        tagger: Tagger | None = None,
        *,
        regions: Sequence[str] = REGIONS,
        missing: AthanorError | None = None,
    ) -> None:
        self._tagger = tagger
        self._regions = regions
        self.missing = missing
        """Why there is no tagger."""

    @classmethod
    def make(cls, parts: Parts) -> PersonalGuard:
        """With the catalogue's tagger, whose process starts with the first text; without one, where its weights are
        not installed or not the pinned ones."""
        regions = parts.settings.guards.phone_regions
        try:
            for module in ("numpy", "onnxruntime", "tokenizers"):
                if find_spec(module) is None:
                    raise MissingExtraError(f"The package behind {module!r}", extra="guards")
            resolved = resolve_tagger(cache=parts.settings.home / "verified.json")
        except AthanorError as error:
            log.warning("names and addresses are not found: %s %s", error.message, error.hint or "")
            return cls(regions=regions, missing=error)
        return cls(OnnxTagger(resolved, LocalSettings(wait=parts.settings.processor_wait)), regions=regions)

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        if not any(char.isalnum() for char in subject.plain):
            return NOTHING_FOUND
        found = await find_all(subject, self._tagger, regions=self._regions)
        return Verdict(findings=tuple(found)) if found else NOTHING_FOUND

    async def aclose(self) -> None:
        """End the tagger's process."""
        if self._tagger is not None:
            await self._tagger.aclose()
