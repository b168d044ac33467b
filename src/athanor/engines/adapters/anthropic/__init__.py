"""Anthropic's Messages API, at Anthropic or wherever else it is spoken."""

from athanor.engines.adapters.anthropic.engine import LACKS, AnthropicEngine, connect

__all__ = ["LACKS", "AnthropicEngine", "connect"]
