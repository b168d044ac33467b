"""The bodies of Anthropic's `POST /v1/messages` and `POST /v1/messages/count_tokens`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from athanor.errors import InputError, UnsupportedError
from athanor.server.wire.blocks import (
    CacheControl,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    OtherBlock,
    RedactedBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from athanor.server.wire.chat import ANYTHING, AthanorOptions
from athanor.server.wire.decoding import Count, Incoming, JsonObject, ModelName
from athanor.server.wire.parts import split
from athanor.types import CacheUse, Message, Request, Role, Sampling, Thinking, Tool, ToolChoice

_BETWEEN = "\n\n"
"""Between two blocks of text where they become one."""


class Turn(Incoming):
    """One message of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[ContentBlock]

    def to_messages(self) -> Iterator[Message]:
        """A user's turn may hold results of tools, which are messages of their own, and cache marks, where it is cut.

        Raises:
            UnsupportedError: a block of another kind.
        """
        if isinstance(self.content, str):
            yield Message(role=Role(self.role), content=self.content)
        elif self.role == "assistant":
            yield _assistant(self.content)
        else:
            yield from _others(Role(self.role), self.content)


def _assistant(blocks: Iterable[ContentBlock]) -> Message:
    parts, calls, reasoning, cache = [], [], [], False
    for block in blocks:
        match block:
            case ThinkingBlock() | RedactedBlock():
                reasoning.append(block.to_reasoning())
                continue
            case ToolUseBlock():
                calls.append(block.to_call())
            case TextBlock() | ImageBlock() | DocumentBlock():
                parts.append(block.to_part())
            case ToolResultBlock() | OtherBlock():
                raise _refused(block)
        cache = cache or block.cache_control is not None
    text, parts_ = split(parts, between=_BETWEEN)
    return Message(
        role=Role.ASSISTANT,
        content=text,
        parts=parts_,
        calls=tuple(calls),
        reasoning=tuple(reasoning),
        cache=cache,
    )


def _others(role: Role, blocks: Iterable[ContentBlock]) -> Iterator[Message]:
    waiting: list[TextBlock | ImageBlock | DocumentBlock] = []
    for block in blocks:
        match block:
            case TextBlock() | ImageBlock() | DocumentBlock():
                waiting.append(block)
                if block.cache_control is not None:
                    yield _message(role, waiting, cache=True)
                    waiting = []
            case ToolResultBlock():
                if waiting:
                    yield _message(role, waiting)
                    waiting = []
                yield block.to_message()
            case _:
                raise _refused(block)
    if waiting:
        yield _message(role, waiting)


def _message(role: Role, blocks: Sequence[TextBlock | ImageBlock | DocumentBlock], *, cache: bool = False) -> Message:
    text, parts = split([block.to_part() for block in blocks], between=_BETWEEN)
    return Message(role=role, content=text, parts=parts, cache=cache)


def _refused(block: Any) -> UnsupportedError:
    return UnsupportedError(f"Blocks of the type {block.type!r} are not supported here.", where="messages")


class MessagesTool(Incoming):
    """A tool: custom ones only."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str | None = None
    name: str
    description: str | None = None
    input_schema: JsonObject | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None
    """Accepted, and without effect: how arguments stream is the engine's choice."""

    def to_tool(self) -> Tool:
        if self.type not in {None, "custom"}:
            raise UnsupportedError(f"Tools of the type {self.type!r} are not supported.", where="tools")
        if self.model_extra and (unknown := [k for k, v in self.model_extra.items() if v is not None]):
            raise UnsupportedError(f"The parameter `{unknown[0]}` of a tool is not supported.", where="tools")
        if self.input_schema is None:
            raise InputError("A tool has an `input_schema`.", where="tools.input_schema")
        return Tool(
            name=self.name, description=self.description or "", parameters=self.input_schema, strict=self.strict
        )


class MessagesChoice(Incoming):
    """Whether the model may, must or must not call a tool."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    def to_choice(self) -> ToolChoice:
        parallel = None if self.disable_parallel_tool_use is None else not self.disable_parallel_tool_use
        match self.type:
            case "any":
                return ToolChoice(mode="required", parallel=parallel)
            case "tool":
                if self.name is None:
                    raise InputError("Name the tool that must be called.", where="tool_choice.name")
                return ToolChoice(mode="tool", name=self.name, parallel=parallel)
        return ToolChoice(mode="none" if self.type == "none" else "auto", parallel=parallel)


class ThinkingOptions(Incoming):
    """How to reason."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Count | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(Incoming):
    """JSON that satisfies a schema."""

    type: Literal["json_schema"]
    schema_: Annotated[JsonObject, Field(alias="schema")]


class OutputConfig(Incoming):
    """How much work to do, and what the answer looks like."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class UserMetadata(Incoming):
    """Who the end user is."""

    user_id: str | None = None


class Conversation(Incoming):
    """What a message and a count of its tokens have in common."""

    REFUSED: ClassVar[dict[str, str]] = {
        "container": "No tools run here.",
        "mcp_servers": "No tools run here: give the model functions.",
        "context_management": "A conversation is never shortened.",
        "inference_geo": "The settings decide where a model runs.",
    }

    model: ModelName
    messages: Annotated[list[Turn], Field(min_length=1, max_length=4000)]
    system: str | list[TextBlock] | None = None
    tools: list[MessagesTool] | None = None
    tool_choice: MessagesChoice | None = None
    thinking: ThinkingOptions | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    """As it was before `output_config.format`."""
    cache_control: CacheControl | None = None
    speed: Literal["standard"] | None = None

    def to_request(self) -> Request:
        """Into the one language spoken inside.

        Raises:
            InputError: parameters that contradict each other.
            UnsupportedError: a block, a tool or a value that no engine here takes.
        """
        messages = [*self._system(), *(message for turn in self.messages for message in turn.to_messages())]
        if self.cache_control is not None and messages:
            messages[-1] = replace(messages[-1], cache=True)
        config = self.output_config or OutputConfig()
        shape = config.format or self.output_format
        return Request(
            model=self.model,
            messages=tuple(messages),
            json_schema=shape.schema_ if shape else None,
            tools=tuple(tool.to_tool() for tool in self.tools or ()),
            tool_choice=self.tool_choice.to_choice() if self.tool_choice else ToolChoice(),
            thinking=self._thinking(config),
        )

    def _system(self) -> list[Message]:
        if self.system is None:
            return []
        if isinstance(self.system, str):
            found = [Message(role=Role.SYSTEM, content=self.system)] if self.system else []
        else:
            found = list(_others(Role.SYSTEM, self.system))
        if found and any(tool.cache_control is not None for tool in self.tools or ()):
            # Tools come before the system message in a vendor's cache: a mark after both covers them.
            found[-1] = replace(found[-1], cache=True)
        return found

    def _thinking(self, config: OutputConfig) -> Thinking | None:
        effort: Any = "xhigh" if config.effort == "max" else config.effort
        options = self.thinking
        if options is None:
            return Thinking(effort=effort) if effort else None
        summary = options.display == "summarized"
        if options.type == "disabled":
            if effort:
                raise UnsupportedError("An effort needs thinking.", where="output_config.effort", hint="Leave it out.")
            return Thinking(effort="none")
        if options.type == "enabled" and options.budget_tokens is None:
            raise InputError("Thinking has a budget.", where="thinking.budget_tokens")
        return Thinking(effort=effort, tokens=options.budget_tokens, summary=summary)


class CountRequest(Conversation):
    """Body of `POST /v1/messages/count_tokens`."""


class MessagesRequest(Conversation):
    """Body of `POST /v1/messages`."""

    max_tokens: Count
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: Annotated[float | None, Field(ge=0, le=1)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Count | None = None
    metadata: UserMetadata | None = None
    service_tier: str | None = None
    """Accepted, and without effect."""
    athanor: AthanorOptions = AthanorOptions()

    def to_message_request(self, cache: CacheUse = ANYTHING) -> Request:
        """The whole request. Raises as `to_request`."""
        return replace(
            self.to_request(),
            sampling=Sampling(
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                stop=tuple(self.stop_sequences or ()),
            ),
            mode=self.athanor.mode,
            stream=bool(self.stream),
            user=self.metadata.user_id if self.metadata else None,
            cache=cache,
        )
