"""`athanor keys` and `athanor teams`, against a server inside the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from athanor.cli.main import cli
from athanor.types import RoleName
from tests.server.inside import inside

pytestmark = pytest.mark.anyio


class Shell:
    def __init__(self, url: str, key: str) -> None:
        self._environment = {"ATHANOR_URL": url, "ATHANOR_API_KEY": key}

    async def run(self, *arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=self._environment)

    async def read(self, *arguments: str) -> Any:
        """The JSON that a command prints, and nothing else on stdout."""
        result = await self.run(*arguments, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with opened(tmp_path) as made:
        yield made


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Shell]:
    async with inside(home) as server:
        _, headers = server.key("root", RoleName.ADMIN)
        yield Shell(server.url, headers["authorization"].removeprefix("Bearer "))


async def test_every_option_arrives(shell: Shell) -> None:
    await shell.run("teams", "create", "blue")
    options = {
        "--role": "developer",
        "--days": "1.5",
        "--key-name": "laptop",
        "--team": "blue",
        "--models": "gpt-*, local",
        "--knowledge": "",
        "--doors": "chat.completions,files",
        "--rpm": "60",
        "--tpm": "9000",
        "--concurrency": "0",
        "--usd-per-day": "1.25",
        "--usd-per-month": "none",
    }
    made = await shell.read(
        "keys", "create", "app", *(part for pair in options.items() for part in pair), "--record-content"
    )
    assert made.pop("secret").startswith("ath_")
    assert (made["name"], made["principal"], made["role"], made["team"]) == ("laptop", "app", "developer", "blue")
    assert made["record_content"] is True
    assert made["expires_at"] - made["created_at"] == pytest.approx(1.5 * 86400, abs=5)
    assert made["scopes"] == {"models": ["gpt-*", "local"], "knowledge": [], "doors": ["chat.completions", "files"]}
    assert made["limits"] == {
        "requests_per_minute": 60,
        "tokens_per_minute": 9000,
        "concurrency": 0,
        "usd_per_day": 1.25,
        "usd_per_month": None,
    }
    assert made in await shell.read("keys", "list")
    table = (await shell.run("keys", "list")).stdout
    for word in ("laptop", "blue", "60 rpm", "1.25 USD/day", "gpt-*", made["id"]):
        assert word in table


async def test_changes_leave_the_rest_alone(shell: Shell) -> None:
    made = await shell.read("keys", "create", "app", "--rpm", "5", "--usd-per-day", "2", "--models", "a", "--days", "9")
    limited = await shell.read("keys", "limit", made["id"], "--rpm", "none", "--tpm", "7")
    assert {name: value for name, value in limited["limits"].items() if value is not None} == {
        "tokens_per_minute": 7,
        "usd_per_day": 2.0,
    }
    changed = await shell.read("keys", "change", made["id"], "--models", "*", "--doors", "messages", "--days", "never")
    assert changed["scopes"] == {"models": None, "knowledge": None, "doors": ["messages"]}
    assert changed["expires_at"] is None
    assert changed["limits"] == limited["limits"]
    assert (await shell.read("keys", "change", made["id"], "--record-content"))["record_content"] is True
    renamed = await shell.read("keys", "change", made["id"], "--name", "other", "--no-record-content")
    assert (renamed["name"], renamed["record_content"]) == ("other", False)
    for command in ("limit", "change"):
        nothing = await shell.run("keys", command, made["id"])
        assert nothing.exit_code == 2
        assert "Name a" in nothing.output


async def test_rotation_and_revocation(shell: Shell) -> None:
    made = await shell.read("keys", "create", "app")
    plain = await shell.run("keys", "rotate", made["id"], "--grace", "2")
    assert plain.stdout.startswith("ath_")
    assert len(plain.stdout.split()) == 1, "the secret alone, to be piped"
    states = {key["id"]: key["state"] for key in await shell.read("keys", "list") if key["name"] == "app"}
    assert sorted(states.values()) == ["active", "replaced"]
    await shell.run("keys", "revoke", made["id"])
    states = {key["id"]: key["state"] for key in await shell.read("keys", "list")}
    assert states[made["id"]] == "revoked"


async def test_teams(shell: Shell) -> None:
    made = await shell.read("teams", "create", "blue", "--usd-per-month", "200")
    assert (await shell.run("teams", "create", "red")).stdout.startswith("team_")
    await shell.run("keys", "create", "ada")
    moved = await shell.read("teams", "move", "ada", "blue")
    assert moved["team"] == "blue"
    assert [member["name"] for member in await shell.read("teams", "members", "blue")] == ["ada"]
    limited = await shell.read("teams", "limit", made["id"], "--concurrency", "3")
    assert (limited["limits"]["usd_per_month"], limited["limits"]["concurrency"]) == (200, 3)
    assert [(team["name"], len(team["members"])) for team in await shell.read("teams", "list")] == [
        ("blue", 1),
        ("red", 0),
    ]
    refused = await shell.run("teams", "delete", "blue")
    assert "has members" in str(refused.exception)
    assert (await shell.read("teams", "move", "ada", "--out"))["team"] is None
    assert (await shell.run("teams", "delete", "blue")).exit_code == 0
    assert [team["name"] for team in await shell.read("teams", "list")] == ["red"]
    assert "no team 'blue'" in str((await shell.run("teams", "members", "blue")).exception)
    assert (await shell.run("teams", "move", "ada")).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rpm", "-1"),
        ("--rpm", "1.5"),
        ("--usd-per-day", "inf"),
        ("--usd-per-day", "nan"),
        ("--days", "0"),
        ("--tpm", "x"),
    ],
)
async def test_numbers_that_are_none(shell: Shell, arguments: tuple[str, str]) -> None:
    result = await shell.run("keys", "create", "app", *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.output
