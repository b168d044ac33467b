from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from athanor.governance import Grant
from athanor.server.batches import ENDPOINTS
from athanor.testing import PhraseGuard
from athanor.types import JobState, Limits, RoleName
from athanor.worker import Runner
from tests.doors.conftest import House

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


@pytest.fixture
def sdk(house: House) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.key, max_retries=0)


def asks(*texts: str, url: str = CHAT, model: str = "scripted", **more: Any) -> bytes:
    lines = []
    for i, text in enumerate(texts):
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        lines.append(json.dumps({"custom_id": f"line-{i}", "method": "POST", "url": url, "body": body}))
    return "\n".join(lines).encode()


async def batch_of(sdk: AsyncOpenAI, raw: bytes, endpoint: Any = CHAT) -> Any:
    file = await sdk.files.create(file=("in.jsonl", raw), purpose="batch")
    return await sdk.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")


async def lines_of(sdk: AsyncOpenAI, file: str | None) -> dict[str, Any]:
    assert file is not None
    text = (await sdk.files.content(file)).text
    return {line["custom_id"]: line for line in map(json.loads, text.splitlines())}


async def test_a_batch_gives_answers_and_errors_in_two_files(sdk: AsyncOpenAI, house: House) -> None:
    raw = asks("say ok", "error", "think") + b"\n\n" + asks("x", model="nobody").replace(b"line-0", b"lost")
    batch = await batch_of(sdk, raw)
    assert (batch.status, batch.output_file_id) == ("validating", None)
    await house.work()
    batch = await sdk.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.request_counts.model_dump() == {"total": 4, "completed": 2, "failed": 2}
    good, bad = await lines_of(sdk, batch.output_file_id), await lines_of(sdk, batch.error_file_id)
    assert sorted(good) == ["line-0", "line-2"]
    body = good["line-0"]["response"]["body"]
    assert body["choices"][0]["message"]["content"] == "ok"
    assert house.app.store.requests.get(body["athanor"]["trace"]).door == "batches"
    assert bad["line-1"]["response"]["status_code"] == 502
    assert bad["lost"]["response"]["body"]["error"]["code"] == "not_found"
    assert batch.id in [found.id async for found in sdk.batches.list(limit=2)]


@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS))
async def test_every_endpoint_takes_lines(
    sdk: AsyncOpenAI, house: House, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.app.guards, "guards", (PhraseGuard({"fool": "toxicity.insult"}),))
    body = {
        CHAT: {"messages": [{"role": "user", "content": "say ok"}]},
        "/v1/completions": {"prompt": "say ok"},
        "/v1/responses": {"input": "say ok"},
        "/v1/embeddings": {"input": "say ok"},
        "/v1/moderations": {"input": "say ok"},
    }[endpoint]
    model = {"/v1/embeddings": "default", "/v1/moderations": "athanor-guards"}.get(endpoint, "scripted")
    line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": model, **body}}
    batch = await batch_of(sdk, json.dumps(line).encode(), endpoint)
    await house.work()
    batch = await sdk.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 1), batch.errors
    assert (await lines_of(sdk, batch.output_file_id))["a"]["response"]["status_code"] == 200


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "no requests"),
        (b"{nonsense", "Line 1 is no JSON"),
        (b'{"custom_id": 1}', "custom_id"),
        (asks("a") + b"\n" + asks("b"), "Line 2: its custom_id is not unique"),
        (asks("a", url="/v1/embeddings"), "the url is /v1/chat/completions"),
    ],
)
async def test_a_file_that_is_wrong_fails_the_batch(sdk: AsyncOpenAI, house: House, raw: bytes, problem: str) -> None:
    batch = await batch_of(sdk, raw)
    await house.work()
    batch = await sdk.batches.retrieve(batch.id)
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert problem in (batch.errors.data[0].message or "")


@pytest.fixture
async def slow(sdk: AsyncOpenAI, house: House) -> AsyncIterator[tuple[Any, asyncio.Task[bool]]]:
    """A batch under way, of which some lines are finished."""
    batch = await batch_of(sdk, asks(*["say ok"] * 8, *["slow"] * 40))
    task = asyncio.create_task(Runner(house.app.store, house.app.handlers).run_once())
    path = house.app.settings.home / "batches" / f"job_{batch.id.removeprefix('batch_')}.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < 9:
        await asyncio.sleep(0.01)
    yield batch, task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_worker_that_dies_loses_no_finished_line(
    slow: tuple[Any, asyncio.Task[bool]], sdk: AsyncOpenAI, house: House
) -> None:
    batch, task = slow
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    path = house.app.settings.home / "batches" / f"job_{batch.id.removeprefix('batch_')}.jsonl"
    finished = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"key": "line-47", "kind"')  # a kill in the middle of a line
    before = house.app.store.requests.count()
    house.app.store.jobs.release()
    await house.work()
    batch = await sdk.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 48)
    assert house.app.store.requests.count() - before == 48 - finished.count(b"\n")
    assert len(await lines_of(sdk, batch.output_file_id)) == 48
    assert not path.exists()


async def test_a_cancelled_batch_gives_out_what_it_has(
    slow: tuple[Any, asyncio.Task[bool]], sdk: AsyncOpenAI, house: House
) -> None:
    batch, task = slow
    batch = await sdk.batches.cancel(batch.id)
    assert batch.status == "cancelling"
    task.cancel()  # as the runner does when it hears of it
    await asyncio.gather(task, return_exceptions=True)
    batch = await sdk.batches.retrieve(batch.id)
    assert batch.status == "cancelled"
    assert 8 < len(await lines_of(sdk, batch.output_file_id)) < 48


async def test_lines_wait_for_the_limits_of_their_key_and_expire(house: House) -> None:
    limits = Limits(requests_per_minute=2)
    _, secret = house.app.keys.create("limited", RoleName.DEVELOPER, grant=Grant(limits=limits))
    sdk = AsyncOpenAI(base_url=f"{house.url}/v1", api_key=secret.reveal(), max_retries=0)
    batch = await batch_of(sdk, asks("say ok", "say ok", "say ok"))
    store = house.app.store
    (job,) = [job for job in store.jobs.list(states=[JobState.QUEUED]) if job.kind == "batch"]
    leased = store.jobs.lease("test", seconds=60, kinds=("batch",))
    assert leased is not None
    assert leased.id == job.id
    soon = {**leased.arguments, "expires_at": leased.created_at + 1.5}
    result = await house.app.batches.run(
        type(leased)(**{f: getattr(leased, f) for f in leased.__slots__} | {"arguments": soon})
    )
    store.jobs.finish(leased.id, "test", result=result)
    batch = await sdk.batches.retrieve(batch.id)
    assert batch.status == "expired"
    assert batch.request_counts.completed == 2
    (late,) = (await lines_of(sdk, batch.error_file_id)).values()
    assert late["error"]["code"] == "batch_expired"
    assert late["response"] is None


async def test_a_batch_is_its_makers_own(sdk: AsyncOpenAI, house: House) -> None:
    batch = await batch_of(sdk, asks("say ok"))
    _, secret = house.app.keys.create("other", RoleName.DEVELOPER)
    other = AsyncOpenAI(base_url=f"{house.url}/v1", api_key=secret.reveal(), max_retries=0)
    for call in (other.batches.retrieve(batch.id), other.batches.cancel(batch.id)):
        with pytest.raises(openai.NotFoundError):
            await call
    with pytest.raises(openai.NotFoundError):
        await other.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h")
    assert [found async for found in other.batches.list()] == []
    await house.work()
