"""`athanor encryption`: what is encrypted on disk, by which keys, and how they are changed."""

from __future__ import annotations

import os
from typing import Any

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, show, talk, told, when
from athanor.cli.progress import bar
from athanor.cli.state import opened
from athanor.errors import ConfigError
from athanor.observe import Action, AuditLog
from athanor.store import MasterKey, MasterSource, Store


@click.group()
def encryption() -> None:
    """Keys of what is encrypted on disk: state, rotation."""


@encryption.command()
@as_json
@click.pass_obj
def status(workspace: Workspace, *, as_json: bool) -> None:
    """Say which keys there are, and what is sealed by them."""
    with opened(workspace) as store:
        facts = _facts(store)
    if as_json:
        print_json(facts)
        return
    talk().print(f"Master key {facts['master']} from {facts['where']}", markup=False, soft_wrap=True)
    rows = [
        (key["id"], key["purpose"], "in use" if key["retired_at"] is None else "retired", key["values"], key["created"])
        for key in facts["keys"]
    ]
    columns = ("ID", "FOR", "STATE", "VALUES", "MADE")
    show(facts, json_=False, columns=columns, rows=rows, empty="No keys.", right=("VALUES",))
    plain = sum(facts["plain"].values())
    if plain:
        where = ", ".join(f"{count} in {table}" for table, count in facts["plain"].items())
        talk().print(f"{plain} values are plain: {where}. `athanor encryption enable` seals them.", markup=False)
    elif facts["whole"]:
        talk().print("All contents are sealed; a plain value would be refused.")


@encryption.command()
@click.option("--accept-plain", is_flag=True, help="Take plain values as they are, though all were sealed already.")
@as_json
@click.pass_obj
def enable(workspace: Workspace, *, accept_plain: bool, as_json: bool) -> None:
    """Seal what was written before encryption was on.

    Stop it at any moment and run it again: it goes on where it was.
    """
    if not workspace.settings.encryption.content:
        raise ConfigError("The settings keep contents plain.", where="encryption.content", hint="Set it to true.")
    with opened(workspace) as store:
        if accept_plain and store.key_ring.whole:
            store.key_ring.set_whole(whole=False)
        done = _reseal(store, "Sealing")
        store.resealing.settle(content=True)
        store.erasure.settle()
        AuditLog(store).record(Action.ENCRYPTION_ENABLED, by=None, subject="contents", details={"rows": done})
        facts = {"rows": done, "whole": store.key_ring.whole}
    told(facts, f"{done} rows sealed.", json_=as_json)


@encryption.command()
@click.option("--master", is_flag=True, help="Change the master key instead; no row needs to be written again.")
@click.option("--to-env", metavar="NAME", help="With --master: take the new key from this variable.")
@as_json
@click.pass_obj
def rotate(workspace: Workspace, *, master: bool, to_env: str | None, as_json: bool) -> None:
    """Make a new data key, and seal all rows by it.

    Stop it at any moment and run it again: it goes on where it was. The old key is dropped when no row needs it, an
    hour later at the earliest.
    """
    if to_env is not None and not master:
        raise click.UsageError("--to-env goes with --master.")
    with opened(workspace) as store:
        if master:
            told(*_rewrap(workspace, store, to_env), json_=as_json)
            return
        made = store.resealing.renew()
        if made is not None:
            AuditLog(store).record(Action.ENCRYPTION_ROTATED, by=None, subject=made)
        elif not as_json:
            talk().print("The rotation before was not finished; this goes on with it.")
        done = _reseal(store, "Sealing by the new key")
        left = store.resealing.settle(content=workspace.settings.encryption.content)
        store.erasure.settle()
        facts = {"key": store.key_ring.active().id, "rows": done, "retired": [key.id for key in left]}
    told(facts, f"{done} rows sealed by key {facts['key']}.", json_=as_json)


@encryption.command()
def key() -> None:
    """Print a new master key, for a file, a variable or a vault of yours. It is stored nowhere."""
    click.echo(MasterKey.fresh().text())


def _rewrap(workspace: Workspace, store: Store, to_env: str | None) -> tuple[dict[str, Any], str]:
    source = MasterSource(workspace.settings.encryption, workspace.settings.home)
    if to_env is not None:
        value = os.environ.get(to_env)
        if not value:
            raise ConfigError(
                f"The environment variable {to_env} is not set.", hint="`athanor encryption key` makes one."
            )
        new = MasterKey.parse(value, f"${to_env}")
        store.key_ring.rewrap(new)
        advice = f'Set encryption.key = {{ env = "{to_env}" }} now, and remove the old key: {source.file}'
    elif source.own:
        # The order survives a kill: the prepared file is found by the id that the database names.
        new = source.prepare()
        store.key_ring.rewrap(new)
        source.adopt()
        advice = f"Back up {source.file} anew: older copies of it open older backups only."
    else:
        raise ConfigError(
            "The settings name another place for the master key, which only you can write.",
            where="encryption",
            hint="Put a new key from `athanor encryption key` into a variable, and name it: --to-env NAME.",
        )
    AuditLog(store).record(Action.MASTER_KEY_CHANGED, by=None, subject=new.id)
    return {"master": new.id}, f"The data keys are wrapped by master key {new.id}. {advice}"


def _facts(store: Store) -> dict[str, Any]:
    census = store.resealing.census()
    master = store.key_ring.master
    assert master is not None
    keys = [
        {
            "id": key.id,
            "purpose": key.purpose,
            "created_at": key.created_at,
            "created": when(key.created_at),
            "retired_at": key.retired_at,
            "values": census.keys.get(key.id, 0),
        }
        for key in store.key_ring.infos()
    ]
    return {
        "master": master.id,
        "where": master.where,
        "keys": keys,
        "whole": store.key_ring.whole,
        "sealed": dict(census.sealed),
        "plain": dict(census.plain),
    }


def _reseal(store: Store, what: str) -> int:
    with bar() as progress:
        task = progress.add_task(what, total=None)
        return store.resealing.reseal(lambda done, total: progress.update(task, completed=done, total=total))
