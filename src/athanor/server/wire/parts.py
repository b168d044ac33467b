"""What messages hold beside text, as both of OpenAI's chat APIs write it."""

from __future__ import annotations

import mimetypes
from typing import Any, Literal

from athanor.errors import InputError, UnsupportedError
from athanor.server.wire.decoding import Incoming
from athanor.types import Attachment, Image, Part, Text

STORED = "athanor-file:"
"""Before the id of an upload, in place of a URL, until its bytes are read. No caller can send it: see `_remote`."""
Detail = Literal["low", "high", "auto"]


def image(url: str, *, detail: Detail | None = None, where: str = "messages") -> Image:
    """A picture from `https:`, `http:` or `data:`.

    Raises:
        InputError: another scheme, or a `data:` URL that holds no base64.
    """
    if url.startswith("data:"):
        mime, data = _data(url, where)
        return Image(data=data, mime=mime, detail=detail)
    return Image(url=_remote(url, where), detail=detail)


def attachment(
    *, data: str | None = None, url: str | None = None, file: str | None = None, name: str | None = None, where: str
) -> Attachment:
    """A file from its bytes (base64, or a `data:` URL), from a URL, or by the id of an upload.

    Raises:
        InputError: not exactly one of the three, or it cannot be read.
    """
    if sum(source is not None for source in (data, url, file)) != 1:
        raise InputError("A file comes by its data, its URL or its id: send one of them.", where=where)
    if file is not None:
        return Attachment(url=STORED + file, name=name)
    if url is not None:
        return Attachment(url=_remote(url, where), mime=mime_of(name or url.partition("?")[0]), name=name)
    assert data is not None
    if data.startswith("data:"):
        mime, data = _data(data, where)
        return Attachment(data=data, mime=mime, name=name)
    return Attachment(data=data, mime=mime_of(name or ""), name=name)


def mime_of(name: str) -> str:
    """By the ending of a file's name; a PDF where that says nothing."""
    return mimetypes.guess_type(name)[0] or "application/pdf"


def _data(url: str, where: str) -> tuple[str, str]:
    head, comma, data = url[5:].partition(",")
    mime, *options = head.split(";")
    if not comma or "base64" not in options:
        raise InputError("A data: URL has the form 'data:MIME;base64,DATA'.", where=where)
    return mime or "application/octet-stream", data


def _remote(url: str, where: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise InputError("A URL begins with https://, http:// or data:.", where=where)
    return url


def split(parts: list[Part], *, between: str = "") -> tuple[str, tuple[Part, ...]]:
    """The text of a content, and its parts where there is more than text."""
    text = between.join(part.text for part in parts if isinstance(part, Text))
    return text, () if all(isinstance(part, Text) for part in parts) else tuple(parts)


class TextPart(Incoming):
    """Text."""

    type: Literal["text", "input_text", "output_text"]
    text: str
    annotations: list[Any] | None = None
    """Accepted so that an answer of ours can be sent back as history; not used."""
    logprobs: list[Any] | None = None
    prompt_cache_breakpoint: Any = None
    """Accepted, and without effect."""

    def to_part(self) -> Part:
        return Text(text=self.text)


class RefusalPart(Incoming):
    """What a model said when it refused: text, as history."""

    type: Literal["refusal"]
    refusal: str

    def to_part(self) -> Part:
        return Text(text=self.refusal)


class ImageUrl(Incoming):
    """Where a picture is."""

    url: str
    detail: Detail | None = None


class ImagePart(Incoming):
    """A picture, in chat completions."""

    type: Literal["image_url"]
    image_url: ImageUrl

    def to_part(self) -> Part:
        return image(self.image_url.url, detail=self.image_url.detail)


class FileSource(Incoming):
    """Where a file is."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Incoming):
    """A file, in chat completions."""

    type: Literal["file"]
    file: FileSource

    def to_part(self) -> Part:
        source = self.file
        return attachment(data=source.file_data, file=source.file_id, name=source.filename, where="messages")


class AudioPart(Incoming):
    """Sound, which is refused."""

    type: Literal["input_audio"]
    input_audio: Any = None

    def to_part(self) -> Part:
        raise UnsupportedError("Sound is not supported.", where="input_audio", hint="Send its transcript.")
