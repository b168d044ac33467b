"""`athanor verify`: one command that finds one flipped byte, wherever it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import click
from rich.text import Text

from athanor.cli.audit import chain_problems
from athanor.cli.client import Workspace
from athanor.cli.output import as_json, show
from athanor.cli.state import opened
from athanor.config import Settings
from athanor.errors import AthanorError
from athanor.models import Verifier, resolve_chat, resolve_embedder, resolve_reranker, resolve_tagger
from athanor.models.manifest import NAME, problems
from athanor.store import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was read to its last byte."""

    what: str
    where: str
    problem: str = ""
    """Empty where it is whole."""


@click.command()
@as_json
@click.pass_obj
def verify(workspace: Workspace, *, as_json: bool) -> None:
    """Read everything that can be proven, and say what was changed. Leaves with 1 where something was.

    The audit chain and its noted heads, sealed values, texts and files, knowledge bases, the weights of models and of
    guards, and their manifests. Nothing that was remembered is believed: every byte is read again.
    """
    findings = [*weights(workspace.settings), *_state(workspace)]
    marks = {True: Text("✗", "red"), False: Text("✓", "green")}
    rows = ((marks[bool(f.problem)], f.what, f.where, f.problem or "whole") for f in findings)
    show([asdict(f) for f in findings], json_=as_json, columns=("", "WHAT", "WHERE", "FOUND"), rows=rows, empty="")
    if any(f.problem for f in findings):
        sys.exit(1)


def weights(settings: Settings) -> Iterator[Finding]:
    """The files of every model that the settings name, and of the guards."""
    knowledge, strict = settings.knowledge, settings.weights.strict
    found: dict[str, Callable[[], list[Path]]] = {
        "embedder": lambda: _files(resolve_embedder(knowledge.embedder)),
        "tagger": lambda: _files(resolve_tagger()),
    }
    if knowledge.reranker:
        found["reranker"] = lambda: _files(resolve_reranker(knowledge.reranker or "default"))
    for name in {settings.chat: None, **settings.models}:
        entry = settings.models.get(name)
        if name in settings.routes or (entry is not None and entry.source.startswith(("hub:", "http:", "https:"))):
            continue  # a check does not download
        found[f"model {name}"] = partial(_chat, name, settings, strict)
    for what, read in found.items():
        try:
            for path in read():
                yield Finding(what, str(path))
        except AthanorError as error:
            yield Finding(what, error.where or "", error.message)
    manifest = Path(str(files("athanor.guards") / "weights" / NAME))
    wrong = list(problems(manifest))
    yield from (Finding("guards' weights", str(manifest.parent), problem) for problem in wrong)
    if not wrong:
        yield Finding("guards' weights", str(manifest.parent))


def _files(resolved: object) -> list[Path]:
    """Resolving without a memory has read and compared them."""
    return [getattr(resolved, part) for part in ("model", "tokenizer")]


def _chat(name: str, settings: Settings, strict: bool) -> list[Path]:
    resolved = resolve_chat(name, settings.models.get(name), settings.home, strict=strict)
    if resolved.path is None or resolved.sha256 is None:
        return []
    Verifier().check(resolved.path, resolved.sha256)  # what was remembered of it may be of before the change
    return [resolved.path]


def _state(workspace: Workspace) -> Iterator[Finding]:
    settings = workspace.settings
    where = (settings.store.url and "store.url") or str(settings.home / "athanor.db")
    if settings.store.url is None and not (settings.home / "athanor.db").exists():
        return
    try:
        with opened(workspace) as store:
            yield from _all("audit chain", where, chain_problems(store, settings.home))
            yield from _all("sealed values", where, store.resealing.verify())
            for base in store.knowledge.list():
                yield from _all(f"knowledge base {base.name}", where, store.chunks.verify(base.id))
            yield from _all("texts and files", str(store.blobs.root), _blobs(store))
    except AthanorError as error:
        yield Finding("store", error.where or where, error.message)


def _all(what: str, where: str, found: Iterator[str] | list[str]) -> Iterator[Finding]:
    count = 0
    for problem in found:
        count += 1
        yield Finding(what, where, problem)
    if not count:
        yield Finding(what, where)


def _blobs(store: Store) -> Iterator[str]:
    verifier = Verifier()
    for name in store.blobs:
        if verifier.sha256(store.blobs.path(name)) != name:
            yield f"Blob {name} is damaged."
