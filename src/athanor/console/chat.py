"""`/console/`: ask a knowledge base, or a model without one."""

from __future__ import annotations

import logging
import time
from contextlib import aclosing

import anyio
from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from athanor.console.answer import OpenCitation, Turn
from athanor.console.choice import Choices, Readiness, about, promise
from athanor.console.gate import Visit, visit
from athanor.console.hello import greet, nothing_yet
from athanor.console.panel import Panel
from athanor.console.rules import allow
from athanor.console.widgets import Tag, busy, button, may_edit, notice, select, shell, square
from athanor.errors import AthanorError
from athanor.gateway import handle
from athanor.types import AnswerMode, Citation, Context, Message, Role, TextDelta, new_id
from athanor.types import Request as Question

log = logging.getLogger(__name__)

HISTORY = 20  # messages of the talk that go along with a question
DRAW_SECONDS = 0.04  # text is drawn this often at most: faster than an eye, slower than a model


async def show(request: Request, base: str | None = None) -> None:
    """Draw the page."""
    here = visit(request)
    with shell("chat", "Chat"), Tag("div", "a-chat"):
        page = Chat(here, await Choices.load(here.app, reader=await here.app.reader(here.principal), wanted=base))
    await page.draw()


class Chat:
    """The talk of one browser tab. It lives as long as the tab: nothing but the traces is stored."""

    def __init__(self, here: Visit, choices: Choices) -> None:
        self._app = here.app
        self._principal = here.principal
        self._choices = choices
        self._turns: dict[str, Turn] = {}
        self._messages: list[Message] = []
        self._running: anyio.CancelScope | None = None
        self._gone = False
        with Tag("div", "a-talk"):
            self._top = Tag("div", "a-top")
            with Tag("div", "a-scroll", data_follow="", tabindex="0", role="log", aria_label="Talk"):
                self._hello = Tag("div", "a-column a-hello")
                self._talk = Tag("div", "a-column a-turns")
            with Tag("div", "a-dock"), Tag("div", "a-column"):
                self._status = Tag("div")
                self._composer()
                self._foot = Tag("div", "a-foot")
        self._panel = Panel(here.app, lambda: self._mark(None, None), principal=here.principal)
        ui.on("ask", self._asked)
        ui.on("comment", self._commented)
        ui.on("pick", self._picked)
        ui.on("mode", self._mode_picked)
        ui.context.client.on_delete(self._forget)
        self._shown: tuple[Readiness | None, AnswerMode | None] | None = None
        self._timer = ui.timer(1.0, self._look, immediate=False)

    async def draw(self) -> None:
        """Draw everything that depends on the choice."""
        self._draw_top()
        self._draw_foot()
        self._look()
        await self._draw_hello()

    # --- asking

    def _composer(self) -> None:
        with Tag("form", "a-composer", data_emit="ask"):
            Tag(
                "textarea", name="question", rows=1, maxlength=8000, data_enter="", data_fit="", data_focus="",
                placeholder="Ask a question", aria_label="Question",
            )  # fmt: skip
            self._send = square("send", "Ask", css="a-send", type="submit")
            self._stop = square("stop", "Stop", self.stop)
            self._stop.set_visibility(False)

    async def _asked(self, event: GenericEventArguments) -> None:
        question = str(_fields(event).get("question", "")).strip()
        if question:
            await self.ask(question)

    async def ask(self, question: str) -> None:
        """Put the question on the screen and stream the answer under it."""
        choice = self._choices.chosen
        if choice is None or self._running is not None:
            return
        self._hello.set_visibility(False)
        trace = new_id("tr")
        with self._talk:
            turn = Turn(question, trace, cited=choice.is_base, open_citation=self._open(trace), rate=self._rated)
        self._turns[trace] = turn
        turn.expect(self._choices.mode_of(choice))
        ctx = Context(principal=self._principal, trace=trace, door="console")
        asked = Message(role=Role.USER, content=question)
        mode = self._choices.mode if choice.is_base else None
        request = Question(model=choice.name, messages=(*self._messages[-HISTORY:], asked), mode=mode)
        self._answering(anyio.CancelScope())
        try:
            await self._stream(request, ctx, turn)
        except Exception as error:
            if not isinstance(error, AthanorError):
                log.exception("a question from the console failed")
            if trace in self._turns:
                turn.fail(error, lambda: self.ask(question))
        else:
            if trace in self._turns:  # the talk was not cleared meanwhile
                answered = [asked, Message(role=Role.ASSISTANT, content=turn.text)]
                self._messages += answered if turn.text else []
        finally:
            if not self._gone:
                self._answering(None)

    async def _stream(self, request: Question, ctx: Context, turn: Turn) -> None:
        assert self._running is not None
        allow(self._principal, "ask")
        waiting, drawn = "", 0.0
        with self._running:
            async with aclosing(handle(request, ctx, self._app)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        waiting += event.text
                        if time.monotonic() - drawn < DRAW_SECONDS:
                            continue
                    if waiting:
                        turn.show(TextDelta(text=waiting))
                        waiting, drawn = "", time.monotonic()
                    if not isinstance(event, TextDelta):
                        turn.show(event)
        if turn.finished is None and turn.trace in self._turns:
            turn.show(TextDelta(text=waiting))
            turn.stop()

    def _answering(self, scope: anyio.CancelScope | None) -> None:
        self._running = scope
        self._stop.set_visibility(scope is not None)
        self._send.set_visibility(scope is None)

    def _forget(self) -> None:
        """The tab was closed: nothing is drawn any more, and nobody waits for the answer."""
        self._gone = True
        self._turns.clear()
        self.stop()

    def stop(self) -> None:
        """Stop the answer that is being given, if there is one."""
        if self._running is not None:
            self._running.cancel()

    # --- citations

    def _open(self, trace: str) -> OpenCitation:
        async def opened(citation: Citation, number: int | None) -> None:
            self._mark(trace, number)
            span = (citation.start, citation.end)
            await self._panel.open(citation.document, citation.version, span, page=citation.page, number=number)

        return opened

    def _mark(self, trace: str | None, number: int | None) -> None:
        for own, turn in self._turns.items():
            turn.mark(number if own == trace else None)

    # --- verdicts

    async def _rated(self, turn: Turn, value: int) -> None:
        if await self._store_verdict(turn, value, ""):
            turn.rating(value)
            turn.ask_comment(value)

    async def _commented(self, event: GenericEventArguments) -> None:
        fields = _fields(event)
        turn = self._turns.get(str(fields.get("trace")))
        if turn is None:
            return
        comment = str(fields.get("comment", "")).strip()[:4000]
        if await self._store_verdict(turn, turn.verdict, comment):
            turn.thank()

    async def _store_verdict(self, turn: Turn, value: int, comment: str) -> bool:
        try:
            allow(self._principal, "rate")
            await self._app.rate(self._principal, turn.trace, value, comment)
        except AthanorError as error:
            turn.complain(error)
            return False
        return True

    # --- the choice

    async def _picked(self, event: GenericEventArguments) -> None:
        self._choices.pick(str(event.args))
        self.restart()
        await self.draw()

    def _mode_picked(self, event: GenericEventArguments) -> None:
        if event.args in set(AnswerMode):
            self._choices.mode = AnswerMode(event.args)
        self._draw_foot()
        self._look()

    def restart(self) -> None:
        """A new talk."""
        self.stop()
        self._turns.clear()
        self._messages.clear()
        self._talk.clear()
        self._panel.close()
        self._hello.set_visibility(True)

    def _draw_top(self) -> None:
        chosen = self._choices.chosen
        self._top.clear()
        with self._top:
            if chosen is not None:
                options = [(c.key, c.name if c.is_base else f"{c.name} (no documents)") for c in self._choices.all]
                select("pick", "Who answers", options, chosen.key)
            Tag("span", "a-grow a-clip a-small a-muted", text=about(chosen))
            button("New chat", self.restart, css="is-small", sign="plus")

    def _draw_foot(self) -> None:
        choice = self._choices.chosen
        self._foot.clear()
        if choice is None:
            return
        card, mode = self._choices.card(choice), self._choices.mode_of(choice)
        note = str(card.get("note") or "")
        with self._foot:
            line = promise(choice, mode, card)
            if note:
                with Tag("details"):
                    with Tag("summary", text=line):
                        Tag("span", text="Why?")
                    Tag("p", text=note)
            else:
                Tag("span", text=line)
            if choice.is_base and mode is not None:
                options = [(AnswerMode.EXTRACTIVE, "Quote"), (AnswerMode.GENERATIVE, "Write")]
                select("mode", "How to answer", [(key.value, name) for key, name in options], mode.value)

    async def _draw_hello(self) -> None:
        choice = self._choices.chosen
        base = choice.base if choice is not None else None
        reader = await self._app.reader(self._principal)
        asks = await self._app.knowledge.suggestions(base, reader=reader) if base is not None else []
        self._hello.clear()
        with self._hello:
            if self._choices.no_documents:
                nothing_yet(editor=may_edit(self._principal))
            else:
                greet(choice, asks, self._suggested)

    async def _suggested(self, question: str) -> None:
        choice = self._choices.chosen
        if choice is not None and self._choices.readiness(choice).ready:
            await self.ask(question)

    def _look(self) -> None:
        """Is the choice ready; draw it when that has changed."""
        choice = self._choices.chosen
        ready = self._choices.readiness(choice) if choice is not None else None
        mode = self._choices.mode_of(choice) if choice is not None else None
        if self._shown == (ready, mode):
            return
        if self._shown is not None and self._shown[1] != mode:
            self._draw_foot()
        self._shown = (ready, mode)
        self._send.set(disabled=None if ready is not None and ready.ready else True)
        self._status.clear()
        with self._status:
            if ready is not None and ready.problem:
                notice(ready.problem, kind="is-bad")
            elif ready is not None and ready.loading:
                busy(ready.loading).classes("a-status")


def _fields(event: GenericEventArguments) -> dict[str, object]:
    return event.args if isinstance(event.args, dict) else {}
