"""Who may do what: keys, one-time links, roles."""

from athanor.governance.keys import Keys
from athanor.governance.links import Links
from athanor.governance.roles import require
from athanor.governance.secrets import Secret

__all__ = ["Keys", "Links", "Secret", "require"]
