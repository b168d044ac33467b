"""The body of `POST /v1/responses`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter

from athanor.errors import InputError, UnsupportedError
from athanor.server.wire.chat import ANYTHING, AthanorOptions, Effort, Signed, choice, function, thinking
from athanor.server.wire.decoding import Count, Incoming, JsonObject, ModelName
from athanor.server.wire.hints import Hinted
from athanor.server.wire.parts import STORED, AudioPart, Detail, RefusalPart, TextPart, attachment, image, split
from athanor.types import (
    CacheUse,
    Image,
    Message,
    Part,
    Reasoning,
    Request,
    Role,
    Sampling,
    Tool,
    ToolCall,
)

_INCLUDED = {"reasoning.encrypted_content", "message.output_text.logprobs"}


class InputImage(Incoming):
    """A picture by its URL, or by the id of an upload."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None
    prompt_cache_breakpoint: Any = None
    """Accepted, and without effect."""

    def to_part(self) -> Part:
        if (self.image_url is None) == (self.file_id is None):
            raise InputError("A picture comes by its URL or its id: send one of them.", where="input")
        if self.file_id is not None:
            return Image(url=STORED + self.file_id, detail=self.detail)
        return image(self.image_url or "", detail=self.detail, where="input")


class InputFile(Incoming):
    """A file by its bytes, its URL, or the id of an upload."""

    type: Literal["input_file"]
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: Detail | None = None
    """Accepted, and without effect."""
    prompt_cache_breakpoint: Any = None
    """Accepted, and without effect."""

    def to_part(self) -> Part:
        return attachment(data=self.file_data, url=self.file_url, file=self.file_id, name=self.filename, where="input")


Content = Annotated[TextPart | InputImage | InputFile | AudioPart | RefusalPart, Field(discriminator="type")]


class Item(Incoming):
    """What all items may carry, as they came from here."""

    id: str | None = None
    status: str | None = None


class MessageItem(Item):
    """A message. Its type may be left out."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    phase: str | None = None
    """Accepted, and without effect."""

    def read(self) -> tuple[str, tuple[Part, ...]]:
        if isinstance(self.content, str):
            return self.content, ()
        return split([part.to_part() for part in self.content])


class CallItem(Item):
    """A call that a model asked for."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    athanor: Signed | None = None

    def to_call(self) -> ToolCall:
        proof = self.athanor.signature if self.athanor else None
        return ToolCall(id=self.call_id, name=self.name, arguments=self.arguments, signature=proof)


class OutputItem(Item):
    """The result of a call."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | list[Content]
    name: str | None = None

    def to_message(self) -> Message:
        if isinstance(self.output, str):
            return Message(role=Role.TOOL, content=self.output, call=self.call_id, name=self.name)
        text, parts = split([part.to_part() for part in self.output])
        return Message(role=Role.TOOL, content=text, parts=parts, call=self.call_id, name=self.name)


class Thought(Incoming):
    """A piece of text that a model thought, or its summary."""

    type: Literal["summary_text", "reasoning_text"]
    text: str


class ReasoningItem(Item):
    """What a model thought."""

    type: Literal["reasoning"]
    summary: tuple[Thought, ...] = ()
    content: list[Thought] | None = None
    encrypted_content: str | None = None

    def to_reasoning(self) -> Reasoning:
        text = "\n\n".join(thought.text for thought in (*self.summary, *(self.content or ())))
        hidden = not text and self.encrypted_content is not None
        return Reasoning(text=text, signature=self.encrypted_content, redacted=hidden)


class OtherItem(Incoming):
    """An item of a kind that is refused by name."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str


_KINDS = ("message", "function_call", "function_call_output", "reasoning")


def _kind(item: Any) -> str:
    kind = item.get("type", "message") if isinstance(item, Mapping) else getattr(item, "type", "message")
    return kind if kind in _KINDS else "other"


InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[OutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_kind),
]
ITEMS: TypeAdapter[list[InputItem]] = TypeAdapter(list[InputItem])
"""Reads items back that were stored."""


class ResponseTool(Incoming):
    """A tool: functions only."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    name: str = ""
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None

    def to_tool(self) -> Tool:
        if self.type != "function":
            raise UnsupportedError(
                f"Tools of the type {self.type!r} are not supported.",
                where="tools",
                hint="Functions are. To answer from documents, ask a knowledge base: its name is a model name.",
            )
        if self.model_extra and (unknown := [k for k, v in self.model_extra.items() if v is not None]):
            raise UnsupportedError(f"The parameter `{unknown[0]}` of a tool is not supported.", where="tools")
        if not self.name:
            raise InputError("A function has a name.", where="tools")
        return function(self.name, self.description, self.parameters, self.strict)


class NamedChoice(Incoming):
    """The tool that must be called."""

    type: Literal["function"]
    name: str


class TextFormat(Incoming):
    """Plain text, any JSON object, or JSON that satisfies a schema."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    schema_: Annotated[JsonObject | None, Field(alias="schema")] = None

    def schema_of(self) -> dict[str, Any] | None:
        if self.type == "text":
            return None
        if self.type == "json_object":
            return {"type": "object"}
        if self.schema_ is None:
            raise InputError("The schema is missing.", where="text.format.schema")
        return self.schema_


class TextOptions(Incoming):
    """What the answer's text looks like."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(Incoming):
    """How much to reason, and whether to tell."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class ResponseStreamOptions(Incoming):
    """Options of a streamed answer."""

    include_obfuscation: bool | None = None


class ResponseRequest(Hinted):
    """Body of `POST /v1/responses`."""

    REFUSED: ClassVar[dict[str, str]] = {
        "conversation": "Use `previous_response_id`.",
        "prompt": "Prompt templates live at OpenAI: send `instructions` and `input`.",
        "max_tool_calls": "No tools run here.",
    }

    model: ModelName
    input: str | Annotated[list[InputItem], Field(max_length=4000)]
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    background: bool | None = None
    include: list[str] | None = None
    max_output_tokens: Count | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    tools: list[ResponseTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    athanor: AthanorOptions = AthanorOptions()

    def to_request(self, before: Iterable[Message] = (), cache: CacheUse = ANYTHING) -> Request:
        """Into the one language spoken inside.

        Args:
            before: what was said before, where there is a previous response.

        Raises:
            InputError: no user message.
            UnsupportedError: an item, a tool or a value that no engine here takes.
        """
        self._check()
        given = (
            [Message(role=Role.USER, content=self.input)] if isinstance(self.input, str) else to_messages(self.input)
        )
        system = [Message(role=Role.SYSTEM, content=self.instructions)] if self.instructions else []
        messages = (*system, *before, *given)
        if not any(message.role is Role.USER for message in messages):
            raise InputError("There is no user message.", where="input", hint="Send one with role 'user'.")
        named = self.tool_choice if isinstance(self.tool_choice, NamedChoice) else None
        wish = None if named is not None else self.tool_choice
        assert not isinstance(wish, NamedChoice)
        reasoning = self.reasoning or ReasoningOptions()
        return Request(
            model=self.model,
            messages=messages,
            sampling=Sampling(max_tokens=self.max_output_tokens, temperature=self.temperature, top_p=self.top_p),
            json_schema=self.text.format.schema_of() if self.text and self.text.format else None,
            mode=self.athanor.mode,
            tools=tuple(tool.to_tool() for tool in self.tools or ()),
            tool_choice=choice(wish, named.name if named else None, self.parallel_tool_calls),
            thinking=thinking(reasoning.effort, summary=bool(reasoning.summary or reasoning.generate_summary)),
            logprobs=self._logprobs(),
            stream=bool(self.stream),
            user=self.user or self.safety_identifier,
            cache=cache,
        )

    def _logprobs(self) -> int | None:
        if self.top_logprobs is None and "message.output_text.logprobs" not in (self.include or ()):
            return None
        return self.top_logprobs or 0

    def _check(self) -> None:
        if self.background:
            raise UnsupportedError("Answers are not made in the background.", where="background", hint="Stream it.")
        if self.truncation == "auto":
            hint = "Send fewer items, or leave it out."
            raise UnsupportedError("A conversation is never shortened.", where="truncation", hint=hint)
        if self.text is not None and self.text.verbosity not in {None, "medium"}:
            raise UnsupportedError("The verbosity cannot be set.", where="text.verbosity", hint="Ask for it in words.")
        for wish in self.include or ():
            if wish not in _INCLUDED:
                raise UnsupportedError(f"{wish!r} cannot be included.", where="include", hint="Leave it out.")


def to_messages(items: Iterable[InputItem]) -> list[Message]:
    """Items as messages: what an assistant thought, said and called in one go becomes one message.

    Raises:
        UnsupportedError: an item of another kind.
    """
    found: list[Message] = []
    turn = _Turn()
    for item in items:
        match item:
            case MessageItem(role="assistant"):
                if turn.spoken:
                    found += turn.take()
                turn.text, turn.parts = item.read()
                turn.spoken = True
            case CallItem():
                turn.calls.append(item.to_call())
                turn.spoken = True
            case ReasoningItem():
                if turn.spoken:
                    found += turn.take()
                turn.reasoning.append(item.to_reasoning())
            case MessageItem():
                found += turn.take()
                text, parts = item.read()
                role = Role.USER if item.role == "user" else Role.SYSTEM
                found.append(Message(role=role, content=text, parts=parts))
            case OutputItem():
                found += turn.take()
                found.append(item.to_message())
            case OtherItem():
                hint = "Use `previous_response_id`." if item.type == "item_reference" else None
                raise UnsupportedError(f"Items of the type {item.type!r} are not supported.", where="input", hint=hint)
    return found + turn.take()


class _Turn:
    """What an assistant does between two messages of others."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.text = ""
        self.parts: tuple[Part, ...] = ()
        self.calls: list[ToolCall] = []
        self.reasoning: list[Reasoning] = []
        self.spoken = False
        """It has said or called something."""

    def take(self) -> list[Message]:
        if not (self.spoken or self.reasoning):
            return []
        message = Message(
            role=Role.ASSISTANT,
            content=self.text,
            parts=self.parts,
            calls=tuple(self.calls),
            reasoning=tuple(self.reasoning),
        )
        self._clear()
        return [message]
