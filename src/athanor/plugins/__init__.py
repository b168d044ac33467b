"""Plug-ins: one entry-point group per port, loaded on first use. Our own implementations use the same door."""

from athanor.plugins.loading import load, names, require

__all__ = ["load", "names", "require"]
