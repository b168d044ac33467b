"""Answers that were to be JSON by a schema: are they?

Local engines build the grammar into the sampling, so that nothing else can come out; vendors and cut-off answers can
break their word. The schema is the caller's: references outside it are not fetched, and its patterns are run by an
engine whose time is linear (https://json-schema.org/draft/2020-12).
"""

from __future__ import annotations

import json
from typing import Any

from athanor.guards.subject import Subject
from athanor.plugins import LazyModule
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Request, Verdict

rs = LazyModule("jsonschema_rs", extra="guards")


class SchemaGuard:
    """Checks an answer against the schema of its request. Bound to a request without one, it finds nothing."""

    contextual = True
    """What it finds depends on the request."""
    name = "schema"
    categories = frozenset({"schema"})
    reach = None

    def __init__(self) -> None:
        rs.Draft202012Validator  # noqa: B018  a missing extra is told at the start
        self._validator: Any = None

    def bound(self, request: Request, ctx: Context) -> SchemaGuard:
        """For the answer to one request."""
        guard = SchemaGuard()
        if request.json_schema is not None:
            try:
                guard._validator = rs.Draft202012Validator(
                    dict(request.json_schema), offline=True, pattern_options=rs.RegexOptions()
                )
            except (ValueError, rs.ReferencingError):
                return guard  # whether the schema is one is for the engine to say
        return guard

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        if self._validator is None or origin is not Origin.MODEL:
            return NOTHING_FOUND
        wrong = self._wrong(subject.text)
        if wrong is None:
            return NOTHING_FOUND
        return Verdict(
            findings=(
                Finding(
                    guard=self.name,
                    category="schema",
                    score=1.0,
                    start=0,
                    end=len(subject.text),
                    reason=wrong,
                    decision=Decision.FLAG,
                ),
            )
        )

    def _wrong(self, text: str) -> str | None:
        """In the schema's words; never in the answer's."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return "the answer is no JSON"
        try:
            first = next(self._validator.iter_errors(value), None)
        except ValueError:
            return None  # nested deeper than the validator goes
        return None if first is None else "the answer does not satisfy #/" + "/".join(map(str, first.schema_path))
