"""`/mcp`: the Model Context Protocol over streamable HTTP, for agents that search, ask and read for themselves.

Every request stands alone, in the protocol's older versions too: it is identified by its key, served by a server made
for its caller, and forgotten. There is no session that another key could use. `/mcp/{base}` is the same for one base.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from athanor.errors import AthanorError, MissingExtraError, PermissionDeniedError
from athanor.gateway import App
from athanor.gateway.search import opened
from athanor.server.enforce import enforce, identified, refuse
from athanor.types import Context, new_id

log = logging.getLogger(__name__)

DOOR = "mcp"
PATHS = ("/mcp", "/mcp/{base}")


class Endpoint:
    """Identifies the caller, and serves one message."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            _check_origin(request)
            enforce(scope, self._app)
            who, key = identified(scope)
            ctx = Context(principal=who, key=key, trace=new_id("tr"), door=DOOR)
            base = request.path_params.get("base")
            if base is not None:
                base = (await opened(base, ctx, self._app))[0].name
            if find_spec("mcp") is None:
                raise MissingExtraError("The Model Context Protocol", extra="mcp")
            if request.method != "POST":
                # Nothing is ever sent unasked, so there is no stream to open and no session to end.
                return await Response(status_code=405, headers={"allow": "POST"})(scope, receive, send)
        except AthanorError as error:
            return await refuse(error, scope, receive, send)
        # Imported by the first request: it takes a second, and most servers have no agents.
        from athanor.server.mcp_tools import Tools, serve  # noqa: PLC0415

        tools = Tools(self._app, ctx, base=base, site=str(request.base_url).rstrip("/"))
        return await serve(tools, scope, receive, send)


def routes(app: App) -> list[Route]:
    """The endpoint at its paths."""
    endpoint = Endpoint(app)
    return [Route(path, endpoint=endpoint, include_in_schema=False) for path in PATHS]


def _check_origin(request: Request) -> None:
    """Refuse what a page of another site makes a browser send, whatever key it carries, as the protocol wants it.

    Raises:
        PermissionDeniedError: `Origin` is not this server's own host.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise PermissionDeniedError("This request comes from another site.", where=origin)
