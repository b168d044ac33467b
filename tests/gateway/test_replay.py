from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from athanor.config import RouteSettings
from athanor.errors import ConfigError, InputError
from athanor.gateway import choice
from athanor.gateway.choice import Demand
from athanor.gateway.compare import compare, request_of
from athanor.gateway.replay import Report, failed_in, replay, traffic
from athanor.observe.content import Recording
from athanor.testing import HashEmbedder
from athanor.testing.engines import chat, constant
from athanor.types import (
    Attachment,
    Content,
    Image,
    Message,
    Price,
    Profile,
    RequestRecord,
    Role,
    Span,
    Text,
    Tool,
    ToolCall,
    Usage,
)
from tests.engines.failing import PROFILE

pytestmark = pytest.mark.anyio

LARGE = replace(PROFILE, name="large", context=100_000, quality=0.9, price=Price(prompt=2, completion=8, cached=0.5))
SMALL = replace(PROFILE, name="small", context=2_000, quality=0.5, price=Price(prompt=0.2, completion=0.8))
LOCAL = replace(PROFILE, name="local", price=Price(second=0.001))
PROFILES = {profile.name: profile for profile in (LARGE, SMALL, LOCAL)}


def row(n: int = 0, *, target: str = "large", prompt: int = 1000, completion: int = 100, **more: Any) -> RequestRecord:
    fields: dict[str, Any] = {
        "trace": f"tr_{n}",
        "at": 1000.0 + n,
        "door": "chat.completions",
        "principal": "p",
        "model": "route",
        "target": target,
        "duration": 2.0,
        "first_token": 0.5,
    }
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=prompt // 2)
    cost = PROFILES[target].price.of(usage) if target else 0.0
    return RequestRecord(**(fields | {"usage": replace(usage, cost=cost)} | more))


def run(*records: RequestRecord, demands: dict[str, Demand] | None = None, **settings: Any) -> Report:
    found = RouteSettings.model_validate({"use": ("small", "large"), **settings})
    names = {*choice.names_of(found), *found.fall_back_to}
    profiles: dict[str, Profile | None] = {name: PROFILES.get(name) for name in names}
    return replay(found, profiles, records, demands or {})


class TestReplay:
    def test_counts_what_moves_and_what_it_would_cost(self) -> None:
        report = run(*(row(n) for n in range(10)), *(row(n, prompt=5000) for n in range(10, 15)))
        summary = report.summary()
        assert (summary["requests"], summary["moved"]) == (15, 10)  # five are too long for the small one
        paid = sum(r.usage.cost for r in [row()] * 10)
        stays = 5 * row(prompt=5000).usage.cost
        assert summary["paid"] == pytest.approx(paid + stays)
        # No vendor's cache is warm for a model that did not answer then.
        assert summary["estimate"] == pytest.approx(10 * (1000 * 0.2 + 100 * 0.8) / 1e6 + stays)
        assert summary["difference"] == pytest.approx(summary["estimate"] - summary["paid"])
        models = {model["name"]: model for model in summary["models"]}
        assert (models["large"]["requests_before"], models["large"]["requests_after"]) == (15, 5)
        assert models["small"]["estimate"] == pytest.approx(10 * 280 / 1e6)

    def test_what_stays_costs_what_was_paid(self) -> None:
        report = run(row(target="small"), row(1, target="small"))
        assert report.summary()["moved"] == 0
        assert report.summary()["difference"] == 0

    def test_cached_and_failed_requests_are_counted_and_not_moved(self) -> None:
        failed = row(2, target="", prompt=0, completion=0, status="engine_failed")
        report = run(row(), row(1, cache="exact"), failed)
        assert (len(report.rows), report.cached, report.unanswered) == (1, 1, 1)

    def test_only_chats_of_the_route_are_traffic(self) -> None:
        rows = [
            row(3),
            row(1),
            row(2, model="other"),
            row(4, door="replay"),
            row(5, door="embeddings"),
        ]
        assert [r.trace for r in traffic(rows, "route")] == ["tr_1", "tr_3"]
        assert [r.trace for r in traffic(rows, "*")] == ["tr_1", "tr_2", "tr_3"]

    def test_a_task_needs_a_recorded_text(self) -> None:
        demands = {"tr_0": Demand(prompt=1, label="easy"), "tr_1": Demand(prompt=1, label="hard")}
        tasks = {"use": ("large",), "pick": "task", "tasks": [{"model": "small", "labels": ["easy"]}]}
        report = run(row(0), row(1), row(2), demands=demands, **tasks)
        assert [r.new for r in report.rows] == ["small", "large", "large"]
        assert [r.recorded for r in report.rows] == [True, True, False]
        assert [r.trace for r in report.to_ask()] == ["tr_0"]
        assert report.summary()["moved_and_recorded"] == 1

    def test_what_a_request_needs_decides_as_it_does_live(self) -> None:
        profiles = {"small": replace(SMALL, lacks=frozenset({"tools"})), "large": LARGE}
        settings = RouteSettings(use=("small", "large"))
        found = replay(settings, profiles, [row()], {"tr_0": Demand(prompt=1, needs=frozenset({"tools"}))})
        assert found.rows[0].new == "large"

    def test_a_model_by_the_second_is_priced_by_its_measured_speed(self) -> None:
        report = run(row(0), use=("local",))
        assert report.summary()["unpriced"] == 1
        assert report.rows[0].estimate is None
        measured = row(0, target="local", usage=Usage(prompt_tokens=90, completion_tokens=10, seconds=5.0))
        report = run(measured, row(1), use=("local",))
        assert report.rows[1].estimate == pytest.approx(1100 * 0.05 * 0.001)

    def test_cheapest_and_floor(self) -> None:
        assert run(row(), pick="cheapest").rows[0].new == "small"
        assert run(row(), pick="cheapest", quality_floor=0.8).rows[0].new == "large"
        with pytest.raises(ConfigError, match="quality floor"):
            run(row(), quality_floor=0.99)

    def test_fastest_learns_from_the_rows_as_they_came(self) -> None:
        rows = []
        for n in range(0, 100, 2):
            rows += [row(n, duration=4.0), row(n + 1, target="small", duration=1.0)]
        report = run(*rows, pick="fastest")
        later = [r.new for r in report.rows[20:]]
        assert later.count("small") > 0.85 * len(later)

    def test_weights_are_drawn_the_same_each_time(self) -> None:
        rows = [row(n) for n in range(200)]
        one, two = (run(*rows, pick="weighted", weights={"small": 1, "large": 3}) for _ in range(2))
        assert one == two
        assert 30 < one.summary()["moved"] < 70

    def test_least_busy_sees_what_runs_at_the_same_time(self) -> None:
        same = {f"tr_{n}": Demand(prompt=1, prefix="p") for n in range(8)}
        at_once = [row(n, at=1000.0, duration=60.0) for n in range(8)]
        spread = {r.new for r in run(*at_once, demands=same, pick="least_busy").rows}
        assert spread == {"small", "large"}
        one_by_one = [row(n, at=1000.0 + 100 * n, duration=60.0) for n in range(8)]
        assert len({r.new for r in run(*one_by_one, demands=same, pick="least_busy").rows}) == 1

    def test_a_model_that_failed_a_request_fails_it_again(self) -> None:
        settings = RouteSettings(use=("small", "large"))
        found = replay(settings, PROFILES, [row(0), row(1)], {}, failed={"tr_0": {"small"}, "tr_1": {"small", "large"}})
        assert [r.new for r in found.rows] == ["large", "small"]

    def test_the_trace_says_who_failed(self) -> None:
        def span(n: int, name: str, parent: str | None = "sp_0", **attributes: Any) -> Span:
            return Span(
                id=f"sp_{n}", trace="tr", parent=parent, name=name, started_at=n, duration=1.0, attributes=attributes
            )

        spans = [
            span(0, "request", None, target="large", left_alone=["local"]),
            span(1, "attempt", target="small", outcome="engine_unavailable"),
            span(2, "attempt", target="hedge", outcome="cancelled"),
            span(3, "attempt", target="large", outcome="engine_timeout"),
            span(4, "attempt", target="large", outcome="ok"),
        ]
        assert failed_in(spans) == {"local", "small"}
        assert failed_in([]) == frozenset()

    def test_the_report_is_json(self) -> None:
        body = run(row(), row(1, target="small")).wire()
        assert [r["moved"] for r in body["rows"]] == [True, False]
        assert body["requests"] == 2


class TestRecordedRequests:
    def test_come_back_as_they_were(self) -> None:
        picture = Message(
            role=Role.USER,
            content="See.",
            parts=(
                Text(text="See."),
                Image(url="https://x/y.png"),
                Attachment(data="AAAA", mime="application/pdf", name="a.pdf"),
            ),
        )
        call = Message(role=Role.ASSISTANT, content="", calls=(ToolCall(id="1", name="f", arguments="{}"),))
        result = Message(role=Role.TOOL, content="12", call="1")
        request = replace(
            chat("x", schema=constant("x"), temperature=0.0),
            messages=(picture, call, result),
            tools=(Tool(name="f", parameters={"type": "object"}),),
        )
        recorded = Recording(request).content("tr_1", 1.0)
        found = request_of(recorded)
        assert found.messages == request.messages
        assert found.tools == request.tools
        assert found.json_schema == request.json_schema
        assert found.sampling == request.sampling

    @pytest.mark.parametrize("body", [{}, {"messages": "gone"}, {"messages": [{"role": "nobody"}], "model": "x"}])
    def test_what_was_redacted_away_cannot_be_asked(self, body: dict[str, Any]) -> None:
        with pytest.raises(InputError, match="cannot be asked again"):
            request_of(Content(trace="tr_1", at=0.0, request=body, answer={}))


class TestCompare:
    async def compare(self, old: Any, new: Any) -> Any:
        def body(answer: Any) -> dict[str, Any]:
            return answer if isinstance(answer, dict) else {"content": answer}

        return await compare(body(old), body(new), HashEmbedder())

    async def test_the_same_words_are_the_same(self) -> None:
        found = await self.compare("The ferry leaves at 7:40.", "The ferry leaves at 7:40.")
        assert found.same
        assert found.similarity == pytest.approx(1.0, abs=1e-5)

    async def test_another_number_is_another_answer(self) -> None:
        found = await self.compare("The ferry leaves at 7:40 today.", "The ferry leaves at 8:40 today.")
        assert not found.numbers_agree
        assert not found.same

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("The warranty covers the seals.", "The warranty does not cover the seals."),
            ("Yes, it covers the seals.", "No, it covers the seals."),
        ],
    )
    async def test_a_denial_is_another_answer(self, old: str, new: str) -> None:
        found = await self.compare(old, new)
        assert not found.denials_agree
        assert not found.same

    async def test_other_words_are_another_answer(self) -> None:
        found = await self.compare("The ferry leaves from the pier.", "I do not know.")
        assert found.similarity < 0.5
        assert not found.same

    async def test_tool_calls_are_compared_by_meaning(self) -> None:
        def calls(arguments: str) -> dict[str, Any]:
            return {"content": "", "tool_calls": [{"id": "1", "name": "f", "arguments": arguments}]}

        assert (await self.compare(calls('{"a":1,"b":2}'), calls('{"b": 2, "a": 1}'))).same
        assert not (await self.compare(calls('{"a":1}'), calls('{"a":2}'))).same
        assert not (await self.compare(calls('{"a":1}'), {"content": ""})).same

    async def test_silence_is_not_an_answer(self) -> None:
        assert not (await self.compare("Yes.", "")).same
        assert (await self.compare("", "")).same


def test_a_row_says_everything_that_the_summary_counts() -> None:
    names = set(asdict(run(row()).rows[0]))
    assert names == {"trace", "at", "old", "new", "paid", "estimate", "recorded", "label"}
