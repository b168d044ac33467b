"""Between an agent on standard input and output, and the server's `/mcp`: what one says, the other is told."""

from __future__ import annotations

from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent

from athanor import __version__
from athanor.errors import AthanorError


async def bridge(url: str, key: str) -> None:
    """Serve standard input until it ends, with the tools of `url`.

    Raises:
        AthanorError: the server does not let this key in, or has no such base.
    """
    headers = {"authorization": f"Bearer {key}"}
    async with create_mcp_http_client(headers) as http:
        await _check(http, url)
        async with Client(streamable_http_client(url, http_client=http)) as upstream:

            async def tools(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
                # Not from the client's memory: there may be new bases.
                return await upstream.list_tools(cache_mode="refresh")

            async def call(asked: Any, params: CallToolRequestParams) -> CallToolResult:
                try:
                    return await upstream.call_tool(
                        params.name, params.arguments, progress_callback=asked.session.report_progress
                    )
                except (httpx2.HTTPError, OSError) as error:
                    text = f"The server does not answer: {type(error).__name__}. Start it again with 'athanor up'."
                    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

            server: Server[Any] = Server(
                "athanor",
                version=__version__,
                title="Athanor",
                instructions=upstream.instructions,
                on_list_tools=tools,
                on_call_tool=call,
            )
            async with stdio_server() as (inward, outward):
                await server.run(inward, outward, server.create_initialization_options())


async def _check(http: httpx2.AsyncClient, url: str) -> None:
    """Ask for what is refused to everybody, to hear why this caller would be refused. Raises as `bridge`."""
    try:
        reply = await http.get(url)
    except httpx2.HTTPError as error:
        raise AthanorError(f"The server does not answer: {error}.", where=url) from None
    if reply.status_code == httpx2.codes.METHOD_NOT_ALLOWED:
        return
    try:
        told = reply.json()["error"]
        message, hint = str(told["message"]), told.get("hint")
    except (ValueError, KeyError, TypeError):
        message, hint = f"The server answered {reply.status_code}.", "Is it an Athanor of this version?"
    raise AthanorError(message.removesuffix(str(hint)).strip() if hint else message, hint=hint)
