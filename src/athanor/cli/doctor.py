"""`athanor doctor`: what is missing, and the command that mends it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec

import click
from rich.text import Text

from athanor.cli.audit import chain_problems
from athanor.cli.client import Workspace
from athanor.cli.output import as_json, show
from athanor.config import ModelSettings, Settings
from athanor.config.modes import close, exposed
from athanor.errors import AthanorError
from athanor.models import resolve_chat, resolve_embedder, resolve_reranker, resolve_tagger
from athanor.store import MasterSource, Store, check_single_library

_FREE_BYTES = 1 << 30
_PROGRAMS = {"git": "repositories as sources", "tesseract": "text of scanned pages"}
"""Program → what it is for."""

# Module → (what it is for, extra, needed for the main job)
_OPTIONAL = {
    "onnxruntime": ("search by meaning", "knowledge", True),
    "pypdfium2": ("reading PDF", "knowledge", True),
    "lxml": ("reading DOCX and HTML", "knowledge", True),
    "openvino_genai": ("fast local models", "openvino", False),
    "xllamacpp": ("any GGUF model", "llamacpp", False),
    "nicegui": ("the console", "console", False),
    "mcp": ("tools for agents", "mcp", False),
    "psycopg": ("PostgreSQL", "postgres", False),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `level` is ok, note or problem."""

    level: str
    what: str
    detail: str = ""
    mend: str = ""


@click.command()
@click.option("--fix", is_flag=True, help="Close to others what is the owner's alone.")
@as_json
@click.pass_obj
def doctor(workspace: Workspace, *, fix: bool, as_json: bool) -> None:
    """Say what is missing, and the command that mends it."""
    if fix:
        for found in list(exposed(workspace.settings.home)):
            close(found)
    findings = list(examine(workspace))
    marks = {"ok": Text("✓", "green"), "note": Text("•", "yellow"), "problem": Text("✗", "red")}
    rows = ((marks[f.level], f.what, f.detail, f.mend) for f in findings)
    show([asdict(f) for f in findings], json_=as_json, columns=("", "CHECK", "FOUND", "MEND"), rows=rows, empty="")
    if any(f.level == "problem" for f in findings):
        sys.exit(1)


def examine(workspace: Workspace) -> Iterator[Finding]:
    """All checks, in the order in which a person would mend them."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok" if sys.version_info >= (3, 11) else "problem", "Python", version, "")
    try:
        settings = workspace.settings
    except AthanorError as error:
        yield Finding("problem", "settings", str(error), "athanor config check")
        return
    yield Finding("ok", "settings", str(workspace.loaded.file or "defaults"))
    yield from _home(settings)
    yield from _modules()
    yield from _programs()
    yield from _weights(settings)
    yield from _store(settings)
    yield from _server(workspace)


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    parent = next(p for p in (home, *home.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        yield Finding("problem", "home folder", f"{home} cannot be written", f"chown -R $USER {home}")
        return
    yield Finding("ok", "home folder", str(home))
    opened = list(exposed(home))
    if opened:
        more = f", and {len(opened) - 1} more" if len(opened) > 1 else ""
        yield Finding("problem", "file permissions", f"{opened[0]}{more}", "athanor doctor --fix")
    else:
        yield Finding("ok", "file permissions", "the owner's alone")
    free = shutil.disk_usage(parent).free
    yield Finding("ok" if free > _FREE_BYTES else "note", "free disk", f"{free / (1 << 30):.1f} GiB")


def _modules() -> Iterator[Finding]:
    for module, (purpose, extra, needed) in _OPTIONAL.items():
        if find_spec(module) is not None:
            yield Finding("ok", purpose, module)
        else:
            level = "problem" if needed else "note"
            yield Finding(level, purpose, f"{module} is not installed", f"pip install 'athanor[{extra}]'")


def _programs() -> Iterator[Finding]:
    for program, purpose in _PROGRAMS.items():
        found = shutil.which(program)
        mend = f"install {program} by the package manager of this system"
        yield Finding("ok" if found else "note", purpose, found or f"{program} is not installed", "" if found else mend)


def _weights(settings: Settings) -> Iterator[Finding]:
    cache = settings.home / "verified.json"
    knowledge = settings.knowledge
    checks: dict[str, Callable[[], str]] = {
        "embedder weights": lambda: resolve_embedder(knowledge.embedder, cache=cache).profile.id
    }
    if knowledge.reranker:
        checks["reranker weights"] = lambda: resolve_reranker(knowledge.reranker or "default", cache=cache).profile.id
    if settings.guards.mode != "off":
        checks["weights for names in texts"] = lambda: resolve_tagger(cache=cache).profile.id
    for name in {settings.chat: None, **settings.models}:
        entry = settings.models.get(name)
        if entry is None or not entry.source.startswith("hub:"):  # a check does not download
            checks[f"model {name}"] = partial(_model, name, entry, settings)
    for what, check in checks.items():
        try:
            yield Finding("ok", what, check())
        except AthanorError as error:
            yield Finding("problem", what, f"{error.message} [{error.where}]", error.hint or "")


def _model(name: str, entry: ModelSettings | None, settings: Settings) -> str:
    resolved = resolve_chat(name, entry, settings.home, strict=settings.weights.strict)
    return str(resolved.url or resolved.path)


def _store(settings: Settings) -> Iterator[Finding]:
    try:
        check_single_library()
        database = settings.home / "athanor.db"
        if settings.store.url is None and not database.exists():
            yield Finding("ok", "store", "made at the first start")
            return
        store = Store.of(settings)
    except AthanorError as error:
        yield Finding("problem", "store", error.message, error.hint or "")
        return
    try:
        for base in store.knowledge.list():
            problems = store.chunks.verify(base.id)
            detail = problems[0] if problems else f"{base.documents} documents, {base.chunks} passages"
            mend = f"athanor ingest FOLDER --kb {base.name}" if problems else ""
            yield Finding("problem" if problems else "ok", f"knowledge base {base.name}", detail, mend)
        broken = chain_problems(store, settings.home)
        yield Finding("ok" if not broken else "problem", "audit chain", str(broken or "whole"))
        yield _encryption(store, settings)
    finally:
        store.close()


def _encryption(store: Store, settings: Settings) -> Finding:
    plain = sum(store.resealing.census().plain.values())
    own = MasterSource(settings.encryption, settings.home)
    if not settings.encryption.content:
        return Finding("note", "encryption", "contents are kept plain", "encryption.content = true")
    if plain:
        return Finding("note", "encryption", f"{plain} values are plain", "athanor encryption enable")
    where = f"; back up {own.file} apart from the database" if own.own else ""
    return Finding("ok", "encryption", f"contents are sealed{where}")


def _server(workspace: Workspace) -> Iterator[Finding]:
    url = workspace.running()
    if url is None:
        yield Finding("note", "server", "not running", "athanor up")
        return
    yield Finding("ok", "server", url)
    with workspace.client() as client:
        for card in client.get("/api/models")["data"]:
            level = "problem" if card["status"] == "failed" else "ok"
            yield Finding(level, f"running {card['name']}", f"{card['status']} {card['detail']}".strip())
