"""The port of everything that looks for something in a text."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from athanor.guards.subject import Subject
from athanor.types import Context, Origin, Verdict


@runtime_checkable
class Guard(Protocol):
    """Finds. It never changes a text and never refuses one: that is the policy's word. Keeps nothing it reads."""

    @property
    def name(self) -> str:
        """As policies and events call it."""
        ...

    @property
    def categories(self) -> frozenset[str]:
        """Everything it can find; a policy that names none of them saves the call. `pii.*` stands for a family."""
        ...

    @property
    def reach(self) -> int | None:
        """The longest match in characters, for guards that can look at an answer while it grows; `None` where the
        whole text is needed."""
        ...

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        """What is found in `subject`, with the guard's own proposals.

        Raises:
            AthanorError: it cannot work now. The chain then does what the policy says of failures.
        """
        ...
