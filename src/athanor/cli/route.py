"""`athanor route`: routes and how their models do; training classifiers; replaying stored traffic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, show, talk
from athanor.cli.progress import bar
from athanor.cli.replay import lines_of, path_of, replay
from athanor.errors import InputError


@click.group()
def route() -> None:
    """Routes: names that stand for several models."""


route.add_command(replay)


@route.command("list")
@as_json
@click.pass_obj
def list_routes(workspace: Workspace, *, as_json: bool) -> None:
    """List routes."""
    with workspace.client() as client:
        routes = client.get("/api/routes")["data"]
    rows = ((r["name"], r["pick"], ", ".join(map(_named, r["models"])), r["error"] or _left_alone(r)) for r in routes)
    columns = ("NAME", "PICK", "MODELS", "NOTE")
    show(routes, json_=as_json, columns=columns, rows=rows, empty="There is none. Add [routes.NAME] to athanor.toml.")


@route.command("show")
@click.argument("name")
@as_json
@click.pass_obj
def show_route(workspace: Workspace, name: str, *, as_json: bool) -> None:
    """Show a route's models: their prices, their speed, and whether they are left alone."""
    with workspace.client() as client:
        found = client.get(f"/api/routes/{path_of(name)}")
    if found["error"]:
        talk().print(f"[red]{escape(found['error'])}[/]")
    rows = [_model_row(model) for model in found["models"] if "breaker" in model]
    columns = ("MODEL", "ROLE", "BREAKER", "RUNNING", "FIRST TOKEN", "TOKENS/S", "QUALITY", "CONTEXT", "PRICE", "NOTE")
    show(found, json_=as_json, columns=columns, rows=rows, empty="Its models are not known.")
    if found["classifier"] and not as_json:
        _say_figures(found["classifier"])


@route.command()
@click.argument("name")
@click.option(
    "--examples",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON lines: {"text": …, "label": …}.',
)
@click.option(
    "--replayed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Results of 'route replay --ask': the label is `same` or `different`.",
)
@click.option(
    "--confidence",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Below this probability a request goes to the first model.",
)
@click.option("--seed", default=0, show_default=True, help="Decides which examples are held out.")
@as_json
@click.pass_obj
def train(
    workspace: Workspace,
    name: str,
    examples: Path | None,
    replayed: Path | None,
    confidence: float,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Train the classifier of a route by task, and use it from then on.

    A fifth of the examples is held out; the figures are of these.
    """
    if (examples is None) == (replayed is None):
        raise click.UsageError("Give either --examples or --replayed.")
    given = _examples(examples) if examples is not None else _verdicts(replayed or Path())
    body = {"examples": given, "confidence": confidence, "seed": seed}
    result: dict[str, Any] = {}
    with workspace.client() as client, bar() as progress:
        task = progress.add_task("Embedding", total=len(given))
        for event in client.events(f"/api/routes/{path_of(name)}/train", body):
            if "done" in event:
                progress.update(task, completed=event["done"], total=event["total"])
            else:
                result = event
    if as_json:
        print_json(result)
        return
    talk().print(f"[green]✓[/] {escape(result['file'])}")
    _say_figures(result)


def _say_figures(figures: Mapping[str, Any]) -> None:
    out = talk()
    out.print(
        f"On {figures['held_out']} held-out examples ({figures['trained_on']} trained on): accuracy "
        f"{figures['accuracy']:.2f}, always the most frequent label {figures['accuracy_of_the_most_frequent']:.2f}; "
        f"sure enough of {figures['sure']:.0%}, accuracy there {_figure(figures['accuracy_where_sure'])}."
    )
    for label, row in figures["classes"].items():
        out.print(
            f"  {escape(label)}: precision {_figure(row['precision'])}, recall {_figure(row['recall'])} "
            f"({row['held_out']} held out)"
        )


def _model_row(model: Mapping[str, Any]) -> tuple[object, ...]:
    load, breaker, price = model["load"], model["breaker"], model["price"]
    alone = f"{breaker['state']}, {breaker['retry_after']:.0f} s" if breaker["state"] == "open" else breaker["state"]
    speed = f"{1 / load['token_s']:.0f}" if load["token_s"] else ""
    first = f"{load['first_token_s']:.2f} s" if load["first_token_s"] is not None else ""
    notes = [", ".join(model["labels"]), f"weight {model['weight']:g}" if model["weight"] is not None else ""]
    notes += [f"lacks {', '.join(model['lacks'])}" if model["lacks"] else "", model["error"]]
    return (
        model["name"],
        model["role"],
        alone,
        load["outstanding"],
        first,
        speed,
        "" if model["quality"] is None else model["quality"],
        model["context"] or "",
        _price(price),
        "; ".join(note for note in notes if note),
    )


def _price(price: Mapping[str, float] | None) -> str:
    if price is None:
        return ""
    if price["second"]:
        return f"{price['second']:g}/s"
    return f"{price['prompt']:g} + {price['completion']:g}" if price["prompt"] or price["completion"] else "free"


def _named(model: Mapping[str, Any]) -> str:
    return f"({model['name']})" if model.get("role") == "fallback" else str(model["name"])


def _left_alone(found: Mapping[str, Any]) -> str:
    if any("breaker" not in model for model in found["models"]):
        return "not used yet"
    names = [model["name"] for model in found["models"] if model["breaker"]["state"] != "closed"]
    return f"left alone: {', '.join(names)}" if names else ""


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _examples(file: Path) -> list[dict[str, str]]:
    found = []
    for number, line in lines_of(file):
        if not isinstance(line.get("text"), str) or not isinstance(line.get("label"), str):
            raise InputError('An example is {"text": "…", "label": "…"}.', where=f"{file}:{number}")
        found.append({"text": line["text"], "label": line["label"]})
    return found


def _verdicts(file: Path) -> list[dict[str, str]]:
    found = []
    for number, line in lines_of(file):
        if "trace" not in line or "same" not in line:
            raise InputError("This is no result of 'route replay --ask'.", where=f"{file}:{number}")
        found.append({"trace": str(line["trace"]), "label": "same" if line["same"] else "different"})
    return found
