"""One try of one model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from athanor.engines.base import Engine
from athanor.engines.wrappers.base import speaks
from athanor.engines.wrappers.breaker import BreakerOpenError
from athanor.errors import AthanorError, EngineError
from athanor.types import Context, Event, Request

Note = Callable[[str, str], None]
"""Told of every try that ended: target, outcome."""


def note_nothing(target: str, outcome: str) -> None:
    """For those who do not count."""


async def attempt(
    engine: Engine, target: str, request: Request, ctx: Context, *, wait: float = 0.0, note: Note = note_nothing
) -> AsyncGenerator[Event, None]:
    """Ask `engine` once, under a span `attempt`.

    Args:
        wait: seconds that passed in back-off before this try, for the span.

    Raises:
        EngineError: besides the engine's own errors: it ended without an answer.
    """
    outcome, begun = "cancelled", False
    with ctx.span.child("attempt", target=target, wait=round(wait, 3)) as span:
        try:
            async with aclosing(engine.run(request, replace(ctx, span=span))) as events:
                async for event in events:
                    begun = begun or speaks(event)
                    yield event
            if not begun:
                raise EngineError("The model ended its answer before it began.", where=target)
            outcome = "ok"
        except AthanorError as error:
            outcome = "left_alone" if isinstance(error, BreakerOpenError) else error.code
            raise
        finally:
            span.set(outcome=outcome)
            note(target, outcome)
