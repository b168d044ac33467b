"""What guards with trained heads share: where the heads come from."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Self

from athanor.errors import MissingExtraError
from athanor.guards.parts import Parts


class TrainedGuard:
    """A guard whose heads are read with the first text.

    Args:
        home: the installation's folder, which may have heads of its own (`athanor guards train`).
        strict: refuse heads that nobody vouches for.
    """

    def __init__(self, home: Path | None = None, *, strict: bool = False) -> None:
        self._home = home
        self._strict = strict

    @classmethod
    def make(cls, parts: Parts) -> Self:
        """With the heads that were trained here, else those of the package.

        Raises:
            MissingExtraError: numpy is not installed.
        """
        if find_spec("numpy") is None:
            raise MissingExtraError("The package behind 'numpy'", extra="guards")
        return cls(parts.settings.home, strict=parts.settings.weights.strict)
