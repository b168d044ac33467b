"""Bodies of questions that bases are measured by, and of tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from athanor.rag.evaluation.questions import MOST
from athanor.rag.evaluation.tune import BUDGET
from athanor.server.wire.decoding import Incoming, ModelName, Seed

_Source = Annotated[str, Field(min_length=1, max_length=4096)]
_Grade = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Origin = Literal["user", "synthetic", "feedback"]


class GenerateBody(Incoming):
    """How many questions to make, and of what.

    `auto` has the model write if there is one that is trusted to read passages, and else goes by rules.
    """

    count: Annotated[int, Field(ge=1, le=MOST)] = 100
    how: Literal["auto", "rules", "model", "feedback"] = "auto"
    model: ModelName | None = None
    """The model that writes; unset takes the default one."""
    seed: Seed = 0


class NewQuestion(Incoming):
    """A question, and where its answer is: source names of documents, or `source#chunk id` of passages."""

    text: Annotated[str, Field(min_length=1, max_length=8000)]
    relevant: dict[_Source, _Grade] | list[_Source] = Field(default_factory=dict)
    """With grades or without; empty says that the base does not answer it."""
    answer: Annotated[str, Field(max_length=8000)] = ""


class NewQuestions(Incoming):
    """Questions of yours."""

    questions: Annotated[list[NewQuestion], Field(min_length=1, max_length=MOST)]


class TuneBody(Incoming):
    """What a tuning may do."""

    budget: Annotated[float, Field(ge=1, le=86_400)] = BUDGET
    """Seconds."""
    allow_slow: bool = False
    """Settings that make a search much slower may be chosen."""
    dry_run: bool = False
    """Measure, and change nothing."""
