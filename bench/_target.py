"""A gateway that runs in processes of its own, behind one face: started, asked, watched through /proc, stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MODEL = "gpt-4o-mini"
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(kw_only=True)
class Plan:
    """How to start a peer, and how to ask it."""

    command: list[str]
    url: str | None
    """Of its chat completions; None where only the process can tell, by printing it."""
    headers: dict[str, str] = field(default_factory=dict)
    model: str = MODEL
    environment: dict[str, str] = field(default_factory=dict)


class Target:
    """A gateway that runs."""

    def __init__(self, name: str, plan: Plan, folder: Path, *, streams: bool = True) -> None:
        self.name = name
        self.plan = plan
        self.streams = streams
        self._folder = folder
        self.url = plan.url or ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self._folder / "log"

    def start(self, timeout: float = 120) -> float:
        """Seconds from the start of its process until it answered a request."""
        began = time.perf_counter()
        process = self.launch()
        while time.perf_counter() - began < timeout:
            if process.poll() is not None:
                break
            if self._ask():
                return time.perf_counter() - began
            time.sleep(0.01)
        said = self.log.read_text(errors="replace")[-1500:]
        self.stop()
        raise RuntimeError(f"{self.name} did not start:\n{said}")

    def launch(self) -> subprocess.Popen[bytes]:
        """Start its process, and wait for nothing."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ATHANOR_")}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.plan.command, cwd=self._folder, env={**kept, **self.plan.environment},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self._process

    def _ask(self) -> bool:
        if not self.url:
            found = [line for line in self.log.read_text(errors="replace").splitlines() if line.startswith("URL ")]
            if not found:
                return False
            self.url = found[0].split()[1].rstrip("/") + "/chat/completions"
        return self.post({"messages": [{"role": "user", "content": "Say hello."}]})[0] == 200

    def post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        """Status (0: no answer) and body of one request to its model."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            sent = json.dumps({"model": self.plan.model, **body})
            headers = {"content-type": "application/json", **self.plan.headers}
            connection.request("POST", parts.path, sent, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def stop(self) -> None:
        if self._process is None:
            return
        for way in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, way)
                self._process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self._process = None
        if self.plan.url is None:
            self.url = ""

    def reap(self) -> None:
        """Wait for the end of a process that was killed."""
        assert self._process is not None
        self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def processor(self) -> float:
        """Seconds of processor time of its process tree, user and system."""
        return sum(map(processor_seconds, tree(self.pid)))

    def resident(self) -> float:
        """MiB resident in its process tree."""
        return sum(map(resident_mib, tree(self.pid)))


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        below.setdefault(parent, []).append(int(path.parent.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += below.get(one, [])
    return found


def processor_seconds(pid: int) -> float:
    """Of all its threads, those that have ended too; in steps of 10 ms."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK
    except OSError:
        return 0.0


def resident_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
