"""`athanor kb permit`, `who`, `rules`, `erase`: who may read which document, and the right to erasure."""

from __future__ import annotations

from typing import Any

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, show, talk
from athanor.errors import AthanorError


@click.command()
@click.argument("base")
@click.argument("what", metavar="SOURCE-OR-PATTERN")
@click.option("--group", "groups", multiple=True, help="This group may read; repeatable.")
@click.option("--user", "users", multiple=True, help="This principal may read; repeatable.")
@click.option("--team", "teams", multiple=True, help="This team may read; repeatable.")
@click.option("--label", "labels", multiple=True, help="Whoever reads must be cleared for this label; repeatable.")
@click.option("--open", "opened", is_flag=True, help="Everybody may read.")
@click.option("--nobody", is_flag=True, help="Nobody may read, administrators aside.")
@click.option("--default", "default", is_flag=True, help="Take the rule for this name or pattern away.")
@as_json
@click.pass_obj
def permit(workspace: Workspace, /, base: str, what: str, as_json: bool, **given: Any) -> None:
    """Say who may read the documents of BASE that are called so: from now on, and those to come.

    A pattern is a shell's: 'hr/*'. Of several rules that match, the last one made counts.
    """
    named = given["groups"] or given["users"] or given["teams"] or given["labels"]
    if sum(map(bool, (named, given["opened"], given["nobody"] and not given["labels"], given["default"]))) != 1:
        raise click.UsageError("Say who: --group, --user, --team or --label; or one of --open, --nobody, --default.")
    opened = given.pop("opened")
    body = {"what": what, **{name: [*v] if isinstance(v, tuple) else v for name, v in given.items()}}
    with workspace.client() as client:
        reply = client.post(f"/api/knowledge/{base}/access", body)
    if as_json:
        print_json(reply)
        return
    how = "opened" if opened else "changed"
    talk().print(f"{reply['changed']} documents {how}.", markup=False)


@click.command()
@click.argument("base")
@click.argument("source")
@as_json
@click.pass_obj
def who(workspace: Workspace, base: str, source: str, *, as_json: bool) -> None:
    """Say who may read SOURCE, and why."""
    with workspace.client() as client:
        reply = client.get(f"/api/knowledge/{base}/access", source=source)
    people = reply.get("people", [])
    rows = ((one["name"], one["role"], "; ".join(one["reasons"])) for one in people)
    show(reply, json_=as_json, columns=("NAME", "ROLE", "WHY"), rows=rows, empty="You may not see who else reads it.")
    if not as_json:
        readers = "everybody" if reply["readers"] is None else ", ".join(reply["readers"]) or "nobody"
        labels = f", cleared for {', '.join(reply['labels'])}" if reply["labels"] else ""
        rule = f" (rule {reply['rule']})" if reply.get("rule") else ""
        talk().print(f"Open to {readers}{labels}{rule}.", markup=False)


@click.command()
@click.argument("base")
@as_json
@click.pass_obj
def rules(workspace: Workspace, base: str, *, as_json: bool) -> None:
    """List the rules of BASE; the last that matches a source counts."""
    with workspace.client() as client:
        data = client.get(f"/api/knowledge/{base}/rules")["data"]
    rows = (
        (
            r["pattern"],
            "everybody" if r["readers"] is None else ", ".join(r["readers"]) or "nobody",
            ", ".join(r["labels"]),
        )
        for r in data
    )
    show(
        data, json_=as_json, columns=("PATTERN", "READERS", "LABELS"), rows=rows, empty="No rules: everybody may read."
    )


@click.command()
@click.argument("base")
@click.argument("source")
@click.confirmation_option(prompt="This erases the document for good. Go on?")
@as_json
@click.pass_obj
def erase(workspace: Workspace, base: str, source: str, *, as_json: bool) -> None:
    """Erase SOURCE from everything that is kept, and print the receipt. Backups are out of reach."""
    with workspace.client() as client:
        receipt = client.post(f"/api/knowledge/{base}/erase", {"source": source})
    if as_json:
        print_json(receipt)
    else:
        click.echo(f"Erased {', '.join(receipt['documents'])} from {receipt['base']}.")
        for what, count in receipt["removed"].items():
            click.echo(f"  removed  {count:>6}  {what}")
        for check in receipt["checks"]:
            mark = "clean" if not check["found"] else "FOUND"
            click.echo(f"  {mark}    {check['found']:>6} of {check['tried']}  {check['where']}")
        if receipt["origin"] != "upload":
            talk().print(f"The next synchronisation of {receipt['origin']} brings it back if it is still there.")
    if not receipt["complete"]:
        raise AthanorError("The document was found after it was erased.", hint="Erase it again when nothing reads.")
