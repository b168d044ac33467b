from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import Server

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A home with one ingested folder, and no server running on it."""
    root = tmp_path_factory.mktemp("cli")
    (root / "notes").mkdir()
    (root / "notes" / "ferry.md").write_text("# Ferry\n\nThe ferry to Runsala leaves at 7:40 from pier nine.\n")
    server = Server(root / "home")
    result = server.run("ingest", str(root / "notes"))
    assert result.returncode == 0, result.stderr
    return server


def test_ask_without_a_server_prints_the_promised_object(live: Server) -> None:
    result = live.run("ask", "When does the ferry to Runsala leave?", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    keys = {"answer", "abstained", "mode", "confidence", "citations", "model", "usage", "trace"}
    assert set(answer) == keys | {"sentences", "groundedness", "conflicts", "nearest"}
    assert answer["groundedness"] == 1.0
    assert "7:40" in answer["answer"]
    (citation, *_) = answer["citations"]
    assert {"document", "version", "page", "start", "end", "quote", "score"} <= set(citation)
    text = live.run("kb", "text", citation["document"]).stdout
    assert text[citation["start"] : citation["end"]] == citation["quote"]


def test_ask_tells_people_where_it_stands(live: Server) -> None:
    result = live.run("ask", "When does the ferry to Runsala leave?")
    assert "7:40" in result.stdout
    assert "[1]" in result.stdout
    assert "ferry.md" in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("kb", "list"),
        ("kb", "documents", "docs"),
        ("kb", "search", "ferry"),
        ("models", "list"),
        ("keys", "list"),
        ("config", "check"),
    ],
)
def test_every_read_has_json_on_stdout_and_nothing_else(live: Server, command: tuple[str, ...]) -> None:
    result = live.run(*command, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)


def test_keys_are_shown_once_and_can_be_revoked(live: Server) -> None:
    secret = live.run("keys", "create", "dashboard", "--days", "3").stdout.strip()
    assert secret.startswith("ath_")
    listed = live.run("keys", "list", "--json")
    assert secret not in listed.stdout
    (entry,) = [key for key in json.loads(listed.stdout) if key["name"] == "dashboard"]
    live.run("keys", "revoke", entry["id"])
    states = {key["id"]: key["state"] for key in json.loads(live.run("keys", "list", "--json").stdout)}
    assert states[entry["id"]] == "revoked"
    database = b"".join(path.read_bytes() for path in live.home.glob("athanor.db*"))
    assert secret.encode() not in database


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("ask", "x", "--kb", "nothing"), ("nothing", "hint")),
        (("ingest", "/no/such/folder"), ("/no/such/folder",)),
        (("--set", "server.prot=1", "config", "check"), ("server.prot", "Did you mean 'port'")),
        (("kb", "text", "doc_nothing"), ("doc_nothing",)),
        (("ask", "  "), ("empty",)),
    ],
)
def test_what_goes_wrong_is_one_clear_line(live: Server, command: tuple[str, ...], words: tuple[str, ...]) -> None:
    result = live.run(*command)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_doctor_is_content_with_a_healthy_home(live: Server) -> None:
    result = live.run("doctor", "--json")
    findings = json.loads(result.stdout)
    assert result.returncode == 0, [f for f in findings if f["level"] == "problem"]
    assert {"Python", "store", "embedder weights", "knowledge base docs", "audit chain"} & {f["what"] for f in findings}


def test_two_servers_do_not_share_a_home(live: Server) -> None:
    live.start()
    try:
        command = [sys.executable, "-m", "athanor", "up", "--port", "0", "--no-browser"]
        second = subprocess.run(
            command, env=live.environment, cwd=live.home, capture_output=True, text=True, timeout=60, check=False
        )
        assert "runs already" in second.stderr
        assert live.run("ask", "When does the ferry leave?", "--json").returncode == 0
    finally:
        live.stop()


def test_help_names_every_command_without_importing_the_server() -> None:
    code = "import sys; from athanor.cli import main\ntry: main()\nfinally: print('fastapi' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, env=os.environ, check=False
    )
    assert "ingest" in result.stdout
    assert result.stdout.strip().endswith("False")


def test_state_is_its_owners_alone(live: Server) -> None:
    for path in [live.home / "local.key", live.home / "athanor.db", *Path(live.home / "blobs").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
