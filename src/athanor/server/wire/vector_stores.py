"""Bodies of `/v1/vector_stores`, OpenAI's API of knowledge bases."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from athanor.server.wire.decoding import Incoming, JsonObject


class VectorStoreRequest(Incoming):
    """Body of `POST /v1/vector_stores`."""

    name: str | None = None
    file_ids: Annotated[list[str], Field(default_factory=list)]
    description: str | None = None
    metadata: dict[str, str] | None = None


class VectorStoreUpdate(Incoming):
    """Body of `POST /v1/vector_stores/{id}`."""

    name: str | None = None
    metadata: dict[str, str] | None = None


class VectorStoreFileRequest(Incoming):
    """Body of `POST /v1/vector_stores/{id}/files`."""

    file_id: str
    attributes: JsonObject | None = None


class SearchRequest(Incoming):
    """Body of `POST /v1/vector_stores/{id}/search`."""

    query: str | list[str]
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    rewrite_query: bool = False
    ranking_options: JsonObject | None = None

    def text(self) -> str:
        return self.query if isinstance(self.query, str) else " ".join(self.query)
