"""The vault of pseudonyms: one for each conversation of a principal, kept so that a value keeps its name.

The protocols are stateless: a conversation is known by its principal, the end user that the request names, and the
first thing that user said. Two conversations that begin alike share a vault, which costs nothing: a pseudonym is put
back only in answers to a request that has the value in it (`pseudonyms`). What is stored tells neither what was said
nor a value: the vault's name is a keyed hash, values are sealed.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import OrderedDict

from anyio import to_thread

from athanor.errors import AthanorError
from athanor.guards.pseudonyms import Pseudonyms, Talk
from athanor.store.vaults import Vaults
from athanor.types import Context, Request, Role

log = logging.getLogger(__name__)

_AT_HAND = 1000
"""Conversations kept in memory; of the others, the vault is read again."""


def conversation_of(request: Request) -> str:
    """What stays the same in all requests of a conversation, as a hash; not to be stored as it is."""
    first = next((m.content for m in request.messages if m.role is Role.USER), "")
    said = f"{request.user or ''}\0{first}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(said, digest_size=16).hexdigest()


class Vault:
    """Names for conversations.

    Args:
        vaults: where they are kept; without it, they live as long as this process.
        key: of this installation.
    """

    def __init__(self, vaults: Vaults | None = None, *, key: bytes = b"") -> None:
        self._vaults = vaults
        self._key = key
        self._talks: OrderedDict[str, Talk] = OrderedDict()

    async def names(self, request: Request, ctx: Context) -> Pseudonyms:
        """The names for a request: those of its conversation."""
        conversation = ctx.conversation or conversation_of(request)
        place = f"vault\0{ctx.principal.id}\0{conversation}".encode()
        vault = hmac.new(self._key, place, hashlib.sha256).hexdigest()[:32]
        talk = self._talks.get(vault)
        if talk is None:
            read = Talk(await self._read(vault), vault=vault)
            talk = self._talks.setdefault(vault, read)  # another request may have been faster
            if len(self._talks) > _AT_HAND:
                self._talks.popitem(last=False)
        self._talks.move_to_end(vault)
        return Pseudonyms(talk, key=self._key)

    def hashes(self) -> Pseudonyms:
        """Names of no conversation: for hashes, and for texts that nothing comes back of."""
        return Pseudonyms(key=self._key)

    async def keep(self, names: Pseudonyms, ctx: Context) -> None:
        """Store what is new. What cannot be stored is logged: the names hold as long as this process then."""
        talk = names.talk
        new, talk.fresh = talk.fresh, {}
        if not new or self._vaults is None:
            return
        try:
            vaults = self._vaults
            await to_thread.run_sync(lambda: vaults.add(talk.vault, principal=ctx.principal.id, values=new))
        except AthanorError as error:
            log.error("pseudonyms were not stored: %s", error)

    def forget(self) -> None:
        """Read every vault again: some were deleted."""
        self._talks.clear()

    async def _read(self, vault: str) -> dict[str, str]:
        if self._vaults is None:
            return {}
        try:
            return await to_thread.run_sync(self._vaults.use, vault)
        except AthanorError as error:
            log.error("the pseudonyms of a conversation cannot be read, and are made anew: %s", error)
            return {}
