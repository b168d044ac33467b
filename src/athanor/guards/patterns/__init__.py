"""What orders, forged roles and talked-away limits look like, in twelve languages.

A trigger word alone is never a finding: "ignore" is a verb like others. What is asked for is the whole order: the verb,
whose rules are meant, and that they are rules.
"""

from athanor.guards.patterns.base import Rule, folded
from athanor.guards.patterns.eastern import EASTERN
from athanor.guards.patterns.forgery import FORGERY
from athanor.guards.patterns.jailbreak import JAILBREAK
from athanor.guards.patterns.orders import ORDERS
from athanor.guards.patterns.override import EXTRACTION, OVERRIDE
from athanor.guards.patterns.western import WESTERN

RULES = (*OVERRIDE, *EXTRACTION, *JAILBREAK, *FORGERY, *ORDERS, *WESTERN, *EASTERN)

__all__ = ["RULES", "Rule", "folded"]
