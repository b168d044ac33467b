"""The catalogue: facts about models that are known by name, and how their files are found."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from athanor.errors import ConfigError
from athanor.models.base import ResolvedEmbedder, ResolvedReranker, ResolvedTagger
from athanor.models.formats import refuse_code
from athanor.models.packages import package_file
from athanor.models.verify import Verifier
from athanor.types import AnswerMode, EmbedderProfile, Profile, RerankerProfile, TaggerProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatEntry:
    """A chat model of the catalogue: where it comes from, its pin, and its profile."""

    source: str
    version: str
    sha256: str
    profile: Profile


@cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads(files("athanor.models").joinpath("catalog.toml").read_text(encoding="utf-8"))


def chat_names() -> list[str]:
    """Names of the chat models in the catalogue."""
    return sorted(_data()["chat"])


def chat_entry(name: str) -> ChatEntry:
    """The catalogue's entry; `default` names the shipped default.

    Raises:
        ConfigError: no such entry.
    """
    name, entry = _find("chat", name)
    profile = Profile(
        name=name,
        context=entry["context"],
        licence=entry["licence"],
        grounded=AnswerMode(entry["grounded"]),
        note=entry.get("note", "").strip(),
        json_schema=entry.get("json_schema", False),
    )
    return ChatEntry(source=entry["source"], version=entry["version"], sha256=entry["sha256"], profile=profile)


def resolve_embedder(name: str = "default", *, cache: Path | None = None) -> ResolvedEmbedder:
    """Find and prove the files of an embedder.

    Args:
        cache: file that remembers hashes (see `Verifier`).

    Raises:
        ConfigError: no such entry.
        ModelError: its package is missing; the hint is the command that installs it.
        WeightsMismatchError: a file is not the pinned one.
    """
    name, entry = _find("embedder", name)
    model, tokenizer = _proven_files(entry, cache)
    profile = EmbedderProfile(
        id=f"{name}@{entry['model_sha256'][:12]}",
        dimension=entry["dimension"],
        max_tokens=entry["max_tokens"],
        licence=entry["licence"],
        query_prefix=entry.get("query_prefix", ""),
        document_prefix=entry.get("document_prefix", ""),
    )
    note = entry.get("note", "").strip()
    return ResolvedEmbedder(profile=profile, model=model, tokenizer=tokenizer, pooling=entry["pooling"], note=note)


def resolve_reranker(name: str = "default", *, cache: Path | None = None) -> ResolvedReranker:
    """Find and prove the files of a reranker. Raises as `resolve_embedder`."""
    name, entry = _find("reranker", name)
    model, tokenizer = _proven_files(entry, cache)
    profile = RerankerProfile(
        id=f"{name}@{entry['model_sha256'][:12]}", max_tokens=entry["max_tokens"], licence=entry["licence"]
    )
    return ResolvedReranker(profile=profile, model=model, tokenizer=tokenizer, note=entry.get("note", "").strip())


def resolve_tagger(name: str = "default", *, cache: Path | None = None) -> ResolvedTagger:
    """Find and prove the files of a model that tells names and addresses. Raises as `resolve_embedder`."""
    name, entry = _find("tagger", name)
    model, tokenizer = _proven_files(entry, cache)
    profile = TaggerProfile(
        id=f"{name}@{entry['model_sha256'][:12]}",
        labels=tuple(entry["labels"]),
        max_tokens=entry["max_tokens"],
        licence=entry["licence"],
    )
    return ResolvedTagger(profile=profile, model=model, tokenizer=tokenizer, note=entry.get("note", "").strip())


def _find(kind: str, name: str) -> tuple[str, Mapping[str, Any]]:
    if name == "default":
        name = _data()["defaults"][kind]
    entries: Mapping[str, Any] = _data()[kind]
    if name not in entries:
        raise ConfigError(
            f"The catalogue has no {kind} model named {name!r}.", hint=f"Known: {', '.join(sorted(entries))}."
        )
    return name, entries[name]


def _proven_files(entry: Mapping[str, Any], cache: Path | None) -> tuple[Path, Path]:
    verifier = Verifier(cache)
    found = []
    for part in ("model", "tokenizer"):
        # A tokenizer may come from another package than the weights.
        package = entry.get(f"{part}_package", entry["package"])
        version = entry.get(f"{part}_version", entry["version"])
        path = package_file(package, entry[part], version=version)
        verifier.check(path, entry[f"{part}_sha256"])
        refuse_code(path)
        found.append(path)
    return found[0], found[1]
