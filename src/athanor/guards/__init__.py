"""Guards: what may come in, and what may go out."""

from athanor.guards.base import Guard
from athanor.guards.chain import Chain, Guarded
from athanor.guards.subject import Decoded, Subject

__all__ = ["Chain", "Decoded", "Guard", "Guarded", "Subject"]
