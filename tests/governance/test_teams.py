from __future__ import annotations

import pytest

from athanor.errors import ConflictError, NotFoundError
from athanor.governance import Keys, Teams
from athanor.store import Store
from athanor.types import NO_LIMITS, Limits, RoleName


@pytest.fixture
def keys(store: Store) -> Keys:
    return Keys(store)


@pytest.fixture
def teams(store: Store, keys: Keys) -> Teams:
    return Teams(store, keys.forget)


def test_the_life_of_a_team(store: Store, teams: Teams, keys: Keys) -> None:
    ada = store.principals.create("ada", RoleName.ADMIN)
    team = teams.create("blue", Limits(usd_per_day=5), by=ada)
    assert teams.get("blue") == teams.get(team.id) == team
    with pytest.raises(ConflictError, match="'blue' exists"):
        teams.create("blue")
    key, _ = keys.create("bob", RoleName.USER, team="blue")
    assert [(t.name, [m.name for m in members]) for t, members in teams.list()] == [("blue", ["bob"])]
    with pytest.raises(ConflictError, match="has members"):
        teams.delete("blue")
    assert teams.move("bob", None, by=ada).team is None
    assert teams.delete("blue", by=ada) == team
    with pytest.raises(NotFoundError, match="teams list"):
        teams.get("blue")
    assert [(e.action, e.principal) for e in reversed(store.audit.entries()) if e.subject != key.id] == [
        ("team.created", ada.id),
        ("principal.moved", ada.id),
        ("team.deleted", ada.id),
    ]
    moved = next(e for e in store.audit.entries() if e.action == "principal.moved")
    assert moved.details == {"from": team.id, "to": None}


def test_a_change_is_seen_by_the_next_request(teams: Teams, keys: Keys) -> None:
    teams.create("blue")
    teams.create("red", Limits(concurrency=3))
    _, secret = keys.create("bob", RoleName.USER, team="blue")

    def team() -> tuple[str, Limits]:
        principal, _ = keys.identify(secret.reveal())
        assert principal.team is not None
        return principal.team.name, principal.team.limits

    assert team() == ("blue", NO_LIMITS)
    teams.limit("blue", lambda _: Limits(usd_per_day=1))
    assert team() == ("blue", Limits(usd_per_day=1))
    teams.move("bob", "red")
    assert team() == ("red", Limits(concurrency=3))


def test_who_and_where_must_exist(store: Store, teams: Teams, keys: Keys) -> None:
    store.principals.create("ada", RoleName.ADMIN)
    for wrong in (
        lambda: teams.move("ada", "nowhere"),
        lambda: teams.move("nobody", None),
        lambda: teams.limit("nowhere", lambda _: NO_LIMITS),
        lambda: teams.delete("nowhere"),
        lambda: keys.create("bob", RoleName.USER, team="nowhere"),
    ):
        with pytest.raises(NotFoundError):
            wrong()
    assert store.principals.find("bob") is None, "half of it was done"
    teams.create("blue")
    with pytest.raises(ConflictError, match="in no team"):
        keys.create("ada", RoleName.ADMIN, team="blue")
    teams.move("ada", "blue")
    keys.create("ada", RoleName.ADMIN, team="blue")
    keys.create("ada", RoleName.ADMIN)
