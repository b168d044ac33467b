"""`athanor traces` and `athanor costs` against a server that runs."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from athanor.cli.main import cli
from athanor.cli.moments import MOMENT
from athanor.cli.waterfall import bar, tree, waterfall
from athanor.errors import AthanorError
from tests.live import SCRIPTED, Server

PRICED = """
[models.priced]
source = "scripted:"
backend = "scripted"
price = { prompt = 1000.0, completion = 2500.0 }
[routes.main]
use = ["priced"]
"""


STAGES = ("request main ", "  attempt priced ", "    model priced ")


class Shell:
    """The command line in this process, as a client of a server that runs: sooner than a process for each call."""

    def __init__(self, server: Server) -> None:
        self._environment = {"ATHANOR_URL": server.url, "ATHANOR_API_KEY": server.key, "ATHANOR_HOME": str(server.home)}

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments, env=self._environment, catch_exceptions=True)

    def json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    server = Server(tmp_path_factory.mktemp("books") / "home", settings=SCRIPTED + PRICED).start()
    with server.client() as client:
        for model, text in (("main", "one two three four"), ("echo", "hi"), ("nothing", "hi")):
            client.post("/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": text}]})
    yield Shell(server)
    server.stop()


def test_requests_are_listed_and_filtered(live: Shell) -> None:
    assert [row["model"] for row in live.json("traces", "list")] == ["nothing", "echo", "main"]
    assert [row["status"] for row in live.json("traces", "list", "--status", "failed")] == ["not_found"]
    assert live.json("traces", "list", "--before", "1h") == []
    table = live.run("traces", "list", "--model", "priced").stdout
    (line,) = [line for line in table.splitlines() if "main" in line]
    assert "priced" in line
    assert "$0.0140" in line


def test_a_trace_is_drawn(live: Shell) -> None:
    (row,) = live.json("traces", "list", "--model", "main")
    drawn = live.run("traces", "show", row["trace"]).stdout
    lines = drawn.splitlines()
    places = [lines.index(next(line for line in lines if line.startswith(start))) for start in STAGES]
    assert places == sorted(places), "each under its parent"
    assert "4 out · $0.0" in lines[places[-1]]
    assert "main → priced" in drawn
    missing = live.run("traces", "show", "tr_none")
    assert "There is no request" in str(missing.exception)


def test_costs_as_a_table_json_and_csv(live: Shell) -> None:
    rows = {row["target"]: row for row in live.json("costs", "--by", "target")["data"]}
    assert rows["priced"]["requests"] == 1
    assert rows["priced"]["cost"] > 0
    table = live.run("costs", "--by", "target,day", "--latency").stdout
    assert "█" * 24 in next(line for line in table.splitlines() if line.startswith("priced"))
    assert "WHOLE p95" in table
    result = live.run("costs", "--by", "key,status", "--csv")
    told = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {(row["key_name"], row["status"], row["requests"]) for row in told} == {
        ("local", "ok", "2"),
        ("local", "not_found", "1"),
    }
    wrong = live.run("costs", "--by", "colour")
    assert isinstance(wrong.exception, AthanorError)
    assert "day, model, target" in (wrong.exception.hint or "")


def test_expiring_asks_first(live: Shell) -> None:
    refused = live.run("traces", "expire", "--before", "2099-01-01")
    assert refused.exit_code != 0
    assert len(live.json("traces", "list")) == 3
    ledger = live.run("traces", "expire", "--before", "2099-01-01", "--ledger", "--yes")
    assert "this month" in str(ledger.exception)
    gone = live.json("traces", "expire", "--before", "2099-01-01", "--yes")
    assert gone == {
        "traces": 3, "contents": 0, "requests": 0, "responses": 0, "guard_events": 1, "pseudonyms": 0,
    }  # fmt: skip
    (row,) = live.json("traces", "list", "--model", "main")
    shown = live.run("traces", "show", row["trace"])
    assert "have expired" in shown.stderr


@pytest.mark.parametrize(("text", "ago"), [("30d", 2592000), ("1.5h", 5400), ("90m", 5400), ("2w", 1209600), ("9s", 9)])
def test_times_ago(text: str, ago: float) -> None:
    assert MOMENT.convert(text, None, None) == pytest.approx(time.time() - ago, abs=5)


def test_times_in_words_of_iso() -> None:
    assert MOMENT.convert("2026-03-01T08:00+02:00", None, None) == 1772344800
    assert MOMENT.convert("2026-03-01", None, None) == time.mktime((2026, 3, 1, 0, 0, 0, 0, 0, -1))
    for wrong in ("yesterday", "", "5", "3 y", "2026-13-01"):
        with pytest.raises(click.BadParameter):
            MOMENT.convert(wrong, None, None)


def test_bars_lie_where_their_time_is() -> None:
    assert bar(0.0, 1.0, 8) == "████████"
    assert bar(0.5, 0.25, 8) == "    ██  "
    assert bar(0.25, 0.0, 8) == "  ▏     ", "what took no time is seen all the same"
    assert bar(1.0, 0.5, 8) == "       █"
    assert bar(0.0, 0.1875, 8) == "█▌      "


def test_stages_are_read_as_a_tree_even_where_a_parent_was_dropped() -> None:
    def stage(id_: str, parent: str | None, begin: float) -> dict[str, Any]:
        facts = {"started_at": begin, "duration": 0.5, "status": "ok", "attributes": {}}
        return {"id": id_, "parent": parent, "name": f"s{id_}", **facts}

    spans = [stage("1", None, 0), stage("2", "1", 1), stage("3", "1", 2), stage("4", "2", 3), stage("5", "gone", 4)]
    assert [(depth, span["id"]) for depth, span in tree(spans)] == [(0, "1"), (1, "2"), (2, "4"), (1, "3"), (0, "5")]
    lines = [line.plain for line in waterfall(spans, width=100)]
    assert len(lines) == 6
    assert lines[0].split()[0] == "0"
    assert "4.50" in lines[0]
