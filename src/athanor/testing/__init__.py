"""For tests, ours and others': fakes that behave, and conformance classes for every port.

`athanor.testing.engines` and `athanor.testing.guards` need pytest and are imported by their own names.
"""

from athanor.engines.adapters.scripted import Rule, Script, ScriptedEngine, ScriptedProcessEngine
from athanor.testing.fakes import HashEmbedder, OverlapReranker, PhraseGuard

__all__ = [
    "HashEmbedder",
    "OverlapReranker",
    "PhraseGuard",
    "Rule",
    "Script",
    "ScriptedEngine",
    "ScriptedProcessEngine",
]
