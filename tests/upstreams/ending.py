"""The end of a connection in a fake."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close, and take what the other side's end raises: left in the stream, it would be told in whichever test runs
    when the stream is collected."""
    writer.close()
    with suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 1)
