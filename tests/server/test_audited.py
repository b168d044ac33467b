"""Every act of administration leaves an entry in the audit chain: each route that changes something is tried."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from athanor.observe import Action
from athanor.server.rules import RULES
from athanor.types import RoleName
from athanor.worker import Runner
from tests.server.ruled import House, opened

pytestmark = pytest.mark.anyio

# Routes that change nothing of the system, and why each needs no entry.
USE = {  # the ledger has a row of each, and what a caller keeps for itself is its own
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/responses",
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "POST /v1/embeddings",
    "POST /v1/rerank",
    "POST /v1/moderations",
    "POST /v1/vector_stores/{store}/search",
    "DELETE /v1/responses/{response}",
    "POST /v1/responses/{response}/cancel",
    "POST /api/feedback",
    "POST /api/grade",
    "* /mcp",
    "* /mcp/{base}",
}
NOTHING_IS_KEPT = {
    "POST /api/guards/check",
    "POST /api/guards/policy/check",
    "POST /api/routes/{name:path}/replay",
}
NEEDS_MORE = {"POST /api/routes/{name:path}/train": Action.CLASSIFIER_TRAINED}
"""It takes a route with tasks: `test_routes_api` has one, and looks for the entry."""
CHANGING = {
    route
    for route, rule in RULES.items()
    if not rule.public and not rule.session and route.partition(" ")[0] not in {"GET", "HEAD"}
}


class Acts:
    """Tries routes, and looks at the chain after each."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.tried: set[str] = set()
        self.silent: dict[str, set[str]] = {}
        self._root = house.key(RoleName.ADMIN, name="root")

    async def __call__(self, route: str, action: Action, *, query: str = "", files: Any = None, **given: Any) -> Any:
        """Send what `route` names, with path parameters and body from `given`; the answer."""
        method, _, path = route.partition(" ")
        path = path.replace("{name:path}", "r")
        for name in [name for name in given if f"{{{name}}}" in path]:
            path = path.replace(f"{{{name}}}", str(given.pop(name)))
        before = self.house.app.store.audit.head()[0]
        body = None if files is not None or method == "DELETE" else given
        reply = await self.house.client.request(method, path + query, json=body, files=files, headers=self._root)
        assert reply.status_code < 300, (route, reply.text)
        entries = [entry for entry in self.house.app.store.audit.entries() if entry.sequence > before]
        self.tried.add(route)
        if action not in {entry.action for entry in entries}:
            self.silent[route] = {entry.action for entry in entries}
        root = self.house.app.store.principals.get("root").id
        assert {entry.principal for entry in entries} <= {root}, (route, "it says who did it")
        return reply.json() if reply.content else None

    async def work(self) -> None:
        while await Runner(self.house.app.store, self.house.app.handlers).run_once():
            pass


@pytest.fixture
async def act(tmp_path: Path) -> AsyncIterator[Acts]:
    async with opened(tmp_path) as house:
        yield Acts(house)


async def upload(act: Acts, name: str, text: bytes, purpose: str = "assistants") -> str:
    made: Mapping[str, Any] = await act(
        "POST /v1/files", Action.FILE_UPLOADED, files={"file": (name, text), "purpose": (None, purpose)}
    )
    return str(made["id"])


async def knowledge(act: Acts, folder: Path) -> None:
    base = (await act("POST /v1/vector_stores", Action.KNOWLEDGE_CREATED, name="wages"))["id"]
    await act("POST /v1/vector_stores/{store}", Action.KNOWLEDGE_CHANGED, store=base, metadata={"a": "b"})
    first, second, third = [await upload(act, f"{n}.md", b"# Pay\n\nThe porter earns %d.\n" % n) for n in range(3)]
    at = "/v1/vector_stores/{store}"
    await act(f"POST {at}/files", Action.INGESTION_STARTED, store=base, file_id=first)
    batch = await act(f"POST {at}/file_batches", Action.INGESTION_STARTED, store=base, file_ids=[second])
    await act(f"POST {at}/file_batches/{{batch}}/cancel", Action.JOB_CANCELLED, store=base, batch=batch["id"])
    await act(f"POST {at}/file_batches", Action.INGESTION_STARTED, store=base, file_ids=[second, third])
    await act.work()
    await act(f"POST {at}/files/{{file}}", Action.ATTRIBUTES_CHANGED, store=base, file=first, attributes={"a": 1})
    await act(f"DELETE {at}/files/{{file}}", Action.DOCUMENT_DELETED, store=base, file=first)
    documents = act.house.app.store.knowledge.documents(base, limit=9)
    await act("DELETE /api/documents/{document}", Action.DOCUMENT_DELETED, document=documents[0].id)
    source = documents[1].source
    await act("POST /api/knowledge/{base}/access", Action.ACCESS_CHANGED, base=base, what=source, nobody=True)
    await act("POST /api/knowledge/{base}/access", Action.ACCESS_CHANGED, base=base, what=source, default=True)
    await measures(act, base, source)
    await act("POST /api/knowledge/{base}/erase", Action.DOCUMENT_ERASED, base=base, source=source)
    (folder / "notes").mkdir()
    place, at = str(folder / "notes"), "/api/knowledge/{base}/sources"
    await act("POST /api/knowledge/{base}/sync", Action.INGESTION_STARTED, base=base, folder=place)
    await act.work()
    origin = (await act(f"POST {at}", Action.SOURCE_ADDED, base=base, place=place, every=3600))["origin"]
    await act.work()
    await act(f"POST {at}/sync", Action.INGESTION_STARTED, base=base, origin=origin)
    await act.work()
    await act(f"DELETE {at}", Action.SOURCE_REMOVED, base=base, query=f"?origin={origin}")
    spare = await upload(act, "spare.md", b"Nothing.")
    await act("DELETE /v1/files/{file}", Action.FILE_DELETED, file=spare)
    await act("DELETE /v1/vector_stores/{store}", Action.KNOWLEDGE_DELETED, store=base)


async def measures(act: Acts, base: str, source: str) -> None:
    at = "/api/knowledge/{base}"
    own = [{"text": f"What does the porter earn, {n}?", "relevant": [source]} for n in range(2)]
    await act(f"POST {at}/questions", Action.QUESTIONS_CHANGED, base=base, questions=own)
    one = act.house.app.store.questions.list(base)[0].id
    await act(f"DELETE {at}/questions/{{question}}", Action.QUESTIONS_CHANGED, base=base, question=one)
    await act(f"PATCH {at}/settings", Action.KNOWLEDGE_TUNED, base=base, expand=1)
    await act(f"POST {at}/rollback", Action.KNOWLEDGE_ROLLED_BACK, base=base, version=0)
    await act(f"POST {at}/questions/generate", Action.QUESTIONS_CHANGED, base=base, count=1, how="rules")
    await act(f"POST {at}/tune", Action.JOB_ASKED, base=base, budget=1, dry_run=True)
    await act(f"POST {at}/evaluations", Action.JOB_ASKED, base=base)
    await act(f"POST {at}/contexts", Action.CONTEXTS_CHANGED, base=base, limit=1)
    await act(f"DELETE {at}/contexts", Action.CONTEXTS_CHANGED, base=base)
    await act(f"DELETE {at}/questions", Action.QUESTIONS_CHANGED, base=base, query="?origin=user")
    for job in act.house.app.store.jobs.list():
        if job.state in {"queued", "running"}:
            await act("POST /api/jobs/{job}/cancel", Action.JOB_CANCELLED, job=job.id)


async def people(act: Acts) -> None:
    key = (await act("POST /api/keys", Action.KEY_CREATED, name="ada"))["id"]
    await act("PATCH /api/keys/{key}", Action.KEY_CHANGED, key=key, record_content=True)
    key = (await act("POST /api/keys/{key}/rotate", Action.KEY_ROTATED, key=key))["id"]
    await act("DELETE /api/keys/{key}", Action.KEY_REVOKED, key=key)
    team = (await act("POST /api/teams", Action.TEAM_CREATED, name="north"))["id"]
    await act("PATCH /api/teams/{team}", Action.TEAM_CHANGED, team=team, limits={"concurrency": 1})
    for target in ("north", None):
        await act("PATCH /api/principals/{name}", Action.PRINCIPAL_MOVED, name="ada", team=target)
    await act("DELETE /api/teams/{team}", Action.TEAM_DELETED, team=team)
    group = (await act("POST /api/groups", Action.GROUP_CREATED, name="payroll"))["id"]
    at = "/api/groups/{group}"
    await act(f"PATCH {at}", Action.GROUP_CHANGED, group=group, labels=["secret"])
    await act(f"POST {at}/members", Action.GROUP_CHANGED, group=group, principal="ada")
    await act(f"DELETE {at}/members/{{member}}", Action.GROUP_CHANGED, group=group, member="ada")
    await act(f"DELETE {at}", Action.GROUP_DELETED, group=group)


async def visitors(act: Acts) -> None:
    password = "a long and strange sentence, 1892"
    await act("POST /api/users", Action.USER_CREATED, name="bea", password=password)
    await act("PATCH /api/users/{user}", Action.USER_DISABLED, user="bea", disabled=True)
    await act("PATCH /api/users/{user}", Action.USER_ENABLED, user="bea", disabled=False)
    await act("PATCH /api/users/{user}", Action.ROLE_CHANGED, user="bea", role="auditor")
    await act("PATCH /api/users/{user}", Action.PASSWORD_CHANGED, user="bea", password=password + "!")
    await act("POST /api/links", Action.LINK_CREATED)
    app = act.house.app
    root = app.store.principals.get("root")
    app.links.exchange(app.links.create(root).reveal())
    session = app.sessions.list(by=root)[0].id
    await act("DELETE /api/sessions/{session}", Action.SESSION_ENDED, session=session)


async def rest(act: Acts) -> None:
    await act("POST /api/traces/expire", Action.TRACES_EXPIRED, before=1.0)
    await act("POST /api/routes/{name:path}/replay/ask", Action.REPLAY_ASKED, asks={"tr_nothing": "echo"})
    text = act.house.app.guards.book.current.text
    await act("PUT /api/guards/policy", Action.GUARDS_CHANGED, text=text + "\n# checked\n")
    await act("POST /api/guards/policy/dry-run", Action.GUARDS_TRIED, days=1)
    line = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "echo"}}\n'
    order = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    work = await upload(act, "work.jsonl", line, "batch")
    batch = await act("POST /v1/batches", Action.JOB_ASKED, input_file_id=work, **order)
    await act("POST /v1/batches/{batch}/cancel", Action.JOB_CANCELLED, batch=batch["id"])


async def test_every_act_of_administration_is_in_the_chain(act: Acts, tmp_path: Path) -> None:
    await people(act)
    await visitors(act)
    await rest(act)
    await knowledge(act, tmp_path)
    assert act.silent == {}
    assert CHANGING - act.tried - USE - NOTHING_IS_KEPT - set(NEEDS_MORE) == set(), "tried nowhere"
    assert (USE | NOTHING_IS_KEPT | set(NEEDS_MORE)) <= CHANGING, "there is no such route any more"
    assert act.house.app.store.audit.verify() == []


def test_what_needs_more_is_tried_elsewhere() -> None:
    text = Path(__file__).with_name("test_routes_api.py").read_text()
    assert all(f'"{action.value}"' in text for action in NEEDS_MORE.values())
