from __future__ import annotations

import pytest

from athanor.errors import PermissionDeniedError
from athanor.governance import Right, may, require
from athanor.types import Principal, RoleName

# Rows are roles, columns are rights, in the order of `Right`.
MATRIX = """
           ask build review operate audit administer
admin      yes yes   yes    yes     yes   yes
operator   yes yes   yes    yes     no    no
reviewer   yes no    yes    no      no    no
developer  yes yes   no     no      no    no
user       yes no    no     no      no    no
auditor    no  no    yes    yes     yes   no
"""
_HEAD, *_ROWS = (line.split() for line in MATRIX.strip().splitlines())
CELLS = [(role, right, cell == "yes") for role, *cells in _ROWS for right, cell in zip(_HEAD, cells, strict=True)]


def test_the_matrix_is_whole() -> None:
    assert {(role, right) for role, right, _ in CELLS} == {
        (role.value, right.value) for role in RoleName for right in Right
    }


@pytest.mark.parametrize(("role", "right", "allowed"), CELLS)
def test_what_a_role_may_do(role: str, right: str, allowed: bool) -> None:
    principal = Principal(id="p", name="ada", role=RoleName(role), created_at=0.0)
    assert may(principal, Right(right)) is allowed
    if allowed:
        require(principal, Right(right))
        return
    with pytest.raises(PermissionDeniedError, match=f"ada has the role {role}, which may not do this") as refused:
        require(principal, Right(right))
    able = {r for r, w, yes in CELLS if w == right and yes}
    assert able <= set((refused.value.hint or "").replace(".", "").replace(",", "").split())
