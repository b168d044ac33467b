"""Load on a gateway: what is asked, and how often. `_generator.py` does it, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(kw_only=True)
class Ask:
    """One kind of request."""

    body: dict[str, Any]
    share: int = 1
    """Out of the sum of all shares."""
    status: int = 200
    """Anything else is a failure."""
    cancel: bool = False
    """Leave after the first piece."""


@dataclass(kw_only=True)
class Job:
    url: str
    """The whole URL that is posted to."""
    headers: dict[str, str] = field(default_factory=dict)
    asks: list[Ask]
    requests: int = 0
    """To send at most; 0 means until `seconds` are over."""
    seconds: float = 60.0
    """To go on sending at most."""
    connections: int = 64
    """Closed: clients. Open: connections at most."""
    rate: float = 0.0
    """0 means closed."""
    unique: bool = True
    """Make every request differ: `#` in a body becomes its number."""
    begin: int = 0
    """The first request's number."""
    traces: str = ""
    """File to which the traces of answers that came whole are written, one a line."""


class Load:
    """The generator, seen from a bench."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("_generator.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, job: Job) -> None:
        """Begin, without waiting for the end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the load generator ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def run(self, job: Job) -> dict[str, Any]:
        self.start(job)
        return self.result()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
