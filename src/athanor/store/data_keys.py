"""What a data key is, and how its master key is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row

from athanor.errors import EncryptionError
from athanor.store.master import MasterKey, MasterSource

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """A key that was unwrapped."""

    id: str
    aead: AESGCM


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be told of a key."""

    id: str
    purpose: str
    master: str
    """Id of the master key that wraps it."""
    created_at: float
    retired_at: float | None
    whole: bool


def found_master(source: MasterSource | MasterKey, infos: Sequence[KeyInfo]) -> MasterKey:
    """The master key that fits, or a new one where nothing is wrapped yet."""
    wanted = infos[-1].master if infos else None
    found = source if isinstance(source, MasterKey) else source.read(wanted)
    if found is None:
        assert isinstance(source, MasterSource)
        if infos:
            raise EncryptionError(
                f"The master key of this store ({wanted}) is missing.",
                where=str(source.file),
                hint="Put back the file from where you keep it. Without it, what is sealed cannot be read by anyone.",
            )
        return source.make()
    if wanted is not None and found.id != wanted:
        raise EncryptionError(
            f"This is not the master key of this store: it is {found.id}, and the data keys were wrapped by {wanted}.",
            where=found.where,
            hint="Name the right key under `encryption`, or restore the key that belongs to this database.",
        )
    return found


def info_of(row: Row[Any]) -> KeyInfo:
    """What a row of `data_keys` tells without any key."""
    return KeyInfo(
        id=row.id,
        purpose=row.purpose,
        master=row.master,
        created_at=row.created_at,
        retired_at=row.retired_at,
        whole=bool(row.whole),
    )
