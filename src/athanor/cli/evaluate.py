"""`athanor kb eval`, `versions` and `rollback`: how well a base does, and which settings it is searched by."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from athanor.cli.client import Client, Workspace
from athanor.cli.jobs import finished
from athanor.cli.output import as_json, print_json, show, talk, told, when
from athanor.errors import InputError

if TYPE_CHECKING:
    from athanor.rag.evaluation.sets import QuestionSet

_OWN = "own"


@click.command("eval")
@click.argument("name", default="docs")
@click.argument("questions", required=False, type=click.Path(exists=True, path_type=Path), metavar="[FOLDER_OR_FILE]")
@click.option("--answers", is_flag=True, help="Answer every question too, by the model that answers from the base.")
@click.option("--limit", type=click.IntRange(1), help="Only so many questions, the first.")
@click.option("--split", help="Of a BEIR folder: the file in qrels (default: test).")
@click.option("--version", type=click.IntRange(0), help="Measure this version of the settings (default: that in use).")
@click.option("--against", metavar="VERSION|EVALUATION", help="Compare with it (default: the previous one).")
@as_json
@click.pass_obj
def evaluate(workspace: Workspace, /, name: str, questions: Path | None, as_json: bool, **given: Any) -> None:
    """Measure how well knowledge base NAME finds, and with --answers how well it answers.

    The questions are those of a BEIR folder (queries.jsonl, qrels/test.tsv), of a file of yours (JSON lines, CSV or TSV
    with 'question' and, as far as you know them, 'relevant', 'answer', 'unanswerable'), or those that the base keeps.
    """
    asked = None
    if questions is not None:
        from athanor.rag.evaluation.sets import read_questions  # noqa: PLC0415  it imports numpy

        asked = read_questions(questions, split=given["split"])
        for note in asked.notes:
            talk().print(note, markup=False)
    with workspace.client() as client:
        path = f"/api/knowledge/{name}/evaluations"
        body = _body(asked, client, name, given)
        against = _stored(client, path, given["against"], body)
        if given["against"] is not None and against is None:
            # That version was never measured by these questions as the documents are now.
            before = finished(client, client.post(path, body | {"version": int(given["against"])}), json_=as_json)
            against = before["result"]["evaluation"]
        result = finished(client, client.post(path, body), json_=as_json)["result"]
        against = against or result["previous"]
        difference = None
        if against is not None:
            difference = client.get(f"{path}/{result['evaluation']}/compare", against=against)
    if as_json:
        print_json({**result, "compared": difference})
        return
    _table(result["figures"], difference)
    _remarks(result, difference)


@click.command()
@click.argument("name", default="docs")
@as_json
@click.pass_obj
def versions(workspace: Workspace, name: str, *, as_json: bool) -> None:
    """List the versions of how knowledge base NAME is searched."""
    with workspace.client() as client:
        data = client.get(f"/api/knowledge/{name}/versions")["data"]
        made = client.get(f"/api/knowledge/{name}/evaluations", limit=1000)["data"]
    newest = {one["version"]: one for one in reversed(made)}
    rows = (
        (
            one["version"],
            "in use" if one["in_use"] else "",
            when(one["created_at"]),
            ", ".join(f"{key} {value}" for key, value in one["changed"].items()) or "the defaults",
            _measured(newest.get(one["version"])),
            one["note"],
        )
        for one in data
    )
    columns = ("VERSION", "", "MADE", "SETTINGS", "NEWEST nDCG@10", "NOTE")
    show(data, json_=as_json, columns=columns, rows=rows, empty="", right=("VERSION",))


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(0))
@as_json
@click.pass_obj
def rollback(workspace: Workspace, name: str, version: int, *, as_json: bool) -> None:
    """Search knowledge base NAME by VERSION of its settings from now on; 0 is the defaults."""
    with workspace.client() as client:
        reply = client.post(f"/api/knowledge/{name}/rollback", {"version": version})
    if reply["before"] == version:
        told(reply, f"{name} was searched by version {version} already.", json_=as_json)
    else:
        told(reply, f"{name} is searched by version {version}; before it was {reply['before']}.", json_=as_json)


def _body(asked: QuestionSet | None, client: Client, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"answers": given["answers"], "version": given["version"]}
    if asked is not None:
        rows: list[dict[str, Any]] = [
            {
                "id": one.id,
                "text": one.text,
                "relevant": dict(one.relevant),
                "answer": one.answer,
                "unanswerable": one.unanswerable,
            }
            for one in asked.questions
        ]
        return body | {"name": asked.name[-200:], "questions": rows[: given["limit"]]}
    if given["limit"] is None:
        return body
    own = client.get(f"/api/knowledge/{name}/questions")["data"]
    rows = [
        {**{key: one[key] for key in ("id", "text", "relevant", "answer")}, "unanswerable": _silent(one)}
        for one in own[: given["limit"]]
    ]
    return body | {"name": _OWN, "questions": rows} if rows else body


def _silent(one: Mapping[str, Any]) -> bool:
    return not one["relevant"] and not one["answer"]


def _stored(client: Client, path: str, against: str | None, body: Mapping[str, Any]) -> str | None:
    """The id of the evaluation to compare with; `None` where it is still to be made.

    Raises:
        InputError: `against` is a version and the one to be measured is the same.
    """
    if against is None:
        return None
    if not against.isdigit():
        client.get(f"{path}/{against}")
        return against
    known = client.get(path.replace("/evaluations", "/versions"))["data"]
    used = next(one["version"] for one in known if one["in_use"]) if body["version"] is None else body["version"]
    if used == int(against):
        raise InputError(
            f"Version {against} is the one that is measured.",
            where="--against",
            hint="'athanor kb versions' lists them.",
        )
    return None


def _measured(evaluation: Mapping[str, Any] | None) -> str:
    found = None if evaluation is None else evaluation["figures"].get("ndcg@10")
    return "" if found is None or evaluation is None else f"{_interval(found)} {evaluation['questions']}"


def _table(figures: Mapping[str, Any], difference: Mapping[str, Any] | None) -> None:
    measures = {} if difference is None else difference["measures"]
    rows = [
        (
            name,
            one["questions"],
            _value(name, one["value"]),
            f"{_value(name, one['low'])} – {_value(name, one['high'])}",
            _difference(measures.get(name)),
        )
        for name, one in figures.items()
    ]
    if latency := measures.get("latency"):
        rows.append(("latency, mean", latency["questions"], _value("latency", latency["after"]), "", _ms(latency)))
    columns = ["MEASURE", "QUESTIONS", "VALUE", "95 % INTERVAL", "DIFFERENCE"]
    taken = len(columns) if measures else -1
    show(
        figures,
        json_=False,
        columns=columns[:taken],
        rows=[row[:taken] for row in rows],
        empty="Nothing could be measured: no question has a known answer in the base.",
        right=("QUESTIONS", "VALUE"),
    )


def _value(name: str, value: float) -> str:
    return f"{1000 * value:.0f} ms" if "latency" in name else f"{value:.3f}"


def _interval(one: Mapping[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f}–{one['high']:.3f})"


def _difference(measure: Mapping[str, Any] | None) -> str:
    if measure is None:
        return ""
    one = measure["difference"]
    sure = " *" if one["low"] > 0 or one["high"] < 0 else ""
    return f"{one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f}){sure}"


def _ms(measure: Mapping[str, Any]) -> str:
    one = {key: 1000 * value for key, value in measure["difference"].items()}
    sure = " *" if one["low"] > 0 or one["high"] < 0 else ""
    return f"{one['value']:+.0f} ms ({one['low']:+.0f} to {one['high']:+.0f}){sure}"


def _remarks(result: Mapping[str, Any], difference: Mapping[str, Any] | None) -> None:
    lines = [f"{result['evaluation']}: version {result['version']} of the settings, revision {result['revision']}."]
    if difference is not None:
        before = difference["before"]
        lines.append(
            f"The difference is to {before['id']} (version {before['version']}, revision {before['revision']}), on the "
            f"{difference['shared']} questions of both; * is outside chance."
        )
        if left := difference["only_before"] + difference["only_after"]:
            lines.append(f"{left} questions were asked in one of the two only, or have changed, and are not compared.")
    if result["unknown"]:
        shown: Sequence[str] = result["unknown"][:10]
        more = f" and {len(result['unknown']) - 10} more" if len(result["unknown"]) > 10 else ""
        lines.append(f"Not in the base, or there more than once: {', '.join(shown)}{more}.")
    if result["stale"]:
        lines.append(f"{result['stale']} questions name nothing that is there; their ranking is not measured.")
    if result["failed"]:
        lines.append(f"{result['failed']} questions failed.")
        lines += [f"{one['id']}: {one['error']}" for one in result["errors"]]
    if result["changed_meanwhile"]:
        lines.append("The documents changed while this ran.")
    for line in lines:
        talk().print(line, markup=False, soft_wrap=True)
    if result["failed"] == result["questions"]:
        sys.exit(1)
