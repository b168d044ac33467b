"""`athanor kb context`: contexts that a model writes for the passages of a knowledge base."""

from __future__ import annotations

import click

from athanor.cli.client import Workspace
from athanor.cli.jobs import finished
from athanor.cli.output import as_json, talk, told


@click.command()
@click.argument("name", default="docs")
@click.option("--model", help="The model that writes (default: the server's).")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N passages of those that have none.")
@click.option("--remove", is_flag=True, help="Take all contexts away, and search without them.")
@as_json
@click.pass_obj
def context(
    workspace: Workspace, name: str, *, model: str | None, limit: int | None, remove: bool, as_json: bool
) -> None:
    """Have a model write what each passage of knowledge base NAME is about.

    What it writes is searched with the passage, and neither shown nor cited. It costs one request for each passage.
    Stop it at any moment and run it again: it goes on with the passages that have none. A document that changes loses
    its contexts; run it again then.
    """
    if remove and (model or limit):
        raise click.UsageError("--remove takes all of them away: neither --model nor --limit go with it.")
    with workspace.client() as client:
        path = f"/api/knowledge/{name}/contexts"
        job = client.delete(path) if remove else client.post(path, {"model": model, "limit": limit})
        job = finished(client, job, json_=as_json)
    result = job["result"]
    if not as_json:
        for item in (item for item in job["items"] if item["state"] == "failed"):
            talk().print(f"{item['key']}: {item['message']}", markup=False, soft_wrap=True)
    text = f"{result['removed']} contexts removed" if remove else f"{result['written']} contexts written"
    text += f"; the model failed at {result['failed']} passages" if result["failed"] else ""
    text += f"; {result['changed']} documents changed meanwhile: run it again" if result["changed"] else ""
    told(result, f"{text}.", json_=as_json)
