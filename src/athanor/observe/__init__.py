"""The ledger, spans, metrics and the audit log: what the system says about its own work."""

from athanor.observe.audit import Action, AuditLog
from athanor.observe.content import Clean
from athanor.observe.ledger import Entry, Ledger, Sink
from athanor.observe.metrics import Counter, Gauge, Histogram, Metrics
from athanor.observe.spans import OpenSpan, Trace

__all__ = [
    "Action",
    "AuditLog",
    "Clean",
    "Counter",
    "Entry",
    "Gauge",
    "Histogram",
    "Ledger",
    "Metrics",
    "OpenSpan",
    "Sink",
    "Trace",
]
