"""How long whoever guesses has to wait. Waiting grows with failures, ends by itself, and never locks anybody out."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass

from athanor.errors import RateLimitError
from athanor.store import Store

FORGET_SECONDS = 86400.0
"""After so long without a failure, it begins anew."""
KNOWN_SECONDS = 30 * 86400.0
"""How long an address from which somebody signed in stays theirs."""


@dataclass(frozen=True, slots=True)
class _Count:
    """Whose failures are counted."""

    subject: str
    free: int
    """Failures without a wait."""
    longest: float
    """Seconds."""

    def wait(self, failures: int) -> float:
        over = failures - self.free
        return 0.0 if over < 0 else min(self.longest, 2.0 ** min(over, 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One that was let in."""

    counted: tuple[str, ...]
    known: str
    """The mark that its address is the account's own."""


class Delays:
    """Counts failures of an account, of an address, and of both together.

    Guessing at one account from one address waits longest. An account that is guessed at from everywhere waits a
    little, except for whoever signed in from the same address before: so nobody can keep its owner out.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, account: str, address: str) -> Guess:
        """Admit one guess, and count it as failed until `succeeded` says otherwise: many at once count each.

        Raises:
            RateLimitError: it comes too soon; `retry_after` says when.
        """
        counts, known = _counts(account, address)
        now = time.time()
        with self._store.write() as conn:
            self._store.attempts.purge(now - KNOWN_SECONDS, conn=conn)
            found = self._store.attempts.read([*(count.subject for count in counts), known], conn=conn)
            if known in found:
                counts = [count for count in counts if not count.subject.startswith("account:")]
            wait = max(_left(count, found, now) for count in counts)
            if wait > 0:
                raise RateLimitError(
                    "Too many attempts to sign in.", retry_after=wait, hint=f"Try again in {wait:.0f} seconds."
                )
            for count in counts:
                self._store.attempts.put(count.subject, _failures(count, found, now) + 1, conn=conn)
        return Guess(counted=tuple(count.subject for count in counts), known=known)

    def succeeded(self, guess: Guess) -> None:
        """It was right. What was guessed at this account from this address is forgotten; the address and the account
        keep their other failures: one good account buys no guesses at others, and no guesser profits of its owner."""
        with self._store.write() as conn:
            for subject in guess.counted:
                if subject.startswith("both:"):
                    self._store.attempts.forget([subject], conn=conn)
                else:
                    self._store.attempts.take_back(subject, conn=conn)
            self._store.attempts.put(guess.known, 0, conn=conn)


def _counts(account: str, address: str) -> tuple[list[_Count], str]:
    """What is counted, and the mark of an address from which this account signed in."""
    who, where = _hash(account.casefold()), _hash(_network(address))
    both = _hash(who + where)
    counts = [
        _Count(f"both:{both}", free=5, longest=900.0),
        _Count(f"address:{where}", free=20, longest=900.0),
        _Count(f"account:{who}", free=20, longest=60.0),
    ]
    return counts, f"known:{both}"


def _failures(count: _Count, found: Mapping[str, tuple[int, float]], now: float) -> int:
    failures, at = found.get(count.subject, (0, 0.0))
    return failures if at > now - FORGET_SECONDS else 0


def _left(count: _Count, found: Mapping[str, tuple[int, float]], now: float) -> float:
    at = found.get(count.subject, (0, 0.0))[1]
    return at + count.wait(_failures(count, found, now)) - now


def _network(address: str) -> str:
    """The address; of IPv6 its /64, which one customer has whole."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
