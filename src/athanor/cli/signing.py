"""`athanor models sign`, `verify`, `trust`: who vouches for which weights."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, show, told, when
from athanor.cli.state import opened
from athanor.errors import ConflictError
from athanor.models.formats import refuse_code
from athanor.models.manifest import NAME, make, read
from athanor.models.signing import Signers, SigningKey, written
from athanor.observe import Action, AuditLog


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@as_json
@click.pass_obj
def sign(workspace: Workspace, path: Path, *, as_json: bool) -> None:
    """Write a signed manifest of the weights at PATH: a file, or all files of a folder.

    The key that signs is made at the first call, and trusted on this machine.
    """
    path = path.resolve()
    home = workspace.settings.home
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file() and not file.name.endswith(NAME)]
        root, names, target = path, [file.relative_to(path).as_posix() for file in found], path / NAME
    else:
        root, names, target = path.parent, [path.name], path.with_name(f"{path.name}.{NAME}")
    for name in names:
        refuse_code(root / name)
    new = not SigningKey.exists(home)
    key = SigningKey.of(home)
    raw = make(root, names, key=key)
    with opened(workspace) as store:
        signers, log = Signers(home), AuditLog(store)
        if new:
            signers.add(written(key.public), "this machine")
            log.record(Action.SIGNER_TRUSTED, by=None, subject=key.id)
        hashes = {name: entry.sha256 for name, entry in read(raw, str(target)).files.items()}
        log.record(Action.MANIFEST_SIGNED, by=None, subject=str(target), details={"signer": key.id, "files": hashes})
    target.write_bytes(raw)
    reply = {"manifest": str(target), "signer": key.id, "files": hashes}
    told(reply, f"{len(names)} files signed by {key.id}: {target}", json_=as_json)


@click.command()
@as_json
@click.pass_obj
def verify(workspace: Workspace, *, as_json: bool) -> None:
    """Read all weights in use anew, and compare them with pins and manifests. Leaves with 1 where something differs."""
    from athanor.cli.verify import weights  # noqa: PLC0415  it brings what other commands of this group do not need

    findings = list(weights(workspace.settings))
    marks = {True: Text("✗", "red"), False: Text("✓", "green")}
    rows = ((marks[bool(f.problem)], f.what, f.where, f.problem or "whole") for f in findings)
    show([asdict(f) for f in findings], json_=as_json, columns=("", "WHAT", "WHERE", "FOUND"), rows=rows, empty="")
    if any(f.problem for f in findings):
        sys.exit(1)


@click.command()
@click.pass_obj
def signer(workspace: Workspace) -> None:
    """Print the public key that signs on this machine, for `athanor models trust` on others."""
    click.echo(written(SigningKey.of(workspace.settings.home).public))


@click.command()
@as_json
@click.pass_obj
def signers(workspace: Workspace, *, as_json: bool) -> None:
    """List the signers that are trusted."""
    found = Signers(workspace.settings.home).list()
    rows = ((one.id, one.name, when(one.added_at)) for one in found)
    empty = "Nobody is trusted yet: athanor models trust KEY --name NAME."
    show([asdict(one) for one in found], json_=as_json, columns=("ID", "NAME", "SINCE"), rows=rows, empty=empty)


@click.command()
@click.argument("key")
@click.option("--name", required=True, help="Whose key it is.")
@as_json
@click.pass_obj
def trust(workspace: Workspace, key: str, *, name: str, as_json: bool) -> None:
    """Trust a signer: KEY is what `athanor models signer` prints on the machine that signs."""
    with opened(workspace) as store:
        try:
            made = Signers(workspace.settings.home).add(key, name)
        except ConflictError as error:
            told({}, error.message, json_=as_json)
            return
        AuditLog(store).record(Action.SIGNER_TRUSTED, by=None, subject=made.id, details={"name": name})
    told(asdict(made), f"{made.id} ({name}) is trusted.", json_=as_json)


@click.command()
@click.argument("id")
@click.pass_obj
def distrust(workspace: Workspace, id: str) -> None:  # noqa: A002  the name of the argument
    """Trust the signer ID no longer."""
    with opened(workspace) as store:
        Signers(workspace.settings.home).remove(id)
        AuditLog(store).record(Action.SIGNER_REMOVED, by=None, subject=id)
    told({"id": id}, f"{id} is not trusted any more.", json_=False)
