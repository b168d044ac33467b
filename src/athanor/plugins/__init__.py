"""Plug-ins: one entry-point group per port, loaded on first use. Our own implementations use the same door."""

from athanor.plugins.loading import LazyModule, load, load_module, names, require

__all__ = ["LazyModule", "load", "load_module", "names", "require"]
