"""A settled request in the words of OpenTelemetry's GenAI conventions, as OTLP's JSON.

Source: `semantic-conventions-genai`, `docs/gen-ai/gen-ai-spans.md` (in development; read in November 2026). What the
conventions have no word for is under `athanor.`. Texts of requests and answers are in no span, and so not here either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from athanor.config import Settings
from athanor.types import RequestRecord, Span

_INTERNAL, _SERVER, _CLIENT = 1, 2, 3
_ERROR = 2

_HOSTS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "api.cohere.com": "cohere",
}
_BACKENDS = {
    "azure": "azure.ai.openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
    "openai": "openai",
    "responses": "openai",
}
_AZURE = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
_USAGE = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "written_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
_CALLS = {"embed": "embeddings", "rerank": "rerank"}
"""Span → operation, for requests that are one call of an embedder or a reranker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model runs."""

    provider: str = "athanor"
    model: str | None = None
    """Its name there; `None` is the name that it has here."""
    host: str | None = None
    """`None` is this machine."""
    port: int | None = None


HERE = Place()


def convert(record: RequestRecord, spans: Sequence[Span], places: Mapping[str, Place]) -> Iterator[dict[str, Any]]:
    """The spans of one request as OTLP's JSON.

    Usage is told once, by the spans of models; the root has the cost of the whole, under a name of ours.
    """
    trace = hashlib.sha256(record.trace.encode()).hexdigest()[:32]
    for span in spans:
        root = span.parent is None
        name, kind, attributes = _described(span, record, places)
        if root:
            attributes = _of_request(record) | attributes
        told: dict[str, Any] = {
            "traceId": trace,
            "spanId": _span_id(record.trace, span.id),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(int(span.started_at * 1e9)),
            "endTimeUnixNano": str(int((span.started_at + span.duration) * 1e9)),
        }
        if span.parent is not None:
            told["parentSpanId"] = _span_id(record.trace, span.parent)
        if span.status == "cancelled":
            attributes["athanor.cancelled"] = True  # a caller that left is no error
        elif span.status != "ok":
            attributes["error.type"] = span.status
            told["status"] = {"code": _ERROR}
        told["attributes"] = attribute_list(attributes)
        yield told


def places(settings: Settings) -> dict[str, Place]:
    """Where each model of the settings runs. Those of the catalogue run here."""
    found: dict[str, Place] = {}
    for name, model in settings.models.items():
        url = urlsplit(model.source)
        if url.scheme not in {"http", "https"} or not url.hostname:
            continue
        provider = _HOSTS.get(url.hostname) or _BACKENDS.get(model.backend)
        if url.hostname.endswith(_AZURE):
            provider = "azure.ai.openai"
        port = url.port or (443 if url.scheme == "https" else 80)
        # A server of no vendor that we know speaks OpenAI's format, and the convention names the format.
        found[name] = Place(provider=provider or "openai", model=model.upstream, host=url.hostname, port=port)
    return found


def _described(span: Span, record: RequestRecord, places: Mapping[str, Place]) -> tuple[str, int, dict[str, Any]]:
    """Name, kind and attributes of a span."""
    # Its stage may still be at work on them: in a copy, nobody is.
    attributes = dict(span.attributes)
    operation = "chat" if span.name == "model" else _CALLS.get(span.name) if span.parent is not None else None
    if operation is not None:
        name = str(attributes.pop("model", record.target))
        if operation != "chat":
            attributes |= {field: getattr(record.usage, field) for field in (*_USAGE, "cost")}
        told = _of_model(operation, name, attributes, places.get(name, HERE))
        kind = _INTERNAL if told["server.address"] is None else _CLIENT
        return f"{operation} {told['gen_ai.request.model']}", kind, told
    if span.name == "retrieve":
        base = str(attributes.pop("base", ""))
        told = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": base}
        return f"retrieval {base}", _INTERNAL, told | _own(attributes)
    if span.parent is not None:
        return span.name, _INTERNAL, _own(attributes)
    for known in ("model", "door", "target", "cache", "saved"):  # the ledger's row tells them
        attributes.pop(known, None)
    return f"{record.door} {record.target or record.model}", _SERVER, _own(attributes)


def _of_model(operation: str, name: str, attributes: dict[str, Any], place: Place) -> dict[str, Any]:
    """A call of a model in the words of the convention; `attributes` that it has no word for keep ours."""
    told: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": place.provider,
        "gen_ai.request.model": place.model or name,
        # What a vendor makes of the name that it was asked for, only the vendor knows.
        "gen_ai.response.model": name if place.host is None else None,
        "gen_ai.request.stream": attributes.pop("stream", None) or None,
        "gen_ai.response.time_to_first_chunk": attributes.pop("first_s", None),
        "gen_ai.response.finish_reasons": [reason] if (reason := attributes.pop("finish", "")) else None,
        "server.address": place.host,
        "server.port": place.port,
        "athanor.model": name,
        "athanor.cost_usd": attributes.pop("cost", None),
    }
    if told["gen_ai.request.stream"] is None:
        told["gen_ai.response.time_to_first_chunk"] = None
    for ours, word in _USAGE.items():
        count = attributes.pop(ours, 0)
        told[word] = count if count or ours in {"prompt_tokens", "completion_tokens"} else None
    return told | _own(attributes)


def _of_request(record: RequestRecord) -> dict[str, Any]:
    """What the ledger knows. Ids, never names of people."""
    return {
        "user.id": record.principal,
        "athanor.trace": record.trace,
        "athanor.door": record.door,
        "athanor.model": record.model,
        "athanor.target": record.target or None,
        "athanor.key": record.key,
        "athanor.team": record.team,
        "athanor.cost_usd": record.usage.cost,
        "athanor.cache": record.cache or None,
        "athanor.saved_usd": record.saved or None,
        "athanor.first_token_s": record.first_token,
    }


def _own(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f"athanor.{name}": value for name, value in attributes.items()}


def attribute_list(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`KeyValue`s; what is `None` is left out."""
    return [{"key": name, "value": told} for name, value in values.items() if (told := _value(value)) is not None]


def _value(value: Any) -> dict[str, Any] | None:
    """OTLP's `AnyValue`; `None` for nothing."""
    match value:
        case None:
            return None
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}  # 64 bits are more than JSON's numbers hold
        case float():
            return {"doubleValue": value}
        case list() | tuple():
            return {"arrayValue": {"values": [told for item in value if (told := _value(item)) is not None]}}
    return {"stringValue": str(value)}


def _span_id(trace: str, span: str) -> str:
    return hashlib.sha256(f"{trace}/{span}".encode()).hexdigest()[:16]
