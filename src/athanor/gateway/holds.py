"""What a request has taken of its limits while it runs, and how that is settled when it ends."""

from __future__ import annotations

from collections.abc import Callable

from athanor.engines.wrappers.failures import spent
from athanor.gateway.allowance import Need, Now, Subject, admit, headers
from athanor.gateway.meters import Slot, pico
from athanor.types import NO_LIMITS, NO_USAGE, Request, Usage


class Hold:
    """What one request may use. Leaving the block gives back what it did not."""

    def __init__(
        self,
        request: Request,
        subjects: tuple[Subject, ...],
        day: str,
        now: Callable[[], Now],
        ended: Callable[[Hold], None],
    ) -> None:
        self.request = request
        """The request, with its answer bounded where a limit has to be kept."""
        self.usage: Usage = NO_USAGE
        """What was used so far."""
        self._subjects = subjects
        self._day = day
        self._now = now
        self._ended = ended
        self._grants: list[tuple[list[Slot], int]] = []
        self._usd = 0
        self._spare = Need(0, 0, 0)
        """Held, and of no part that runs."""

    def take(self, need: Need, now: Now) -> None:
        """Count `need`, for which there is room."""
        for subject in self._subjects:
            meter = subject.meter
            if need.requests:
                meter.requests.add(now.ticks, 1)
                meter.running += 1
            meter.held += need.usd
        slots = [subject.meter.tokens.add(now.ticks, need.tokens) for subject in self._subjects]
        self._grants.append((slots, need.tokens))
        self._usd += need.usd
        self._put(need.tokens, need.usd)

    def draw(self, tokens: int, usd: int) -> None:
        """Set a part of the hold aside, and enlarge the hold where it has too little.

        Raises:
            RateLimitError, BudgetError: there is no room for more; nothing was taken.
        """
        more = Need(0, max(0, tokens - self._spare.tokens), max(0, usd - self._spare.usd))
        if more.tokens or more.usd:
            now = self._now()
            admit(self._subjects, more, now)
            self.take(more, now)
        self._put(-tokens, -usd)

    def give_back(self, tokens: int, usd: int) -> None:
        """Take back what a part did not use; less than nothing where it used more than it had drawn."""
        self._put(tokens, usd)
        over = Need(0, max(0, -self._spare.tokens), max(0, -self._spare.usd))
        if over.tokens or over.usd:
            self.take(over, self._now())  # it is spent: there is nothing to refuse

    def _put(self, tokens: int, usd: int) -> None:
        self._spare = Need(0, self._spare.tokens + tokens, self._spare.usd + usd)

    def headers(self) -> dict[str, str]:
        """What is left, by the tightest of the limits, in OpenAI's header names."""
        if all(subject.limits is NO_LIMITS for subject in self._subjects):
            return {}
        return headers(self._subjects, self._now())

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._ended(self)
        usage = self.usage if error is None else self.usage + spent(error)
        cost = pico(usage.cost)
        for subject in self._subjects:
            meter = subject.meter
            meter.running -= 1
            meter.held -= self._usd
            meter.spend(cost, self._day)
        self._settle(usage.total_tokens)

    def _settle(self, used: int) -> None:
        """Count `used` tokens in place of those held: in the seconds in which they were taken, the rest now."""
        for slots, tokens in self._grants:
            kept = min(used, tokens)
            used -= kept
            if kept != tokens:
                for subject, slot in zip(self._subjects, slots, strict=True):
                    subject.meter.tokens.correct(slot, kept - tokens)
        if used:
            ticks = self._now().ticks
            for subject in self._subjects:
                subject.meter.tokens.add(ticks, used)


class Part:
    """What one engine of a request may use, drawn from the request's hold."""

    def __init__(self, whole: Hold, request: Request, tokens: int, usd: int) -> None:
        self.request = request
        """The request, with its answer bounded where a limit has to be kept."""
        self.usage: Usage = NO_USAGE
        self._whole = whole
        self._tokens = tokens
        self._usd = usd

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        usage = self.usage if error is None else self.usage + spent(error)
        self._whole.give_back(self._tokens - usage.total_tokens, self._usd - pico(usage.cost))
