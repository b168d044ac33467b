"""The command line is a client of the server: of the one that runs, or of one it starts for the length of a command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from athanor.config import LoadedSettings, Settings
from athanor.errors import AthanorError


class RemoteError(AthanorError):
    """The server's own error, as it answered."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        error = body.get("error", {})
        message = str(error.get("message") or f"The server answered {status}.")
        hint = error.get("hint")
        super().__init__(
            message.removesuffix(str(hint)).strip() if hint else message, where=error.get("param"), hint=hint
        )


class Client:
    """A thin HTTP client that raises `RemoteError`."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        timeout = httpx.Timeout(600, connect=5)
        self._http = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=timeout)

    def get(self, path: str, **params: Any) -> Any:
        return self._json(self._http.get(path, params={k: v for k, v in params.items() if v is not None}))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._json(self._http.post(path, json=body or {}))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._json(self._http.put(path, json=body))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._json(self._http.patch(path, json=body))

    def delete(self, path: str) -> Any:
        return self._json(self._http.delete(path))

    def events(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The JSON of each server-sent event, until `[DONE]`."""
        with self._http.stream("POST", path, json=body) as response:
            if response.status_code >= 400:
                response.read()
                self._json(response)
            for line in response.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    event = json.loads(line[6:])
                    if "error" in event:
                        raise RemoteError(500, event)
                    yield event

    def close(self) -> None:
        self._http.close()

    @staticmethod
    def _json(response: httpx.Response) -> Any:
        try:
            body = response.json()
        except ValueError:
            body = {}
        if response.status_code >= 400:
            raise RemoteError(response.status_code, body if isinstance(body, dict) else {})
        return body


class Workspace:
    """Settings of this call, and the way to the server."""

    def __init__(self, load: Callable[[Mapping[str, object]], LoadedSettings]) -> None:
        self._load = load
        self.overrides: dict[str, object] = {}

    @cached_property
    def loaded(self) -> LoadedSettings:
        return self._load(self.overrides)

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the running server; without one, of a server that lives as long as the block."""
        if url := os.environ.get("ATHANOR_URL"):
            client = Client(url, os.environ.get("ATHANOR_API_KEY", ""))
            try:
                yield client
            finally:
                client.close()
            return
        running = self.running()
        if running is not None:
            client = Client(running, self.local_key())
            try:
                yield client
            finally:
                client.close()
            return
        from athanor.cli.serving import serving  # noqa: PLC0415  the server is not imported where one already runs

        with serving(self.settings) as url:
            client = Client(url, self.local_key())
            try:
                yield client
            finally:
                client.close()

    def running(self) -> str | None:
        """URL of the server that holds this home folder, or None."""
        try:
            note = json.loads((self.settings.home / "server.json").read_text())
            response = httpx.get(f"{note['url']}/health", timeout=2)
        except (OSError, ValueError, KeyError, httpx.HTTPError):
            return None
        return str(note["url"]) if response.headers.get("x-athanor-instance") == note.get("instance") else None

    def local_key(self) -> str:
        """The key of whoever owns the home folder."""
        if key := os.environ.get("ATHANOR_API_KEY"):
            return key
        path: Path = self.settings.home / "local.key"
        return path.read_text().strip() if path.is_file() else ""
