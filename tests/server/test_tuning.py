"""Questions and tuning over HTTP: who may, what is stored, what is metered."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.rag.evaluation.questions import Writer
from athanor.types import RoleName
from athanor.worker import Runner
from tests.server.inside import Inside, inside

pytestmark = pytest.mark.anyio

PATH = "/api/knowledge/docs"


async def ingested(server: Inside, folder: Path, count: int = 6) -> None:
    folder.mkdir()
    things = ("ferry", "castle", "market", "railway", "granary", "library")
    for number in range(count):
        thing, other = things[number % 6], things[(number + 2) % 6]
        text = f"The {thing} of harbour {number} was built by masons beside the {other} in {1700 + number}. Visitors "
        text += f"of the {thing} walk past the {other} and through a narrow garden with {number + 3} old trees.\n"
        (folder / f"{thing}{number}.md").write_text(f"# The {thing}\n\n{text}")
    await server.app.ingestion.enqueue_folder(await server.app.knowledge.ensure("docs"), folder)
    await work(server)


async def work(server: Inside) -> None:
    assert await Runner(server.app.store, server.app.handlers).run_once()


async def test_questions_are_kept_listed_and_deleted_by_administrators_alone(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada", RoleName.DEVELOPER)
        body = {
            "questions": [
                {"text": "Who built the ferry?", "relevant": ["ferry0.md"], "answer": "masons"},
                {"text": "Where is the castle?", "relevant": {"castle1.md": 2, "gone.md": 1}},
                {"text": "What is the airport called?"},
            ]
        }
        calls = [
            ("GET", "/questions", None),
            ("POST", "/questions", body),
            ("POST", "/questions/generate", {}),
            ("DELETE", "/questions?origin=user", None),
            ("DELETE", "/questions/q_1", None),
            ("POST", "/tune", {}),
        ]
        for method, path, sent in calls:
            assert (await server.call(method, PATH + path, ada, sent))[0] == 403, path
        status, added, _ = await server.call("POST", f"{PATH}/questions", root, body)
        assert (status, added["added"], added["unknown"]) == (200, 3, ["gone.md"])
        _, listed, _ = await server.call("GET", f"{PATH}/questions", root)
        assert [one["origin"] for one in listed["data"]] == ["user"] * 3
        found = {one["text"]: one for one in listed["data"]}
        assert found["Where is the castle?"]["relevant"] == {"castle1.md": 2.0, "gone.md": 1.0}
        gone = found["What is the airport called?"]["id"]
        assert (await server.call("DELETE", f"{PATH}/questions/{gone}", root))[0] == 200
        assert (await server.call("DELETE", f"{PATH}/questions/{gone}", root))[0] == 404
        for wrong in ({"questions": [{"text": "?", "relevant": {"a": 0}}]}, {"questions": []}, {"questions": [{}]}):
            assert (await server.call("POST", f"{PATH}/questions", root, wrong))[0] in {400, 422}
        _, deleted, _ = await server.call("DELETE", f"{PATH}/questions?origin=user", root)
        assert deleted == {"deleted": 2}
        actions = [entry.action for entry in server.app.store.audit.entries(action="questions.changed")]
        assert len(actions) == 3


async def test_a_model_writes_on_the_account_of_who_asked(tmp_path: Path) -> None:
    written = "Question: Which craftsmen erected the ferry station?\nAnswer: masons"
    rules = [{"pattern": "The ferry of", "answer": written}, {"pattern": "Passage", "answer": "no idea"}]
    async with inside(tmp_path / "home", rules=rules, price={"completion": 1.0}) as server:
        await ingested(server, tmp_path / "texts")
        key, root = server.key("root", RoleName.ADMIN)
        _, job, _ = await server.call("POST", f"{PATH}/questions/generate", root, {"count": 2})
        assert (job["how"], job["model"]) == ("model", "priced")
        found = server.app.store.jobs.get(job["id"])
        # The scripted engine keeps to a schema by an empty answer: have it write lines.
        server.app.store.jobs.cancel(job["id"])
        writer = Writer(model="priced", schema=False, key=key.id)
        base = server.app.store.knowledge.get("docs")
        who = server.app.store.principals.get(found.arguments["principal"])
        job_ = await server.app.questions.enqueue(base, count=2, how="model", writer=writer, by=who)
        await work(server)
        _, ended, _ = await server.call("GET", f"/api/jobs/{job_.id}", root)
        assert ended["state"] == "done", ended["message"]
        assert (ended["result"]["made"], ended["result"]["unanswerable"]) == (2, 1)
        assert {item["message"] for item in ended["items"]} <= {"The model wrote no question."}
        rows = server.app.store.requests.list(door="questions")
        assert len(rows) == 1 + ended["result"]["rejected"], "each passage is one request, whatever came of it"
        assert {row.key for row in rows} == {key.id}
        assert sum(row.usage.cost for row in rows) > 0
        _, listed, _ = await server.call("GET", f"{PATH}/questions?origin=synthetic", root)
        (one,) = [one for one in listed["data"] if one["relevant"]]
        assert (one["answer"], [*one["relevant"]]) == ("masons", ["ferry0.md"])


async def test_a_key_that_was_revoked_pays_for_nothing_more(tmp_path: Path) -> None:
    async with inside(tmp_path / "home", rules=[]) as server:
        await ingested(server, tmp_path / "texts")
        key, root = server.key("root", RoleName.ADMIN)
        _, job, _ = await server.call("POST", f"{PATH}/questions/generate", root, {"count": 2, "how": "model"})
        server.app.keys.revoke(key.id)
        await work(server)
        ended = server.app.store.jobs.get(job["id"])
        assert ended.state == "failed"
        assert "revoked" in ended.message
        assert server.app.store.requests.list(door="questions") == []


async def test_rules_make_questions_and_a_tuning_by_them_changes_nothing(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        assert (await server.call("POST", f"{PATH}/tune", root, {}))[0] == 400, "there are no questions"
        assert (await server.call("POST", f"{PATH}/questions/generate", root, {"model": "nil"}))[0] == 404
        _, job, _ = await server.call(
            "POST", f"{PATH}/questions/generate", root, {"count": 4, "how": "rules", "seed": 7}
        )
        await work(server)
        _, ended, _ = await server.call("GET", f"/api/jobs/{job['id']}", root)
        assert (ended["state"], ended["done"]) == ("done", 4), ended["message"]
        status, job, _ = await server.call("POST", f"{PATH}/tune", root, {"budget": 30, "dry_run": False})
        assert status == 200
        await work(server)
        _, ended, _ = await server.call("GET", f"/api/jobs/{job['id']}", root)
        assert ended["state"] == "done", ended["message"]
        assert not ended["result"]["adopted"]
        assert ended["result"]["counts"]["synthetic"] == 3
        assert server.app.store.knowledge.get("docs").version == 0
