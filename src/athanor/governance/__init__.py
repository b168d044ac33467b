"""Who may do what: keys, scopes, one-time links, roles."""

from athanor.governance.books import Books, Search
from athanor.governance.keys import Grant, Keys
from athanor.governance.links import Links
from athanor.governance.roles import Right, may, require
from athanor.governance.scopes import check_door, opens
from athanor.governance.secrets import Secret
from athanor.governance.teams import Teams

__all__ = [
    "Books",
    "Grant",
    "Keys",
    "Links",
    "Right",
    "Search",
    "Secret",
    "Teams",
    "check_door",
    "may",
    "opens",
    "require",
]
