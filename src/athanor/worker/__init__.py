"""The worker: runs jobs, inside the server's process or in one of its own."""

from athanor.worker.runner import Handler, Runner

__all__ = ["Handler", "Runner"]
