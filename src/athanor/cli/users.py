"""`athanor users`."""

from __future__ import annotations

import sys
from typing import Any

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, show, talk, when
from athanor.types import RoleName

_ROLES = click.Choice([role.value for role in RoleName])


@click.group()
def users() -> None:
    """People who sign in to the console: their passwords and roles."""


@users.command()
@click.argument("name")
@click.option("--role", type=_ROLES, default="user", show_default=True)
@click.option("--no-password", is_flag=True, help="They sign in by links.")
@as_json
@click.pass_obj
def create(workspace: Workspace, name: str, *, role: str, no_password: bool, as_json: bool) -> None:
    """Let NAME sign in. The password is asked for, or read from the first line of standard input."""
    password = None if no_password else _password()
    with workspace.client() as client:
        user = client.post("/api/users", {"name": name, "role": role, "password": password})
    _tell(user, f"{name} may sign in, with the role {user['role']}.", json_=as_json)


@users.command(name="list")
@as_json
@click.pass_obj
def list_(workspace: Workspace, *, as_json: bool) -> None:
    """List users."""
    with workspace.client() as client:
        data = client.get("/api/users")["data"]
    rows = (
        (
            user["name"],
            user["role"],
            "password" if user["password"] else user["issuer"] or "link",
            "disabled" if user["disabled_at"] else "active",
            when(user["created_at"]),
        )
        for user in data
    )
    columns = ("NAME", "ROLE", "SIGNS IN BY", "STATE", "SINCE")
    show(data, json_=as_json, columns=columns, rows=rows, empty="No users: 'athanor users create NAME' makes one.")


@users.command()
@click.argument("name")
@as_json
@click.pass_obj
def password(workspace: Workspace, name: str, *, as_json: bool) -> None:
    """Give NAME a new password; their sessions end. It is asked for, or read from standard input."""
    new = _password()
    with workspace.client() as client:
        user = client.patch(f"/api/users/{name}", {"password": new})
    _tell(user, f"{name} has a new password, and is signed out everywhere.", json_=as_json)


@users.command()
@click.argument("name")
@click.option("--enable", is_flag=True, help="Let them in again.")
@as_json
@click.pass_obj
def disable(workspace: Workspace, name: str, *, enable: bool, as_json: bool) -> None:
    """Let NAME in no longer: sessions end, and keys are refused."""
    with workspace.client() as client:
        user = client.patch(f"/api/users/{name}", {"disabled": not enable})
    _tell(user, f"{name} may sign in again." if enable else f"{name} is out.", json_=as_json)


@users.command()
@click.argument("name", required=False)
@click.argument("role", required=False, type=_ROLES)
@as_json
@click.pass_obj
def roles(workspace: Workspace, name: str | None, role: str | None, *, as_json: bool) -> None:
    """Give NAME another ROLE, for the console and for keys; their sessions end. Without them, say what roles may do."""
    if name is None:
        _explain(json_=as_json)
        return
    if role is None:
        raise click.UsageError(f"Say which role: {', '.join(_ROLES.choices)}.")
    with workspace.client() as client:
        user = client.patch(f"/api/users/{name}", {"role": role})
    _tell(user, f"{name} has the role {user['role']}.", json_=as_json)


def _explain(*, json_: bool) -> None:
    from athanor.governance.roles import Right, rights_of  # noqa: PLC0415  the command line starts fast

    data = {role.value: [right.value for right in Right if right in rights_of(role)] for role in RoleName}
    show(
        data,
        json_=json_,
        columns=("ROLE", "MAY"),
        rows=((role, ", ".join(may)) for role, may in data.items()),
        empty="",
    )


def _password() -> str:
    """From the terminal, without an echo; else the first line of standard input. Never an argument: those are in the
    shell's history, and every process of the machine reads them."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise click.UsageError("No password came on standard input.")
    return line


def _tell(user: dict[str, Any], text: str, *, json_: bool) -> None:
    if json_:
        print_json(user)
    else:
        talk().print(text, markup=False)
