"""numpy, imported at its first use; see `plugins.arrays`."""

from athanor.plugins.arrays import Floats, Matrix, np

__all__ = ["Floats", "Matrix", "np"]
