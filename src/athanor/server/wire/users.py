"""Bodies of `/api/users`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from athanor.types import RoleName

_Password = Annotated[SecretStr, Field(max_length=1024)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NewUser(_Body):
    """Somebody who shall sign in."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: RoleName = RoleName.USER
    password: _Password | None = None
    """Unset: they sign in by links or by the provider."""


class UserChange(_Body):
    """What shall be different; what is not named stays."""

    role: RoleName | None = None
    password: _Password | None = None
    disabled: bool | None = None
