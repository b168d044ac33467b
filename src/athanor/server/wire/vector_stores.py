"""Bodies of `/v1/vector_stores`, OpenAI's API of knowledge bases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from athanor.errors import InputError, UnsupportedError
from athanor.server.wire.decoding import Incoming
from athanor.store.filters import checked
from athanor.types import Comparison, Compound, Filter

MAX_DEPTH = 8
"""Of filters within filters."""

Scalar = bool | float | Annotated[str, Field(max_length=512)]


def _attributes(value: dict[str, Scalar]) -> dict[str, Scalar]:
    try:
        checked(value, where="attributes")
    except InputError as error:
        raise ValueError(error.message.removesuffix(".")) from None
    return value


Attributes = Annotated[dict[str, Scalar], AfterValidator(_attributes)]
"""At most 16, names of 64 and texts of 512 characters."""
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class ExpiresAfter(Incoming):
    """Days without use after which a knowledge base is deleted."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=1, le=365)]


class StaticChunks(Incoming):
    """Sizes of passages, in tokens."""

    max_chunk_size_tokens: Annotated[int, Field(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Field(ge=0, le=2048)]


class ChunkingStrategy(Incoming):
    """How files are cut into passages."""

    type: Literal["auto", "static"]
    static: StaticChunks | None = None

    def tokens(self) -> int | None:
        """The most tokens of a passage; `None` is the server's own choice.

        Raises:
            InputError: static without its sizes.
            UnsupportedError: passages are to overlap.
        """
        if self.type == "auto":
            return None
        if self.static is None:
            raise InputError("A static strategy names its sizes.", where="chunking_strategy.static")
        if self.static.chunk_overlap_tokens:
            raise UnsupportedError(
                "Passages do not overlap here: they are cut where the document's own structure ends a piece.",
                where="chunking_strategy.static.chunk_overlap_tokens",
                hint="Send 0.",
            )
        return self.static.max_chunk_size_tokens


class VectorStoreRequest(Incoming):
    """Body of `POST /v1/vector_stores`."""

    name: str | None = None
    file_ids: Annotated[list[str], Field(default_factory=list, max_length=500)]
    description: Annotated[str, Field(max_length=2000)] | None = None
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None
    chunking_strategy: ChunkingStrategy | None = None


class VectorStoreUpdate(Incoming):
    """Body of `POST /v1/vector_stores/{id}`. `expires_after: null` takes the end away."""

    name: str | None = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None


class VectorStoreFileRequest(Incoming):
    """Body of `POST /v1/vector_stores/{id}/files`."""

    file_id: str
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class VectorStoreFileUpdate(Incoming):
    """Body of `POST /v1/vector_stores/{id}/files/{file}`; the attributes replace the old ones."""

    attributes: Attributes | None


class FileBatchRequest(Incoming):
    """Body of `POST /v1/vector_stores/{id}/file_batches`: ids with the same attributes, or files with their own."""

    file_ids: Annotated[list[str], Field(min_length=1, max_length=2000)] | None = None
    files: Annotated[list[VectorStoreFileRequest], Field(min_length=1, max_length=2000)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> FileBatchRequest:
        if (self.file_ids is None) == (self.files is None):
            raise ValueError("Send either file_ids or files")
        if self.files is not None and (self.attributes is not None or self.chunking_strategy is not None):
            raise ValueError("With files, each has its own attributes and chunking_strategy")
        if self.files is not None and len({str(file.chunking_strategy) for file in self.files}) > 1:
            raise ValueError("The files of a batch share one chunking_strategy; send one batch for each")
        return self


class ComparisonFilter(Incoming):
    """One attribute against a value."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: Annotated[str, Field(min_length=1, max_length=64)]
    value: Scalar | Annotated[list[Scalar], Field(max_length=1000)]

    @model_validator(mode="after")
    def _shape(self) -> ComparisonFilter:
        if (self.type in {"in", "nin"}) is not isinstance(self.value, list):
            raise ValueError("'in' and 'nin' take a list, the other comparisons one value")
        return self

    def filter(self, _: int = 0) -> Filter:
        value = tuple(self.value) if isinstance(self.value, list) else self.value
        return Comparison(key=self.key, operator=self.type, value=value)


class CompoundFilter(Incoming):
    """All or any of several filters."""

    type: Literal["and", "or"]
    filters: Annotated[list[ComparisonFilter | CompoundFilter], Field(min_length=1, max_length=100)]

    def filter(self, depth: int = 0) -> Filter:
        """As the store reads it.

        Raises:
            InputError: filters are nested deeper than `MAX_DEPTH`.
        """
        if depth >= MAX_DEPTH:
            raise InputError(f"Filters are nested deeper than {MAX_DEPTH}.", where="filters")
        return Compound(operator=self.type, filters=tuple(part.filter(depth + 1) for part in self.filters))


class RankingOptions(Incoming):
    """How hits are ranked, and the least score that is returned."""

    ranker: Literal["none", "auto"] = "auto"
    score_threshold: Annotated[float, Field(ge=0, le=1)] = 0


class SearchRequest(Incoming):
    """Body of `POST /v1/vector_stores/{id}/search`."""

    query: str | Annotated[list[str], Field(min_length=1, max_length=100)]
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    rewrite_query: bool = False
    """Without a history there is nothing to rewrite: the query that was used is returned, and is the one sent."""
    filters: ComparisonFilter | CompoundFilter | None = None
    ranking_options: RankingOptions | None = None

    def text(self) -> str:
        return self.query if isinstance(self.query, str) else " ".join(self.query)
