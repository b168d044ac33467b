"""Groups, rules, `who` and erasure over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.types import RoleName
from athanor.worker import Runner
from tests.server.inside import inside

pytestmark = pytest.mark.anyio


async def test_a_closed_document_is_not_there_until_its_group_is_joined(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "hr").mkdir(parents=True)
    (folder / "hr" / "pay.md").write_text("# Pay\n\nThe salary of the porter is 900 thalers a year.\n")
    (folder / "plan.md").write_text("# Plan\n\nThe porter opens the gate at seven.\n")
    async with inside(tmp_path / "home") as server:
        app = server.app
        await app.ingestion.enqueue_folder(await app.knowledge.ensure("docs"), folder)
        assert await Runner(app.store, app.handlers).run_once()
        _, root = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada", RoleName.DEVELOPER)

        async def listed() -> list[str]:
            _, reply, _ = await server.call("GET", "/api/knowledge/docs/documents", ada)
            return [one["source"] for one in reply["data"]]

        assert (await server.call("POST", "/api/groups", root, {"name": "hr", "labels": ["pay"]}))[0] == 200
        assert (await server.call("POST", "/api/groups", ada, {"name": "mine"}))[0] == 403
        rule = {"what": "hr/*", "groups": ["hr"], "labels": ["pay"]}
        status, changed, _ = await server.call("POST", "/api/knowledge/docs/access", root, rule)
        assert (status, changed["changed"]) == (200, 1)
        assert await listed() == ["plan.md"]

        # What is closed and what is not there are answered in the same words.
        answers = []
        for source in ("hr/pay.md", "hr/nil.md"):
            status, reply, _ = await server.call("GET", f"/api/knowledge/docs/access?source={source}", ada)
            answers.append((status, reply["error"]["message"].replace(source, "")))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
        assert (await server.call("GET", "/api/knowledge/docs/rules", ada))[0] == 403
        assert (await server.call("DELETE", "/v1/vector_stores/docs", ada))[0] == 403

        status, _, _ = await server.call("POST", "/api/groups/hr/members", root, {"principal": "ada"})
        assert status == 200
        assert await listed() == ["hr/pay.md", "plan.md"]
        _, who, _ = await server.call("GET", "/api/knowledge/docs/access?source=hr/pay.md", root)
        reasons = {one["name"]: one["reasons"] for one in who["people"]}
        assert reasons["ada"] == ["group hr", "cleared for pay by group hr"]
        await server.call("PATCH", "/api/groups/hr", root, {"labels": []})
        assert await listed() == ["plan.md"]

        erase = {"source": "hr/pay.md"}
        assert (await server.call("POST", "/api/knowledge/docs/erase", ada, erase))[0] == 403
        status, receipt, _ = await server.call("POST", "/api/knowledge/docs/erase", root, erase)
        assert status == 200
        assert receipt["complete"], receipt["checks"]
        assert "pay.md" not in str(receipt)
        assert (await server.call("POST", "/api/knowledge/docs/erase", root, erase))[0] == 404


async def test_a_verdict_on_the_request_of_another_is_one_on_none(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        _, ada = server.key("ada")
        _, bert = server.key("bert")
        _, said, _ = await server.chat(ada)
        trace = said["athanor"]["trace"]
        answers = []
        for name in (trace, "tr_none"):
            status, reply, _ = await server.call("POST", "/api/feedback", bert, {"trace": name, "rating": 1})
            answers.append((status, reply["error"]["message"].replace(name, "")))
        assert answers[0] == answers[1]
        assert (await server.call("POST", "/api/feedback", ada, {"trace": trace, "rating": 1}))[0] == 200
