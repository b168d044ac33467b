"""`/console/users`: who may sign in here, as what, and where they are signed in. For those who may administer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from anyio import to_thread
from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from athanor.console.gate import Visit, visit
from athanor.console.rules import allow
from athanor.console.session import cookie
from athanor.console.sessionlist import session_list
from athanor.console.widgets import Tag, badge, button, confirm, dialog, empty, failed, moment, page, problem
from athanor.console.words import many
from athanor.errors import AthanorError, InputError
from athanor.governance import Secret
from athanor.governance.sessions import id_of
from athanor.types import RoleName, User


async def show(request: Request) -> None:
    """Draw the page."""
    here = visit(request)
    own = id_of(cookie(request.scope, here.app.settings.access))
    with page("users", "Users", css="is-wide"):
        drawn = _Page(here, own)
    await drawn.draw()


class _Page:
    def __init__(self, here: Visit, own: str) -> None:
        self._here, self._own = here, own
        self._app, self._by = here.app, here.principal
        with Tag("div", "a-pagehead"):
            with Tag("div"):
                Tag("h1", text="Users")
                Tag("p", text="People who sign in to this console. What each may do is their role's.")
            button("New user", self._ask_new, css="is-main", sign="plus")
        self._body = Tag("div", "a-stack")
        ui.on("user-create", self._create)
        ui.on("user-role", self._role)
        ui.on("user-password", self._password)

    async def draw(self) -> None:
        """Everything, read anew."""
        try:
            users = await to_thread.run_sync(self._app.users.list)
            sessions = await to_thread.run_sync(lambda: self._app.sessions.list(by=self._by))
        except AthanorError as error:
            self._body.clear()
            with self._body:
                problem(error, retry=self.draw)
            return
        counts = Counter(session.principal.id for session in sessions)
        self._body.clear()
        with self._body:
            if users:
                with Tag("div", "a-budgets"):
                    for user in users:
                        self._card(user, counts[user.principal.id])
            else:
                empty("users", "No users", "Until there are some, one-time links are the only way in.")
            with Tag("div", "a-line"):
                Tag("h2", text="Sessions")
                badge(str(len(sessions)))
            session_list(self._here, sessions, self._own, named=True, drawn=self.draw, tell=self._tell)

    def _card(self, user: User, sessions: int) -> None:
        who = user.principal
        with Tag("section", "a-card a-budget", data_user=who.name):
            with Tag("div", "a-line"):
                Tag("h2", "a-grow a-break", text=who.name)
                badge("disabled", "is-bad") if user.disabled_at is not None else badge("active", "is-good")
            with Tag("dl", "a-pairs"):
                way = "a password" if user.has_password else user.issuer or "a link"
                for name, value in (("Role", who.role.value), ("Signs in by", way), ("Now", many(sessions, "session"))):
                    Tag("dt", text=name)
                    Tag("dd", text=value)
                for name, at in (("Since", user.created_at), ("Password of", user.changed_at)):
                    if at is not None:
                        Tag("dt", text=name)
                        with Tag("dd"):
                            moment(at)
            with Tag("div", "a-tools"):
                if who.id != self._by.id:
                    button("Role", partial(_ask_role, user), css="is-small", sign="edit")
                if user.has_password:
                    button("Password", partial(_ask_password, user), css="is-small", sign="key")
                if who.id != self._by.id:
                    button(
                        "Enable" if user.disabled_at else "Disable", partial(self._ask_disable, user), css="is-small"
                    )

    # --- acting

    def _ask_new(self) -> None:
        with dialog("New user"), Tag("form", "a-stack", data_emit="user-create"):
            with Tag("label", "a-label", text="Name"):
                Tag("input", "a-input", name="name", required=True, maxlength=100, autocomplete="off", data_focus="")
            _roles(RoleName.USER)
            _new_password()
            _actions("Make user")

    async def _create(self, event: GenericEventArguments) -> None:
        fields = _fields(event)

        def make() -> None:
            name, role = str(fields.get("name", "")), RoleName(str(fields.get("role", "")))
            self._app.users.create(name, role, _typed(fields), by=self._by)

        await self._do(make)

    async def _role(self, event: GenericEventArguments) -> None:
        fields = _fields(event)
        await self._do(
            lambda: self._app.users.set_role(
                str(fields.get("user", "")), RoleName(str(fields.get("role", ""))), by=self._by
            )
        )

    async def _password(self, event: GenericEventArguments) -> None:
        fields = _fields(event)
        await self._do(lambda: self._app.users.set_password(str(fields.get("user", "")), _typed(fields), by=self._by))

    def _ask_disable(self, user: User) -> None:
        disabled = user.disabled_at is None

        async def act_on() -> None:
            await self._do(lambda: self._app.users.disable(user.principal.id, disabled=disabled, by=self._by))

        name = user.principal.name
        if disabled:
            text = "Their sessions end, and their keys are refused, until you enable them again."
            confirm(f"Disable {name}?", text, "Disable", act_on)
        else:
            confirm(f"Enable {name}?", "They may sign in again, and their keys work again.", "Enable", act_on)

    async def _do(self, change: Callable[[], object]) -> None:
        try:
            allow(self._by, "users.change")
            await to_thread.run_sync(change)
        except (AthanorError, ValueError) as error:
            self._tell(error)
            return
        await self.draw()

    def _tell(self, error: Exception) -> None:
        with self._body:  # the dialog that it happened in may be gone
            failed(error)


def _ask_role(user: User) -> None:
    with dialog(f"The role of {user.principal.name}"), Tag("form", "a-stack", data_emit="user-role"):
        Tag("input", type="hidden", name="user", value=user.principal.id)
        _roles(user.principal.role)
        Tag("p", "a-small a-muted", text="Their sessions end; it holds for their keys, too.")
        _actions("Save")


def _ask_password(user: User) -> None:
    with dialog(f"A new password for {user.principal.name}"), Tag("form", "a-stack", data_emit="user-password"):
        Tag("input", type="hidden", name="user", value=user.principal.id)
        _new_password()
        Tag("p", "a-small a-muted", text="Their sessions end.")
        _actions("Save")


def _roles(chosen: RoleName) -> None:
    with Tag("label", "a-label", text="Role"), Tag("span", "a-pick"), Tag("select", "a-select", name="role"):
        for role in RoleName:
            Tag("option", text=role.value, value=role.value, selected=role is chosen or None)


def _new_password() -> None:
    for name, label in (("password", "Password"), ("again", "Password again")):
        with Tag("label", "a-label", text=label):
            Tag(
                "input", "a-input", name=name, type="password", required=True, maxlength=1024,
                autocomplete="new-password",
            )  # fmt: skip


def _actions(word: str) -> None:
    with Tag("div", "a-actions"):
        button("Cancel", data_close="")
        button(word, css="is-main", type="submit")


def _typed(fields: Mapping[str, Any]) -> Secret:
    """The new password.

    Raises:
        InputError: it was not typed twice in the same way.
    """
    if fields.get("password") != fields.get("again"):
        raise InputError("The password was not typed twice in the same way.")
    return Secret(str(fields.get("password", "")))


def _fields(event: GenericEventArguments) -> Mapping[str, Any]:
    return event.args if isinstance(event.args, dict) else {}
