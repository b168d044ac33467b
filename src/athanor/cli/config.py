"""`athanor config`."""

from __future__ import annotations

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, show, talk
from athanor.config import flatten


@click.group()
def config() -> None:
    """Settings."""


@config.command()
@as_json
@click.pass_obj
def check(workspace: Workspace, *, as_json: bool) -> None:
    """Check the settings, and print each value with the place it comes from."""
    loaded = workspace.loaded
    rows = [(key, _plain(value), loaded.sources.get(key, "default")) for key, value in flatten(loaded.settings)]
    data = [{"key": key, "value": value, "source": source} for key, value, source in rows]
    show(data, json_=as_json, columns=("SETTING", "VALUE", "SOURCE"), rows=rows, empty="")
    if not as_json:
        talk().print(f"[green]✓[/] {loaded.file or 'no settings file: defaults and environment only'}")


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | None) else str(value)
