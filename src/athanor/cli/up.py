"""`athanor up`: the main job. Serve; with --docs, ingest a folder, answer one question, open the console."""

from __future__ import annotations

import gc
import os
import sys
import threading
import webbrowser
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anyio
import click
from rich.markup import escape

from athanor.cli.ask import tell, whole
from athanor.cli.client import Client, Workspace
from athanor.cli.ingest import run as run_ingestion
from athanor.cli.output import talk


@click.command()
@click.option("--docs", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A folder to ingest first.")
@click.option("--kb", "base", default="docs", show_default=True, help="The knowledge base of --docs.")
@click.option("--ask", "question", help="The first question (default: one made from a heading of the documents).")
@click.option("--host", help="Address to bind (default: loopback).")
@click.option("--port", type=int, help="Port (default: 8700; 0 takes a free one).")
@click.option("--browser/--no-browser", default=True, help="Open the console in the browser.")
@click.option("--once", is_flag=True, help="Stop after the first answer.")
@click.pass_obj
def up(
    workspace: Workspace,
    docs: Path | None,
    base: str,
    question: str | None,
    host: str | None,
    port: int | None,
    *,
    browser: bool,
    once: bool,
) -> None:
    """Start the server and the console; stop it with Ctrl-C."""
    # What is imported stays: collecting garbage meanwhile finds none and takes a fifth of the start-up.
    gc.disable()
    from athanor.cli.serving import LOOP, listen, serve  # noqa: PLC0415  `--help` need not import the server

    if host is not None:
        workspace.overrides["server.host"] = host
    if port is not None:
        workspace.overrides["server.port"] = port
    settings = workspace.settings
    if (running := workspace.running()) is not None:
        talk().print(f"Athanor runs already at [link={running}]{running}[/].")
        _Welcome(workspace, running, docs, base, question, browser=browser, once=True).run()
        return
    bound = listen(settings)
    console = settings.server.console and find_spec("nicegui") is not None
    if settings.server.console and not console:
        talk().print("[yellow]•[/] The console is not installed: pip install 'athanor\\[console]'")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            url = await group.start(partial(serve, settings, bound, console=console))
            gc.freeze()
            # A request leaves no cycles behind: looking for them every 700 objects is a tenth of its cost.
            gc.set_threshold(50_000, 20, 100)
            gc.enable()
            talk().print(f"Athanor is up at {url}")
            _Welcome(workspace, url, docs, base, question, browser=browser, once=once).start()

    try:
        anyio.run(main, backend_options=LOOP)
    except KeyboardInterrupt:
        talk().print("Stopped.")  # asked for: not an error


class _Welcome:
    """What a person sees after the start: the ingestion, one answer, the way into the console."""

    def __init__(
        self,
        workspace: Workspace,
        url: str,
        docs: Path | None,
        base: str,
        question: str | None,
        *,
        browser: bool,
        once: bool,
    ) -> None:
        self._workspace = workspace
        self._client = Client(url, workspace.local_key())
        self._docs = docs
        self._base = base
        self._question = question
        self._browser = browser
        self._once = once

    def start(self) -> None:
        threading.Thread(target=self._guarded, name="welcome", daemon=True).start()

    def _guarded(self) -> None:
        try:
            self.run()
        except Exception as error:
            talk().print(f"[red]error:[/] {escape(str(error))}")
        if self._once:
            os.kill(os.getpid(), 2)

    def run(self) -> None:
        if self._docs is not None:
            talk().print(f"Ingesting {escape(str(self._docs))} into '{escape(self._base)}'")
            run_ingestion(self._client, self._base, self._docs)
            self._first_answer()
        self._console()

    def _first_answer(self) -> None:
        for question in [self._question] if self._question else self._suggestions():
            answer = whole(self._client, self._base, question, None)
            # Questions made from headings are guesses: one that the documents answer is worth showing.
            if answer["citations"] or self._question:
                talk().print(f"\n[bold]Q:[/] {escape(question)}\n[bold]A:[/]")
                tell(self._client, self._base, [{"role": "user", "content": question}], None)
                return

    def _suggestions(self) -> list[str]:
        reply: dict[str, list[str]] = self._client.get(f"/api/knowledge/{self._base}/suggestions")
        return reply["data"]

    def _console(self) -> None:
        if not self._client.get("/health").get("console"):
            return
        link = self._client.url + self._client.post("/api/links")["path"]
        talk().print(
            f"\nConsole: {link}\n[dim]The link works once, for ten minutes. Ctrl-C stops the server.[/]", soft_wrap=True
        )
        if self._browser and _has_display():
            webbrowser.open(link)


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
