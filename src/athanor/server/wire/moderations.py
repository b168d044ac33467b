"""The body of `POST /v1/moderations`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from athanor.errors import UnsupportedError
from athanor.server.wire.decoding import Incoming, ModelName

_Text = Annotated[str, Field(max_length=1_000_000)]


class TextInput(Incoming):
    """A text among several parts."""

    type: Literal["text"]
    text: _Text


class ImageInput(Incoming):
    """A picture among several parts."""

    type: Literal["image_url"]
    image_url: dict[str, Any]


_Part = Annotated[TextInput | ImageInput, Field(discriminator="type")]


class ModerationRequest(Incoming):
    """Body of `POST /v1/moderations`."""

    model: ModelName = "omni-moderation-latest"
    input: (
        _Text
        | Annotated[list[_Text], Field(min_length=1, max_length=2048)]
        | Annotated[list[_Part], Field(min_length=1, max_length=2048)]
    )
    """One text, several, or one of several parts."""

    def texts(self) -> list[str]:
        """What is judged, one verdict for each.

        Raises:
            UnsupportedError: there is a picture in it.
        """
        if isinstance(self.input, str):
            return [self.input]
        texts = [part for part in self.input if isinstance(part, str)]
        if texts:
            return texts
        parts = []
        for i, part in enumerate(self.input):
            if not isinstance(part, TextInput):
                raise UnsupportedError(
                    "Pictures are not judged here.", where=f"input.{i}", hint="Send the text parts alone."
                )
            parts.append(part.text)
        return ["\n".join(parts)]
