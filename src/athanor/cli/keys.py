"""`athanor keys`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, show, talk, when
from athanor.types import RoleName

Command = TypeVar("Command", bound=Callable[..., Any])
NONE = "none"

# Option → (field of the API, type, help).
_LIMITS = {
    "rpm": ("requests_per_minute", int, "Requests in any minute."),
    "tpm": ("tokens_per_minute", int, "Tokens in any minute, prompt and answer together."),
    "concurrency": ("concurrency", int, "Requests at once."),
    "usd_per_day": ("usd_per_day", float, "US dollars in a day, UTC."),
    "usd_per_month": ("usd_per_month", float, "US dollars in a calendar month, UTC."),
}
_SCOPES = {
    "models": "Models and routes that it opens, with * as a wildcard; repeatable, or with commas.",
    "knowledge": "Knowledge bases that it opens, in the same way; an empty text is none.",
    "doors": "Interfaces that it opens, such as chat.completions, in the same way.",
}


class _Number(click.ParamType[Any]):
    """A number of at least 0, or `none`."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind
        self.name = f"{'int' if kind is int else 'usd'}|{NONE}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == NONE:
            return value
        try:
            number = self._kind(value)
        except ValueError:
            number = -1
        if not 0 <= number < float("inf"):
            self.fail(f"{value!r} is neither a number of at least 0 nor '{NONE}'.", param, ctx)
        return number


def limit_options(command: Command) -> Command:
    """`--rpm`, `--tpm`, `--concurrency`, `--usd-per-day`, `--usd-per-month`."""
    for name, (_, kind, text) in reversed(_LIMITS.items()):
        option = "--" + name.replace("_", "-")
        command = click.option(option, name, type=_Number(kind), help=f"{text} '{NONE}' is without a limit.")(command)
    return command


def scope_options(command: Command) -> Command:
    """`--models`, `--knowledge`, `--doors`."""
    for name, text in reversed(_SCOPES.items()):
        command = click.option(f"--{name}", multiple=True, metavar="NAMES", help=text)(command)
    return command


def limits_of(given: dict[str, Any]) -> dict[str, Any]:
    """The body's `limits` from the options; takes them out of `given`. What was not said is not in it."""
    said = {field: given.pop(name) for name, (field, _, _) in _LIMITS.items()}
    return {field: None if value == NONE else value for field, value in said.items() if value is not None}


def scopes_of(given: dict[str, Any]) -> dict[str, Any]:
    """The body's `scopes` from the options; takes them out of `given`. `*` alone opens everything."""
    scopes = {}
    for name in _SCOPES:
        said = given.pop(name)
        if said:
            names = [part.strip() for text in said for part in text.split(",") if part.strip()]
            scopes[name] = None if names == ["*"] else names
    return scopes


def limits_text(limits: dict[str, Any]) -> str:
    """Limits for people: `60 rpm, 5 USD/day`."""
    units = {
        "requests_per_minute": "{} rpm",
        "tokens_per_minute": "{} tpm",
        "concurrency": "{} at once",
        "usd_per_day": "{:g} USD/day",
        "usd_per_month": "{:g} USD/month",
    }
    return ", ".join(units[name].format(value) for name, value in limits.items() if value is not None)


def usd(amount: float) -> str:
    """Dollars for people, small amounts to the digit that says something."""
    return f"{amount:.2f}" if amount >= 1 or amount == 0 else f"{amount:.2g}"


@click.group()
def keys() -> None:
    """API keys: what each opens, what it may spend, and what it spent."""


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in RoleName]), default="user", show_default=True)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Expire after so many days (default: never).")
@click.option("--key-name", default="", help="Tells several keys of NAME apart.")
@click.option("--team", help="Team of NAME, if NAME is new.")
@click.option("--record-content", is_flag=True, help="Keep the texts of its requests and answers.")
@scope_options
@limit_options
@as_json
@click.pass_obj
def create(workspace: Workspace, /, as_json: bool, **given: Any) -> None:
    """Make a key for NAME. It is printed once, on stdout, and cannot be shown again."""
    body = {"limits": limits_of(given), "scopes": scopes_of(given), **given}
    with workspace.client() as client:
        _secret(client.post("/api/keys", body), as_json)


@keys.command("list")
@as_json
@click.pass_obj
def list_keys(workspace: Workspace, *, as_json: bool) -> None:
    """List keys, what they open and what they spent; never their secrets."""
    with workspace.client() as client:
        data = client.get("/api/keys")["data"]
    columns = ("NAME", "ROLE", "TEAM", "KEY", "STATE", "EXPIRES", "OPENS", "LIMITS", "TODAY", "MONTH", "ID")
    rows = (
        (
            k["name"],
            k["role"],
            k["team"] or "",
            k["hint"] + "…",
            k["state"],
            when(k["expires_at"]),
            _scopes_text(k["scopes"]),
            limits_text(k["limits"]),
            usd(k["spent"]["usd_today"]),
            usd(k["spent"]["usd_this_month"]),
            k["id"],
        )
        for k in data
    )
    show(data, json_=as_json, columns=columns, rows=rows, empty="No keys.")


@keys.command()
@click.argument("key")
@limit_options
@as_json
@click.pass_obj
def limit(workspace: Workspace, /, key: str, as_json: bool, **given: Any) -> None:
    """Change the limits of KEY (its id). They hold from the next request on; what is not named stays."""
    changes = limits_of(given)
    if not changes:
        raise click.UsageError("Name a limit: --rpm, --tpm, --concurrency, --usd-per-day or --usd-per-month.")
    _change(workspace, key, {"limits": changes}, as_json)


@keys.command()
@click.argument("key")
@click.option("--name", help="Another name.")
@click.option("--days", help="Expire after so many days from now, or 'never'.")
@click.option("--record-content/--no-record-content", default=None, help="Keep the texts of its requests and answers.")
@scope_options
@as_json
@click.pass_obj
def change(workspace: Workspace, /, key: str, days: str | None, as_json: bool, **given: Any) -> None:
    """Change what KEY (its id) opens, its name, its end or its recording; what is not named stays."""
    body: dict[str, Any] = {}
    scopes = scopes_of(given)
    if scopes:
        body["scopes"] = scopes
    if days is not None:
        body["days"] = None if days == "never" else click.FLOAT(days)
    body |= {name: value for name, value in given.items() if value is not None}
    if not body:
        raise click.UsageError("Name a change: --name, --days, --record-content, --models, --knowledge or --doors.")
    _change(workspace, key, body, as_json)


@keys.command()
@click.argument("key")
@click.option(
    "--grace", type=click.FloatRange(min=0), default=24.0, show_default=True, help="Hours that the old one works on."
)
@as_json
@click.pass_obj
def rotate(workspace: Workspace, key: str, grace: float, *, as_json: bool) -> None:
    """Make a new secret for KEY (its id), with the same scopes and limits. It is printed once, on stdout."""
    with workspace.client() as client:
        reply = client.post(f"/api/keys/{key}/rotate", {"grace_hours": grace})
    _secret(reply, as_json)
    talk().print(f"[dim]{key} works until {when(reply['old_ends_at'])}. Both spend from one budget.[/]")


@keys.command()
@click.argument("key")
@click.pass_obj
def revoke(workspace: Workspace, key: str) -> None:
    """Refuse KEY (its id) from now on."""
    with workspace.client() as client:
        client.delete(f"/api/keys/{key}")
    talk().print(f"Revoked {key}.")


def _change(workspace: Workspace, key: str, body: dict[str, Any], as_json: bool) -> None:
    with workspace.client() as client:
        reply = client.patch(f"/api/keys/{key}", body)
    if as_json:
        print_json(reply)
        return
    parts = filter(None, (_scopes_text(reply["scopes"]), limits_text(reply["limits"]) or "no limits"))
    talk().print(f"Changed {key}: {'; '.join(parts)}.", markup=False)


def _secret(reply: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(reply)
    else:
        click.echo(reply["secret"])
    talk().print("[dim]Keep it now: only its hash is stored.[/]")


def _scopes_text(scopes: dict[str, Any]) -> str:
    parts = [f"{name}: {', '.join(names) or '-'}" for name, names in scopes.items() if names is not None]
    return "; ".join(parts)
