"""Manifests: which bytes the files of a model have, and who says so.

`model.gguf` has its manifest in `model.gguf.manifest.json`, a folder in its `manifest.json`:

    {"format": "athanor-manifest/1", "created": "2026-11-24T12:00:00Z",
     "files": {"model.gguf": {"sha256": "…", "size": 123}},
     "signer": "16 hex digits", "public_key": "base64", "signature": "base64", "digest": "sha256"}

Signature (Ed25519) and digest are over the canonical JSON of all the rest. Manifests that come inside the package are
not signed: who can change them can change the code that reads them; the digest finds a flipped byte, and the
installation (hashes in the wheel's RECORD) vouches for the whole. `make manifest` renews them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from athanor.errors import ModelError, UnsignedWeightsError, WeightsMismatchError
from athanor.models.formats import refuse_code
from athanor.models.signing import Signers, SigningKey, checks, signer_id
from athanor.models.verify import Verifier

FORMAT = "athanor-manifest/1"
NAME = "manifest.json"
_MOST = 8 << 20
"""Bytes of a manifest that is read."""
_DOMAIN = b"athanor manifest\0"
_BAD = "The manifest was changed after it was made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that is whole: its digest and, where it has one, its signature are right."""

    files: Mapping[str, Entry]
    created: str
    public: bytes | None = field(default=None, repr=False)
    """Of who signed it; `None` where nobody did."""

    @property
    def signer(self) -> str | None:
        """Id of who signed it."""
        return None if self.public is None else signer_id(self.public)


def make(root: Path, names: Iterable[str], *, key: SigningKey | None = None) -> bytes:
    """The manifest of files below `root`, as it is written.

    Raises:
        ModelError: a file cannot be read.
    """
    verifier = Verifier()
    files = {
        name: {"sha256": verifier.sha256(root / name), "size": (root / name).stat().st_size} for name in sorted(names)
    }
    body: dict[str, Any] = {
        "format": FORMAT,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "files": files,
    }
    if key is not None:
        body |= {"signer": key.id, "public_key": base64.b64encode(key.public).decode()}
        body["signature"] = base64.b64encode(key.sign(_message(body))).decode()
    body["digest"] = hashlib.sha256(_message(body)).hexdigest()
    return _written(body)


def read(raw: bytes, where: str) -> Manifest:
    """The manifest that `raw` writes.

    Raises:
        WeightsMismatchError: it was changed, or its signature is not of the key that it names.
        ModelError: it is no manifest.
    """
    try:
        body = json.loads(raw)
        if body["format"] != FORMAT:
            raise ModelError(f"This manifest has a format that is not known: {body['format']!r}.", where=where)
        sound = _written(body) == raw  # the very bytes: nothing is left that a flip could change unseen
        digest = body.pop("digest")
        sound = sound and hashlib.sha256(_message(body)).hexdigest() == digest
        public = None
        if "signature" in body:
            signature = base64.b64decode(body.pop("signature"), validate=True)
            public = base64.b64decode(body["public_key"], validate=True)
            sound = sound and body["signer"] == signer_id(public) and checks(public, signature, _message(body))
        files = {str(name): Entry(**entry) for name, entry in body["files"].items()}
        created = str(body["created"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise WeightsMismatchError(f"{_BAD}, or is none ({type(error).__name__}).", where=where) from error
    if not sound:
        raise WeightsMismatchError(f"{_BAD}.", where=where, hint="Restore it, or sign the files again.")
    return Manifest(files=files, created=created, public=public)


def manifest_of(path: Path) -> tuple[Manifest, str, Path] | None:
    """The manifest that tells of a file, its name there, and where it is; `None` for none. Raises as `read`."""
    beside = path.with_name(f"{path.name}.{NAME}")
    for file in (beside, path.parent / NAME):
        if file.is_file():
            try:
                raw = file.read_bytes() if file.stat().st_size <= _MOST else b""
            except OSError as error:
                raise ModelError(f"The manifest cannot be read: {error.strerror}.", where=str(file)) from error
            if file != beside and FORMAT.encode() not in raw:
                continue  # of another program
            found = read(raw, str(file))
            if path.name in found.files:
                return found, path.name, file
    return None


def admit(path: Path, sha256: str, *, home: Path, pinned: bool, strict: bool) -> str | None:
    """Let a file of weights be loaded, or refuse it.

    Args:
        sha256: of the file.
        pinned: the catalogue (so, whoever released this) or the settings name this very hash.
        strict: refuse what is neither pinned nor signed by somebody who is trusted.

    Returns:
        The id of who signed it.

    Raises:
        UnsafeWeightsError: its format may carry code.
        WeightsMismatchError: its manifest tells of other bytes, or was changed.
        UnsignedWeightsError: strict, and nobody vouches for it.
    """
    refuse_code(path, strict=strict)
    found = manifest_of(path)
    if found is not None:
        manifest, name, file = found
        _compare(manifest.files[name], sha256, path.stat().st_size, path, file)
        if manifest.public is not None and (not strict or Signers(home).trusts(manifest.public)):
            return manifest.signer
    if strict and not pinned:
        signer = found[0].signer if found is not None else None
        raise UnsignedWeightsError(
            "Strict mode loads only weights that are signed by somebody who is trusted, and these are "
            + (f"signed by {signer}, who is not." if signer else "not signed."),
            where=str(path),
            hint=f"Sign them: athanor models sign {path}. Or pin them by `sha256` in the settings."
            if signer is None
            else "Trust the signer, if you do: athanor models trust KEY --name NAME.",
        )
    return None


def checked_bytes(folder: Traversable, name: str) -> bytes:
    """The content of a packaged file, which is what the folder's manifest says.

    Raises:
        WeightsMismatchError: one of them was changed, or the manifest does not tell of the file.
    """
    where = f"{folder}/{name}"
    entry = read((folder / NAME).read_bytes(), f"{folder}/{NAME}").files.get(name)
    data = (folder / name).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if entry is None or (entry.sha256, entry.size) != (found, len(data)):
        raise WeightsMismatchError(
            "A packaged file is not the one that was released.", where=where, hint="Install Athanor again."
        )
    return data


def problems(manifest: Path) -> Iterator[str]:
    """Read every file that a manifest tells of; one line for each that is not as it says, manifest included."""
    try:
        found = read(manifest.read_bytes(), str(manifest))
    except (ModelError, OSError) as error:
        yield str(error)
        return
    for name, entry in found.files.items():
        path = manifest.parent / name
        try:
            _compare(entry, Verifier().sha256(path), path.stat().st_size, path, manifest)
        except ModelError as error:
            yield str(error)


def _compare(entry: Entry, sha256: str, size: int, path: Path, manifest: Path) -> None:
    if (entry.sha256, entry.size) != (sha256, size):
        raise WeightsMismatchError(
            f"The file is not the one that its manifest tells of: expected sha256 {entry.sha256}, found {sha256}.",
            where=str(path),
            hint=f"Restore the file. If you changed it yourself, sign it again: athanor models sign {path}. "
            f"The manifest is {manifest}.",
        )


def _written(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=2, ensure_ascii=True).encode() + b"\n"


def _message(body: Mapping[str, Any]) -> bytes:
    return _DOMAIN + json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
