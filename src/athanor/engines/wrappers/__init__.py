"""Engines over engines: what happens when a model fails, is slow, or is one of several."""

from athanor.engines.wrappers.balance import Load, LoadEngine, Loads
from athanor.engines.wrappers.base import Clock, RealClock, Wrapper
from athanor.engines.wrappers.breaker import Breaker, BreakerEngine, BreakerOpenError, Breakers, BreakerState
from athanor.engines.wrappers.failures import bill, spent
from athanor.engines.wrappers.fallback import Candidate, FallbackEngine
from athanor.engines.wrappers.hedge import HedgeEngine
from athanor.engines.wrappers.retry import RetryEngine

__all__ = [
    "Breaker",
    "BreakerEngine",
    "BreakerOpenError",
    "BreakerState",
    "Breakers",
    "Candidate",
    "Clock",
    "FallbackEngine",
    "HedgeEngine",
    "Load",
    "LoadEngine",
    "Loads",
    "RealClock",
    "RetryEngine",
    "Wrapper",
    "bill",
    "spent",
]
