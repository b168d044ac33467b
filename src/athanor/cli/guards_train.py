"""`athanor guards train`: train the heads of the injection guard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, talk
from athanor.cli.progress import bar
from athanor.errors import InputError
from athanor.guards.harms import train as harms
from athanor.guards.sheet import save, word_vectors
from athanor.guards.train import train

Trained = Literal["injection", "toxicity", "harm"]


@click.command("train")
@click.argument("what", type=click.Choice(("injection", "toxicity", "harm")), default="injection")
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Folder of public sets (default: $ATHANOR_DATA), or JSON lines: "
    '{"text": …, "label": "attack" or "harmless", "origin": "user" or "document"}.',
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write  [default: guards/WHAT.npz in the home folder, which the server then uses]",
)
@click.option("--seed", default=0, show_default=True, help="The same seed and data give the same file.")
@as_json
@click.pass_obj
def train_guards(
    workspace: Workspace, what: Trained, data: Path | None, out: Path | None, seed: int, *, as_json: bool
) -> None:
    """Train the heads of a guard, and say how they do on rows that they were not trained on.

    WHAT is injection (the default), toxicity or harm; the latter two need the folder of public sets.
    """
    folder = data or (Path(os.environ["ATHANOR_DATA"]) if os.environ.get("ATHANOR_DATA") else None)
    if folder is None:
        raise InputError("There is nothing to train on.", hint="Give --data, or set ATHANOR_DATA.")
    target = out or workspace.settings.home / "guards" / f"{what}.npz"
    with bar() as progress:
        tasks: dict[str, Any] = {}

        def told(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(tasks[step], completed=done)

        if what == "injection":
            file = train(folder, word_vectors(), seed=seed, told=told)
        else:
            file = harms.train(what, folder, word_vectors(), seed=seed, told=told)
    sha256 = save(target, file)
    if as_json:
        print_json({"file": str(target), "sha256": sha256, "sheet": file.sheet})
        return
    out_ = talk()
    out_.print(f"{target}, sha256 {sha256}", markup=False, soft_wrap=True)
    for head, rows in file.sheet["measured_on_rows_never_trained_on"].items():
        out_.print(f"\nHead for {head}{'s' if what == 'injection' else ''}, at {file.heads[head].threshold:.3f}:")
        for name, row in rows.items():
            out_.print(f"  {name:32} flagged {row['flagged']:5} of {row['texts']}", markup=False)
