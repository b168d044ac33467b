"""The exporter against a collector on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from athanor.config import load_settings
from athanor.errors import ConfigError
from athanor.observe import Metrics, otlp
from athanor.observe.genai import convert, places
from athanor.types import RequestRecord, Span, Usage

pytestmark = pytest.mark.anyio

SECRET = "Bearer otlp-0123456789"
MODELS = """
[models.fast]
source = "https://api.openai.com/v1"
backend = "openai"
upstream = "gpt-4o-mini"
[models.near]
source = "http://127.0.0.1:9/v1"
[models.azure]
source = "https://mine.openai.azure.com"
backend = "azure"
[models.here]
source = "scripted:"
"""
USAGE = Usage(prompt_tokens=10, completion_tokens=6, cached_tokens=4, reasoning_tokens=2, cost=0.25)


def record(number: int = 1, **more: Any) -> RequestRecord:
    facts = {"door": "chat.completions", "principal": "pr_1", "model": "main", "target": "fast", "usage": USAGE} | more
    return RequestRecord(trace=f"tr_{number}", at=1000.0, first_token=0.5, duration=2.0, **facts)


def span(number: int, name: str, parent: int | None, status: str = "ok", **attributes: Any) -> Span:
    return Span(
        id=str(number),
        trace="tr_1",
        parent=None if parent is None else str(parent),
        name=name,
        started_at=1000.0 + number,
        duration=0.25,
        status=status,
        attributes=attributes,
    )


MODEL = {"prompt_tokens": 10, "completion_tokens": 6, "cached_tokens": 4, "reasoning_tokens": 2, "cost": 0.25}
SPANS = [
    span(3, "model", 2, model="fast", stream=True, first_s=0.5, finish="stop", vendor_request="req_1", **MODEL),
    span(2, "attempt", 1, target="fast", wait=0.0, outcome="ok"),
    span(1, "request", None, model="main", door="chat.completions", target="fast"),
]


def told(
    spans: list[Span], row: RequestRecord, where: Mapping[str, Any]
) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Name → (span, its attributes as plain values)."""
    return {s["name"]: (s, {a["key"]: plain(a["value"]) for a in s["attributes"]}) for s in convert(row, spans, where)}


def plain(value: dict[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    match kind:
        case "intValue":
            assert isinstance(inner, str)
            return int(inner)
        case "arrayValue":
            return [plain(item) for item in inner["values"]]
        case "stringValue" | "boolValue" | "doubleValue":
            return inner
    raise AssertionError(kind)


@pytest.fixture
def where(tmp_path: Path) -> Mapping[str, Any]:
    return places(settings(tmp_path, ""))


def settings(folder: Path, traces: str) -> Any:
    file = folder / "athanor.toml"
    file.write_text(f"{MODELS}\n[traces]\n{traces}")
    return load_settings(file, environment={}).settings


def test_a_call_of_a_model_is_told_in_the_conventions_words(where: Mapping[str, Any]) -> None:
    found = told(SPANS, record(), where)
    called, attributes = found["chat gpt-4o-mini"]
    assert called["kind"] == 3
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 6,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "api.openai.com",
        "server.port": 443,
        "athanor.model": "fast",
        "athanor.cost_usd": 0.25,
        "athanor.vendor_request": "req_1",
    }
    root, attributes = found["chat.completions fast"]
    assert root["kind"] == 2
    assert "parentSpanId" not in root
    assert (attributes["athanor.trace"], attributes["athanor.model"], attributes["user.id"]) == ("tr_1", "main", "pr_1")
    assert not any(name.startswith("gen_ai.usage") for name in attributes), "told once, or sums would be doubled"
    assert (called["startTimeUnixNano"], called["endTimeUnixNano"]) == ("1003000000000", "1003250000000")


def test_ids_are_of_the_right_size_and_hang_together(where: Mapping[str, Any]) -> None:
    spans = list(convert(record(), SPANS, where))
    again = list(convert(record(), SPANS, where))
    other = list(convert(record(2), SPANS, where))
    assert [s["spanId"] for s in spans] == [s["spanId"] for s in again]
    assert not {s["spanId"] for s in spans} & {s["spanId"] for s in other}
    assert {s["traceId"] for s in spans} != {s["traceId"] for s in other}
    for found in spans:
        assert re.fullmatch("[0-9a-f]{32}", found["traceId"])
        assert re.fullmatch("[0-9a-f]{16}", found["spanId"])
    by_name = {s["name"]: s for s in spans}
    assert by_name["attempt"]["parentSpanId"] == by_name["chat.completions fast"]["spanId"]
    assert by_name["chat gpt-4o-mini"]["parentSpanId"] == by_name["attempt"]["spanId"]


def test_errors_have_a_type_and_a_caller_who_left_is_none(where: Mapping[str, Any]) -> None:
    spans = [span(2, "model", 1, "engine_timeout", model="fast"), span(1, "request", None, "cancelled")]
    found = told(spans, record(status="cancelled"), where)
    failed, attributes = found["chat gpt-4o-mini"]
    assert (failed["status"], attributes["error.type"]) == ({"code": 2}, "engine_timeout")
    left, attributes = found["chat.completions fast"]
    assert "status" not in left
    assert "error.type" not in attributes


def test_embeddings_are_a_call_too_and_retrieval_is_told_by_its_base(where: Mapping[str, Any]) -> None:
    usage = Usage(prompt_tokens=9, cost=0.5)
    spans = [span(1, "request", None, model="m"), span(2, "embed", 1, texts=2)]
    root, call = convert(record(door="embeddings", target="m", usage=usage), spans, where)
    assert (root["name"], call["name"]) == ("embeddings m", "embeddings m")
    assert not any(a["key"].startswith("gen_ai") for a in root["attributes"])
    attributes = {a["key"]: plain(a["value"]) for a in call["attributes"]}
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert (attributes["gen_ai.usage.input_tokens"], attributes["athanor.texts"]) == (9, 2)
    spans = [span(1, "request", None), span(2, "retrieve", 1, base="docs", hits=3)]
    _, attributes = told(spans, record(), where)["retrieval docs"]
    assert attributes == {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "docs", "athanor.hits": 3}


@pytest.mark.parametrize(
    ("model", "provider", "host"),
    [("near", "openai", "127.0.0.1"), ("azure", "azure.ai.openai", "mine.openai.azure.com"), ("here", "athanor", None)],
)
def test_who_provides_a_model(where: Mapping[str, Any], model: str, provider: str, host: str | None) -> None:
    spans = [span(1, "request", None), span(2, "model", 1, model=model)]
    call, attributes = told(spans, record(target=model), where)[f"chat {model}"]
    assert (attributes["gen_ai.provider.name"], attributes.get("server.address")) == (provider, host)
    assert call["kind"] == (1 if host is None else 3)
    assert ("gen_ai.response.model" in attributes) is (host is None), "only the vendor knows what it made of the name"


class Collector:
    """Keeps what it is sent, and answers what it is told to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.stalls = False
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        if self.stalls:
            await asyncio.sleep(60)
        self.headers.append(request.headers)
        self.bodies.append(orjson.loads(await request.read()))
        status, body = self.answers.pop(0) if self.answers else (200, b"{}")
        return web.Response(status=status, body=body, headers={"retry-after": "0"} if status == 503 else {})

    def traces(self) -> list[str]:
        """The traces that came, by the ids that people know."""
        spans = [s for body in self.bodies for r in body["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]
        found = ({a["key"]: plain(a["value"]) for a in s["attributes"]} for s in spans)
        return [attributes["athanor.trace"] for attributes in found if "athanor.trace" in attributes]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    yield made
    await runner.cleanup()


@pytest.fixture
def exporter(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[otlp.Exporter, Metrics]]:
    monkeypatch.setattr(otlp, "GATHER_S", 0.01)
    monkeypatch.setattr(otlp, "FLUSH_S", 0.5)
    (tmp_path / "secret").write_text(SECRET)
    chosen = settings(
        tmp_path, f'otlp_url = "{collector.url}"\notlp_headers = {{ authorization = {{ file = "{tmp_path}/secret" }} }}'
    )
    metrics = Metrics()
    return lambda: (otlp.Exporter(chosen, metrics, instance="run_1"), metrics)


@contextlib.asynccontextmanager
async def running(exporter: otlp.Exporter) -> AsyncIterator[None]:
    task = asyncio.create_task(exporter.run())
    try:
        yield
    finally:
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_batches_arrive_whole_with_the_headers_of_the_settings(collector: Collector, exporter: Any) -> None:
    sender, metrics = exporter()
    async with running(sender):
        for number in range(3):
            sender.add(record(number), SPANS)
        await until(lambda: 'outcome="sent"} 9' in metrics.render())
    (body,) = collector.bodies
    assert collector.traces() == ["tr_0", "tr_1", "tr_2"]
    assert collector.headers[0]["authorization"] == SECRET
    assert collector.headers[0]["content-type"] == "application/json"
    resource = {a["key"]: plain(a["value"]) for a in body["resourceSpans"][0]["resource"]["attributes"]}
    assert (resource["service.name"], resource["service.instance.id"]) == ("athanor", "run_1")
    assert 'athanor_otlp_spans_total{outcome="sent"} 9' in metrics.render()


async def test_a_busy_collector_is_asked_again_and_one_that_refuses_is_not(collector: Collector, exporter: Any) -> None:
    sender, metrics = exporter()
    collector.answers = [(503, b""), (503, b""), (200, b"{}"), (400, b"no")]
    async with running(sender):
        sender.add(record(1), SPANS)
        await until(lambda: len(collector.bodies) == 3)
        sender.add(record(2), SPANS)
        await until(lambda: len(collector.bodies) == 4)
        sender.add(record(3), SPANS)
        # Not until it has come: who stops before the answer is there sends again.
        await until(lambda: 'athanor_otlp_spans_total{outcome="sent"} 6' in metrics.render())
    assert collector.traces() == ["tr_1", "tr_1", "tr_1", "tr_2", "tr_3"]
    assert 'athanor_otlp_spans_total{outcome="dropped"} 3' in metrics.render()


async def test_what_a_collector_rejects_in_part_is_counted(collector: Collector, exporter: Any) -> None:
    sender, metrics = exporter()
    collector.answers = [(200, b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "old"}}')]
    async with running(sender):
        sender.add(record(1), SPANS)
        await until(lambda: bool(collector.bodies))
    assert 'athanor_otlp_spans_total{outcome="dropped"} 2' in metrics.render()
    assert 'athanor_otlp_spans_total{outcome="sent"} 1' in metrics.render()


async def test_a_collector_that_hangs_costs_spans_and_not_memory(
    collector: Collector, exporter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "QUEUE", 30)
    collector.stalls = True
    sender, metrics = exporter()
    async with running(sender):
        for number in range(1000):
            sender.add(record(number), SPANS)
        await until(lambda: "athanor_otlp_waiting_spans 0" in metrics.render())  # they are on their way
    assert 'athanor_otlp_spans_total{outcome="dropped"} 3000' in metrics.render()


async def test_the_end_of_the_server_sends_what_is_left(collector: Collector, exporter: Any) -> None:
    sender, _ = exporter()
    async with running(sender):
        sender.add(record(7), SPANS)
    assert collector.traces() == ["tr_7"]


async def test_a_url_that_is_none_and_a_secret_that_is_missing_are_said_at_the_start(tmp_path: Path) -> None:
    for traces in (
        'otlp_url = "127.0.0.1:4318"',
        'otlp_url = "http://x"\notlp_headers = { a = { env = "NOT_SET_1" } }',
    ):
        with pytest.raises(ConfigError):
            otlp.Exporter(settings(tmp_path, traces), Metrics(), instance="run_1")
