from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from athanor.cli.client import RemoteError
from athanor.cli.route import route
from athanor.errors import AthanorError, ConfigError, InputError


def row(n: int, **more: Any) -> dict[str, Any]:
    fields = {"trace": f"tr_{n}", "old": "large", "new": "small", "paid": 0.2, "estimate": 0.02}
    return {**fields, "recorded": True, "moved": True, **more}


REPORT = {
    "route": "r",
    "traffic": "r",
    "requests": 12,
    "moved": 11,
    "moved_and_recorded": 10,
    "unpriced": 0,
    "paid": 2.4,
    "estimate": 0.24,
    "difference": -2.16,
    "models": [{"name": "small", "requests_before": 0, "requests_after": 11, "paid": 0.0, "estimate": 0.24}],
    "rows": [row(n) for n in range(10)] + [row(10, recorded=False), row(11, moved=False)],
}


class FakeServer:
    """Answers the command line; `break_at` calls in, the connection is lost."""

    def __init__(self, home: Path) -> None:
        self.settings = SimpleNamespace(home=home)
        self.posts: list[tuple[str, Any]] = []
        self.break_at: int | None = None
        self.fail: set[str] = set()
        self.events_given: list[dict[str, Any]] = []

    @contextmanager
    def client(self) -> Iterator[FakeServer]:
        yield self

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.posts.append((path, body))
        if not path.endswith("/ask"):
            return REPORT
        asks = [path for path, _ in self.posts if path.endswith("/ask")]
        if self.break_at is not None and len(asks) > self.break_at:
            raise RemoteError(500, {"error": {"message": "gone"}})
        lines = []
        for trace, target in body["asks"].items():
            line: dict[str, Any] = {"trace": trace, "target": target, "same": trace != "tr_3", "cost": 0.02}
            if trace in self.fail:
                line = {"trace": trace, "target": target, "error": {"message": "busy"}}
            lines.append(line)
        return {"data": lines}

    def events(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.posts.append((path, body))
        yield from self.events_given

    def asked(self) -> list[str]:
        return [trace for path, body in self.posts if path.endswith("/ask") for trace in body["asks"]]


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    return FakeServer(tmp_path / "home")


@pytest.fixture
def run(server: FakeServer) -> Callable[..., Result]:
    def running(*arguments: str, **more: Any) -> Result:
        return CliRunner().invoke(route, arguments, obj=server, **more)

    return running


Run = Callable[..., Result]


def test_replay_says_where_requests_would_go_and_what_it_would_cost(run: Run, server: FakeServer) -> None:
    result = run("replay", "r", "--since", "12h")
    assert result.exit_code == 0, result.output
    assert "11 would go elsewhere" in result.stderr
    assert "$2.40" in result.stderr
    assert "-90%" in result.stderr
    assert server.asked() == []
    (path, body) = server.posts[0]
    assert path == "/api/routes/r/replay"
    assert body["policy"] is None


def test_json_is_all_there_is_on_stdout(run: Run) -> None:
    assert json.loads(run("replay", "r", "--json").stdout) == REPORT


def test_nothing_is_spent_without_a_yes(run: Run, server: FakeServer) -> None:
    result = run("replay", "r", "--ask", input="n\n")
    assert result.exit_code == 1
    assert "10 requests" in result.stderr
    assert "$0.2" in result.stderr
    assert server.asked() == []


def test_asking_goes_on_where_it_was(run: Run, server: FakeServer) -> None:
    server.break_at = 2
    first = run("replay", "r", "--ask", "--yes")
    assert isinstance(first.exception, RemoteError)
    assert len(server.asked()) == 10  # the last two were lost
    server.break_at, server.posts = None, []
    second = run("replay", "r", "--ask", "--yes", "--json")
    assert second.exit_code == 0, second.output
    assert server.asked() == ["tr_8", "tr_9"]
    found = json.loads(second.stdout)["asked"]
    assert (found["compared"], found["same"], found["different"]) == (10, 9, 1)
    assert found["cost"] == pytest.approx(0.2)
    server.posts = []
    third = run("replay", "r", "--ask")  # nothing is left, so nothing is asked of the person either
    assert third.exit_code == 0
    assert server.asked() == []


def test_what_failed_is_tried_again_next_time(run: Run, server: FakeServer) -> None:
    server.fail = {"tr_5"}
    result = run("replay", "r", "--ask", "--yes")
    assert "1 could not be asked" in result.stderr
    server.fail, server.posts = set(), []
    run("replay", "r", "--ask", "--yes")
    assert server.asked() == ["tr_5"]


def test_another_policy_has_other_results(run: Run, server: FakeServer, tmp_path: Path) -> None:
    run("replay", "r", "--ask", "--yes")
    policy = tmp_path / "p.toml"
    policy.write_text('use = ["small"]\n')
    server.posts = []
    run("replay", "r", "--policy", str(policy), "--ask", "--yes")
    assert len(server.asked()) == 10
    assert len(list((server.settings.home / "routes").glob("r.*.jsonl"))) == 2


@pytest.mark.parametrize(
    "text",
    [
        'use = ["small"]\n',
        '[routes.r]\nuse = ["small"]\n',
        '[routes.other]\nuse = ["small"]\n',
        '[routes.other]\nuse = ["large"]\n[routes.r]\nuse = ["small"]\n',
    ],
)
def test_a_policy_is_a_route_in_a_file(run: Run, server: FakeServer, tmp_path: Path, text: str) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(text)
    assert run("replay", "r", "--policy", str(policy)).exit_code == 0
    assert server.posts[0][1]["policy"] == {"use": ["small"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [("use = [", "not valid TOML"), ('[routes.a]\nuse=["x"]\n[routes.b]\nuse=["x"]\n', "none is named 'r'")],
)
def test_a_policy_that_cannot_be_read_says_why(run: Run, tmp_path: Path, text: str, words: str) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(text)
    error = run("replay", "r", "--policy", str(policy)).exception
    assert isinstance(error, ConfigError)
    assert words in error.message
    assert error.where == str(policy)


@pytest.mark.parametrize("since", ["yesterday", "7", "7y", ""])
def test_a_time_that_is_none_is_refused(run: Run, since: str) -> None:
    result = run("replay", "r", "--since", since)
    assert result.exit_code == 2
    assert "--since takes" in result.stderr


FIGURES = {
    "file": "/home/routes/r.json",
    "held_out": 24,
    "trained_on": 96,
    "accuracy": 0.96,
    "accuracy_of_the_most_frequent": 0.5,
    "sure": 0.9,
    "accuracy_where_sure": 0.99,
    "classes": {"easy": {"precision": None, "recall": 1.0, "held_out": 12}},
}


def test_train_sends_examples_and_prints_what_they_were_worth(run: Run, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text('{"text": "hi", "label": "easy"}\n\n{"text": "prove it", "label": "hard", "note": 1}\n')
    server.events_given = [{"done": 2, "total": 2}, FIGURES]
    result = run("train", "a/b", "--examples", str(file), "--confidence", "0.7")
    assert result.exit_code == 0, result.output
    assert "accuracy 0.96" in result.stderr.replace("\n", " ")
    path, body = server.posts[0]
    assert path == "/api/routes/a/b/train"
    assert body["confidence"] == 0.7
    assert body["examples"] == [{"text": "hi", "label": "easy"}, {"text": "prove it", "label": "hard"}]
    assert json.loads(run("train", "r", "--examples", str(file), "--json").stdout) == FIGURES


def test_train_takes_the_results_of_a_replay(run: Run, server: FakeServer) -> None:
    run("replay", "r", "--ask", "--yes")
    (results,) = (server.settings.home / "routes").glob("*.jsonl")
    server.posts, server.events_given = [], [FIGURES]
    assert run("train", "r", "--replayed", str(results)).exit_code == 0
    examples = server.posts[0][1]["examples"]
    assert examples[3] == {"trace": "tr_3", "label": "different"}
    assert examples[4] == {"trace": "tr_4", "label": "same"}


@pytest.mark.parametrize(
    ("option", "text", "line"),
    [
        ("--examples", '{"text": "hi"}\n', 1),
        ("--examples", '{"text": "hi", "label": "x"}\n\n{"text": "hi"}\n', 3),
        ("--examples", '{"text": "hi", "label": "x"}\nnot json\n', 2),
        ("--replayed", "[]\n", 1),
        ("--replayed", '{"trace": "x"}\n', 1),
    ],
)
def test_a_line_that_is_no_example_is_named(run: Run, tmp_path: Path, option: str, text: str, line: int) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text(text)
    error = run("train", "r", option, str(file)).exception
    assert isinstance(error, InputError)
    assert error.where == f"{file}:{line}"


def test_train_needs_one_source(run: Run) -> None:
    assert run("train", "r").exit_code == 2


def test_known_errors_are_ours(run: Run, server: FakeServer) -> None:
    server.break_at = 0
    assert isinstance(run("replay", "r", "--ask", "--yes").exception, AthanorError)
