"""Base of the engines behind an HTTP endpoint: one request out, and events from whatever comes back.

Nothing an endpoint sends is trusted to be what its specification says: lines may be cut anywhere, events may be
malformed, the stream may end in the middle, and errors may quote our key back (which is taken out).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Protocol

from athanor.engines.local import check_request
from athanor.engines.upstream import Upstream
from athanor.errors import EngineError, EngineUnavailableError, InputError
from athanor.types import Context, EngineState, EngineStatus, Event, Profile, Request


class Reader(Protocol):
    """Makes events of one answer, in pieces or whole."""

    def take(self, payload: Mapping[str, Any]) -> Sequence[Event]:
        """The events of the next payload of a stream.

        Raises:
            EngineError: it says that the endpoint failed.
        """
        ...

    def end(self) -> Sequence[Event]:
        """The last events, `Finished` included.

        Raises:
            EngineError: the answer was not at its end.
        """
        ...

    def whole(self, payload: Any) -> Sequence[Event]:
        """All events of an answer that came in one piece. Raises as `take`."""
        ...


class RemoteEngine(ABC):
    """An `Engine` that asks an endpoint. A subclass names its format.

    A stream that is closed early is counted by an estimate, because the endpoint's own count comes last.

    Args:
        model: its name at the endpoint; None means the profile's.
    """

    backend: ClassVar[str]
    path: ClassVar[str]
    """Behind the base URL."""

    def __init__(self, profile: Profile, upstream: Upstream, *, model: str | None = None) -> None:
        self._profile = profile
        self._upstream = upstream
        self._model = model or profile.name
        self._detail = ""
        self._closed = False

    @property
    def profile(self) -> Profile:
        return self._profile

    def state(self) -> EngineState:
        status = EngineStatus.STOPPED if self._closed else EngineStatus.READY
        return EngineState(status=status, backend=self.backend, detail=self._detail)

    async def start(self) -> None:  # noqa: B027
        """Nothing to load; the endpoint is asked when somebody asks."""

    async def aclose(self) -> None:
        self._closed = True
        await self._upstream.aclose()

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        check_request(request, self._profile)
        if self._closed:
            raise EngineUnavailableError(f"The model {self._profile.name} is shutting down.")
        upstream = self._upstream
        rest: Sequence[Event] | None = None
        try:
            while rest is None:
                body = self.body(request)
                try:
                    async with upstream.post(self.path_for(request), body, stream=request.stream) as reply:
                        if identity := reply.headers.get("x-request-id") or reply.headers.get("request-id"):
                            ctx.span.set(vendor_request=identity)
                        reader = self.reader(request)
                        if not request.stream or not reply.streams:
                            rest = reader.whole(await reply.json())
                        else:
                            async with aclosing(reply.payloads()) as payloads:
                                async for payload in payloads:
                                    for event in reader.take(payload):
                                        yield event
                            rest = reader.end()
                except InputError as error:
                    if not self.adapt(body, error):
                        raise
        except EngineError as error:
            self._detail = f"The last request failed: {error.message}"
            raise
        self._detail = ""
        for event in rest:
            yield event

    def path_for(self, request: Request) -> str:
        """Where to post, for endpoints whose path tells how they shall answer."""
        return self.path

    @abstractmethod
    def body(self, request: Request) -> Mapping[str, Any]:
        """What is sent.

        Raises:
            UnsupportedError: the format has no word for something in the request.
        """

    @abstractmethod
    def reader(self, request: Request) -> Reader:
        """For the answer to `request`."""

    def adapt(self, body: Mapping[str, Any], error: InputError) -> bool:
        """Learn from the refusal of `body` how this endpoint wants to be asked; True to ask again."""
        return False
