"""The body of `POST /v1/chat/completions`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from athanor.errors import InputError, UnsupportedError
from athanor.server.wire.decoding import Count, Incoming, JsonObject, ModelName, Seed
from athanor.server.wire.hints import Hinted
from athanor.server.wire.parts import AudioPart, FilePart, ImagePart, RefusalPart, TextPart, split
from athanor.types import (
    ANY_TOOL,
    AnswerMode,
    CacheUse,
    Message,
    Part,
    Reasoning,
    Request,
    Role,
    Sampling,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)

ANYTHING = CacheUse()
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Content = Annotated[TextPart | ImagePart | FilePart | AudioPart | RefusalPart, Field(discriminator="type")]
_ROLES = {"developer": Role.SYSTEM, **{role.value: role for role in Role}}


class FunctionCall(Incoming):
    """What a model called, with its arguments as JSON."""

    name: str
    arguments: str


class Signed(Incoming):
    """A vendor's proof, as we gave it out."""

    signature: str


class ExtraContent(Incoming):
    """Beside a tool call: what only we understand."""

    athanor: Signed | None = None


class CallPart(Incoming):
    """A call that a model asked for."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int | None = None
    """Some clients send it back as it came in the stream."""
    extra_content: ExtraContent | None = None

    def to_call(self) -> ToolCall:
        proof = self.extra_content.athanor if self.extra_content else None
        return ToolCall(
            id=self.id,
            name=self.function.name,
            arguments=self.function.arguments,
            signature=proof.signature if proof else None,
        )


class ReasoningDetail(Incoming):
    """A piece of what a model thought, with its vendor's proof."""

    type: Literal["reasoning.text", "reasoning.encrypted"]
    text: str = ""
    data: str | None = None
    signature: str | None = None

    def to_reasoning(self) -> Reasoning:
        hidden = self.type == "reasoning.encrypted"
        return Reasoning(text=self.text, signature=self.data if hidden else self.signature, redacted=hidden)


class ChatMessage(Incoming):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Content] | None = None
    name: str | None = None
    tool_calls: list[CallPart] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    """Of an assistant: what it thought, as it came from here or from another server."""
    reasoning_details: list[ReasoningDetail] | None = None
    """Of an assistant: the same with vendors' proofs, as it came from here."""
    annotations: list[Any] | None = None
    """Accepted so that an answer of ours can be sent back as history; not used."""
    refusal: str | None = None

    def to_message(self) -> Message:
        role = _ROLES[self.role]
        content = self.content
        parts: tuple[Part, ...] = ()
        if content is None or isinstance(content, str):
            text = content or self.refusal or ""
        else:
            text, parts = split([part.to_part() for part in content])
        if role is Role.USER or role is Role.SYSTEM:
            return Message(role=role, content=text, name=self.name, parts=parts)
        if role is Role.TOOL:
            if self.tool_call_id is None:
                raise InputError("A tool's result names its call.", where="messages.tool_call_id")
            return Message(role=role, content=text, name=self.name, parts=parts, call=self.tool_call_id)
        return Message(
            role=role,
            content=text,
            name=self.name,
            parts=parts,
            calls=tuple(call.to_call() for call in self.tool_calls or ()),
            reasoning=self._reasoning(),
        )

    def _reasoning(self) -> tuple[Reasoning, ...]:
        if self.reasoning_details:
            return tuple(detail.to_reasoning() for detail in self.reasoning_details)
        return (Reasoning(text=self.reasoning_content),) if self.reasoning_content else ()


class StreamOptions(Incoming):
    """Options of a streamed answer."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class ResponseFormat(Incoming):
    """Plain text, any JSON object, or JSON that satisfies a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonObject | None = None

    def schema_of(self) -> dict[str, Any] | None:
        """The JSON schema that is asked for.

        Raises:
            InputError: one is promised and not there.
        """
        if self.type == "text":
            return None
        if self.type == "json_object":
            return {"type": "object"}
        schema = (self.json_schema or {}).get("schema")
        if not isinstance(schema, dict):
            raise InputError("The schema is missing.", where="response_format.json_schema.schema")
        return schema


class FunctionTool(Incoming):
    """A function's name, purpose and arguments."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class ToolPart(Incoming):
    """A tool: functions only."""

    type: str
    function: FunctionTool | None = None
    custom: Any = None

    def to_tool(self) -> Tool:
        found = self.function
        if self.type != "function" or found is None:
            raise UnsupportedError(f"Tools of the type {self.type!r} are not supported.", where="tools")
        return function(found.name, found.description, found.parameters, found.strict)


def function(name: str, description: str | None, parameters: dict[str, Any] | None, strict: bool | None) -> Tool:
    """A function without parameters takes an empty object."""
    schema = {"type": "object", "properties": {}} if parameters is None else parameters
    return Tool(name=name, description=description or "", parameters=schema, strict=strict)


class NamedFunction(Incoming):
    """A function by name."""

    name: str


class NamedTool(Incoming):
    """The tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


def choice(value: str | None, name: str | None, parallel: bool | None) -> ToolChoice:
    """Whether and which tool is called, from the words that OpenAI's APIs have for it."""
    if name is not None:
        return ToolChoice(mode="tool", name=name, parallel=parallel)
    if value is None or value == "auto":
        return ANY_TOOL if parallel is None else ToolChoice(parallel=parallel)
    return ToolChoice(mode="none" if value == "none" else "required", parallel=parallel)


class AthanorOptions(Incoming):
    """What only we understand: sent under the key `athanor` (`extra_body` in the SDK)."""

    mode: AnswerMode | None = None


_PLAIN = AthanorOptions()


class ChatRequest(Hinted):
    """Body of `POST /v1/chat/completions`."""

    REFUSED: ClassVar[dict[str, str]] = {
        "audio": "Answers are text.",
        "functions": "Send `tools`.",
        "function_call": "Send `tool_choice`.",
        "logit_bias": "No engine takes it the same way.",
        "prediction": "Leave it out: it changes no answer.",
        "web_search_options": "Ask a knowledge base, or give the model a tool.",
    }

    model: ModelName
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Count | None = None
    """No parameter of OpenAI's, but of most other servers."""
    seed: Seed | None = None
    stop: str | list[str] | None = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    n: int | None = None
    modalities: list[str] | None = None
    tools: list[ToolPart] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    athanor: AthanorOptions = _PLAIN

    def to_request(self, cache: CacheUse = ANYTHING) -> Request:
        """Into the one language spoken inside.

        Raises:
            InputError: no user message, or parameters that contradict each other.
            UnsupportedError: a value that no engine here takes.
        """
        self._check()
        messages = tuple([message.to_message() for message in self.messages])
        if not any(message.role is Role.USER for message in messages):
            raise InputError("There is no user message.", where="messages", hint="Send one with role 'user'.")
        stop = self.stop
        named = self.tool_choice if isinstance(self.tool_choice, NamedTool) else None
        wish = None if named is not None else self.tool_choice
        assert not isinstance(wish, NamedTool)
        return Request(
            model=self.model,
            messages=messages,
            sampling=Sampling(
                max_tokens=self.max_completion_tokens or self.max_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                seed=self.seed,
                stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
                presence_penalty=self.presence_penalty,
                frequency_penalty=self.frequency_penalty,
            ),
            json_schema=self.response_format.schema_of() if self.response_format is not None else None,
            mode=self.athanor.mode,
            tools=tuple([tool.to_tool() for tool in self.tools]) if self.tools else (),
            tool_choice=choice(wish, named.function.name if named else None, self.parallel_tool_calls),
            thinking=thinking(self.reasoning_effort),
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            stream=bool(self.stream),
            user=self.user or self.safety_identifier,
            cache=cache,
        )

    def _check(self) -> None:
        if self.n is not None and self.n != 1:
            raise UnsupportedError(
                "A request gets one answer (`n` is 1).", where="n", hint="Send it as often as you want answers."
            )
        if self.modalities is not None and self.modalities != ["text"]:
            raise UnsupportedError("Answers are text.", where="modalities", hint="Leave it out.")
        if self.top_logprobs is not None and not self.logprobs:
            raise InputError("`top_logprobs` needs `logprobs`.", where="top_logprobs", hint="Set logprobs to true.")


def thinking(effort: Effort | None, *, summary: bool = False) -> Thinking | None:
    """How much to reason. `max` is the most that we have a word for."""
    if effort is None and not summary:
        return None
    return Thinking(effort="xhigh" if effort == "max" else effort, summary=summary)
