"""Ours, for the benches: a server in a process of its own, on loopback, with a home folder of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _target import MODEL, Plan, Target, free_port, resident_mib

CACHED = "cached"
"""A route to the same model with the exact cache on."""
SETTINGS = f"""
chat = "{MODEL}"

[server]
console = false

[limits]
requests_per_minute = 100000000
tokens_per_minute = 1000000000
concurrency = 10000
usd_per_day = 1000000
usd_per_month = 10000000

[models.{MODEL}]
source = "%s"
backend = "openai"
price = {{ prompt = 0.15, completion = 0.6 }}

[routes.{CACHED}]
use = ["{MODEL}"]
cache = "exact"
"""
"""Limits and budgets are on, and too large to be reached."""
WIDE = (
    *("--rpm", "100000000", "--tpm", "1000000000", "--concurrency", "10000"),
    *("--usd-per-day", "1000000", "--usd-per-month", "10000000"),
)
"""The same for a key."""


class Mock(Target):
    """The upstream of all benches: `_mock.py`."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        script = Path(__file__).with_name("_mock.py")
        self.base = f"http://127.0.0.1:{port}/v1"
        command = [sys.executable, str(script), "--port", str(port)]
        super().__init__("mock alone", Plan(command=command, url=f"{self.base}/chat/completions"), folder)

    def seen(self) -> dict[str, int]:
        """What has happened so far: see `_mock.Seen`."""
        with urllib.request.urlopen(f"{self.base.removesuffix('/v1')}/count", timeout=5) as reply:
            found: dict[str, int] = json.loads(reply.read())
            return found


@contextmanager
def mock(folder: Path) -> Iterator[Mock]:
    """The upstream, for the length of the block."""
    folder.mkdir()
    upstream = Mock(folder)
    upstream.start()
    try:
        yield upstream
    finally:
        upstream.stop()


class Athanor(Target):
    """`athanor up` on `home`."""

    def __init__(self, home: Path, settings: str, *, name: str = "Athanor", python: str = sys.executable) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "athanor.toml").write_text(settings)
        self.home = home
        self._python = python
        command = [python, "-m", "athanor", "up", "--port", str(free_port()), "--no-browser"]
        super().__init__(name, Plan(command=command, url="", environment={"ATHANOR_HOME": str(home)}), home)
        self.base = ""

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    def start(self, timeout: float = 60) -> float:
        (self.home / "server.json").unlink(missing_ok=True)
        return super().start(timeout)

    def ready(self, timeout: float = 60) -> float:
        """Start; seconds until `/health` answered. No request is made."""
        (self.home / "server.json").unlink(missing_ok=True)
        began = time.perf_counter()
        self.launch()
        while time.perf_counter() - began < timeout:
            if self._process is not None and self._process.poll() is not None:
                break
            if self._found() and self._healthy():
                return time.perf_counter() - began
            time.sleep(0.005)
        raise RuntimeError(f"Athanor did not start:\n{self.log.read_text(errors='replace')[-1500:]}")

    def _ask(self) -> bool:
        return self._found() and super()._ask()

    def _found(self) -> bool:
        try:
            self.base = json.loads((self.home / "server.json").read_text())["url"]
            key = (self.home / "local.key").read_text().strip()
        except (OSError, ValueError):
            return False
        self.url = f"{self.base}/v1/chat/completions"
        self.plan.headers = {"authorization": f"Bearer {key}"}
        return True

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base}/health", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def run(self, *arguments: str) -> str:
        """The command line, as a person would call it; what it printed."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ATHANOR_")}
        ran = subprocess.run(
            [self._python, "-m", "athanor", *arguments], env={**kept, **self.plan.environment}, cwd=self.home,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if ran.returncode:
            said = self.log.read_text(errors="replace")[-1500:]
            raise RuntimeError(f"athanor {' '.join(arguments)}: {ran.stderr.strip()[-800:]}\n{said}")
        return ran.stdout.strip()

    def new_key(self, name: str, limits: Sequence[str] = WIDE) -> dict[str, str]:
        """Headers with a key of its own, which has limits and budgets."""
        return {"authorization": f"Bearer {self.run('keys', 'create', name, *limits)}"}

    def get(self, path: str) -> bytes:
        """With the local key."""
        parts = urlsplit(self.base)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            connection.request("GET", path, headers=self.plan.headers)
            return connection.getresponse().read()
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """`/metrics`, summed over the labels of each name."""
        found: dict[str, float] = {}
        for name, value in re.findall(r"(?m)^([a-z_]+)(?:\{[^\n]*\})? ([-+0-9.eE]+)$", self.get("/metrics").decode()):
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """From its database, read only."""
        with closing(sqlite3.connect(f"file:{self.home / 'athanor.db'}?mode=ro", uri=True)) as database:
            return database.execute(sql, values).fetchall()

    def server_resident(self) -> float:
        """MiB of the server's own process, without those of local models."""
        return resident_mib(self.pid)
