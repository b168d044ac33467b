"""Every setting of the system, with its default. `athanor config check` prints them with their source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from athanor.config.secrets import SecretReference
from athanor.types import AnswerMode


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServerSettings(Section):
    """Where the server listens."""

    host: str = "127.0.0.1"
    """Address to bind. Anything but loopback opens the server to others."""
    port: int = Field(default=8700, ge=0, le=65535)
    """TCP port; 0 takes a free one."""
    max_body_mb: int = Field(default=256, gt=0)
    """Largest request body, uploads included, in MiB."""
    console: bool = True
    """Serve the console in the browser."""


class StoreSettings(Section):
    """Where state is kept."""

    url: str | None = None
    """SQLAlchemy URL. Unset: SQLite in the home folder. PostgreSQL: `postgresql+psycopg://user@host/name`."""


class ModelSettings(Section):
    """One chat model, reached under the name of its table: `[models.NAME]`."""

    source: str
    """`package:DIST/FILE`, `file:/path/model.gguf`, `hub:OWNER/REPO@REVISION/FILE`, or an `https://…/v1` URL."""
    backend: Literal["auto", "openvino", "llamacpp", "openai", "scripted"] = "auto"
    """What runs it. `auto` takes the fastest that loads the file."""
    upstream: str | None = None
    """The model's name at the URL; unset means the same name as here."""
    api_key: SecretReference | None = None
    """Key for the URL: `{ env = "NAME" }` or `{ file = "/path" }`."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Pin of the file."""
    context: int | None = Field(default=None, gt=0)
    """Tokens of context; unset takes what the model says, up to 16,384."""
    grounded: AnswerMode | None = None
    """Answer mode it is trusted with over passages; unset takes the profile's."""
    threads: int | None = Field(default=None, gt=0)
    """Processor threads; unset takes all."""
    memory_mb: int | None = Field(default=None, gt=0)
    """Memory limit of its process, in MiB."""


class KnowledgeSettings(Section):
    """How documents are cut, found and answered from."""

    embedder: str = "default"
    """Embedder from the catalogue."""
    reranker: str | None = "default"
    """Reranker from the catalogue; `""` switches it off."""
    chunk_tokens: int = Field(default=200, ge=32, le=480)
    """Size a chunk aims at, in tokens."""
    mode: AnswerMode | None = None
    """How to answer; unset lets the chat model's profile decide."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Abstain when the calibrated confidence is below this; unset takes the shipped value."""
    max_sentences: int = Field(default=3, ge=1, le=10)
    """Sentences quoted in an extractive answer, at most."""


class IngestSettings(Section):
    """Limits on the reading of documents."""

    max_file_mb: int = Field(default=100, gt=0)
    """Larger files are reported, not read."""
    timeout_s: float = Field(default=120, gt=0)
    """Seconds for one document's parser."""
    memory_mb: int = Field(default=1024, gt=64)
    """Memory for one parser process, in MiB."""
    workers: int = Field(default=1, ge=1, le=16)
    """Parser processes."""


class Settings(Section):
    """The whole of `athanor.toml`."""

    home: Path = Path("~/.athanor")
    """Folder of all state."""
    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    chat: str = "smollm2-135m"
    """The model that answers when none is named: a `[models.NAME]` or a name from the catalogue."""
    models: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")], ModelSettings] = {}
    knowledge: KnowledgeSettings = KnowledgeSettings()
    ingest: IngestSettings = IngestSettings()
    processor_wait: Literal["passive", "active"] = "passive"
    """How the threads of local models wait: `active` is faster on a quiet machine and far slower on a busy one."""
