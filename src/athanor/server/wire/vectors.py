"""The bodies of `POST /v1/embeddings` and `POST /v1/rerank`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from athanor.errors import InputError
from athanor.server.wire.decoding import Count, Incoming, ModelName


class EmbeddingRequest(Incoming):
    """Body of `POST /v1/embeddings`."""

    model: ModelName
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None
    user: str | None = None

    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class RerankRequest(Incoming):
    """Body of `POST /v1/rerank`, in the shape that Cohere and Jina have in common."""

    model: ModelName
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[list[str | dict[str, Any]], Field(min_length=1, max_length=1000)]
    top_n: Count | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: int | None = None
    """Accepted, and without effect: a passage is cut where the model ends."""
    user: str | None = None

    def texts(self) -> list[str]:
        """The documents as texts.

        Raises:
            InputError: one has none.
        """
        return [_text(document, i) for i, document in enumerate(self.documents)]


def _text(document: str | dict[str, Any], index: int) -> str:
    text = document if isinstance(document, str) else document.get("text")
    if not isinstance(text, str):
        raise InputError("A document is a text, or an object with a `text`.", where=f"documents.{index}")
    return text
