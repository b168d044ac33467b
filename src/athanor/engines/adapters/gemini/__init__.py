"""Google's Gemini API (`generateContent`)."""

from athanor.engines.adapters.gemini.engine import LACKS, GeminiEngine, connect

__all__ = ["LACKS", "GeminiEngine", "connect"]
