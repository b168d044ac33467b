"""Guards: what may come in, and what may go out. The chain is empty until guards are configured."""

from athanor.guards.base import Guard
from athanor.guards.chain import Chain

__all__ = ["Chain", "Guard"]
