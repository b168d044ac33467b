"""`athanor audit`: the record of administrative acts, and the proof that it is whole."""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, show, talk, when
from athanor.cli.state import opened
from athanor.errors import InputError
from athanor.models.signing import SigningKey, checks, signer_id
from athanor.observe.anchors import Anchors
from athanor.store import Store

_DOMAIN = b"athanor audit head\0"


@click.group()
def audit() -> None:
    """The record of administrative acts, in a chain of hashes."""


@audit.command("list")
@click.option("--action", help="Only entries of this action, such as key.created.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@as_json
@click.pass_obj
def list_entries(workspace: Workspace, *, action: str | None, limit: int, as_json: bool) -> None:
    """List entries, newest first."""
    with opened(workspace) as store:
        entries = store.audit.entries(action=action, limit=limit)
        names = {entry.id: entry.name for entry in store.principals.list()}
    data = [{name: getattr(entry, name) for name in entry.__slots__} for entry in entries]
    rows = (
        (e.sequence, when(e.at), names.get(e.principal, e.principal), e.action, e.subject, json.dumps(dict(e.details)))
        for e in entries
    )
    columns = ("NO", "AT", "WHO", "WHAT", "SUBJECT", "DETAILS")
    show(data, json_=as_json, columns=columns, rows=rows, empty="Nothing yet.", right=("NO",))


@audit.command()
@as_json
@click.option("--head", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What `audit head` printed.")
@click.pass_obj
def verify(workspace: Workspace, *, head: Path | None, as_json: bool) -> None:
    """Find changed, missing and cut-off entries. Leaves with 1 where there are any."""
    with opened(workspace) as store:
        problems = chain_problems(store, workspace.settings.home, head)
        sequence, hash_ = store.audit.head()
    if as_json:
        print_json({"entries": sequence, "head": hash_, "problems": problems})
    else:
        for problem in problems:
            talk().print(f"✗ {problem}", markup=False, soft_wrap=True)
        talk().print(f"{sequence} entries, " + (f"{len(problems)} problems" if problems else "all whole") + ".")
    if problems:
        sys.exit(1)


@audit.command("head")
@click.pass_obj
def print_head(workspace: Workspace) -> None:
    """Print the newest entry's number and hash, signed, to be kept on another machine.

    Later, `athanor audit verify --head FILE` shows whether the chain still holds that entry.
    """
    with opened(workspace) as store:
        sequence, hash_ = store.audit.head()
    key = SigningKey.of(workspace.settings.home)
    body: dict[str, Any] = {"sequence": sequence, "hash": hash_, "at": time.time(), "signer": key.id}
    body["public_key"] = base64.b64encode(key.public).decode()
    body["signature"] = base64.b64encode(key.sign(_message(body))).decode()
    print_json(body)


def chain_problems(store: Store, home: Path, head: Path | None = None) -> list[str]:
    """What is wrong with the chain, and with the notes of its heads.

    Raises:
        InputError: `head` is not a head that was signed.
    """
    heads, problems = Anchors(store, home).verify()
    if head is not None:
        sequence, hash_ = _signed_head(head)
        heads[sequence] = hash_
    return problems + store.audit.verify(heads=heads)


def _signed_head(file: Path) -> tuple[int, str]:
    try:
        body = json.loads(file.read_bytes())
        signature = base64.b64decode(body.pop("signature"), validate=True)
        public = base64.b64decode(body["public_key"], validate=True)
        sound = signer_id(public) == body["signer"] and checks(public, signature, _message(body))
        found = int(body["sequence"]), str(body["hash"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("This is not what `athanor audit head` prints.", where=str(file)) from error
    if not sound:
        raise InputError("The signature of this head is not right: it was changed.", where=str(file))
    return found


def _message(body: dict[str, Any]) -> bytes:
    return _DOMAIN + json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
