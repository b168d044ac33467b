"""Short-lived tokens from a command, such as `az account get-access-token`: asked for, kept, and renewed in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson
from pydantic import SecretStr

from athanor.errors import EngineRefusedError, EngineUnavailableError

_TIMEOUT = 30.0
_BARE = 300.0
"""Seconds for which a token is kept whose command does not say how long it lives."""
_EARLY = 300.0
"""Seconds before its end at which a token is renewed, or a fifth of its life if that is less."""
_NAMES = ("accessToken", "access_token", "token", "id_token")


class TokenCommand:
    """Headers with a bearer token that a command prints: as JSON (Azure's, Google's and OAuth's names) or bare.

    The command runs without a shell, and one at a time. Its output is never shown; the last line of what it says to
    stderr is.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, command: Sequence[str], *, clock: Callable[[], float] = time.time) -> None:
        self._command = tuple(command)
        self._clock = clock
        self._token = SecretStr("")
        self._renew_at = 0.0
        self._lock = asyncio.Lock()

    async def __call__(self) -> Mapping[str, str]:
        """The headers.

        Raises:
            EngineRefusedError: the command cannot be run, fails, or prints no token.
            EngineUnavailableError: it does not end within 30 s.
        """
        if self._clock() >= self._renew_at:
            async with self._lock:
                if self._clock() >= self._renew_at:
                    self._take(await self._run())
        return {"authorization": f"Bearer {self._token.get_secret_value()}"}

    async def _run(self) -> bytes:
        program = self._command[0]
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
            )
        except OSError as error:
            raise EngineRefusedError(
                f"The token's command cannot be run: {error.strerror}.", where=program, hint="Check `token_command`."
            ) from error
        try:
            async with asyncio.timeout(_TIMEOUT):
                out, said = await process.communicate()
        except TimeoutError as error:
            raise EngineUnavailableError(f"The token's command took over {_TIMEOUT:g} s.", where=program) from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
            raise EngineRefusedError(
                f"The token's command failed with status {process.returncode}: {last or 'it says nothing'}",
                where=program,
                hint="Run it by hand; you may have to log in.",
            )
        return out

    def _take(self, out: bytes) -> None:
        now = self._clock()
        token, end = _parse(out, now)
        if not token or len(token) > 16_384 or not token.isprintable() or " " in token:
            raise EngineRefusedError(
                "The token's command prints no token.",
                where=self._command[0],
                hint='It prints the bare token, or JSON such as {"accessToken": "…", "expires_on": 1700000000}.',
            )
        self._token = SecretStr(token)
        left = end - now
        # A token that is as good as over is used once and asked for again.
        self._renew_at = end - min(_EARLY, left / 5) if left > 0 else now


def _parse(out: bytes, now: float) -> tuple[str, float]:
    """The token, and when it ends."""
    text = out.decode("utf-8", "replace").strip()
    if not text.startswith("{"):
        return text, now + _BARE + min(_EARLY, _BARE / 4)
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "", now
    token = next((body[name] for name in _NAMES if isinstance(body.get(name), str)), "")
    end = _end(body, now)
    return token, now + _BARE + min(_EARLY, _BARE / 4) if end is None else end


def _end(body: Mapping[str, Any], now: float) -> float | None:
    """Azure: `expires_on`, seconds since the epoch, and `expiresOn`, local time. OAuth: `expires_in`, seconds."""
    with suppress(TypeError, ValueError):
        if body.get("expires_on"):
            return float(body["expires_on"])
        if body.get("expires_in"):
            return now + float(body["expires_in"])
        for name in ("expiresOn", "expiry", "expires_at"):
            if body.get(name):
                return datetime.fromisoformat(str(body[name])).timestamp()
    return None
