"""What a source resolves to: a file or a URL, proven, with the facts about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from athanor.types import EmbedderProfile, Profile, RerankerProfile, TaggerProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A chat model that can be loaded: exactly one of `path` and `url` is set."""

    profile: Profile
    path: Path | None = None
    url: str | None = None
    upstream: str | None = None
    """The model's name at `url`."""
    sha256: str | None = None
    """Of the file; proven where the source is pinned."""
    size: int = 0
    """Bytes of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedEmbedder:
    """An ONNX embedder whose files are the pinned ones."""

    profile: EmbedderProfile
    model: Path
    tokenizer: Path
    pooling: Literal["mean", "cls"]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedReranker:
    """An ONNX cross-encoder whose files are the pinned ones."""

    profile: RerankerProfile
    model: Path
    tokenizer: Path
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTagger:
    """An ONNX token classifier whose files are the pinned ones."""

    profile: TaggerProfile
    model: Path
    tokenizer: Path
    note: str = ""
