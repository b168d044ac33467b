"""What each role may do."""

from __future__ import annotations

from enum import StrEnum

from athanor.errors import PermissionDeniedError
from athanor.types import Principal, RoleName


class Right(StrEnum):
    """What can be allowed. Roles are sets of rights and no ladder: an auditor sees everything and asks nothing."""

    ASK = "ask"
    """Send requests to models and read one's own."""
    BUILD = "build"
    """Change knowledge bases and files, run batches."""
    REVIEW = "review"
    """See the requests of others, and judge answers."""
    OPERATE = "operate"
    """See what the system spends and how it runs, and stop jobs of others."""
    AUDIT = "audit"
    """Read the audit log."""
    ADMINISTER = "administer"
    """Keys, teams, groups, budgets, folders of the machine; read and erase every document."""


_RIGHTS: dict[RoleName, frozenset[Right]] = {
    RoleName.ADMIN: frozenset(Right),
    RoleName.OPERATOR: frozenset({Right.ASK, Right.BUILD, Right.REVIEW, Right.OPERATE}),
    RoleName.REVIEWER: frozenset({Right.ASK, Right.REVIEW}),
    RoleName.DEVELOPER: frozenset({Right.ASK, Right.BUILD}),
    RoleName.USER: frozenset({Right.ASK}),
    RoleName.AUDITOR: frozenset({Right.REVIEW, Right.OPERATE, Right.AUDIT}),
}


def rights_of(role: RoleName) -> frozenset[Right]:
    """What a role includes."""
    return _RIGHTS[role]


def may(principal: Principal, right: Right) -> bool:
    """Does the role of `principal` include `right`."""
    return right in _RIGHTS[principal.role]


def require(principal: Principal, right: Right) -> None:
    """Let `principal` pass if its role includes `right`.

    Raises:
        PermissionDeniedError: it does not.
    """
    if not may(principal, right):
        able = ", ".join(role.value for role, rights in _RIGHTS.items() if right in rights)
        raise PermissionDeniedError(
            f"{principal.name} has the role {principal.role.value}, which may not do this ({right.value}).",
            hint=f"Roles that may: {able}.",
        )
