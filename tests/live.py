"""A real server in a process of its own, on loopback, with a home folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

SCRIPTED = """
chat = "echo"

[server]
max_body_mb = 8
max_request_mb = 8

[models.echo]
source = "scripted:"
backend = "scripted"
grounded = "extractive"
"""


class Server:
    """Starts `athanor up` on a free port; `kill` is `kill -9`, `stop` is Ctrl-C."""

    def __init__(self, home: Path, *, settings: str = SCRIPTED, console: bool = False) -> None:
        self.home = home
        self.console = console
        home.mkdir(parents=True, exist_ok=True)
        (home / "athanor.toml").write_text(settings)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = home.with_suffix(".log")

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ATHANOR_")}
        return {**kept, "ATHANOR_HOME": str(self.home)}

    def start(self, timeout: float = 60) -> Server:
        (self.home / "server.json").unlink(missing_ok=True)
        flags = ["--set", f"server.console={'true' if self.console else 'false'}"]
        command = [sys.executable, "-m", "athanor", *flags, "up", "--port", "0", "--no-browser"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, cwd=self.home, stdout=log, stderr=log)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended: {self.log.read_text()}")
            try:
                self.url: str = json.loads((self.home / "server.json").read_text())["url"]
                httpx.get(f"{self.url}/health", timeout=5)
                return self
            except (OSError, ValueError, httpx.HTTPError):
                time.sleep(0.05)
        raise AssertionError(f"the server did not start: {self.log.read_text()}")

    @property
    def key(self) -> str:
        return (self.home / "local.key").read_text()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=60)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, as a person would call it."""
        command = [sys.executable, "-m", "athanor", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=120, check=False
        )

    def wait(self, job: str, timeout: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        with self.client() as client:
            while time.monotonic() < deadline:
                found: dict[str, Any] = client.get(f"/api/jobs/{job}").json()
                if found["state"] not in {"queued", "running"}:
                    return found
                time.sleep(0.05)
        raise AssertionError(f"the job did not end: {found}")

    def ingest(self, folder: Path, base: str = "docs", timeout: float = 60) -> dict[str, Any]:
        with self.client() as client:
            reply = client.post(f"/api/knowledge/{base}/sync", json={"folder": str(folder)})
            reply.raise_for_status()
            return self.wait(reply.json()["id"], timeout)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()
