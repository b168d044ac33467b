from __future__ import annotations

import pytest

from athanor.errors import PermissionDeniedError
from athanor.governance import require
from athanor.types import Principal, RoleName


@pytest.mark.parametrize("held", RoleName)
@pytest.mark.parametrize("needed", RoleName)
def test_a_role_includes_every_weaker_one(held: RoleName, needed: RoleName) -> None:
    strongest_first = [RoleName.ADMIN, RoleName.OPERATOR, RoleName.DEVELOPER, RoleName.USER]
    principal = Principal(id="p", name="ada", role=held, created_at=0.0)
    if strongest_first.index(held) <= strongest_first.index(needed):
        require(principal, needed)
    else:
        with pytest.raises(PermissionDeniedError, match=f"ada has the role {held}, and this needs {needed}"):
            require(principal, needed)
