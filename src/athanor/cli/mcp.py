"""`athanor mcp`: the Model Context Protocol over this process's standard input and output, for agents on this machine.

It passes on what the server at `/mcp` says: of the one that runs, or of one it starts for as long as the agent talks.
"""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import quote

import anyio
import click

from athanor.cli.client import Workspace
from athanor.errors import MissingExtraError


@click.command()
@click.option("--kb", "base", help="The only knowledge base that the agent reaches (default: every one of the key's).")
@click.pass_obj
def mcp(workspace: Workspace, base: str | None) -> None:
    """Serve agents over standard input and output: tools to search, ask and read the documents."""
    if find_spec("mcp") is None:
        raise MissingExtraError("The Model Context Protocol", extra="mcp")
    from athanor.cli.mcp_bridge import bridge  # noqa: PLC0415  takes a second, and no other command needs it

    with workspace.client() as client:
        path = "/mcp" if base is None else f"/mcp/{quote(base, safe='')}"
        anyio.run(bridge, client.url + path, client.key)
