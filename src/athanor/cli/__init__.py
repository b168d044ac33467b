"""The command line: `athanor NOUN VERB`. Data goes to stdout, talk to stderr; `--json` on every read."""

from athanor.cli.main import main

__all__ = ["main"]
