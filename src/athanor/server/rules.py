"""Who may use which route: the whole table. `enforce` makes it hold."""

from __future__ import annotations

from collections.abc import Mapping

from athanor.governance import Right, Rule

ANY = "*"
"""In place of a method: all of them."""
PROTECTED = ("/v1", "/api", "/mcp", "/metrics")
"""What lies here says nothing to strangers, not even that it is not there."""

_ASK, _BUILD, _OPERATE, _ADMINISTER = Right.ASK, Right.BUILD, Right.OPERATE, Right.ADMINISTER
_ONLY_OWN: tuple[Right, ...] = ()
_TRACES = (Right.REVIEW, Right.OPERATE)

_PUBLIC = ("GET /health", "GET /openapi.json")
_SESSION = (f"{ANY} /console", f"{ANY} /console/{{path:path}}")

# Door → path. Their door is their own name; all others are called by the first part of their path.
_DOORS = {
    "POST /v1/chat/completions": "chat.completions",
    "POST /v1/completions": "completions",
    "POST /v1/responses": "responses",
    "POST /v1/messages": "messages",
    "POST /v1/messages/count_tokens": "messages",
    "POST /v1/embeddings": "embeddings",
    "POST /v1/rerank": "rerank",
    "POST /v1/moderations": "moderations",
}

# Route → the right it takes, and the rights that show what belongs to others.
_ROUTES: Mapping[str, tuple[Right | None, tuple[Right, ...] | None]] = {
    "GET /metrics": (_OPERATE, None),
    f"{ANY} /mcp": (None, None),
    f"{ANY} /mcp/{{base}}": (None, None),
    # --- models
    "GET /v1/models": (None, None),
    "GET /v1/models/{model:path}": (None, None),
    "GET /api/models": (None, None),
    "GET /api/routes": (None, None),
    "POST /api/routes/{name:path}/replay/ask": (_OPERATE, None),
    "POST /api/routes/{name:path}/replay": (_OPERATE, None),
    "POST /api/routes/{name:path}/train": (_OPERATE, None),
    "GET /api/routes/{name:path}": (None, None),
    "GET /api/cache": (_OPERATE, None),
    # --- what a caller keeps here
    "GET /v1/responses/{response}": (None, _ONLY_OWN),
    "DELETE /v1/responses/{response}": (None, _ONLY_OWN),
    "GET /v1/responses/{response}/input_items": (None, _ONLY_OWN),
    "POST /v1/responses/{response}/cancel": (None, _ONLY_OWN),
    "POST /v1/files": (_ASK, _ONLY_OWN),
    "GET /v1/files": (None, (_ADMINISTER,)),
    "GET /v1/files/{file}": (None, (_ADMINISTER,)),
    "GET /v1/files/{file}/content": (None, (_ADMINISTER,)),
    "DELETE /v1/files/{file}": (None, (_ADMINISTER,)),
    "POST /v1/batches": (_BUILD, _ONLY_OWN),
    "GET /v1/batches": (_BUILD, _ONLY_OWN),
    "GET /v1/batches/{batch}": (_BUILD, _ONLY_OWN),
    "POST /v1/batches/{batch}/cancel": (_BUILD, _ONLY_OWN),
    "POST /api/feedback": (None, (Right.REVIEW,)),
    "POST /api/links": (None, None),
    # --- knowledge
    "POST /v1/vector_stores": (_BUILD, None),
    "GET /v1/vector_stores": (None, None),
    "GET /v1/vector_stores/{store}": (None, None),
    "POST /v1/vector_stores/{store}": (_BUILD, None),
    "DELETE /v1/vector_stores/{store}": (_BUILD, None),
    "POST /v1/vector_stores/{store}/search": (None, None),
    "POST /v1/vector_stores/{store}/files": (_BUILD, (_ADMINISTER,)),
    "GET /v1/vector_stores/{store}/files": (None, None),
    "GET /v1/vector_stores/{store}/files/{file}": (None, None),
    "POST /v1/vector_stores/{store}/files/{file}": (_BUILD, None),
    "DELETE /v1/vector_stores/{store}/files/{file}": (_BUILD, None),
    "GET /v1/vector_stores/{store}/files/{file}/content": (None, None),
    "POST /v1/vector_stores/{store}/file_batches": (_BUILD, (_ADMINISTER,)),
    "GET /v1/vector_stores/{store}/file_batches/{batch}": (None, None),
    "POST /v1/vector_stores/{store}/file_batches/{batch}/cancel": (_BUILD, None),
    "GET /v1/vector_stores/{store}/file_batches/{batch}/files": (None, None),
    "GET /api/knowledge": (None, None),
    "GET /api/knowledge/{base}/documents": (None, None),
    "GET /api/knowledge/{base}/search": (None, None),
    "GET /api/knowledge/{base}/suggestions": (None, None),
    "POST /api/knowledge/{base}/sync": (_ADMINISTER, None),
    "GET /api/documents/{document}": (None, None),
    "GET /api/documents/{document}/text": (None, None),
    "DELETE /api/documents/{document}": (_BUILD, None),
    "GET /api/knowledge/{base}/sources": (_BUILD, None),
    "POST /api/knowledge/{base}/sources": (_BUILD, None),
    "POST /api/knowledge/{base}/sources/sync": (_BUILD, None),
    "DELETE /api/knowledge/{base}/sources": (_BUILD, None),
    "GET /api/knowledge/{base}/access": (_BUILD, None),
    "POST /api/knowledge/{base}/access": (_BUILD, None),
    "GET /api/knowledge/{base}/rules": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/erase": (_ADMINISTER, None),
    "POST /api/grade": (_ASK, None),
    # --- how well a base does: figures of a whole base tell of documents that are closed to others
    "GET /api/knowledge/{base}/questions": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/questions": (_ADMINISTER, None),
    "DELETE /api/knowledge/{base}/questions": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/questions/generate": (_ADMINISTER, None),
    "DELETE /api/knowledge/{base}/questions/{question}": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/tune": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/evaluations": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/evaluations": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/evaluations/{evaluation}": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/evaluations/{evaluation}/compare": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/versions": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/rollback": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/contexts": (_ADMINISTER, None),
    "DELETE /api/knowledge/{base}/contexts": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/check": (_ADMINISTER, None),
    "PATCH /api/knowledge/{base}/settings": (_ADMINISTER, None),
    # --- how the system does
    "GET /api/jobs": (None, (_OPERATE,)),
    "GET /api/jobs/{job}": (None, (_OPERATE,)),
    "POST /api/jobs/{job}/cancel": (_BUILD, (_OPERATE,)),
    "GET /api/traces": (None, _TRACES),
    "GET /api/traces/{trace}": (None, _TRACES),
    "POST /api/traces/expire": (_ADMINISTER, None),
    # --- guards
    "GET /api/guards": (Right.REVIEW, None),
    "GET /api/guards/events": (Right.REVIEW, None),
    "GET /api/guards/events/counts": (Right.REVIEW, None),
    "POST /api/guards/check": (Right.REVIEW, None),
    "GET /api/guards/policy": (_ADMINISTER, None),
    "PUT /api/guards/policy": (_ADMINISTER, None),
    "POST /api/guards/policy/check": (_ADMINISTER, None),
    "POST /api/guards/policy/dry-run": (_ADMINISTER, None),
    "GET /api/guards/policy/{version}": (_ADMINISTER, None),
    # --- money
    "GET /api/costs": (None, (_OPERATE,)),
    "GET /api/spending": (_OPERATE, None),
    # --- who may do what
    "GET /api/keys": (_OPERATE, None),
    "POST /api/keys": (_ADMINISTER, None),
    "GET /api/keys/{key}": (_OPERATE, None),
    "PATCH /api/keys/{key}": (_ADMINISTER, None),
    "DELETE /api/keys/{key}": (_ADMINISTER, None),
    "POST /api/keys/{key}/rotate": (_ADMINISTER, None),
    "GET /api/teams": (_OPERATE, None),
    "POST /api/teams": (_ADMINISTER, None),
    "PATCH /api/teams/{team}": (_ADMINISTER, None),
    "DELETE /api/teams/{team}": (_ADMINISTER, None),
    "GET /api/principals": (_OPERATE, None),
    "PATCH /api/principals/{name}": (_ADMINISTER, None),
    "GET /api/users": (_OPERATE, None),
    "POST /api/users": (_ADMINISTER, None),
    "GET /api/users/{user}": (_OPERATE, None),
    "PATCH /api/users/{user}": (_ADMINISTER, None),
    "GET /api/sessions": (None, (_ADMINISTER,)),
    "DELETE /api/sessions/{session}": (None, (_ADMINISTER,)),
    "GET /api/groups": (_ADMINISTER, None),
    "POST /api/groups": (_ADMINISTER, None),
    "PATCH /api/groups/{group}": (_ADMINISTER, None),
    "DELETE /api/groups/{group}": (_ADMINISTER, None),
    "POST /api/groups/{group}/members": (_ADMINISTER, None),
    "DELETE /api/groups/{group}/members/{member}": (_ADMINISTER, None),
}


def room_of(path: str) -> str | None:
    """What a part of the API is called among the interfaces of a key: `api`, `files`, `mcp`, …

    Models may be listed with any key.
    """
    room = path.removeprefix("/v1").strip("/").partition("/")[0]
    return None if room == "models" else room


RULES: Mapping[str, Rule] = {
    **{route: Rule(public=True) for route in _PUBLIC},
    **{route: Rule(session=True) for route in _SESSION},
    **{route: Rule(right=_ASK, door=door) for route, door in _DOORS.items()},
    **{
        route: Rule(right=right, own=own, door=room_of(route.partition(" ")[2]))
        for route, (right, own) in _ROUTES.items()
    },
}
"""`METHOD /path` → its rule. Of several that match, the first counts, as in the router."""

TOOLS: Mapping[str, Rule] = {
    "search": Rule(door="mcp"),
    "fetch": Rule(door="mcp"),
    "ask": Rule(right=_ASK, door="mcp"),
}
"""The tools of `/mcp`."""
