"""The store itself, for what the owner of the home folder does beside a server, or without one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from athanor.cli.client import Workspace
from athanor.store import Store


@contextmanager
def opened(workspace: Workspace) -> Iterator[Store]:
    """The store that the settings name, with its keys. What is written is the owner's alone."""
    os.umask(0o077)
    store = Store.of(workspace.settings)
    try:
        yield store
    finally:
        store.close()
