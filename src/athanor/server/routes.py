"""`/api/routes`: what routes there are and how their models do; replaying stored traffic; training classifiers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response, StreamingResponse

from athanor.config import RouteSettings
from athanor.errors import AthanorError, InputError, NotFoundError
from athanor.gateway import App
from athanor.gateway.choice import Demand
from athanor.gateway.classify import Classifier, Example, train
from athanor.gateway.compare import ask_again, request_of
from athanor.gateway.replay import DOOR, Report, failed_in, replay, traffic
from athanor.gateway.route import Route
from athanor.gateway.routes import Routes
from athanor.governance import Right, require
from athanor.observe import Action
from athanor.server.auth import application, context, principal
from athanor.server.errors import error_body
from athanor.server.sse import JSON, sse
from athanor.types import Content, Context, Principal, Request, RequestRecord, new_id

router = APIRouter(prefix="/api/routes", tags=["routes"])

_TOGETHER = 4
"""Requests of a replay that are asked at once."""
_BATCH = 64
_STREAM = {"cache-control": "no-store", "x-accel-buffering": "no"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReplayBody(_Body):
    """Which traffic, and through which policy."""

    policy: dict[str, Any] | None = None
    """Settings of a route; unset takes those that the route has."""
    traffic: str | None = None
    """Requests that asked for this name, `*` for all; unset takes the route's own."""
    since: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Unix seconds."""
    limit: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    """Requests, the latest."""


class AskBody(_Body):
    """Recorded requests to be asked again."""

    asks: Annotated[dict[str, str], Field(min_length=1, max_length=32)]
    """Trace → the model to ask."""


class ExampleBody(_Body):
    """One labelled example: its text, or the trace of a recorded request."""

    label: Annotated[str, Field(min_length=1, max_length=100)]
    text: str | None = None
    trace: str | None = None


class TrainBody(_Body):
    """Examples for a classifier."""

    examples: list[ExampleBody]
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Below this probability the classifier gives no label."""
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] = 0


@router.get("", summary="Routes")
async def list_routes(app: App = Depends(application)) -> JSON:
    routes = _routes(app)
    return JSON({"data": [routes.outline(name) for name in routes.names()]})


@router.get("/{name:path}", summary="One route: its models, their breakers, loads and prices")
async def show_route(name: str, app: App = Depends(application)) -> JSON:
    return JSON(await _routes(app).describe(name))


@router.post("/{name:path}/replay/ask", summary="Ask recorded requests of other models, and compare the answers")
async def replay_ask(
    name: str, body: AskBody, app: App = Depends(application), ctx: Context = Depends(context)
) -> JSON:
    require(ctx.principal, Right.ASK)  # it spends
    details = {"requests": len(body.asks)}
    await to_thread.run_sync(
        lambda: app.audit.record(Action.REPLAY_ASKED, by=ctx.principal, subject=name, details=details)
    )
    slots = asyncio.Semaphore(_TOGETHER)

    async def one(trace: str, target: str) -> dict[str, Any]:
        content = await to_thread.run_sync(app.store.contents.get, trace)
        if content is None:
            return {"trace": trace, "target": target, "error": {"message": "It was not recorded."}}
        own = Context(principal=ctx.principal, key=ctx.key, trace=new_id("tr"), door=DOOR)
        async with slots:
            try:
                return await ask_again(content, target, own, app)
            except AthanorError as error:
                return {"trace": trace, "target": target, **error_body(error)}

    return JSON({"data": await asyncio.gather(*(one(trace, target) for trace, target in body.asks.items()))})


@router.post("/{name:path}/replay", summary="Stored traffic through a policy: where it would go, what it would cost")
async def replay_route(
    name: str, body: ReplayBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> JSON:
    routes = _routes(app)
    settings = routes.settings_of(name) if body.policy is None else _settings(body.policy)
    if body.policy is not None and settings.classifier is not None:
        # Naming any file of the machine is the owner's right.
        require(who, Right.ADMINISTER)
    route = await routes.draft(name, settings)
    asked = body.traffic or name
    records, contents, failed = await to_thread.run_sync(_load, app, body, asked)
    demands = await _demands(route, records, contents, app)
    profiles = {model: branch.member.known for model, branch in route.branches.items()}
    report: Report = await to_thread.run_sync(lambda: replay(settings, profiles, records, demands, failed=failed))
    return JSON({"route": name, "traffic": asked, **report.wire()})


@router.post("/{name:path}/train", summary="Train the classifier of a route by task; progress as events")
async def train_route(
    name: str, body: TrainBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> Response:
    routes = _routes(app)
    settings = routes.settings_of(name)
    named = {label for task in settings.tasks for label in task.labels}
    strange = sorted(named - {example.label for example in body.examples})
    if strange:
        raise InputError(f"No example has a label that the route's tasks name: {', '.join(strange)}.", where="examples")
    examples = await to_thread.run_sync(_examples, app, body.examples)
    events = _training(name, examples, body, app, who)
    # The first event is awaited before the status line is sent: too few examples are a 4xx.
    first = await anext(events)

    async def stream() -> AsyncIterator[bytes]:
        yield sse(first)
        try:
            async for event in events:
                yield sse(event)
        except AthanorError as error:
            yield sse(error_body(error))

    return StreamingResponse(stream(), media_type="text/event-stream", headers=_STREAM)


async def _training(
    name: str, examples: Sequence[Example], body: TrainBody, app: App, who: Principal
) -> AsyncIterator[Mapping[str, Any]]:
    """Progress, then the classifier's figures."""
    queue: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()

    async def progress(done: int, total: int) -> None:
        await queue.put({"done": done, "total": total})

    async def work() -> Classifier:
        try:
            return await train(examples, app.embedder, confidence=body.confidence, seed=body.seed, progress=progress)
        finally:
            await queue.put(None)

    task = asyncio.create_task(work())
    try:
        while (event := await queue.get()) is not None:
            yield event
        classifier = await task
        path = await to_thread.run_sync(_adopt, name, classifier, app, who)
        facts = {"file": str(path), "labels": classifier.labels, "confidence": classifier.confidence}
        yield {**facts, **classifier.figures}
    finally:
        task.cancel()


def _adopt(name: str, classifier: Classifier, app: App, who: Principal) -> Path:
    path = _routes(app).adopt(name, classifier)
    facts = {key: classifier.figures[key] for key in ("examples_sha256", "accuracy", "held_out")}
    app.audit.record(Action.CLASSIFIER_TRAINED, by=who, subject=name, details=facts)
    return path


def _routes(app: App) -> Routes:
    return app.router.routes


def _settings(policy: Mapping[str, Any]) -> RouteSettings:
    try:
        return RouteSettings.model_validate(policy)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["policy", *(str(part) for part in first["loc"])])
        raise InputError(f"{first['msg']}.", where=where) from error


def _load(
    app: App, body: ReplayBody, asked: str
) -> tuple[list[RequestRecord], dict[str, Content], dict[str, frozenset[str]]]:
    """Rows, and by trace: the text where it was recorded, and the models that failed."""
    model = None if asked == "*" else asked
    found = traffic(app.store.requests.list(model=model, since=body.since, limit=body.limit), asked)
    contents = {record.trace: app.store.contents.get(record.trace) for record in found}
    failed = {record.trace: failed_in(app.store.traces.get(record.trace)) for record in found}
    return found, {trace: content for trace, content in contents.items() if content is not None}, failed


async def _demands(
    route: Route, records: Sequence[RequestRecord], contents: Mapping[str, Content], app: App
) -> dict[str, Demand]:
    """Trace → what its recorded request needs, and what the route's classifier takes it for."""
    requests: dict[str, Request] = {}
    for record in records:
        if record.trace in contents:
            try:
                requests[record.trace] = request_of(contents[record.trace])
            except InputError:
                continue  # redacted beyond use: it counts as not recorded
    labels: dict[str, str | None] = {}
    if route.classifier is not None:
        asked = [trace for trace, request in requests.items() if request.question.strip()]
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            vectors = await app.embedder.embed([requests[trace].question for trace in batch], kind="query")
            labels |= dict(zip(batch, map(route.classifier.label, vectors.rows()), strict=True))
    return {trace: route.demand(request, labels.get(trace)) for trace, request in requests.items()}


def _examples(app: App, given: Sequence[ExampleBody]) -> list[Example]:
    found = []
    for place, example in enumerate(given):
        text = example.text
        if (text is None) == (example.trace is None):
            raise InputError("An example has either a text or a trace.", where=f"examples.{place}")
        if example.trace is not None:
            content = app.store.contents.get(example.trace)
            if content is None:
                raise NotFoundError("The text of this request was not recorded.", where=example.trace)
            text = request_of(content).question
        if text and text.strip():
            found.append(Example(text=text, label=example.label))
    return found
