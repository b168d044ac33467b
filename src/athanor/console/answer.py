"""One question and its answer on the screen: text as it streams, numbered citations, sources, a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from athanor.console.widgets import Act, Tag, button, icon, notice, problem, square
from athanor.console.words import many
from athanor.data.places import without_box
from athanor.types import AnswerMode, Citation, Cited, Event, Finished, FinishReason, Graded, TextDelta

OpenCitation = Callable[[Citation, int | None], object]
Rate = Callable[["Turn", int], object]

HOW = {
    AnswerMode.EXTRACTIVE: ("books", "Quoted from your documents"),
    AnswerMode.GENERATIVE: ("flame", "Written by the model; every sentence checked against its source"),
}


@dataclass(slots=True)
class Numbers:
    """Each different passage of an answer has one number, from 1, in the order of its first use."""

    citations: list[Citation] = field(default_factory=list)

    def of(self, citation: Citation) -> int:
        """The number of this passage."""
        span = (citation.document, citation.version, citation.start, citation.end)
        for number, known in enumerate(self.citations, start=1):
            if (known.document, known.version, known.start, known.end) == span:
                return number
        self.citations.append(citation)
        return len(self.citations)


class Turn:
    """Draws a question and, as events come in, its answer."""

    def __init__(self, question: str, trace: str, *, cited: bool, open_citation: OpenCitation, rate: Rate) -> None:
        self.question = question
        self.trace = trace
        self.text = ""
        self.finished: Finished | None = None
        self.verdict = 0
        self._cited = cited
        self._open_citation = open_citation
        self._rate = rate
        self._numbers = Numbers()
        self._cut = 0
        self._tail: Tag | None = None
        self._chips: list[tuple[int, Tag]] = []
        self._cite_box: Tag | None = None
        Tag("div", "a-question", text=question, data_turn="")
        with Tag("section", "a-answer", aria_label="Answer", data_trace=trace) as self._box:
            self._how = Tag("div", "a-how")
            self._said = Tag("div", "a-said is-live")
            self._after = Tag("div", "a-stack")
            self._verdict = Tag("div", "a-verdict")
            self._comment = Tag("div")
        self._say_how("flame", "Looking in the documents" if cited else "Thinking")

    def show(self, event: Event) -> None:
        """Take one event of the answer's stream."""
        if isinstance(event, TextDelta):
            self.text += event.text
            self._grow()
        elif isinstance(event, Cited):
            self._cite(event)
        elif isinstance(event, Graded):
            self._grade(event)
        elif isinstance(event, Finished):
            self._finish(event)

    def expect(self, mode: AnswerMode | None) -> None:
        """The mode that this answer will have, where it is known before the end."""
        self._said.classes(add="is-cited" if self._cited else "")
        if mode is AnswerMode.EXTRACTIVE:
            self._said.classes(add="is-quoted")
        elif mode is AnswerMode.GENERATIVE and self.finished is None:
            self._say_how("flame", "The model writes; a sentence appears once its source is found")

    def stop(self) -> None:
        """The person stopped it; what is there stays."""
        self._said.classes(remove="is-live")
        self._say_how("stop", "Stopped")
        self.rating(0)

    def fail(self, error: Exception, retry: Act) -> None:
        """The answer ended with an error."""
        self._said.classes(remove="is-live")
        self._how.set_visibility(False)
        with self._after:
            problem(error, retry=retry)

    def mark(self, number: int | None) -> None:
        """Show which citation is open in the panel."""
        for own, tag in self._chips:
            tag.classes(add="is-open" if own == number else "", remove="" if own == number else "is-open")

    def rating(self, value: int) -> None:
        """Draw the verdict's buttons, `value` pressed."""
        self.verdict = value
        self._verdict.clear()
        with self._verdict:
            for sign, own, label in (("up", 1, "Good answer"), ("down", -1, "Bad answer")):
                pressed = "true" if own == value else "false"
                square(sign, label, lambda own=own: self._rate(self, own), css="is-small", aria_pressed=pressed)

    def ask_comment(self, value: int) -> None:
        """Offer a comment on the verdict."""
        self._comment.clear()
        asked = "What was good about it?" if value > 0 else "What was wrong with it?"
        with self._comment, Tag("form", "a-comment", data_emit="comment"):
            Tag("input", type="hidden", name="trace", value=self.trace)
            with Tag("label", "a-label", text=f"{asked} (optional)"):
                Tag("textarea", "a-field", name="comment", rows=2, maxlength=4000, data_focus="")
            with Tag("div", "a-actions"):
                button("No comment", self._comment.clear, css="is-small is-quiet")
                button("Send", css="is-small is-main", type="submit")

    def thank(self) -> None:
        """Say that the verdict is stored."""
        self._comment.clear()
        with self._comment:
            Tag(
                "p",
                "a-small a-muted",
                text="Thank you. Your verdict is stored with this answer's trace.",
                role="status",
            )

    def complain(self, error: Exception) -> None:
        """Say that the verdict could not be stored."""
        self._comment.clear()
        with self._comment:
            problem(error)

    def _grow(self) -> None:
        shown = self.text[self._cut :]
        if self._tail is None and shown:
            with self._said:
                self._tail = Tag("span", "a-plain", text=shown)
        elif self._tail is not None:
            self._tail.say(shown)

    def _cite(self, event: Cited) -> None:
        number = self._numbers.of(event.citation)
        if event.start >= self._cut:
            if self._tail is not None:
                self._tail.delete()
                self._tail = None
            with self._said:
                if gap := self.text[self._cut : event.start]:
                    Tag("span", "a-plain" if gap.strip() else "a-plain is-gap", text=gap)
                with Tag("span", "a-cite") as cite:
                    Tag("span", "a-words", text=self.text[event.start : event.end])
            self._cut = event.end
            self._cite_box = cite
        if self._cite_box is not None:
            with self._cite_box:
                chip = self._chip(event.citation, number)
            self._chips += [(number, self._cite_box), (number, chip)]
        self._grow()

    def _grade(self, event: Graded) -> None:
        """Mark a sentence that no source supports; the others have their citations."""
        if event.supported or event.start < self._cut:
            return
        if self._tail is not None:
            self._tail.delete()
            self._tail = None
        told = f"No source supports this sentence: {event.score:.0%} likely to be supported"
        with self._said:
            if gap := self.text[self._cut : event.start]:
                Tag("span", "a-plain", text=gap)
            Tag("mark", "a-plain a-unsure", text=self.text[event.start : event.end], title=told, data_unsure="")
        self._cut = event.end
        self._grow()

    def _chip(self, citation: Citation, number: int) -> Tag:
        label = f"Source {number}: {_where(citation)}"
        made = Tag("button", "a-chip", text=str(number), type="button", title=label, aria_label=label)
        return made.on_click(lambda: self._open_citation(citation, number))

    def _finish(self, end: Finished) -> None:
        self.finished = end
        self._said.classes(remove="is-live")
        self.expect(end.mode)
        if end.abstained:
            self._say_how("alert", "Not answered: the documents do not seem to say")
        elif end.mode is not None:
            sign, how = HOW[end.mode]
            sure = "" if end.confidence is None else f" · {end.confidence:.0%} likely to hold the answer"
            self._say_how(sign, how + sure)
        else:
            self._say_how("flame", "Written by the model, without sources")
            self._blocks()
        with self._after:
            if self._numbers.citations:
                self._sources()
            if end.dropped and not end.abstained:
                verb = "was" if end.dropped == 1 else "were"
                text = f"{many(end.dropped, 'sentence')} that no source supported {verb} left out."
                Tag("p", "a-small a-muted", text=text)
            if end.groundedness is not None and end.mode is AnswerMode.GENERATIVE:
                text = f"The least supported sentence is {end.groundedness:.0%} likely to be what its source says."
                Tag("p", "a-small a-muted", text=text)
            if end.conflicts:
                self._conflicts(end)
            if end.abstained and end.nearest:
                self._nearest(end)
            if end.reason is FinishReason.LENGTH:
                notice("The answer reached its length limit.", kind="is-warn")
        self.rating(0)

    def _sources(self) -> None:
        documents: dict[tuple[str, int], list[tuple[int, Citation]]] = {}
        for number, citation in enumerate(self._numbers.citations, start=1):
            documents.setdefault((citation.document, citation.version), []).append((number, citation))
        with Tag("div", "a-sources"):
            for cited in documents.values():
                with Tag("div", "a-source"):
                    with Tag("span", "a-line"):
                        for number, citation in cited:
                            self._chips.append((number, self._chip(citation, number)))
                    first = cited[0][1]
                    Tag("b", "a-clip", text=first.title or first.source)
                    places = dict.fromkeys(_place(citation) for _, citation in cited)
                    Tag("span", "a-clip a-muted", text=", ".join([first.source, *filter(None, places)]))

    def _conflicts(self, end: Finished) -> None:
        """Sources that do not agree: what about, and both to be opened."""
        with Tag("div", "a-sources", data_conflicts=""):
            Tag("p", "a-small a-muted", text="Sources that do not agree:")
            for conflict in end.conflicts:
                with Tag("div", "a-conflict"):
                    icon("alert")
                    with Tag("span", "a-grow"):
                        Tag("b", text=conflict.reason)
                        self._passage(conflict.first)
                        self._passage(conflict.second)

    def _nearest(self, end: Finished) -> None:
        """After an abstention: what came closest, for the person to judge."""
        with Tag("div", "a-sources"):
            Tag("p", "a-small a-muted", text="The nearest passages, which may or may not help:")
            for citation in end.nearest:
                self._passage(citation)

    def _passage(self, citation: Citation) -> None:
        row = Tag("button", "a-source is-plain", type="button")
        with row.on_click(lambda: self._open_citation(citation, None)):
            icon("page")
            with Tag("span", "a-grow"):
                Tag("b", text=_where(citation))
                Tag("span", "a-snippet", text=" ".join(citation.quote.split())[:240])

    def _blocks(self) -> None:
        """A model's own text, once it is whole: fenced code in a box, the rest as it is."""
        if "```" not in self.text:
            return
        self._said.clear()
        with self._said:
            for index, part in enumerate(self.text.split("```")):
                if index % 2:
                    _, _, code = part.partition("\n")
                    Tag("pre", text=(code or part).rstrip("\n"))
                elif part.strip():
                    Tag("span", text=part.strip("\n"))

    def _say_how(self, sign: str, text: str) -> None:
        self._how.clear()
        with self._how:
            icon(sign)
            Tag("span", text=text)


def _place(citation: Citation) -> str:
    return without_box(citation.place) or (f"page {citation.page}" if citation.page else "")


def _where(citation: Citation) -> str:
    return ", ".join(filter(None, (citation.title or citation.source, _place(citation))))
