"""What it takes to pass: a rule for each way in, and the one function that applies it."""

from __future__ import annotations

from dataclasses import dataclass

from athanor.governance.roles import Right, require
from athanor.governance.scopes import check_door
from athanor.types import ApiKey, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may come in by one way: a route, a tool, a page, an action."""

    public: bool = False
    """Everybody, without a key."""
    session: bool = False
    """Whoever has a session of the console, which asks for it itself."""
    right: Right | None = None
    """What the role has to include; `None` lets every role in."""
    door: str | None = None
    """What this way is called among the interfaces of a key's scopes; `None` is open to every key."""
    own: tuple[Right, ...] | None = None
    """Where things belong to somebody: the rights, any of which shows those of others; without one, they are not there.
    `None` where nothing belongs to a principal."""


def admit(rule: Rule, who: Principal, key: ApiKey | None) -> None:
    """Let `who` pass. The only place where a role or a key's interfaces decide about a way in.

    Whoever comes without a key (a person in the console) is not limited by one.

    Raises:
        PermissionDeniedError: the key is not for this interface, or the role may not do this. Whether what was asked
            for exists has not been looked at.
    """
    if rule.door is not None:
        check_door(key, rule.door)
    if rule.right is not None:
        require(who, rule.right)
