"""What one key, one team or the whole system has used: sums over the last minute, the day and the month."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

WINDOW = 60.0
"""Seconds of a minute's limit."""
PICO = 10**12
"""Money is counted in whole millionths of a millionth of a dollar: sums are exact, and what was held is given back to
the last digit."""


def pico(usd: float) -> int:
    """US dollars as they are counted here."""
    return round(usd * PICO)


@dataclass(slots=True)
class Slot:
    """What was counted in one second."""

    second: int
    amount: int


class Window:
    """A sum over the last minute, in steps of a second.

    Times are seconds of a clock that never goes back. A slot leaves when the whole second that it counted is over by a
    minute, so in any 60 seconds no more is counted than `total` was at its highest.
    """

    __slots__ = ("_slots", "total")

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()
        self.total = 0

    def add(self, now: float, amount: int) -> Slot:
        """Count `amount`; the slot that holds it, for a later correction."""
        second = math.floor(now)
        if not self._slots or self._slots[-1].second != second:
            self._slots.append(Slot(second, 0))
        slot = self._slots[-1]
        slot.amount += amount
        self.total += amount
        return slot

    def correct(self, slot: Slot, amount: int) -> None:
        """Add to a slot of before, unless its minute has passed."""
        if self._slots and self._slots[0].second <= slot.second:
            slot.amount += amount
            self.total += amount

    def expire(self, now: float) -> None:
        """Forget what is over."""
        while self._slots and self._slots[0].second + WINDOW + 1 <= now:
            self.total -= self._slots.popleft().amount

    def wait(self, now: float, excess: int) -> float:
        """Seconds until `excess` of the sum has left."""
        left = excess
        for slot in self._slots:
            left -= slot.amount
            if left <= 0:
                return self._leaves(slot, now)
        return self.reset(now)

    def reset(self, now: float) -> float:
        """Seconds until all of the sum has left."""
        return self._leaves(self._slots[-1], now) if self._slots else 0.0

    @staticmethod
    def _leaves(slot: Slot, now: float) -> float:
        return max(0.0, slot.second + WINDOW + 1 - now)


class Meter:
    """What one subject has used and holds. Days are `YYYY-MM-DD`, UTC, and never go back."""

    __slots__ = ("_day", "day_usd", "held", "month_usd", "requests", "running", "tokens")

    def __init__(self, day: str) -> None:
        self.requests = Window()
        self.tokens = Window()
        self.running = 0
        self.held = 0
        """`pico` dollars that running requests may cost."""
        self.day_usd = 0
        """`pico` dollars spent this day."""
        self.month_usd = 0
        self._day = day

    def turn(self, ticks: float, day: str) -> None:
        """Forget what is over: the minute, the day, the month."""
        self.requests.expire(ticks)
        self.tokens.expire(ticks)
        if day != self._day:
            self.day_usd = 0
            if day[:7] != self._day[:7]:
                self.month_usd = 0
            self._day = day

    def spend(self, usd: int, day: str) -> None:
        """Count `usd`, spent by a request that arrived on `day`: as the ledger does, not on the day that it ended."""
        if day == self._day:
            self.day_usd += usd
        if day[:7] == self._day[:7]:
            self.month_usd += usd


def day_of(now: float) -> str:
    """The day of a time in Unix seconds, UTC."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def ends(now: float) -> tuple[float, float]:
    """When the day and the month of a time in Unix seconds are over, UTC."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today.replace(day=1)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return today.timestamp() + 86400, following.timestamp()
