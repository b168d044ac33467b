"""The door of the command line. Each group is imported when it is called, so that `athanor ask` starts fast."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from athanor import __version__
from athanor.cli.client import Workspace
from athanor.config import load_settings
from athanor.errors import AthanorError

# Command → (module, one line of help): the help is here so that `--help` need not import them all.
_COMMANDS = {
    "up": ("athanor.cli.up", "Start the server; with --docs, ingest a folder first."),
    "ask": ("athanor.cli.ask", "Ask a knowledge base one question."),
    "chat": ("athanor.cli.ask", "Talk with a model or a knowledge base."),
    "ingest": ("athanor.cli.ingest", "Bring a knowledge base in step with a folder."),
    "kb": ("athanor.cli.kb", "Knowledge bases and their documents."),
    "mcp": ("athanor.cli.mcp", "Serve agents over standard input and output (MCP)."),
    "models": ("athanor.cli.models", "Chat models and embedders."),
    "route": ("athanor.cli.route", "Routes: names that stand for several models."),
    "keys": ("athanor.cli.keys", "API keys: what each opens, and what it may spend."),
    "users": ("athanor.cli.users", "Users: people who sign in to the console."),
    "teams": ("athanor.cli.teams", "Teams: principals that share limits and a budget."),
    "groups": ("athanor.cli.groups", "Groups: principals that may read the same documents."),
    "guards": ("athanor.cli.guards", "Guards: what is looked for in requests and answers, and the policies."),
    "traces": ("athanor.cli.traces", "Traces: how requests went, stage by stage."),
    "costs": ("athanor.cli.costs", "What was spent and used, by model, day, key, team."),
    "config": ("athanor.cli.config", "Settings."),
    "encryption": ("athanor.cli.encryption", "Keys of what is encrypted on disk: state, rotation."),
    "audit": ("athanor.cli.audit", "The record of administrative acts, and the proof that it is whole."),
    "verify": ("athanor.cli.verify", "Read everything that can be proven, and say what was changed."),
    "doctor": ("athanor.cli.doctor", "Say what is missing, and the command that mends it."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="athanor")
@click.option("--config", type=click.Path(path_type=Path), help="The settings file (default: ./athanor.toml).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override one setting; repeatable.")
@click.option("--home", type=click.Path(path_type=Path), help="The folder of all state (default: ~/.athanor).")
@click.pass_context
def cli(context: click.Context, config: Path | None, assignments: tuple[str, ...], home: Path | None) -> None:
    """Athanor: cited answers from your own documents, on your own machine."""
    arguments: dict[str, object] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes KEY=VALUE, not {assignment!r}.")
        arguments[key] = value
    if home is not None:
        arguments["home"] = str(home)
    context.obj = Workspace(lambda more: load_settings(config, arguments={**arguments, **more}))


def main() -> None:
    """Run the command line; one clear line for every known error."""
    try:
        cli(standalone_mode=False)
    except BaseException as error:
        sys.exit(_report(_cause(error)))


def _cause(error: BaseException) -> BaseException:
    """The error itself, out of the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _report(error: BaseException) -> int:
    """Tell the error on stderr; the exit code for it. What is not known is raised with its traceback."""
    match error:
        case AthanorError():
            from athanor.cli.output import shown  # noqa: PLC0415  (rich costs the start of every command)

            where = f" [{error.where}]" if error.where else ""
            click.secho(shown(f"error: {error.message}{where}"), fg="red", err=True)
            if error.hint:
                click.echo(shown(f"hint: {error.hint}"), err=True)
            return 1
        case click.ClickException():
            error.show()
            return error.exit_code
        case click.exceptions.Exit():
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            click.echo(err=True)
            return 130
    raise error
