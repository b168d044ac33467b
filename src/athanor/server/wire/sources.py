"""What the sources of a knowledge base are asked with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Place = Annotated[str, Field(min_length=1, max_length=4096)]
"""A folder of the server's machine, or the URL of a git repository, with `#BRANCH` behind it."""


class NewSource(_Body):
    """Something to keep a base in step with."""

    place: Place
    every: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds between synchronisations; unset is only when asked."""
    prefix: Annotated[str, Field(max_length=200)] = ""
    """What the names of its documents begin with."""
    once: bool = False
    """Synchronise now, and register nothing."""
    full: bool = False
    """Read every file, whatever says that it did not change."""


class SyncSources(_Body):
    """Synchronise now."""

    origin: Place | None = None
    """One source; unset is all of them."""
    full: bool = False
    """Read every file, whatever says that it did not change."""
