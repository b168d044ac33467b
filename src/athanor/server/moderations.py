"""`POST /v1/moderations`: OpenAI's format for what the guards find. Nothing is refused or changed by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from athanor.errors import NotFoundError
from athanor.gateway import App
from athanor.gateway.moderate import Judged, moderate
from athanor.server.answers import answer_headers
from athanor.server.auth import application, context
from athanor.server.door import Door
from athanor.server.sse import JSON
from athanor.server.wire.moderations import ModerationRequest
from athanor.types import Context

router = APIRouter(tags=["guards"], route_class=Door)

OWN = "athanor-guards"
MODELS = frozenset(
    {OWN, "omni-moderation-latest", "omni-moderation-2024-09-26", "text-moderation-latest", "text-moderation-stable"}
)
"""Names that clients ask for; the guards of this installation answer to all of them."""

NAMES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""OpenAI's categories, all of which are in every answer."""

_OURS: Mapping[str, tuple[str, ...]] = {
    # Of the guards that come with us.
    "toxicity": ("harassment",),
    "toxicity.general": ("harassment",),
    "toxicity.severe": ("harassment",),
    "toxicity.insult": ("harassment",),
    "toxicity.threat": ("harassment", "harassment/threatening", "violence"),
    "toxicity.identity": ("harassment", "hate"),
    "toxicity.profanity": (),  # nobody need be its target
    "toxicity.sexual": ("sexual",),
    "toxicity.flirtation": (),  # no word for what is friendly
    "harm": ("illicit",),
    "harm.request": ("illicit",),
    "harm.physical": ("illicit", "illicit/violent"),
    "harm.financial": ("illicit",),
    "harm.political": ("illicit",),
    "harm.privacy": ("illicit",),
    "harm.psychological": ("illicit", "harassment"),
    # Of guards that are brought along, for the words above that ours know nothing of.
    "toxicity.hate": ("hate",),
    "harm.violence": ("violence",),
    "harm.weapons": ("illicit", "illicit/violent"),
    "harm.self_harm": ("self-harm",),
    "harm.sexual": ("sexual",),
    "harm.minors": ("sexual", "sexual/minors"),
    "harm.hate": ("hate",),
    "harm.harassment": ("harassment",),
}
"""Our categories, or families of them, in OpenAI's words. What has none stands under `athanor` alone."""


@router.post("/v1/moderations", name="moderations", summary="What is harmful in texts, and what else guards find")
async def moderations(
    body: ModerationRequest, app: App = Depends(application), ctx: Context = Depends(context)
) -> Response:
    if body.model not in MODELS:
        raise NotFoundError(
            f"There is no model {body.model!r} for moderation.", where="model", hint=f"Use {OWN!r}, or leave it out."
        )
    started, judged = await moderate(OWN, body.texts(), ctx, app)
    whole = {"id": ctx.trace, "model": OWN, "results": [_result(one) for one in judged]}
    return JSON(whole, headers=answer_headers(started, ctx))


def _result(judged: Judged) -> dict[str, Any]:
    scores, flagged = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, False)
    for finding in judged.findings:
        for name in theirs(finding.category):
            scores[name] = max(scores[name], finding.score)
            flagged[name] = flagged[name] or finding.category in judged.flagged
    categories = sorted({finding.category for finding in judged.findings})
    return {
        "flagged": any(flagged.values()),
        "categories": flagged,
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] for name in NAMES},
        "athanor": {
            "flagged": bool(judged.flagged),
            "decision": judged.decision,
            "categories": {category: category in judged.flagged for category in categories},
            "category_scores": {category: judged.score(category) for category in categories},
            "findings": [
                {
                    "guard": finding.guard,
                    "category": finding.category,
                    "score": finding.score,
                    "start": finding.start,
                    "end": finding.end,
                    "reason": finding.reason,
                }
                for finding in judged.findings
            ],
        },
    }


def theirs(category: str) -> tuple[str, ...]:
    """OpenAI's words for one of our categories: those of the category, or of the nearest family that has some."""
    while category:
        if category in _OURS:
            return _OURS[category]
        category = category.rpartition(".")[0]
    return ()
