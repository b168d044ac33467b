"""Content blocks of Anthropic's Messages API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import ConfigDict, Discriminator, Field, Tag

from athanor.errors import InputError, UnsupportedError
from athanor.server.wire.chat import Signed
from athanor.server.wire.decoding import Incoming, JsonObject
from athanor.server.wire.parts import STORED, attachment, image, split
from athanor.types import Attachment, Image, Message, Part, Reasoning, Role, Text, ToolCall


class CacheControl(Incoming):
    """The vendor's prompt cache should end here. How long it keeps is the vendor's choice."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Source(Incoming):
    """Where an image or a document is."""

    type: Literal["base64", "url", "file", "text", "content"]
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Any = None


class Block(Incoming):
    """What all blocks may carry."""

    cache_control: CacheControl | None = None


class TextBlock(Block):
    """Text."""

    type: Literal["text"]
    text: str
    citations: list[Any] | None = None
    """Accepted so that an answer of ours can be sent back as history; not used."""

    def to_part(self) -> Part:
        return Text(text=self.text)


class ImageBlock(Block):
    """A picture."""

    type: Literal["image"]
    source: Source

    def to_part(self) -> Part:
        source = self.source
        match source.type:
            case "base64" if source.data is not None:
                return Image(data=source.data, mime=source.media_type or "image/png")
            case "url" if source.url is not None:
                return image(source.url)
            case "file" if source.file_id is not None:
                return Image(url=STORED + source.file_id)
        raise InputError("The source of a picture is base64, url or file.", where="messages.source")


class CitationsWanted(Incoming):
    """Whether a document is to be cited."""

    enabled: bool = False


class DocumentBlock(Block):
    """A document."""

    type: Literal["document"]
    source: Source
    title: str | None = None
    context: str | None = None
    citations: CitationsWanted | None = None

    def to_part(self) -> Part:
        if self.citations is not None and self.citations.enabled:
            hint = "Put it into a knowledge base, and ask that: its answers are cited."
            raise UnsupportedError("Documents in a request are not cited.", where="citations", hint=hint)
        if self.context is not None:
            hint = "Write it into a text block before the document."
            raise UnsupportedError("A document takes no context.", where="context", hint=hint)
        return self._part()

    def _part(self) -> Part:
        source, name = self.source, self.title
        match source.type:
            case "base64" if source.data is not None:
                return Attachment(data=source.data, mime=source.media_type or "application/pdf", name=name)
            case "text" if source.data is not None:
                return _plain(source.data, name)
            case "content" if isinstance(source.content, str):
                return _plain(source.content, name)
            case "content" if isinstance(source.content, list):
                texts = [part.get("text") for part in source.content if isinstance(part, dict)]
                if len(texts) == len(source.content) and all(isinstance(text, str) for text in texts):
                    return _plain("\n\n".join(map(str, texts)), name)
            case "url" | "file":
                return attachment(url=source.url, file=source.file_id, name=name, where="messages.source")
        raise InputError("The source of a document is base64, text, content, url or file.", where="messages.source")


def _plain(text: str, name: str | None) -> Attachment:
    return Attachment(data=base64.b64encode(text.encode()).decode(), mime="text/plain", name=name)


class ToolUseBlock(Block):
    """A call that a model asked for."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: JsonObject
    caller: Any = None
    """Accepted as it came; not used."""
    athanor: Signed | None = None

    def to_call(self) -> ToolCall:
        proof = self.athanor.signature if self.athanor else None
        return ToolCall(id=self.id, name=self.name, arguments=orjson.dumps(self.input).decode(), signature=proof)


class ToolResultBlock(Block):
    """The result of a call."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[Annotated[TextBlock | ImageBlock | DocumentBlock, Field(discriminator="type")]] | None = None
    is_error: bool | None = None

    def to_message(self) -> Message:
        text, parts = (self.content or "", ()) if not isinstance(self.content, list) else self._read(self.content)
        return Message(
            role=Role.TOOL,
            content=text,
            parts=parts,
            call=self.tool_use_id,
            failed=bool(self.is_error),
            cache=self.cache_control is not None,
        )

    def _read(self, content: list[TextBlock | ImageBlock | DocumentBlock]) -> tuple[str, tuple[Part, ...]]:
        return split([block.to_part() for block in content], between="\n\n")


class ThinkingBlock(Incoming):
    """What a model thought."""

    type: Literal["thinking"]
    thinking: str
    signature: str = ""

    def to_reasoning(self) -> Reasoning:
        return Reasoning(text=self.thinking, signature=self.signature or None)


class RedactedBlock(Incoming):
    """What a model thought, and its vendor hides."""

    type: Literal["redacted_thinking"]
    data: str

    def to_reasoning(self) -> Reasoning:
        return Reasoning(signature=self.data, redacted=True)


class OtherBlock(Incoming):
    """A block of a kind that is refused by name."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str


_KINDS = frozenset({"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"})


def _kind(block: Any) -> str:
    kind = block.get("type") if isinstance(block, Mapping) else getattr(block, "type", None)
    return kind if kind in _KINDS else "other"


ContentBlock = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[ToolUseBlock, Tag("tool_use")]
    | Annotated[ToolResultBlock, Tag("tool_result")]
    | Annotated[ThinkingBlock, Tag("thinking")]
    | Annotated[RedactedBlock, Tag("redacted_thinking")]
    | Annotated[OtherBlock, Tag("other")],
    Discriminator(_kind),
]
