from __future__ import annotations

import time

import pytest

from athanor.config import AccessSettings
from athanor.errors import AuthenticationError
from athanor.governance import Links, Sessions
from athanor.governance.links import LINK_SECONDS
from athanor.store import Store
from athanor.types import Principal, RoleName


@pytest.fixture
def ada(store: Store) -> Principal:
    return store.principals.create("ada", RoleName.ADMIN)


@pytest.fixture
def sessions(store: Store) -> Sessions:
    return Sessions(store, AccessSettings())


@pytest.fixture
def links(store: Store, sessions: Sessions) -> Links:
    return Links(store, sessions)


def test_a_link_opens_one_session(store: Store, links: Links, sessions: Sessions, ada: Principal) -> None:
    token = links.create(ada)
    session, principal = links.exchange(token.reveal())
    assert principal == ada == sessions.identify(session.reveal()).principal
    with pytest.raises(AuthenticationError, match="used already"):
        links.exchange(token.reveal())
    assert [entry.action for entry in store.audit.entries()] == ["link.used", "link.created"]


def test_a_link_lasts_ten_minutes(links: Links, ada: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    token = links.create(ada)
    now = time.time()
    assert LINK_SECONDS == 600
    monkeypatch.setattr(time, "time", lambda: now + LINK_SECONDS + 1)
    with pytest.raises(AuthenticationError):
        links.exchange(token.reveal())


def test_tokens_are_not_interchangeable(links: Links, sessions: Sessions, ada: Principal) -> None:
    token = links.create(ada)
    with pytest.raises(AuthenticationError):
        sessions.identify(token.reveal())
    session, _ = links.exchange(token.reveal())
    with pytest.raises(AuthenticationError):
        links.exchange(session.reveal())
    with pytest.raises(AuthenticationError):
        links.exchange("")
