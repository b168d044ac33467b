"""`/console/account`: one's own password and sessions."""

from __future__ import annotations

from anyio import to_thread
from starlette.requests import Request

from athanor.console.gate import Visit, visit
from athanor.console.session import cookie
from athanor.console.sessionlist import session_list
from athanor.console.widgets import Tag, badge, button, failed, notice, page
from athanor.governance.sessions import id_of


async def show(request: Request, changed: str = "") -> None:
    """Draw the page."""
    here = visit(request)
    own = id_of(cookie(request.scope, here.app.settings.access))
    user = await to_thread.run_sync(here.app.store.users.find, here.principal.id)
    with page("user", "Account"):
        with Tag("div", "a-pagehead"), Tag("div"):
            Tag("h1", text=here.principal.name)
            Tag("p", text=f"Your role is {here.principal.role.value}.")
        if changed:
            notice("Your password was changed, and all other sessions have ended.", kind="is-good")
        with Tag("section", "a-stack"):
            Tag("h2", text="Password")
            if user is not None and user.has_password:
                _form()
            elif user is not None and user.issuer is not None:
                Tag("p", "a-muted", text=f"You sign in by {user.issuer}, which keeps your password.")
            else:
                text = "You sign in by a one-time link, and have no password."
                Tag("p", "a-muted", text=f"{text} 'athanor users create' gives people one.")
        body = Tag("section", "a-stack")
    await _Sessions(here, own, body).draw()


def _form() -> None:
    # A plain form, because the answer brings a new cookie, which no socket can.
    with Tag("form", "a-stack a-narrow", method="post", action="/console/password"):
        for name, label, complete in (
            ("old", "Old password", "current-password"),
            ("new", "New password", "new-password"),
            ("again", "New password again", "new-password"),
        ):
            with Tag("label", "a-label", text=label):
                Tag(
                    "input", "a-input", name=name, type="password", required=True, maxlength=1024, autocomplete=complete
                )
        with Tag("div", "a-actions"):
            button("Change password", css="is-main", type="submit")


class _Sessions:
    def __init__(self, here: Visit, own: str, body: Tag) -> None:
        self._here, self._own, self._body = here, own, body

    async def draw(self) -> None:
        """Everything, read anew."""
        found = await to_thread.run_sync(lambda: self._here.app.sessions.list(by=self._here.principal))
        mine = [one for one in found if one.principal.id == self._here.principal.id]
        self._body.clear()
        with self._body:
            with Tag("div", "a-line"):
                Tag("h2", text="Sessions")
                badge(str(len(mine)))
            session_list(self._here, mine, self._own, named=False, drawn=self.draw, tell=self._tell)

    def _tell(self, error: Exception) -> None:
        with self._body:  # the dialog that it happened in may be gone
            failed(error)
