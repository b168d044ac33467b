"""The OpenAI wire format, as far as we speak it: what may come in, checked once at the border."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from athanor.errors import InputError, UnsupportedError
from athanor.types import AnswerMode, Message, Request, Role, Sampling


class Incoming(BaseModel):
    """A request body. Unknown fields are refused: a parameter that does nothing would deceive its sender."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TextPart(Incoming):
    """One text part of a message's content."""

    type: Literal["text", "input_text"]
    text: str


class ChatMessage(Incoming):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    annotations: list[Any] | None = None
    """Accepted so that an answer of ours can be sent back as history; not used."""
    refusal: str | None = None

    def to_message(self) -> Message:
        content = self.content
        text = "".join(part.text for part in content) if isinstance(content, list) else (content or "")
        role = Role.SYSTEM if self.role == "developer" else Role(self.role)
        return Message(role=role, content=text, name=self.name)


class StreamOptions(Incoming):
    """Options of a streamed answer."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class ResponseFormat(Incoming):
    """Plain text, any JSON object, or JSON that satisfies a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class AthanorOptions(Incoming):
    """What only we understand: sent under the key `athanor` (`extra_body` in the SDK)."""

    mode: AnswerMode | None = None


class ChatRequest(Incoming):
    """Body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: Literal[1] = 1
    response_format: ResponseFormat | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    athanor: AthanorOptions = AthanorOptions()

    def to_request(self) -> Request:
        """Into the one language spoken inside.

        Raises:
            InputError: no user message.
        """
        if self.store:
            raise UnsupportedError("Stored completions are not kept.", where="store", hint="Leave it out.")
        messages = tuple(message.to_message() for message in self.messages)
        if not any(message.role is Role.USER for message in messages):
            raise InputError("There is no user message.", where="messages", hint="Send one with role 'user'.")
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Request(
            model=self.model,
            messages=messages,
            sampling=Sampling(
                max_tokens=self.max_completion_tokens or self.max_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                seed=self.seed,
                stop=stop,
            ),
            json_schema=self._schema(),
            mode=self.athanor.mode,
        )

    def _schema(self) -> dict[str, Any] | None:
        if self.response_format is None or self.response_format.type == "text":
            return None
        if self.response_format.type == "json_object":
            return {"type": "object"}
        schema = (self.response_format.json_schema or {}).get("schema")
        if not isinstance(schema, dict):
            raise InputError("The schema is missing.", where="response_format.json_schema.schema")
        return schema


class EmbeddingRequest(Incoming):
    """Body of `POST /v1/embeddings`."""

    model: str
    input: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class VectorStoreRequest(Incoming):
    """Body of `POST /v1/vector_stores`."""

    name: str | None = None
    file_ids: list[str] = []
    description: str | None = None
    metadata: dict[str, str] | None = None


class VectorStoreUpdate(Incoming):
    """Body of `POST /v1/vector_stores/{id}`."""

    name: str | None = None
    metadata: dict[str, str] | None = None


class VectorStoreFileRequest(Incoming):
    """Body of `POST /v1/vector_stores/{id}/files`."""

    file_id: str
    attributes: dict[str, Any] | None = None


class SearchRequest(Incoming):
    """Body of `POST /v1/vector_stores/{id}/search`."""

    query: str | list[str]
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    rewrite_query: bool = False
    ranking_options: dict[str, Any] | None = None

    def text(self) -> str:
        return self.query if isinstance(self.query, str) else " ".join(self.query)
