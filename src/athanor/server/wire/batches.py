"""The body of `POST /v1/batches`."""

from __future__ import annotations

from typing import Any, Literal

from athanor.server.wire.decoding import Incoming


class BatchRequest(Incoming):
    """Body of `POST /v1/batches`."""

    input_file_id: str
    endpoint: Literal["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations"]
    completion_window: Literal["24h"]
    metadata: dict[str, str] | None = None
    output_expires_after: Any = None
    """Accepted, and without effect: files stay until they are deleted."""
