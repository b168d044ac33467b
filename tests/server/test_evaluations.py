"""Evaluations over HTTP: what is measured, who may, what is kept of a run that was cut off, and going back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from athanor.errors import EngineError
from athanor.rag.evaluation import measuring
from athanor.types import DEFAULT_RETRIEVAL, Context, JobState, RoleName
from athanor.worker import Runner
from tests.server.inside import Inside, inside
from tests.server.test_tuning import PATH, ingested, work

pytestmark = pytest.mark.anyio

QUESTIONS = [
    {"id": "1", "text": "Who built the ferry of harbour 0?", "relevant": {"ferry0": 1}, "answer": "masons"},
    {"id": "2", "text": "When was the castle of harbour 1 built?", "relevant": {"castle1.md": 1}, "answer": "1701"},
    {"id": "3", "text": "Where is the granary of harbour 4?", "relevant": {"granary4.md": 2, "gone.md": 1}},
    {"id": "4", "text": "Which lighthouse keeper wrote poems?", "unanswerable": True},
    {"id": "5", "text": "What about the zeppelin?", "relevant": {"zeppelin.md": 1}},
    {"id": "6", "text": "Is the library old?"},
]


async def evaluated(server: Inside, root: dict[str, str], **body: Any) -> dict[str, Any]:
    status, job, _ = await server.call("POST", f"{PATH}/evaluations", root, {"name": "set", **body})
    assert status == 200, job
    await work(server)
    _, ended, _ = await server.call("GET", f"/api/jobs/{job['id']}", root)
    assert ended["state"] == "done", ended["message"]
    result: dict[str, Any] = ended["result"]
    return result


async def test_an_evaluation_measures_what_is_known_and_names_what_is_not(tmp_path: Path) -> None:
    async with inside(tmp_path / "home", rules=[], price={"completion": 1.0}) as server:
        await ingested(server, tmp_path / "texts")
        key, root = server.key("root", RoleName.ADMIN)
        result = await evaluated(server, root, questions=QUESTIONS, answers=True)
        assert (result["questions"], result["failed"], result["stale"]) == (6, 0, 1)
        assert result["unknown"] == ["gone.md", "zeppelin.md"]
        figures = result["figures"]
        assert figures["ndcg@10"]["questions"] == 3
        assert figures["ndcg@10"]["low"] <= figures["ndcg@10"]["value"] <= figures["ndcg@10"]["high"]
        assert figures["recall@10"]["value"] > 0.8, "one of the three names a document that is not there"
        assert (figures["right abstention"]["questions"], figures["false abstention"]["questions"]) == (1, 4)
        assert figures["answer f1"]["questions"] == 2
        assert figures["latency p95"]["value"] >= figures["latency p50"]["value"] > 0
        assert len(server.app.store.requests.list(door="evaluate")) == 6, "every answer is a request as any other"
        assert {row.key for row in server.app.store.requests.list(door="evaluate")} == {key.id}
        assert server.app.store.files.list(purpose="evaluation", limit=10) == [], "what was sent is not kept"
        _, one, _ = await server.call("GET", f"{PATH}/evaluations/{result['evaluation']}", root)
        assert [entry["id"] for entry in one["details"]] == ["1", "2", "3", "4", "5", "6"]
        details = {entry["id"]: entry for entry in one["details"]}
        assert details["1"]["recall@10"] == 1, "a name without its suffix is its document"
        assert "ndcg@10" not in details["4"]
        assert "ndcg@10" not in details["5"], "what is not there cannot be found"
        assert not {"right abstention", "false abstention"} & set(details["6"]), "nobody knows"


async def test_two_evaluations_are_compared_by_the_questions_of_both(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        base = server.app.store.knowledge.get("docs")
        first = await evaluated(server, root, questions=QUESTIONS)
        assert first["previous"] is None
        status, _, _ = await server.call("GET", f"{PATH}/evaluations/{first['evaluation']}/compare", root)
        assert status == 404
        again = await evaluated(server, root, questions=QUESTIONS)
        assert again["previous"] is None, "of the same settings and documents there is nothing to learn"
        server.app.store.versions.add(base.id, replace(DEFAULT_RETRIEVAL, dense_weight=0.0))
        changed = [*QUESTIONS[:2], {**QUESTIONS[2], "text": "Where is it?"}, {"id": "7", "text": "The market?"}]
        other = await evaluated(server, root, questions=changed, version=1)
        assert (other["version"], other["previous"]) == (1, again["evaluation"])
        path = f"{PATH}/evaluations/{other['evaluation']}/compare"
        _, found, _ = await server.call("GET", path, root)
        assert (found["shared"], found["only_before"], found["only_after"]) == (2, 4, 2)
        assert found["measures"]["ndcg@10"]["questions"] == 2
        _, named, _ = await server.call("GET", f"{path}?against={first['evaluation']}", root)
        assert named["before"]["id"] == first["evaluation"]
        assert (await server.call("GET", f"{path}?against=eval_nil", root))[0] == 404
        assert server.app.store.knowledge.get("docs").version == 0, "to measure a version is not to use it"
        _, listed, _ = await server.call("GET", f"{PATH}/evaluations?questions=set", root)
        assert [one["version"] for one in listed["data"]] == [1, 0, 0]


async def test_questions_that_the_base_keeps_are_asked_unless_others_are_sent(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        status, reply, _ = await server.call("POST", f"{PATH}/evaluations", root, {})
        assert (status, reply["error"]["code"]) == (400, "invalid_request")
        own = [{"text": "Who built the ferry?", "relevant": ["ferry0.md"]}, {"text": "What is the airport called?"}]
        await server.call("POST", f"{PATH}/questions", root, {"questions": own})
        result = await evaluated(server, root, name="own")
        assert (result["questions"], result["figures"]["ndcg@10"]["questions"]) == (2, 1)


async def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_SAVE_SECONDS", 0.0)
    async with inside(tmp_path / "home", rules=[]) as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        body = {"name": "set", "questions": QUESTIONS, "answers": True}
        _, queued, _ = await server.call("POST", f"{PATH}/evaluations", root, body)
        told, asked = server.app.evaluations._answering, []
        assert told is not None

        async def dies(job: Any, base: Any, question: str) -> Any:
            asked.append(question)
            if len(asked) == 4:
                raise KeyboardInterrupt  # as a process does
            return await told(job, base, question)

        server.app.evaluations.speak(dies)
        leased = server.app.store.jobs.lease("killed", seconds=-1, kinds=("evaluate",))
        assert leased is not None
        with pytest.raises(BaseException, match=r".*"):
            await server.app.evaluations.run(leased)
        assert len(server.app.store.jobs.items(queued["id"])) == 3
        await work(server)
        ended = server.app.store.jobs.get(queued["id"])
        assert (ended.state, ended.done) == (JobState.DONE, 6), ended.message
        assert asked[4:] == [one["text"] for one in QUESTIONS[3:]], "the first three are not asked again"


async def test_answers_that_fail_are_counted_and_a_row_of_them_ends_it(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        told = server.app.evaluations._answering
        assert told is not None

        async def fails(job: Any, base: Any, question: str) -> Any:
            if "ferry" in question or "Q" in question:
                raise EngineError("It burns.")
            return await told(job, base, question)

        server.app.evaluations.speak(fails)
        result = await evaluated(server, root, questions=QUESTIONS, answers=True)
        assert (result["failed"], result["errors"][0]["id"]) == (1, "1")
        assert "burns" in result["errors"][0]["error"]
        many = [{"id": f"{n}", "text": f"Q{n}?"} for n in range(50)]
        _, job, _ = await server.call("POST", f"{PATH}/evaluations", root, {"questions": many, "answers": True})
        await work(server)
        ended = server.app.store.jobs.get(job["id"])
        assert (ended.state, ended.failed) == (JobState.FAILED, measuring.FAILURES)
        assert "burns" in ended.message


async def test_a_cancelled_evaluation_leaves_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_SAVE_SECONDS", 0.0)
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        _, job, _ = await server.call("POST", f"{PATH}/evaluations", root, {"questions": QUESTIONS, "answers": True})

        async def cancels(*_: Any) -> Any:
            assert (await server.call("POST", f"/api/jobs/{job['id']}/cancel", root))[0] == 200
            raise EngineError("too late")

        server.app.evaluations.speak(cancels)
        await work(server)
        assert server.app.store.jobs.get(job["id"]).state is JobState.CANCELLED
        assert server.app.store.evaluations.list(server.app.store.knowledge.get("docs").id) == []


async def test_who_may_not_administer_learns_nothing(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada", RoleName.OPERATOR)
        result = await evaluated(server, root, questions=QUESTIONS)
        one = f"/evaluations/{result['evaluation']}"
        calls: list[tuple[str, str, Any]] = [
            ("POST", "/evaluations", {"questions": QUESTIONS}),
            ("GET", "/evaluations", None),
            ("GET", one, None),
            ("GET", f"{one}/compare", None),
            ("GET", "/versions", None),
            ("POST", "/rollback", {"version": 0}),
        ]
        for method, path, body in calls:
            assert (await server.call(method, PATH + path, ada, body))[0] == 403, path
        await server.app.knowledge.create("other")
        assert (await server.call("GET", f"/api/knowledge/other{one}", root))[0] == 404, "it is of another base"
        wrong: list[dict[str, Any]] = [
            {"questions": []},
            {"questions": [QUESTIONS[0], QUESTIONS[0]]},
            {"questions": [{"id": "1", "text": "x", "relevant": {"a": 0}}]},
            {"questions": QUESTIONS, "version": -1},
            {"question": QUESTIONS},
        ]
        for body in wrong:
            assert (await server.call("POST", f"{PATH}/evaluations", root, body))[0] in {400, 422}, body
        assert (await server.call("POST", f"{PATH}/evaluations", root, {"questions": QUESTIONS, "version": 9}))[
            0
        ] == 404


async def test_going_back_changes_what_is_found_and_no_answer_is_kept_beyond_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inside(tmp_path / "home", rules=[{"pattern": ".*", "answer": "nothing"}]) as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        base = server.app.store.knowledge.get("docs")
        one_each = server.app.store.versions.add(base.id, replace(DEFAULT_RETRIEVAL, diversity=0.9, dense_weight=0.0))
        query = "/api/knowledge/docs/search?query=castle%20market%20of%20the%20railway%20trees&limit=6"

        async def order() -> list[tuple[str, float]]:
            # With the scores: the order alone may be the same by chance.
            _, found, _ = await server.call("GET", query, root)
            return [(hit["source"], hit["score"]) for hit in found["data"]]

        async def scope() -> str | None:
            who = server.app.store.principals.find("root")
            assert who is not None
            return (await server.app.router.resolve("docs", Context(principal=who, trace="t", door="x"))).scope

        settings = server.app.settings
        caching = settings.model_copy(update={"cache": settings.cache.model_copy(update={"mode": "exact"})})
        monkeypatch.setattr(server.app.router, "_settings", caching)
        defaults, kept = await order(), await scope()
        assert kept is not None
        status, told, _ = await server.call("POST", f"{PATH}/rollback", root, {"version": one_each.version})
        assert (status, told["before"], told["version"], told["changed"]) == (
            200,
            0,
            1,
            {"diversity": 0.9, "dense_weight": 0.0},
        )
        assert await order() != defaults
        assert await scope() != kept, "an answer of the settings before is not given under these"
        _, listed, _ = await server.call("GET", f"{PATH}/versions", root)
        assert [(row["version"], row["in_use"]) for row in listed["data"]] == [(1, True), (0, False)]
        await server.call("POST", f"{PATH}/rollback", root, {"version": 0})
        assert await order() == defaults
        assert await scope() == kept
        assert (await server.call("POST", f"{PATH}/rollback", root, {"version": 7}))[0] == 404
        entries = server.app.store.audit.entries(action="knowledge.rolled_back")
        assert sorted((entry.details["before"], entry.details["version"]) for entry in entries) == [(0, 1), (1, 0)]
        assert await Runner(server.app.store, server.app.handlers).run_once() is False
