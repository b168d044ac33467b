"""Who may do what: keys, scopes, one-time links, roles."""

from athanor.governance.keys import Keys
from athanor.governance.links import Links
from athanor.governance.roles import Right, may, require
from athanor.governance.scopes import check_door, opens
from athanor.governance.secrets import Secret

__all__ = ["Keys", "Links", "Right", "Secret", "check_door", "may", "opens", "require"]
