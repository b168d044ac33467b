"""What each role may do: a role includes every weaker one."""

from __future__ import annotations

from athanor.errors import PermissionDeniedError
from athanor.types import Principal, RoleName

_STRONGEST_FIRST = tuple(RoleName)


def require(principal: Principal, role: RoleName) -> None:
    """Let `principal` pass if its role is `role` or a stronger one.

    Raises:
        PermissionDeniedError: its role is weaker.
    """
    if _STRONGEST_FIRST.index(principal.role) > _STRONGEST_FIRST.index(role):
        raise PermissionDeniedError(
            f"{principal.name} has the role {principal.role.value}, and this needs {role.value}.",
            hint="Use a key of someone with that role.",
        )
