"""Wire formats: what may come in at each API, checked once at the border and turned into the one language inside."""

from athanor.server.wire.batches import BatchRequest
from athanor.server.wire.chat import ChatRequest
from athanor.server.wire.completions import CompletionRequest
from athanor.server.wire.decoding import Incoming, parse
from athanor.server.wire.grade import GradeRequest, SourceText
from athanor.server.wire.messages import CountRequest, MessagesRequest
from athanor.server.wire.responses import ResponseRequest
from athanor.server.wire.vector_stores import (
    FileBatchRequest,
    SearchRequest,
    VectorStoreFileRequest,
    VectorStoreFileUpdate,
    VectorStoreRequest,
    VectorStoreUpdate,
)
from athanor.server.wire.vectors import EmbeddingRequest, RerankRequest

__all__ = [
    "BatchRequest",
    "ChatRequest",
    "CompletionRequest",
    "CountRequest",
    "EmbeddingRequest",
    "FileBatchRequest",
    "GradeRequest",
    "Incoming",
    "MessagesRequest",
    "RerankRequest",
    "ResponseRequest",
    "SearchRequest",
    "SourceText",
    "VectorStoreFileRequest",
    "VectorStoreFileUpdate",
    "VectorStoreRequest",
    "VectorStoreUpdate",
    "parse",
]
