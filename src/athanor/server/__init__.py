"""The HTTP doors: OpenAI's API, our own under `/api`, health and metrics. Wire formats end here."""

from athanor.server.app import create_app, front, is_loopback

__all__ = ["create_app", "front", "is_loopback"]
