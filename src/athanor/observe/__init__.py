"""Spans, metrics and the audit log: what the system says about its own work."""

from athanor.observe.audit import Action, AuditLog
from athanor.observe.metrics import Counter, Gauge, Histogram, Metrics
from athanor.observe.spans import OpenSpan, Spans

__all__ = ["Action", "AuditLog", "Counter", "Gauge", "Histogram", "Metrics", "OpenSpan", "Spans"]
