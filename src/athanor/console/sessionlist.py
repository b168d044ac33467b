"""Sessions as pages show them, each with a button that ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from anyio import to_thread

from athanor.console.gate import Visit
from athanor.console.rules import allow
from athanor.console.widgets import Tag, badge, button, moment
from athanor.errors import AthanorError
from athanor.types import Session

WAYS = {"link": "by a link", "password": "by password", "oidc": "by the provider"}


def session_list(
    here: Visit,
    sessions: Sequence[Session],
    own: str,
    *,
    named: bool,
    drawn: Callable[[], Awaitable[None]],
    tell: Callable[[Exception], None],
) -> None:
    """A row for each session; `own` is the id of the one that looks at the page."""

    def ending(session: Session) -> Callable[[], Awaitable[None]]:
        async def end() -> None:
            try:
                allow(here.principal, "session.end")
                await to_thread.run_sync(lambda: here.app.sessions.end_one(session.id, by=here.principal))
            except AthanorError as error:
                tell(error)
            await drawn()

        return end

    with Tag("div", "a-budgets"):
        for session in sessions:
            with Tag("section", "a-card a-budget", data_session=session.id):
                with Tag("div", "a-line"):
                    Tag("h3", "a-grow a-break", text=session.principal.name if named else browser(session.agent))
                    if session.id == own:
                        badge("this one", "is-good")
                with Tag("dl", "a-pairs"):
                    if named:
                        Tag("dt", text="Browser")
                        Tag("dd", text=browser(session.agent))
                    Tag("dt", text="Signed in")
                    with Tag("dd"):
                        moment(session.created_at)
                        Tag("span", text=f" {WAYS.get(session.way, session.way)}")
                    Tag("dt", text="Last used")
                    with Tag("dd"):
                        moment(session.seen_at)
                    if session.address:
                        Tag("dt", text="From")
                        Tag("dd", text=session.address)
                if session.id != own:
                    with Tag("div", "a-tools"):
                        button("End", ending(session), css="is-small")


def browser(agent: str) -> str:
    """A browser's own words in two of ours; what it says of itself is no proof of anything."""
    # Most name others beside themselves: the first that is not said by the rest counts.
    names = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    systems = (
        ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
        ("Mac OS", "macOS"), ("Linux", "Linux"),
    )  # fmt: skip
    found = [next((name for mark, name in marks if mark in agent), "") for marks in (names, systems)]
    return " on ".join(part for part in found if part) or agent[:60] or "unknown"
