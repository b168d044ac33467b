"""Answers that are given again: exactly the same request, or one that was shown to mean the same."""

from athanor.gateway.cache.calibrate import Calibration, Proof
from athanor.gateway.cache.directives import parse_cache_control
from athanor.gateway.cache.exact import Answers, Entry
from athanor.gateway.cache.keys import exact_key
from athanor.gateway.cache.through import Cache, RouteState

__all__ = ["Answers", "Cache", "Calibration", "Entry", "Proof", "RouteState", "exact_key", "parse_cache_control"]
