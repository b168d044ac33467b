"""Who may do what: keys, scopes, users, sessions, roles."""

from athanor.governance.books import Books, Search
from athanor.governance.groups import Groups
from athanor.governance.keys import Grant, Keys
from athanor.governance.links import Links
from athanor.governance.readers import Readers, reader_of
from athanor.governance.roles import Right, may, require
from athanor.governance.rules import Rule, admit
from athanor.governance.scopes import check_door, opens
from athanor.governance.secrets import Secret
from athanor.governance.sessions import Sessions
from athanor.governance.teams import Teams
from athanor.governance.users import Users

__all__ = [
    "Books",
    "Grant",
    "Groups",
    "Keys",
    "Links",
    "Readers",
    "Right",
    "Rule",
    "Search",
    "Secret",
    "Sessions",
    "Teams",
    "Users",
    "admit",
    "check_door",
    "may",
    "opens",
    "reader_of",
    "require",
]
