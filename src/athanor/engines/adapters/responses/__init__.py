"""OpenAI's responses: the format of its reasoning models, at OpenAI, at Azure, and at servers that speak it."""

from athanor.engines.adapters.responses.engine import LACKS, ResponsesEngine, connect

__all__ = ["LACKS", "ResponsesEngine", "connect"]
