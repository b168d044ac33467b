"""The gateway: what happens to a request, and everything that a request needs."""

from athanor.gateway.app import App, open_app
from athanor.gateway.pipeline import handle

__all__ = ["App", "handle", "open_app"]
