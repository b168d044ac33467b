"""Guards: what may come in, and what may go out."""

from athanor.guards.answers import Guarded
from athanor.guards.base import Guard
from athanor.guards.chain import Chain
from athanor.guards.dryrun import DryRuns
from athanor.guards.explain import Explanation, Stage, explain
from athanor.guards.parts import Parts, secret_of
from athanor.guards.policy import Direction, Policies, Policy, Rule
from athanor.guards.subject import Decoded, Subject

__all__ = [
    "Chain",
    "Decoded",
    "Direction",
    "DryRuns",
    "Explanation",
    "Guard",
    "Guarded",
    "Parts",
    "Policies",
    "Policy",
    "Rule",
    "Stage",
    "Subject",
    "explain",
    "secret_of",
]
