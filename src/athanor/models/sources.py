"""From a source to a file or a URL, with its profile.

package:DIST/FILE                  a file inside an installed package, read as data
file:/path/model.gguf, or a path   a local GGUF
hub:OWNER/REPO@REVISION/FILE       a file of the Hugging Face hub; the only source that uses the network here
http(s)://HOST/v1                  an endpoint: OpenAI, Azure, Anthropic, Gemini, or a server that speaks as one of them
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from athanor.errors import ConfigError, ModelError
from athanor.models.base import ResolvedModel
from athanor.models.gguf import read_header
from athanor.models.manifest import admit
from athanor.models.packages import package_file
from athanor.models.prices import listing
from athanor.models.profiles import ChatEntry, chat_entry, chat_names
from athanor.models.verify import Verifier
from athanor.plugins import require
from athanor.types import FREE, AnswerMode, Price, Profile

# Every model's process imports this package to look at its file; the settings would cost it 20 MiB.
if TYPE_CHECKING:
    from athanor.config import ModelSettings

Progress = Callable[[int, int], None]
"""`progress(done, total)` in bytes; total is 0 while unknown."""

# A model trained on 128k tokens would claim tens of GiB for its context; more than this is taken only when asked for.
DEFAULT_CONTEXT_LIMIT = 16_384
LOCAL_LACKS = frozenset({"tools", "image", "file", "thinking", "logprobs", "top_k"}) | {
    "presence_penalty",
    "frequency_penalty",
}
"""What models that run on this machine cannot do."""
_REMOTE_ANSWER = 4096
"""Tokens that a vendor's answer is expected to have at most, where nobody says."""
_HUB = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})@(?P<revision>[\w.-]{1,100})/(?P<file>[\w./-]{1,300})"
)
_URL = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the settings say about one chat model; None leaves it to the model."""

    name: str
    source: str
    sha256: str | None = None
    context: int | None = None
    grounded: AnswerMode | None = None
    max_tokens: int | None = None
    price: Price | None = None
    lacks: frozenset[str] | None = None
    drop: bool = False
    quality: float | None = None


def resolve_chat(
    name: str, settings: ModelSettings | None, home: Path, *, strict: bool = False, progress: Progress | None = None
) -> ResolvedModel:
    """Find and prove a chat model. Blocks: it may read a file once, or download it; call it in a thread.

    Args:
        settings: the model's table in the settings; None looks `name` up in the catalogue.
        home: state folder, for remembered hashes and downloaded files.
        strict: refuse weights that nobody who is trusted vouches for.

    Raises:
        ConfigError: no such name in the catalogue, or a source that cannot be understood.
        ModelError: the file is missing, damaged, or cannot be downloaded.
        WeightsMismatchError: it is not the pinned file, or not the one of its manifest.
        UnsafeWeightsError: its format may carry code.
        UnsignedWeightsError: strict, and it is neither pinned nor signed.
        MissingExtraError: a hub source without `huggingface_hub`.
    """
    wish = _wish(name, settings)
    if wish.source.startswith(_URL):
        upstream = (settings.upstream if settings else None) or name
        return ResolvedModel(profile=_remote(wish, upstream), url=wish.source, upstream=upstream)
    if wish.source == "scripted:" or (settings is not None and settings.backend == "scripted"):
        script = wish.source.removeprefix("scripted:")
        return ResolvedModel(profile=_undescribed(wish), path=Path(script).expanduser() if script else None)
    path = _locate(wish, home / "hub", progress)
    verifier = Verifier(home / "verified.json")
    known = _catalogued(wish)
    pin = wish.sha256 or (known.sha256 if known else None)
    found = verifier.check(path, pin) if pin else verifier.sha256(path)
    admit(path, found, home=home, pinned=pin is not None, strict=strict)
    profile = _adjust(replace(known.profile, name=name), wish) if known else _described(path, wish)
    return ResolvedModel(profile=profile, path=path, sha256=found, size=path.stat().st_size)


def _wish(name: str, settings: ModelSettings | None) -> _Wish:
    if settings is None:
        entry = chat_entry(name)
        return _Wish(name=entry.profile.name, source=entry.source, sha256=entry.sha256)
    return _Wish(
        name=name,
        source=settings.source,
        sha256=settings.sha256,
        context=settings.context,
        grounded=settings.grounded,
        max_tokens=settings.max_tokens,
        price=None if settings.price is None else Price(**settings.price.model_dump()),
        lacks=None if settings.lacks is None else frozenset(settings.lacks),
        drop=settings.drop,
        quality=settings.quality,
    )


def _locate(wish: _Wish, downloads: Path, progress: Progress | None) -> Path:
    source = wish.source
    kind, colon, rest = source.partition(":")
    if kind == "package" and colon:
        package, _, file = rest.partition("/")
        known = _catalogued(wish)
        return package_file(package, file, version=known.version if known else None)
    if kind == "hub" and colon:
        return _from_hub(rest, source, downloads, progress)
    path = Path(rest if kind == "file" and colon else source).expanduser()
    if not path.is_file():
        hint = (
            "Sources: package:DIST/FILE, file:/path/model.gguf, hub:OWNER/REPO@REVISION/FILE, or an https://…/v1 URL."
        )
        raise ModelError("There is no such file of weights.", where=str(path), hint=hint)
    return path.resolve()


def _from_hub(rest: str, source: str, downloads: Path, progress: Progress | None) -> Path:
    match = _HUB.fullmatch(rest)
    if match is None or ".." in Path(match["file"]).parts:
        raise ConfigError(
            "A hub source names a revision and a file: hub:OWNER/REPO@REVISION/FILE.",
            where=source,
            hint="The revision is a tag or the 40 characters of a commit, so that the file cannot change under you.",
        )
    if match["revision"] in {"main", "master"}:
        raise ConfigError(
            "A branch moves; a hub source names a tag or a commit.",
            where=source,
            hint="Take the 40 characters of the commit from the model's page, under `Files`.",
        )
    hub: Any = require("huggingface_hub", extra="hub")
    arguments: dict[str, Any] = {
        "revision": match["revision"],
        "cache_dir": str(downloads),
    }
    if progress is not None:
        arguments["tqdm_class"] = _reporting(progress)
    try:
        return Path(hub.hf_hub_download(match["repo"], match["file"], **arguments))
    except (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, OSError, ValueError) as error:
        kind = type(error).__name__
        raise ModelError(
            f"The file could not be downloaded ({kind}).",
            where=source,
            hint="Is this machine online, and do repository, revision and file exist? A private one needs $HF_TOKEN.",
        ) from error


def _reporting(progress: Progress) -> type[Any]:
    """A silent tqdm that tells `progress`."""
    tqdm: Any = require("tqdm.auto", extra="hub").tqdm

    class Reporting(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": False, "file": _Nowhere()})

        def update(self, n: float | None = 1) -> bool | None:
            result: bool | None = super().update(n)
            progress(int(self.n), int(self.total or 0))
            return result

    return Reporting


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


def _catalogued(wish: _Wish) -> ChatEntry | None:
    """The catalogue's entry, if the wish is for its file."""
    entries = (chat_entry(name) for name in chat_names())
    return next((e for e in entries if e.source == wish.source and wish.sha256 in {None, e.sha256}), None)


def _remote(wish: _Wish, upstream: str) -> Profile:
    """A profile of what cannot be looked into: an endpoint. A server on this machine may pass requests on."""
    known = listing(upstream)
    lacks = wish.lacks or frozenset()
    return Profile(
        name=wish.name,
        context=wish.context or (known.context if known else DEFAULT_CONTEXT_LIMIT),
        licence="unknown",
        grounded=wish.grounded or AnswerMode.GENERATIVE,
        json_schema="json_schema" not in lacks,
        temperature=None,
        max_tokens=wish.max_tokens or _REMOTE_ANSWER,
        price=wish.price or (known.price if known else FREE),
        lacks=lacks,
        drop=wish.drop,
        quality=wish.quality,
        remote=True,
    )


def _undescribed(wish: _Wish) -> Profile:
    """A profile of an engine that answers by a script, and lacks nothing that a script may say."""
    profile = Profile(
        name=wish.name,
        context=DEFAULT_CONTEXT_LIMIT,
        licence="unknown",
        grounded=AnswerMode.GENERATIVE,
        json_schema=True,
    )
    return _adjust(profile, wish, frozenset())


def _described(path: Path, wish: _Wish) -> Profile:
    """A profile from the file's own header."""
    header = read_header(path)
    trained = header.context or 2048
    notes = []
    if not header.chat_template:
        notes.append(
            "The file has no chat template: it may be a base model, which continues text instead of answering."
        )
    if wish.context is None and trained > DEFAULT_CONTEXT_LIMIT:
        notes.append(f"It can take {trained} tokens; `context` raises the limit, at the price of memory.")
    profile = Profile(
        name=wish.name,
        context=min(trained, DEFAULT_CONTEXT_LIMIT),
        licence=header.licence or "unknown",
        grounded=AnswerMode.GENERATIVE,
        note=" ".join(notes),
        json_schema=True,
    )
    if wish.context is not None and wish.context > trained:
        raise ConfigError(
            f"The model {wish.name} was trained on {trained} tokens; `context = {wish.context}` is more.",
            where=str(path),
        )
    return _adjust(profile, wish)


def _adjust(profile: Profile, wish: _Wish, lacks: frozenset[str] = LOCAL_LACKS) -> Profile:
    """The profile of a model on this machine, with what the settings say."""
    lacks = profile.lacks | lacks | (wish.lacks or frozenset())
    return replace(
        profile,
        context=wish.context or profile.context,
        grounded=wish.grounded or profile.grounded,
        max_tokens=wish.max_tokens or profile.max_tokens,
        json_schema=profile.json_schema and "json_schema" not in lacks,
        price=wish.price or profile.price,
        lacks=lacks,
        drop=wish.drop,
        quality=wish.quality,
    )
