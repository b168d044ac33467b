"""For tests, ours and others': fakes that behave, and conformance classes for every port.

`athanor.testing.engines` needs pytest and is imported by its own name.
"""

from athanor.engines.adapters.scripted import Rule, Script, ScriptedEngine, ScriptedProcessEngine
from athanor.testing.fakes import HashEmbedder, OverlapReranker

__all__ = ["HashEmbedder", "OverlapReranker", "Rule", "Script", "ScriptedEngine", "ScriptedProcessEngine"]
