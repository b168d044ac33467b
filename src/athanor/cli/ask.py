"""`athanor ask` and `athanor chat`."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.markup import escape

from athanor.cli.client import Client, Workspace
from athanor.cli.output import Screen, as_json, print_json, talk
from athanor.types import AnswerMode

_MODE = click.option("--mode", type=click.Choice([mode.value for mode in AnswerMode]), help="How to answer.")


@click.command()
@click.argument("question")
@click.option("--kb", "base", default="docs", show_default=True, help="The knowledge base.")
@_MODE
@as_json
@click.pass_obj
def ask(workspace: Workspace, question: str, base: str, mode: str | None, *, as_json: bool) -> None:
    """Ask a knowledge base one question; the answer comes with its sources."""
    with workspace.client() as client:
        if as_json:
            print_json(whole(client, base, question, mode))
        else:
            tell(client, base, [{"role": "user", "content": question}], mode)


@click.command()
@click.option("--model", default="docs", show_default=True, help="A knowledge base or a chat model.")
@_MODE
@click.pass_obj
def chat(workspace: Workspace, model: str, mode: str | None) -> None:
    """Talk until an empty line or Ctrl-D."""
    history: list[dict[str, str]] = []
    with workspace.client() as client:
        talk().print(f"[dim]Talking with {escape(model)}. An empty line ends it.[/]")
        while True:
            try:
                question = input("› " if sys.stdin.isatty() else "").strip()
            except EOFError:
                return
            if not question:
                return
            history.append({"role": "user", "content": question})
            history.append({"role": "assistant", "content": tell(client, model, history, mode)})


def whole(client: Client, base: str, question: str, mode: str | None) -> dict[str, Any]:
    """The answer as one object: what `athanor ask --json` prints."""
    body = _body(base, [{"role": "user", "content": question}], mode)
    reply = client.post("/v1/chat/completions", body)
    message, own = reply["choices"][0]["message"], reply["athanor"]
    keys = ("document", "version", "page", "place", "start", "end", "quote", "score", "source", "title")
    citations = [{key: note["citation"][key] for key in keys} for note in message["annotations"]]
    return {
        "answer": message["content"],
        "abstained": own["abstained"],
        "mode": own["mode"],
        "confidence": own["confidence"],
        "citations": citations,
        "groundedness": own["groundedness"],
        "sentences": own["sentences"],
        "nearest": own["nearest"],
        "conflicts": own["conflicts"],
        "model": reply["model"],
        "usage": reply["usage"],
        "trace": own["trace"],
    }


def tell(client: Client, model: str, messages: list[dict[str, str]], mode: str | None) -> str:
    """Print the answer as it comes, then its sources; return the answer."""
    out = Screen(highlight=False)
    said: list[str] = []
    notes: list[dict[str, Any]] = []
    own: dict[str, Any] = {}
    for event in client.events("/v1/chat/completions", {**_body(model, messages, mode), "stream": True}):
        own = event.get("athanor") or own
        for choice in event["choices"]:
            text = choice["delta"].get("content") or ""
            said.append(text)
            out.print(text, end="", markup=False, soft_wrap=True)
            for note in choice["delta"].get("annotations", []):
                notes.append(note["citation"])
                out.print(f" [bold cyan]\\[{len(notes)}][/]", end="")
    out.print()
    for number, note in enumerate(notes, start=1):
        out.print(f"[bold cyan]\\[{number}][/] [dim]{escape(_where(note))}[/]", soft_wrap=True)
    _beside(own)
    return "".join(said)


def _where(note: dict[str, Any]) -> str:
    place = f", {note['place']}" if note["place"] else ""
    return f"{note['source']}{place}, characters {note['start']}-{note['end']}"


def _beside(own: dict[str, Any]) -> None:
    """What there is to know about the answer, for a person."""
    unsupported = sum(not sentence["supported"] for sentence in own.get("sentences", ()))
    if unsupported:
        talk().print(f"[dim]Sentences that no source supports: {unsupported}.[/]")
    for one in own.get("conflicts", ()):
        where = f"{_where(one['first'])}; {_where(one['second'])}"
        talk().print(f"[dim]Sources do not agree: {escape(one['reason'])} ({escape(where)}).[/]", soft_wrap=True)
    if own.get("abstained"):
        talk().print("[dim]The documents do not hold a confident answer to this.[/]")
        for note in own.get("nearest", ()):
            talk().print(f"[dim]Nearest: {escape(_where(note))}[/]", soft_wrap=True)


def _body(model: str, messages: list[dict[str, str]], mode: str | None) -> dict[str, Any]:
    own = {"athanor": {"mode": mode}} if mode else {}
    return {"model": model, "messages": messages, **own}
