"""Other gateways: how each is installed, set up, started and asked.

Every peer lives in a folder of its own below the one that `--peers` names, outside this repository, and is left out
where it is missing. Its settings are written here, into a temporary folder, because nothing may depend on a file that
is not in the repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from _target import MODEL, Plan, free_port


@dataclass(frozen=True, kw_only=True)
class Peer:
    name: str
    requirement: str
    note: str
    """What to know about the comparison, printed below it."""
    plan: Callable[[Path, Path, str], Plan]
    """From where it is installed, an empty folder and the upstream's URL."""
    node: bool = False
    streams: bool = True

    def folder(self, peers: Path) -> Path:
        return peers / self.name.lower()

    def installed(self, peers: Path) -> bool:
        mark = "node_modules" if self.node else "bin/python"
        return (self.folder(peers) / mark).exists()

    def install(self, peers: Path) -> None:
        """From the package index, into its own folder. Some of these are large and take minutes."""
        folder = self.folder(peers)
        folder.mkdir(parents=True, exist_ok=True)
        if self.node:
            if shutil.which("npm") is None:
                print(f"{self.name}: needs npm, left out", file=sys.stderr)
                return
            (folder / "package.json").write_text(json.dumps({
                "name": "peer", "private": True, "dependencies": dict([self.requirement.rsplit("@", 1)]),
                "overrides": {"@hono/node-server": "1.14.2"},
            }))  # fmt: skip
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
            return
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        subprocess.run([str(base), "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, self.requirement], check=True)

    def size(self, peers: Path) -> float:
        """MB (10^6 bytes) on disk, without pip and setuptools."""
        return installed_size(self.folder(peers)) / 1e6


def installed_size(folder: Path) -> int:
    """Bytes of the files below, each counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if {"pip", "setuptools"} & set(parts):
            continue
        stat = path.lstat()
        if path.is_file() and not path.is_symlink() and (stat.st_dev, stat.st_ino) not in seen:
            seen.add((stat.st_dev, stat.st_ino))
            total += stat.st_size
    return total


def _litellm(installed: Path, folder: Path, upstream: str) -> Plan:
    key = "sk-bench-" + os.urandom(12).hex()  # it refuses weak ones
    settings = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {"model": f"openai/{MODEL}", "api_base": upstream, "api_key": "sk-x"},
            }
        ],
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "general_settings": {"master_key": key},
    }
    (folder / "litellm.yaml").write_text(json.dumps(settings))  # JSON is YAML
    port = str(free_port())
    command = [str(installed / "bin/litellm"), "--config", str(folder / "litellm.yaml")]
    return Plan(
        command=[*command, "--host", "127.0.0.1", "--port", port, "--num_workers", "1"],
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )


_TENSORZERO = """
import sys, time
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print("URL", gateway.base_url, flush=True)
time.sleep(86400)
"""


def _tensorzero(installed: Path, folder: Path, upstream: str) -> Plan:
    (folder / "tensorzero.toml").write_text(
        f"""
[gateway]
observability.enabled = false

[models."{MODEL}"]
routing = ["openai"]

[models."{MODEL}".providers.openai]
type = "openai"
model_name = "{MODEL}"
api_base = "{upstream}/"
api_key_location = "none"
"""
    )
    (folder / "gateway.py").write_text(_TENSORZERO)
    return Plan(
        command=[str(installed / "bin/python"), str(folder / "gateway.py"), str(folder / "tensorzero.toml")],
        url=None,
        model=f"tensorzero::model_name::{MODEL}",
    )


def _mlflow(installed: Path, folder: Path, upstream: str) -> Plan:
    config = {"openai_api_key": "sk-x", "openai_api_base": upstream}
    endpoint = {
        "name": MODEL,
        "endpoint_type": "llm/v1/chat",
        "model": {"provider": "openai", "name": MODEL, "config": config},
    }
    (folder / "mlflow.yaml").write_text(json.dumps({"endpoints": [endpoint]}))
    port = str(free_port())
    command = [str(installed / "bin/mlflow"), "gateway", "start", "--config-path", str(folder / "mlflow.yaml")]
    return Plan(
        command=[*command, "--host", "127.0.0.1", "--port", port, "--workers", "1"],
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        environment={"PATH": f"{installed / 'bin'}:{os.environ['PATH']}"},
    )


# It has no setting for its address and would listen on all of them.
_LOOPBACK = """
const net = require('net'); const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...a) {
  if (typeof a[0] === 'number') { if (typeof a[1] === 'string') a[1] = '127.0.0.1'; else a.splice(1, 0, '127.0.0.1'); }
  else if (a[0] && typeof a[0] === 'object' && a[0].port !== undefined) a[0] = {...a[0], host: '127.0.0.1'};
  return listen.apply(this, a);
};
"""


def _portkey(installed: Path, folder: Path, upstream: str) -> Plan:
    (folder / "loopback.js").write_text(_LOOPBACK)
    port = free_port()
    script = installed / "node_modules/@portkey-ai/gateway/build/start-server.js"
    return Plan(
        command=["node", str(script), f"--port={port}", "--headless"],
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        headers={
            "x-portkey-provider": "openai", "x-portkey-custom-host": upstream, "authorization": "Bearer sk-x",
        },
        environment={"NODE_OPTIONS": f"--require={folder / 'loopback.js'}"},
    )  # fmt: skip


PEERS = (
    Peer(
        name="TensorZero",
        requirement="tensorzero==2026.6.0",
        plan=_tensorzero,
        note="observability off (it would need ClickHouse): no ledger, no traces, no keys; a private entry point of "
        "the wheel; the project was archived in June 2026",
    ),
    Peer(
        name="MLflow",
        requirement="mlflow[genai]==3.17.2",
        plan=_mlflow,
        note="as it comes, one worker: no keys, no budgets, no ledger",
    ),
    Peer(
        name="Portkey",
        requirement="@portkey-ai/gateway@1.15.2",
        plan=_portkey,
        note="as it comes: no keys, no budgets, no ledger; non-streaming only, because its streams answer 500 here",
        node=True,
        streams=False,
    ),
    Peer(
        name="LiteLLM",
        requirement="litellm[proxy]==1.106.2",
        plan=_litellm,
        note="one worker, one master key, no database: no budgets, no ledger",
    ),
)
ABSENT = (
    "Bifrost is not in a package index; it publishes 11 µs a request, which leaves out JSON and the HTTP call "
    "(an independent test on loopback found 0.62 ms added)"
)


def available(peers: Path | None, names: Iterable[str] | None = None) -> list[Peer]:
    """Peers that are installed below `peers`, of those named."""
    wanted = {name.lower() for name in names} if names else None
    return [
        peer for peer in PEERS
        if peers is not None and peer.installed(peers) and (wanted is None or peer.name.lower() in wanted)
    ]  # fmt: skip
