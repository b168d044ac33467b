"""Secrets live outside the file: the setting says where, and the value never shows in a repr."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from athanor.errors import ConfigError


class SecretReference(BaseModel):
    """`{ env = "NAME" }` or `{ file = "/path" }`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretReference:
        if (self.env is None) == (self.file is None):
            raise ValueError('a secret is either { env = "NAME" } or { file = "/path" }')
        return self

    def resolve(self) -> SecretStr:
        """Read the secret.

        Raises:
            ConfigError: the variable is unset or the file cannot be read.
        """
        if self.env is not None:
            value = os.environ.get(self.env)
            if not value:
                raise ConfigError(f"The environment variable {self.env} is not set.", hint=f"export {self.env}=…")
            return SecretStr(value)
        assert self.file is not None
        try:
            return SecretStr(self.file.expanduser().read_text().strip())
        except OSError as error:
            raise ConfigError(
                f"The secret's file cannot be read: {error.strerror}.",
                where=str(self.file),
                hint="chmod 600 and own it.",
            ) from error
