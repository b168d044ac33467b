"""`/console/keys`: who may use the system, for what, and how much of it. For those who may administer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from anyio import to_thread
from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from athanor.console.budgets import meters
from athanor.console.gate import Visit, visit
from athanor.console.keyforms import ask_change, ask_new, limits_from, number_of, scopes_from, show_secret, text_of
from athanor.console.rules import allow
from athanor.console.widgets import Tag, badge, button, confirm, empty, failed, moment, page, problem, square
from athanor.errors import AthanorError, InputError
from athanor.governance import Grant, Teams
from athanor.governance.keys import GRACE_SECONDS
from athanor.observe.figures import dollars
from athanor.types import NO_LIMITS, ApiKey, Principal, RoleName, Scopes

DAY = 86400.0


async def show(request: Request, all: str = "") -> None:  # noqa: A002  a word of the address
    """Draw the page."""
    here = visit(request)
    with page("key", "Keys", css="is-wide"):
        drawn = _Page(here, everything=bool(all))
    await drawn.draw()


@dataclass(frozen=True, slots=True)
class _Row:
    key: ApiKey
    owner: Principal

    @property
    def state(self) -> tuple[str, str]:
        """In a word, and its colour."""
        if self.key.revoked_at is not None:
            return "revoked", "is-bad"
        if self.key.expires_at is not None and self.key.expires_at <= time.time():
            return "expired", "is-bad"
        return ("active", "is-good") if self.key.replaced_by is None else ("replaced", "is-warn")

    @property
    def over(self) -> bool:
        return self.state[1] == "is-bad"


class _Page:
    def __init__(self, here: Visit, *, everything: bool) -> None:
        self._app = here.app
        self._by = here.principal
        self._everything = everything
        self._teams = Teams(here.app.store, here.app.keys.forget)
        with Tag("div", "a-pagehead"):
            with Tag("div"):
                Tag("h1", text="Keys")
                Tag("p", text="Each program gets a key of its own: what it opens, and what it may spend.")
            button("New key", self._ask_new, css="is-main", sign="plus")
        self._body = Tag("div")
        ui.on("key-create", self._create)
        ui.on("key-change", self._change)

    async def draw(self) -> None:
        """Everything, read anew."""
        try:
            pairs = await to_thread.run_sync(self._app.keys.list)
        except AthanorError as error:
            self._body.clear()
            with self._body:
                problem(error, retry=self.draw)
            return
        rows = [_Row(key, owner) for key, owner in reversed(pairs)]
        over = sum(row.over for row in rows)
        self._body.clear()
        with self._body:
            shown = [row for row in rows if self._everything or not row.over]
            if not shown:
                empty("key", "No keys", "Make one, and give it to the program that shall use it.")
            else:
                self._table(shown)
            if over:
                text = f"Hide {over} that are over" if self._everything else f"Show {over} that are over, too"
                Tag(
                    "a",
                    "a-button is-quiet is-small",
                    text=text,
                    href="/console/keys" + ("" if self._everything else "?all=1"),
                )

    def _table(self, rows: list[_Row]) -> None:
        with Tag("div", "a-budgets"):
            for row in rows:
                self._card(row)

    def _card(self, row: _Row) -> None:
        key, (state, kind) = row.key, row.state
        spent = self._app.limits.spent("key", key.id)
        with Tag("section", "a-card a-budget", data_key=key.name):
            with Tag("div", "a-line"):
                Tag("h2", "a-grow a-break", text=key.name)
                badge(state, kind)
            with Tag("dl", "a-pairs"):
                owner = row.owner.name if row.owner.team is None else f"{row.owner.name}, team {row.owner.team.name}"
                for name, value in (("Whose", f"{owner} ({row.owner.role.value})"), ("Key", f"{key.hint}…")):
                    Tag("dt", text=name)
                    Tag("dd", text=value)
                for name, names in (
                    ("Models", key.scopes.models), ("Knowledge", key.scopes.knowledge), ("Interfaces", key.scopes.doors)
                ):  # fmt: skip
                    if names is not None:
                        Tag("dt", text=name)
                        Tag("dd", text=", ".join(names) or "none")
                Tag("dt", text="Spent")
                today, month = dollars(spent["usd_today"]), dollars(spent["usd_this_month"])
                Tag("dd", text=f"{today} today, {month} this month")
                for name, at in (("Ends", key.expires_at), ("Revoked", key.revoked_at)):
                    if at is not None:
                        Tag("dt", text=name)
                        with Tag("dd"):
                            moment(at)
                if key.record_content:
                    Tag("dt", text="Texts")
                    Tag("dd", text="recorded")
            if key.limits != NO_LIMITS:
                meters(key.limits, spent)
            if not row.over:
                self._tools(row)

    def _tools(self, row: _Row) -> None:
        key = row.key
        with Tag("div", "a-tools"):
            button("Change", lambda: ask_change(key), css="is-small", sign="edit")
            if key.replaced_by is None:
                button("Rotate", lambda: self._ask_rotate(key), css="is-small", sign="turn")
            square("trash", f"Revoke {key.name}", lambda: self._ask_revoke(key), css="is-small")

    # --- acting

    async def _ask_new(self) -> None:
        teams = await to_thread.run_sync(self._teams.list)
        ask_new([team.name for team, _ in teams])

    async def _create(self, event: GenericEventArguments) -> None:
        fields = _fields(event)

        def make() -> tuple[ApiKey, str]:
            days = number_of(fields, "days", "Ends after days")
            grant = Grant(
                expires_at=None if days is None else time.time() + DAY * days,
                scopes=scopes_from(fields, Scopes()),
                limits=limits_from(fields),
                record_content=bool(fields.get("record")),
            )
            name, role = text_of(fields, "name"), text_of(fields, "role")
            if not name:
                raise InputError("A key needs a name.", where="name")
            key, secret = self._app.keys.create(
                name, RoleName(role), grant=grant, key_name=text_of(fields, "key_name"),
                team=text_of(fields, "team") or None, by=self._by,
            )  # fmt: skip
            return key, secret.reveal()

        await self._secret(make)

    async def _change(self, event: GenericEventArguments) -> None:
        fields = _fields(event)

        def edit(key: ApiKey) -> ApiKey:
            return replace(
                key,
                name=text_of(fields, "name") or key.name,
                scopes=scopes_from(fields, key.scopes),
                limits=limits_from(fields),
                record_content=bool(fields.get("record")),
            )

        await self._do(lambda: self._app.keys.change(text_of(fields, "key"), edit, by=self._by))

    def _ask_rotate(self, key: ApiKey) -> None:
        async def act() -> None:
            def rotate() -> tuple[ApiKey, str]:
                new, secret = self._app.keys.rotate(key.id, by=self._by)
                return new, secret.reveal()

            new = await self._secret(rotate)
            if new is not None:
                self._app.limits.follow(key.id, new.id)
                await self.draw()

        hours = f"{GRACE_SECONDS / 3600:.0f} hours"
        confirm(
            f"Rotate {key.name}?",
            f"There will be a new secret. The old one works on for {hours}, so that programs can change over; both "
            "spend from one budget.",
            "Make a new secret",
            act,
        )

    def _ask_revoke(self, key: ApiKey) -> None:
        async def act() -> None:
            await self._do(lambda: self._app.keys.revoke(key.id, by=self._by))

        confirm(
            f"Revoke {key.name}?", "Programs that use it are refused at once. This cannot be undone.", "Revoke", act
        )

    async def _secret(self, make: Callable[[], tuple[ApiKey, str]]) -> ApiKey | None:
        try:
            allow(self._by, "keys.change")
            key, secret = await to_thread.run_sync(make)
        except (AthanorError, ValueError) as error:
            self._tell(error)
            return None
        await self.draw()
        with self._body:  # the dialog that asked for it may be gone
            show_secret(key, secret)
        return key

    async def _do(self, act: Callable[[], object]) -> None:
        try:
            allow(self._by, "keys.change")
            await to_thread.run_sync(act)
        except AthanorError as error:
            self._tell(error)
        await self.draw()

    def _tell(self, error: Exception) -> None:
        with self._body:  # the dialog that it happened in may be gone
            failed(error)


def _fields(event: GenericEventArguments) -> Mapping[str, Any]:
    return event.args if isinstance(event.args, dict) else {}
