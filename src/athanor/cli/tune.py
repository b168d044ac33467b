"""`athanor kb questions` and `tune`: what a base is measured by, and settings chosen by measuring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from athanor.cli.client import Client, Workspace
from athanor.cli.jobs import finished
from athanor.cli.output import as_json, print_json, show, talk, told

_AT_ONCE = 1000
"""Questions in one call."""


@click.command()
@click.argument("name", default="docs")
@click.option("--generate", "count", type=click.IntRange(1, 2000), help="Make so many from passages.")
@click.option("--by", "how", type=click.Choice(["auto", "rules", "model"]), default="auto", show_default=True,
              help="What makes them; 'auto' is a model if one is trusted to read passages.")  # fmt: skip
@click.option("--model", help="The model that writes (default: the server's).")
@click.option("--seed", default=0, show_default=True, type=int, help="Draws which passages are asked about.")
@click.option("--from-feedback", is_flag=True, help="Take them from recorded answers that people rated up.")
@click.option(
    "--add",
    "file",
    type=click.Path(exists=True, path_type=Path),
    help="Add yours: a file (.jsonl, .json, .csv, .tsv) or a folder in the shape of BEIR.",
)
@click.option("--list", "listed", is_flag=True, help="List them (the default).")
@click.option("--delete", "gone", metavar="ID", help="Delete one; 'synthetic', 'feedback' or 'user' for all of a kind.")
@as_json
@click.pass_obj
def questions(workspace: Workspace, /, name: str, as_json: bool, **given: Any) -> None:
    """The questions that knowledge base NAME is measured by.

    Yours are the best, then those whose answers people accepted. Made ones show what changes, not what is better.
    """
    asked = [option for option in ("count", "from_feedback", "file", "listed", "gone") if given[option]]
    if len(asked) > 1:
        raise click.UsageError("One at a time: --generate, --from-feedback, --add, --list or --delete.")
    with workspace.client() as client:
        path = f"/api/knowledge/{name}/questions"
        match asked:
            case ["count"]:
                body = {"count": given["count"], "how": given["how"], "model": given["model"], "seed": given["seed"]}
                _made(finished(client, client.post(f"{path}/generate", body), json_=as_json), json_=as_json)
            case ["from_feedback"]:
                job = client.post(f"{path}/generate", {"how": "feedback"})
                _accepted(finished(client, job, json_=as_json), json_=as_json)
            case ["file"]:
                _add(client, path, given["file"], json_=as_json)
            case ["gone"]:
                _delete(client, path, given["gone"], json_=as_json)
            case _:
                _list(client.get(path)["data"], name, json_=as_json)


@click.command()
@click.argument("name", default="docs")
@click.option("--budget", default=600.0, show_default=True, type=click.FloatRange(1, 86_400), metavar="SECONDS",
              help="What does not fit is not tried.")  # fmt: skip
@click.option("--allow-slow", is_flag=True, help="The cross-encoder may be chosen, at some .4 s a search.")
@click.option("--dry-run", is_flag=True, help="Measure, and change nothing.")
@as_json
@click.pass_obj
def tune(workspace: Workspace, name: str, *, budget: float, allow_slow: bool, dry_run: bool, as_json: bool) -> None:
    """Choose how knowledge base NAME is searched, by its own questions.

    A choice is taken only if it is surely better on questions that it was not made on; it becomes a new version of the
    settings, and 'athanor kb rollback' brings the old one back.
    """
    with workspace.client() as client:
        body = {"budget": budget, "allow_slow": allow_slow, "dry_run": dry_run}
        job = finished(client, client.post(f"/api/knowledge/{name}/tune", body), json_=as_json)
    if as_json:
        print_json(job["result"])
    else:
        _report(job["result"])


def _made(job: Mapping[str, Any], *, json_: bool) -> None:
    result = job["result"]
    if not json_:
        for item in job["items"]:
            talk().print(f"{item['key']}: {item['message']}", markup=False, soft_wrap=True)
    text = f"{result['made']} questions made, {result['unanswerable']} of them without an answer"
    text += f"; {result['hard']} did not find their passage" if result["hard"] else ""
    text += f"; {result['short']} fewer than wanted: the passages give no more" if result["short"] else ""
    told(result, f"{text}.", json_=json_)


def _accepted(job: Mapping[str, Any], *, json_: bool) -> None:
    result = job["result"]
    text = f"{result['made']} new questions, {result['known']} known"
    if result["without_text"]:
        text += f"; {result['without_text']} accepted answers were not recorded (traces.content records them)"
    told(result, f"{text}.", json_=json_)


def _add(client: Client, path: str, file: Path, *, json_: bool) -> None:
    from athanor.rag.evaluation.sets import read_questions  # noqa: PLC0415  it imports numpy

    found = read_questions(file)
    known = [one for one in found.questions if one.unanswerable or one.relevant or one.answer]
    rows = [{"text": one.text, "relevant": dict(one.relevant), "answer": one.answer} for one in known]
    added, unknown = 0, set()
    for some in _parts(rows):
        reply = client.post(path, {"questions": some})
        added += reply["added"]
        unknown.update(reply["unknown"])
    if not json_:
        for note in found.notes:
            talk().print(note, markup=False)
    text = f"{added} questions added."
    if left := len(found.questions) - len(known):
        text += f" {left} left out: they say neither what answers them nor that nothing does."
    if unknown:
        text += f" Not in the base, and so never found: {', '.join(sorted(unknown)[:10])}"
        text += f" and {len(unknown) - 10} more." if len(unknown) > 10 else "."
    told({"added": added, "left_out": left, "unknown": sorted(unknown)}, text, json_=json_)


def _parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for at in range(0, len(rows), _AT_ONCE):
        yield rows[at : at + _AT_ONCE]


def _delete(client: Client, path: str, what: str, *, json_: bool) -> None:
    if what in {"synthetic", "feedback", "user"}:
        reply = client.delete(f"{path}?origin={what}")
        told(reply, f"{reply['deleted']} questions deleted.", json_=json_)
    else:
        told(client.delete(f"{path}/{what}"), f"Deleted {what}.", json_=json_)


def _list(data: list[dict[str, Any]], name: str, *, json_: bool) -> None:
    rows = (
        (one["origin"], one["text"], ", ".join(one["relevant"]) or ("?" if one["answer"] else "nothing"), one["id"])
        for one in data
    )
    empty = f"{name} has no questions. --add, --from-feedback and --generate make some."
    show(data, json_=json_, columns=("FROM", "QUESTION", "ANSWERED BY", "ID"), rows=rows, empty=empty)


def _report(result: Mapping[str, Any]) -> None:
    counts = result["counts"]
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in ("user", "feedback", "synthetic") if counts[kind])
    rows = [
        (
            _settings(row["settings"]),
            f"{row['ndcg']:.4f}",
            f"{row['difference']['value']:+.4f} [{row['difference']['low']:+.4f}, {row['difference']['high']:+.4f}]",
            _role(row["settings"], place, result),
        )
        for place, row in enumerate(result["table"])
    ]
    columns = ("SETTINGS", "nDCG@10", "TO THOSE IN USE", "")
    show(result, json_=False, columns=columns, rows=rows, empty="", right=("nDCG@10",))
    spent = result["milliseconds"]
    lines = [
        f"{result['measured']} settings on {result['questions']} questions ({kinds}) in {result['seconds']:.0f} s.",
        f"One search takes {spent['before']:.0f} ms, with the winner {spent['winner']:.0f} ms.",
    ]
    if result["made"]:
        made = result["made"]
        lines.append(f"Made questions, which decide nothing: {made['before']:.4f} before, {made['winner']:.4f} after.")
    if result["untried"]:
        lines.append(f"No time was left for: {', '.join(result['untried'])}. --budget gives more.")
    if counts["stale"]:
        lines.append(f"{counts['stale']} questions name no document that is there.")
    lines.append(result["reason"])
    if result["adopted"]:
        lines.append(f"Version {result['version']} is in use.")
    for line in lines:
        talk().print(line, markup=False)


def _settings(changed: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in changed.items()) or "the defaults"


def _role(changed: Mapping[str, Any], place: int, result: Mapping[str, Any]) -> str:
    if place == 0:
        return "in use" if result["change"] else "in use, and the winner"
    return "winner" if place == 1 and result["change"] else ""
