"""Bodies of evaluations and of going back to a version."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from athanor.rag.evaluation.run import MOST, OWN
from athanor.server.wire.decoding import Incoming

_Name = Annotated[str, Field(min_length=1, max_length=4096)]
_Grade = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class AskedBody(Incoming):
    """A question, and as much of the truth about it as is known."""

    id: Annotated[str, Field(min_length=1, max_length=512)]
    """The same in the next evaluation, so that both can be compared."""
    text: Annotated[str, Field(min_length=1, max_length=8000)]
    relevant: dict[_Name, _Grade] = Field(default_factory=dict)
    """Source names of documents, `source#chunk id` of passages, names without suffix, or titles → grade."""
    answer: Annotated[str, Field(max_length=8000)] = ""
    unanswerable: bool = False
    """The base has no answer, and to say so is right."""


class EvaluateBody(Incoming):
    """What to measure."""

    questions: Annotated[list[AskedBody], Field(min_length=1, max_length=MOST)] | None = None
    """Unset takes those that the base keeps."""
    name: Annotated[str, Field(min_length=1, max_length=200)] = OWN
    """Of the set of questions; evaluations are compared by it."""
    answers: bool = False
    """Have every question answered too, by the model that answers from the base."""
    version: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Of the settings, 0 for the defaults; unset takes the one in use."""


class RollbackBody(Incoming):
    """The version to go back to, or forward."""

    version: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """0 is the defaults."""
