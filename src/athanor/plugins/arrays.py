"""numpy, imported at its first use: the server starts without it, and a core-only install runs without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from athanor.plugins.loading import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Floats = npt.NDArray[np.float64]
else:
    np = LazyModule("numpy", extra="knowledge")
    Matrix = Floats = Any

__all__ = ["Floats", "Matrix", "np"]
