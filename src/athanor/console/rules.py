"""Who may use which page and which action of the console: the whole table.

A page without a rule does not start, and an action without one fails. The rules are applied by `governance.admit`, as
those of the API are. Whoever signs in as a person has no key, so its scopes and limits play no part here.
"""

from __future__ import annotations

from collections.abc import Mapping

from athanor.errors import PermissionDeniedError
from athanor.governance import Right, Rule, admit
from athanor.types import Principal

_OPEN, _SESSION = Rule(public=True), Rule(session=True)
_ASK, _BUILD = Rule(session=True, right=Right.ASK), Rule(session=True, right=Right.BUILD)
_ADMINISTER = Rule(session=True, right=Right.ADMINISTER)
_OWN_OR_OPERATE = Rule(session=True, own=(Right.OPERATE,))
_OWN_OR_REVIEW = Rule(session=True, own=(Right.REVIEW, Right.OPERATE))

REQUESTS: Mapping[str, Rule] = {
    "GET /login": _OPEN,
    "POST /login": _OPEN,
    "GET /oidc/start": _OPEN,
    "GET /oidc/callback": _OPEN,
    "POST /logout": _SESSION,
    "POST /password": _SESSION,
    "POST /upload/files": _BUILD,
}
"""What is no page, below `/console`."""

PAGES: Mapping[str, Rule] = {
    "/": _SESSION,
    "/knowledge": _SESSION,
    "/document/{document}": _SESSION,
    "/lab": _SESSION,
    "/quality": _ADMINISTER,
    "/models": _SESSION,
    "/costs": _OWN_OR_OPERATE,
    "/traces": _OWN_OR_REVIEW,
    "/traces/{trace}": _OWN_OR_REVIEW,
    "/guards": Rule(session=True, right=Right.REVIEW),
    "/guards/try": Rule(session=True, right=Right.REVIEW),
    "/guards/policy": _ADMINISTER,
    "/keys": _ADMINISTER,
    "/users": _ADMINISTER,
    "/account": _SESSION,
}

ACTIONS: Mapping[str, Rule] = {
    "ask": _ASK,
    "rate": Rule(session=True, own=(Right.REVIEW,)),
    "costs.of_all": Rule(session=True, right=Right.OPERATE),
    "knowledge.change": _BUILD,
    "sources.change": _BUILD,
    "sources.folders": _ADMINISTER,
    "guards.try": Rule(session=True, right=Right.REVIEW),
    "guards.change": _ADMINISTER,
    "keys.change": _ADMINISTER,
    "users.change": _ADMINISTER,
    "session.end": Rule(session=True, own=(Right.ADMINISTER,)),
}
"""What is done on a page, over its socket."""


def allow(who: Principal, action: str) -> None:
    """Let `who` do something.

    Raises:
        PermissionDeniedError: their role may not.
    """
    admit(ACTIONS[action], who, None)


def can(who: Principal, action: str) -> bool:
    """May `who` do it: to leave out what would be refused."""
    return _passes(ACTIONS[action], who)


def sees(who: Principal, page: str) -> bool:
    """May `who` open a page (by its path below `/console`)."""
    return _passes(PAGES[page], who)


def _passes(rule: Rule, who: Principal) -> bool:
    try:
        admit(rule, who, None)
    except PermissionDeniedError:
        return False
    return True
