"""The body of `POST /v1/completions`, which older clients still send."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from athanor.errors import UnsupportedError
from athanor.server.wire.chat import ANYTHING, StreamOptions
from athanor.server.wire.decoding import Count, ModelName, Seed
from athanor.server.wire.hints import Hinted
from athanor.types import CacheUse, Message, Request, Role, Sampling


class CompletionRequest(Hinted):
    """Body of `POST /v1/completions`: the prompt is asked as a user's message."""

    REFUSED: ClassVar[dict[str, str]] = {
        "suffix": "Ask for the middle in words, over /v1/chat/completions.",
        "logit_bias": "No engine takes it the same way.",
    }

    model: ModelName
    prompt: str | Annotated[list[str], Field(min_length=1)] | list[int] | list[list[int]]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Count | None = None
    seed: Seed | None = None
    stop: str | list[str] | None = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    logprobs: Annotated[int | None, Field(ge=0, le=5)] = None
    echo: bool | None = None
    n: int | None = None
    best_of: int | None = None
    user: str | None = None

    def to_request(self, cache: CacheUse = ANYTHING) -> Request:
        """Into the one language spoken inside.

        Raises:
            UnsupportedError: several prompts or answers, tokens in place of text, or an echo.
        """
        for name in ("n", "best_of"):
            if getattr(self, name) not in {None, 1}:
                raise UnsupportedError(f"A request gets one answer (`{name}` is 1).", where=name, hint="Send several.")
        if self.echo:
            raise UnsupportedError("The prompt is not repeated.", where="echo", hint="Leave it out.")
        stop = self.stop
        return Request(
            model=self.model,
            messages=(Message(role=Role.USER, content=self._prompt()),),
            sampling=Sampling(
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                seed=self.seed,
                stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
                presence_penalty=self.presence_penalty,
                frequency_penalty=self.frequency_penalty,
            ),
            logprobs=self.logprobs,
            stream=bool(self.stream),
            user=self.user,
            cache=cache,
        )

    def _prompt(self) -> str:
        prompt = self.prompt
        if isinstance(prompt, str):
            return prompt
        if len(prompt) == 1 and isinstance(prompt[0], str):
            return prompt[0]
        what = "Several prompts" if prompt and isinstance(prompt[0], str) else "Tokens"
        raise UnsupportedError(f"{what} in one request are not supported.", where="prompt", hint="Send one text.")
