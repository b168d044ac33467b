"""What a model's process is made from: its backend, and the limits it lives under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """What a model's process runs, and its limits. All times in seconds."""

    name: str
    """For messages: the model's name."""
    backend: str
    target: str
    """`module:Class` of the backend, imported in the child."""
    settings: Mapping[str, Any]
    """Given to the backend's `load`; must be JSON."""
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_mb: int | None = None
    load_timeout: float = 600.0
    hang_timeout: float = 120.0
    """Without progress for so long while there is work, the process is taken for hung and killed."""
    ping_interval: float = 2.0
    backoff: float = 0.5
    """First pause; doubles with every crash."""
    backoff_limit: float = 30.0
    healthy_after: float = 60.0
    """Having served for so long, a crash counts as the first again."""
    stop_grace: float = 3.0
