"""`athanor route replay`: stored traffic through another policy, before it is switched on."""

from __future__ import annotations

import hashlib
import json
import re
import time
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from rich.markup import escape

from athanor.cli.client import Client, Workspace
from athanor.cli.output import as_json, print_json, talk
from athanor.cli.progress import bar
from athanor.errors import ConfigError, InputError

_SPAN = re.compile(r"(\d+)([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_TOGETHER = 4
"""Requests asked in one call: what is lost if the command is stopped."""


@click.command()
@click.argument("name")
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with [routes.NAME], or with the keys of a route alone (default: the route as it is).",
)
@click.option("--traffic", metavar="MODEL", help="Requests that asked for MODEL; * for all (default: for NAME).")
@click.option("--since", default="7d", show_default=True, help="How far back: 30m, 12h, 7d, 2w, or a date.")
@click.option("--limit", default=10_000, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--ask", is_flag=True, help="Ask the new models what was recorded, and compare the answers. Costs money.")
@click.option("--yes", is_flag=True, help="Do not ask before money is spent.")
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path), help="Where --ask keeps its results.")
@as_json
@click.pass_obj
def replay(workspace: Workspace, /, name: str, policy: Path | None, **options: Any) -> None:
    """Run stored traffic through a policy: where it would go, what it would cost, which answers would change.

    Stop --ask at any moment and run it again: it goes on where it was.
    """
    body = {"policy": _policy(policy, name), "since": _since(options["since"]), "limit": options["limit"]}
    if options["traffic"]:
        body["traffic"] = options["traffic"]
    with workspace.client() as client:
        report = client.post(f"/api/routes/{path_of(name)}/replay", body)
        _say_report(report)
        if options["ask"]:
            results = options["results"] or _results_file(workspace, name, body["policy"])
            report["asked"] = _ask(client, name, report, results, yes=options["yes"])
    if options["as_json"]:
        print_json(report)


def _ask(client: Client, name: str, report: Mapping[str, Any], file: Path, *, yes: bool) -> dict[str, Any]:
    """Ask what was not asked yet; the verdicts on all of it."""
    wanted = {row["trace"]: row for row in report["rows"] if row["moved"] and row["recorded"]}
    known = {line["trace"]: line for _, line in lines_of(file)} if file.exists() else {}
    done = {t: line for t, line in known.items() if t in wanted and line["target"] == wanted[t]["new"]}
    left = [row for trace, row in wanted.items() if trace not in done]
    failed: list[dict[str, Any]] = []
    if left:
        cost = sum(row["estimate"] or 0.0 for row in left)
        unknown = sum(row["estimate"] is None for row in left)
        more = f", and {unknown} more by the second" if unknown else ""
        talk().print(f"Asking {len(left)} requests again costs about {_usd(cost)}{more}; {len(done)} are done.")
        if not yes:
            click.confirm("Go on?", abort=True, err=True)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with bar() as progress, file.open("a", encoding="utf-8") as out:
            task = progress.add_task("Asking", total=len(left))
            for start in range(0, len(left), _TOGETHER):
                asks = {row["trace"]: row["new"] for row in left[start : start + _TOGETHER]}
                for line in client.post(f"/api/routes/{path_of(name)}/replay/ask", {"asks": asks})["data"]:
                    if "error" in line:
                        failed.append(line)
                        continue
                    done[line["trace"]] = line
                    out.write(json.dumps(line) + "\n")
                out.flush()
                progress.advance(task, len(asks))
    return _say_verdicts(list(done.values()), failed, file)


def _say_report(report: Mapping[str, Any]) -> None:
    out = talk()
    count = report["requests"]
    if not count:
        out.print(f"There is no stored traffic for {escape(report['traffic'])} in this time.")
        return
    for model in report["models"]:
        moved = f"{model['requests_before']} → {model['requests_after']} requests"
        money = f"{_usd(model['paid'])} → {_usd(model['estimate'])}"
        out.print(f"  {escape(model['name'])}: {moved}, {money}", soft_wrap=True)
    share = report["difference"] / report["paid"] if report["paid"] else 0.0
    out.print(
        f"{count} requests: {report['moved']} would go elsewhere. Paid {_usd(report['paid'])}, would be "
        f"{_usd(report['estimate'])} ({share:+.0%})."
    )
    if report["unpriced"]:
        out.print(f"{report['unpriced']} are not in these sums: the new model's speed or price is not known.")
    if report["moved"]:
        out.print(
            f"Answers may change where the model does; {report['moved_and_recorded']} of those requests were recorded "
            "and can be asked again (--ask)."
        )


def _say_verdicts(
    lines: Sequence[Mapping[str, Any]], failed: Sequence[Mapping[str, Any]], file: Path
) -> dict[str, Any]:
    out = talk()
    same = sum(line["same"] for line in lines)
    for line in failed[:10]:
        out.print(f"[red]✗[/] {line['trace']}: {escape(line['error']['message'])}", soft_wrap=True)
    if failed:
        out.print(f"{len(failed)} could not be asked; run it again to try them once more.")
    cost = sum(line["cost"] for line in lines)
    out.print(f"{len(lines)} answers compared: {same} stay the same, {len(lines) - same} change. Cost: {_usd(cost)}.")
    out.print(f"[dim]{escape(str(file))}[/]", soft_wrap=True)
    return {
        "compared": len(lines),
        "same": same,
        "different": len(lines) - same,
        "failed": len(failed),
        "cost": cost,
        "results": str(file),
        "rows": list(lines),
    }


def _usd(value: float) -> str:
    return f"${value:.2f}" if value >= 1 or value == 0 else f"${value:.4g}"


def path_of(name: str) -> str:
    """A route's name as part of a URL."""
    return quote(name, safe="/:")


def _since(text: str) -> float:
    """Unix seconds of `7d`, `12h`, or a date."""
    if match := _SPAN.fullmatch(text):
        return time.time() - int(match[1]) * _SECONDS[match[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise click.UsageError(f"--since takes 30m, 12h, 7d, 2w or a date such as 2026-11-01, not {text!r}.") from None


def _policy(file: Path | None, name: str) -> dict[str, Any] | None:
    """The settings of a route in `file`: of the route `name`, of the only one there is, or the whole file."""
    if file is None:
        return None
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The policy is not valid TOML: {error}.", where=str(file)) from error
    routes = tree.get("routes")
    if routes is None:
        return tree
    if name in routes:
        found = routes[name]
    elif len(routes) == 1:
        found = next(iter(routes.values()))
    else:
        raise ConfigError(f"The policy has several routes, and none is named {name!r}.", where=str(file))
    return dict(found)


def _results_file(workspace: Workspace, name: str, policy: Mapping[str, Any] | None) -> Path:
    # Another policy asks other models, but what one of them said stays true: results are kept by route and policy.
    mark = hashlib.sha256(json.dumps(policy, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return workspace.settings.home / "routes" / f"{quote(name, safe='')}.{mark}.jsonl"


def lines_of(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with the number of its line.

    Raises:
        InputError: a line is none.
    """
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise InputError("This line is no JSON object.", where=f"{file}:{number}")
        found.append((number, value))
    return found
