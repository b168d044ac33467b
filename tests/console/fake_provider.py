"""A small OpenID provider on loopback, which can be told to lie."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from joserfc import jwk, jws, jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "athanor-console", "s3cret of the client"
EVERY = ["RS256", "ES256", "HS256", "none"]


@dataclass
class FakeProvider:
    url: str
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "7", "preferred_username": "grace"})
    """What is said of who signs in, over what is usual."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What it says of itself, over what is usual."""
    algorithm: str = "RS256"
    key: Any = field(default_factory=lambda: jwk.RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    signing: Any = None
    """Another key than the one it publishes."""
    kid: str | None = None
    forge: Callable[[str], str] | None = None
    """Makes a token of a nonce, in place of `make`."""
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    """Code → what its sign-in was begun with."""
    calls: list[str] = field(default_factory=list)

    def authorize(self, query: str) -> str:
        """Somebody signs in there; the code."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return code

    async def describe(self, _: Request) -> Response:
        self.calls.append("metadata")
        usual = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "end_session_endpoint": f"{self.url}/logout",
            "id_token_signing_alg_values_supported": EVERY,
        }
        return JSONResponse(usual | self.metadata)

    async def keys(self, _: Request) -> Response:
        self.calls.append("keys")
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def exchange(self, request: Request) -> Response:
        fields = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self.asked.pop(fields.get("code", ""), None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        good = (
            asked is not None
            and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
            and fields["redirect_uri"] == asked["redirect_uri"]
            and self._is_client(request, fields)
        )
        if asked is None or not good:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        return JSONResponse({"token_type": "Bearer", "id_token": (self.forge or self.make)(asked["nonce"])})

    def make(self, nonce: str) -> str:
        """An id token."""
        claims = self.said(nonce)
        header = {"alg": self.algorithm, "kid": self.kid or self.key.kid}
        registry = jws.JWSRegistry(algorithms=EVERY)
        return jwt.encode(header, claims, self.signing or self.key, algorithms=EVERY, registry=registry)

    def said(self, nonce: str) -> dict[str, Any]:
        """The claims."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
        return {name: value for name, value in (usual | self.claims).items() if value is not None}

    def _is_client(self, request: Request, fields: dict[str, str]) -> bool:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            return base64.b64decode(value).decode() == f"{CLIENT}:{SECRET.replace(' ', '%20')}"
        return fields.get("client_secret") == SECRET


@asynccontextmanager
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider for the length of the block."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    made = FakeProvider(f"http://127.0.0.1:{bound.getsockname()[1]}")
    routes = [
        Route("/.well-known/openid-configuration", made.describe),
        Route("/keys", made.keys),
        Route("/token", made.exchange, methods=["POST"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield made
    finally:
        server.should_exit = True
        await task
