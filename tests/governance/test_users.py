"""Passwords, sign-in, delays and sessions."""

from __future__ import annotations

import time
import unicodedata
from contextlib import suppress

import pytest

from athanor.config import AccessSettings
from athanor.errors import AuthenticationError, ConflictError, InputError, NotFoundError, RateLimitError
from athanor.governance import Keys, Links, Secret, Sessions, Users
from athanor.governance.delays import Delays
from athanor.governance.passwords import Passwords
from athanor.store import Store
from athanor.types import Principal, RoleName, Visitor

CHEAP = AccessSettings(argon2_memory_kib=64, argon2_iterations=1)
GOOD = Secret("nine red herons wade")
HOME, ELSEWHERE = Visitor(address="192.0.2.1", agent="Firefox"), Visitor(address="198.51.100.7")


class World:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys = Keys(store)
        self.sessions = Sessions(store, CHEAP)
        self.links = Links(store, self.sessions)
        self.users = Users(store, self.keys, self.sessions, CHEAP)
        self.root = store.principals.create("root", RoleName.ADMIN)

    def actions(self) -> list[str]:
        return [entry.action for entry in reversed(self.store.audit.entries())]


@pytest.fixture
def world(store: Store) -> World:
    made = World(store)
    made.users.create("ada", RoleName.DEVELOPER, GOOD, by=made.root)
    return made


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# --- passwords


def test_the_usual_cost_is_owasps_and_the_hash_says_so() -> None:
    hashed = Passwords(AccessSettings()).hash(GOOD.reveal())
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert GOOD.reveal() not in hashed


def test_a_hash_is_of_one_password_and_salted() -> None:
    passwords = Passwords(CHEAP)
    first, second = passwords.hash("nine red herons"), passwords.hash("nine red herons")
    assert first != second
    assert passwords.verify("nine red herons", first)
    assert passwords.verify("nine red herons", second)
    for wrong in ("nine red heron", "", "Nine red herons", "nine red herons ", "x" * 100_000):
        assert not passwords.verify(wrong, first)
    assert not passwords.verify("nine red herons", None)


def test_every_keyboard_types_the_same_password() -> None:
    passwords = Passwords(CHEAP)
    composed, decomposed = (unicodedata.normalize(form, "Öl für müde Räder") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert passwords.verify(decomposed, passwords.hash(composed))


@pytest.mark.parametrize(
    "password",
    [
        "short", "x" * 1025, "password2024!", "P@ssw0rd!!!!!!", "123456789012", "qwertyuiop12", "aaaaaaaaaaaa",
        "abcabcabcabc", "correcthorsebatterystaple", "ada.lovelace", "AdaLovelace1815", "athanor-athanor",
        "passwordpassword", "987654321098",
    ],
)  # fmt: skip
def test_a_password_that_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(InputError) as caught:
        Passwords(CHEAP).check(password, "ada.lovelace")
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    "password", ["nine red herons wade", "Tr4verse-molten!", "ζεύγος-από-ερωδιούς", "x9$kPq2#vLm7"]
)
def test_length_counts_and_not_kinds_of_characters(password: str) -> None:
    Passwords(CHEAP).check(password, "ada")


# --- signing in


def test_a_user_signs_in_with_their_password_and_nothing_else(world: World) -> None:
    token, who = world.users.sign_in("ada", GOOD, visitor=HOME)
    assert (who.name, who.role) == ("ada", RoleName.DEVELOPER)
    session = world.sessions.identify(token.reveal())
    assert (session.principal.id, session.way, session.address, session.agent) == (
        who.id, "password", "192.0.2.1", "Firefox",
    )  # fmt: skip
    for name, password in [("ada", "nine red herons wad"), ("ADA", GOOD.reveal()), (who.id, GOOD.reveal()), ("", "")]:
        with pytest.raises(AuthenticationError, match="Name or password"):
            world.users.sign_in(name, Secret(password), visitor=ELSEWHERE)


def test_whoever_cannot_come_in_is_told_the_same_after_the_same_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.users.create("eve", RoleName.USER, GOOD)
    world.users.disable("eve", by=world.root)
    world.users.create("link only", RoleName.USER, None)
    worked: list[str] = []
    verify = Passwords.verify

    def counted(self: Passwords, password: str, hashed: str | None) -> bool:
        worked.append("verified")
        return verify(self, password, hashed)

    monkeypatch.setattr(Passwords, "verify", counted)
    heard, before = set(), len(world.actions())
    for name in ("ada", "nobody", "eve", "link only", "root"):
        password = GOOD if name == "eve" else Secret("wrong wrong wrong")
        with pytest.raises(AuthenticationError) as caught:
            world.users.sign_in(name, password, visitor=HOME)
        heard.add(str(caught.value))
    assert len(heard) == 1
    assert len(worked) == 5
    assert world.actions()[before:] == ["sign_in.failed"] * 5


def test_a_hash_of_an_older_cost_is_renewed_at_the_next_sign_in(world: World) -> None:
    ada = world.store.users.get("ada").principal.id
    dearer = CHEAP.model_copy(update={"argon2_iterations": 2})
    Users(world.store, world.keys, world.sessions, dearer).sign_in("ada", GOOD, visitor=HOME)
    hashed = world.store.users.password(ada)
    assert hashed is not None
    assert ",t=2," in hashed
    assert "password_changed" not in "".join(world.actions()[2:])
    world.users.sign_in("ada", GOOD, visitor=HOME)


def test_names_and_roles_are_checked_when_a_user_is_made(world: World) -> None:
    with pytest.raises(ConflictError, match="sign in already"):
        world.users.create("ada", RoleName.DEVELOPER, GOOD)
    with pytest.raises(ConflictError, match="role admin"):
        world.users.create("root", RoleName.USER, GOOD)
    for name in ("", "  ", "a\nb", "x" * 101):
        with pytest.raises(InputError):
            world.users.create(name, RoleName.USER, GOOD)
    assert world.users.create("root", RoleName.ADMIN, GOOD).principal.id == world.root.id


# --- delays


def tries(world: World, name: str, visitor: Visitor, count: int, clock: Clock) -> list[float]:
    """The waits that `count` wrong guesses are told, each guess as soon as it is let in."""
    waits = []
    for _ in range(count):
        try:
            world.users.sign_in(name, Secret("wrong wrong wrong"), visitor=visitor)
        except RateLimitError as error:
            assert error.retry_after is not None
            waits.append(error.retry_after)
            clock.now += error.retry_after
        except AuthenticationError:
            waits.append(0.0)
    return waits


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_guessing_waits_longer_each_time_and_never_for_ever(world: World, clock: Clock, name: str) -> None:
    waits = [wait for wait in tries(world, name, HOME, 60, clock) if wait]
    assert waits[:4] == pytest.approx([1, 2, 4, 8])
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(900)


def test_many_guesses_at_once_count_each(world: World, clock: Clock) -> None:
    delays = Delays(world.store)
    for _ in range(5):
        delays.begin("ada", "192.0.2.1")  # none has been answered yet
    with pytest.raises(RateLimitError):
        delays.begin("ada", "192.0.2.1")


def test_a_wait_refuses_the_right_password_too_and_then_lets_it_in(world: World, clock: Clock) -> None:
    tries(world, "ada", HOME, 5, clock)
    with pytest.raises(RateLimitError):
        world.users.sign_in("ada", GOOD, visitor=HOME)
    clock.now += 1.01
    world.users.sign_in("ada", GOOD, visitor=HOME)
    assert tries(world, "ada", HOME, 5, clock) == [0.0] * 5  # it begins anew


def test_nobody_can_keep_the_owner_out_of_their_account(world: World, clock: Clock) -> None:
    world.users.sign_in("ada", GOOD, visitor=HOME)
    for number in range(200):  # from everywhere
        with suppress(AuthenticationError, RateLimitError):
            world.users.sign_in("ada", Secret("wrong wrong wrong"), visitor=Visitor(address=f"203.0.113.{number}"))
    world.users.sign_in("ada", GOOD, visitor=HOME)  # where she signed in before
    with pytest.raises(RateLimitError) as caught:
        world.users.sign_in("ada", GOOD, visitor=ELSEWHERE)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after <= 60
    clock.now += 60
    world.users.sign_in("ada", GOOD, visitor=ELSEWHERE)


def test_an_address_that_tries_many_accounts_waits_though_it_owns_one(world: World, clock: Clock) -> None:
    with pytest.raises(RateLimitError):  # one good account buys no guesses at others
        for number in range(40):
            with pytest.raises(AuthenticationError):
                world.users.sign_in(f"user {number}", Secret("wrong wrong wrong"), visitor=ELSEWHERE)
            world.users.sign_in("ada", GOOD, visitor=ELSEWHERE)
    world.users.sign_in("ada", GOOD, visitor=HOME)


def test_neighbours_in_one_ipv6_network_are_one_address(world: World) -> None:
    delays = Delays(world.store)
    for number in range(5):
        delays.begin("ada", f"2001:db8::{number}")
    with pytest.raises(RateLimitError):
        delays.begin("ada", "2001:db8::99")
    delays.begin("ada", "2001:db8:1::1")


def test_what_is_counted_is_bounded_and_forgotten(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("athanor.store.attempts.LARGEST", 30)
    delays = Delays(world.store)
    for number in range(40):
        clock.now += 1
        delays.begin(f"name {number}", f"203.0.113.{number}")
    with world.store.read() as conn:
        count = conn.exec_driver_sql("SELECT count(*) FROM attempts").scalar()
        assert count is not None
        assert count <= 40
        text = str(conn.exec_driver_sql("SELECT subject FROM attempts").all())
    assert "name" not in text
    assert "203.0" not in text
    clock.now += 31 * 86400
    delays.begin("ada", "192.0.2.1")
    with world.store.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM attempts").scalar() == 3


# --- sessions


def test_a_sign_in_ends_the_session_that_the_browser_had(world: World) -> None:
    first, _ = world.users.sign_in("ada", GOOD, visitor=HOME)
    second, _ = world.users.sign_in("ada", GOOD, visitor=HOME, instead=first.reveal())
    with pytest.raises(AuthenticationError):
        world.sessions.identify(first.reveal())
    assert world.sessions.identify(second.reveal()).principal.name == "ada"


def test_sessions_end_when_they_are_not_used_and_when_they_are_old(world: World, clock: Clock) -> None:
    idle, used = (world.users.sign_in("ada", GOOD, visitor=HOME)[0].reveal() for _ in range(2))
    for _ in range(30):
        clock.now += 24 * 3600 - 10
        try:
            world.sessions.identify(used)
        except AuthenticationError:
            pytest.fail("it was used every day")
    with pytest.raises(AuthenticationError):
        world.sessions.identify(idle)
    clock.now += 24 * 3600
    with pytest.raises(AuthenticationError):
        world.sessions.identify(used)
    assert world.sessions.list(by=world.root) == []


def test_ones_own_sessions_are_listed_and_ended_and_those_of_others_by_an_administrator(world: World) -> None:
    world.users.create("bob", RoleName.OPERATOR, GOOD)
    ada = world.users.sign_in("ada", GOOD, visitor=HOME)
    bob = world.users.sign_in("bob", GOOD, visitor=HOME)
    [own] = world.sessions.list(by=bob[1])
    assert own.principal.name == "bob"
    theirs = world.sessions.list(by=world.root)
    assert {one.principal.name for one in theirs} == {"ada", "bob"}
    others = next(one for one in theirs if one.principal.name == "ada")
    with pytest.raises(NotFoundError) as hidden:
        world.sessions.end_one(others.id, by=bob[1])
    with pytest.raises(NotFoundError) as missing:
        world.sessions.end_one("ses_nothing", by=bob[1])
    assert str(hidden.value).replace(others.id, "") == str(missing.value).replace("ses_nothing", "")
    world.sessions.end_one(others.id, by=world.root)
    with pytest.raises(AuthenticationError):
        world.sessions.identify(ada[0].reveal())
    world.sessions.end_one(own.id, by=bob[1])
    assert world.sessions.list(by=world.root) == []


def test_no_token_is_kept(world: World) -> None:
    token, _ = world.users.sign_in("ada", GOOD, visitor=HOME)
    with world.store.read() as conn:
        kept = str([conn.exec_driver_sql(f"SELECT * FROM {table}").all() for table in ("sessions", "users", "audit")])
    assert token.reveal() not in kept
    assert GOOD.reveal() not in kept


def test_changing_ones_password_ends_every_other_session_and_renews_ones_own(world: World) -> None:
    here, ada = world.users.sign_in("ada", GOOD, visitor=HOME)
    there, _ = world.users.sign_in("ada", GOOD, visitor=ELSEWHERE)
    new = Secret("ten blue herons fly")
    with pytest.raises(AuthenticationError, match="not your password"):
        world.users.change_password(ada, new, new, session=here.reveal(), visitor=HOME)
    token = world.users.change_password(ada, GOOD, new, session=here.reveal(), visitor=HOME)
    for over in (here, there):
        with pytest.raises(AuthenticationError):
            world.sessions.identify(over.reveal())
    assert world.sessions.identify(token.reveal()).principal.id == ada.id
    with pytest.raises(AuthenticationError):
        world.users.sign_in("ada", GOOD, visitor=HOME)
    world.users.sign_in("ada", new, visitor=HOME)
    assert {"user.password_changed", "sessions.ended"} <= set(world.actions())


def test_the_old_password_is_not_guessed_by_who_found_an_open_browser(world: World, clock: Clock) -> None:
    here, ada = world.users.sign_in("ada", GOOD, visitor=HOME)
    new = Secret("ten blue herons fly")
    for _ in range(5):
        with pytest.raises(AuthenticationError):
            world.users.change_password(ada, Secret("wrong"), new, session=here.reveal(), visitor=HOME)
    with pytest.raises(RateLimitError):
        world.users.change_password(ada, GOOD, new, session=here.reveal(), visitor=HOME)


def test_who_is_disabled_is_out_at_once_with_sessions_links_and_keys(world: World) -> None:
    token, ada = world.users.sign_in("ada", GOOD, visitor=HOME)
    link = world.links.create(ada)
    _, key = world.keys.create("ada", RoleName.DEVELOPER)
    world.keys.identify(key.reveal())
    world.users.disable("ada", by=world.root)
    for attempt in (
        lambda: world.sessions.identify(token.reveal()),
        lambda: world.links.exchange(link.reveal()),
        lambda: world.links.exchange(world.links.create(ada).reveal()),
        lambda: world.keys.identify(key.reveal()),
        lambda: world.users.sign_in("ada", GOOD, visitor=HOME),
    ):
        with pytest.raises(AuthenticationError):
            attempt()
    world.users.disable("ada", disabled=False, by=world.root)
    world.keys.identify(key.reveal())
    world.users.sign_in("ada", GOOD, visitor=HOME)
    assert [action for action in world.actions() if "able" in action] == ["user.disabled", "user.enabled"]


def test_a_new_role_holds_for_keys_and_ends_sessions(world: World) -> None:
    token, _ = world.users.sign_in("ada", GOOD, visitor=HOME)
    _, key = world.keys.create("ada", RoleName.DEVELOPER)
    assert world.keys.identify(key.reveal())[0].role is RoleName.DEVELOPER
    world.users.set_role("ada", RoleName.AUDITOR, by=world.root)
    assert world.keys.identify(key.reveal())[0].role is RoleName.AUDITOR
    with pytest.raises(AuthenticationError):
        world.sessions.identify(token.reveal())
    entry = next(entry for entry in world.store.audit.entries() if entry.action == "principal.role_changed")
    assert entry.details == {"before": "developer", "after": "auditor"}


def test_an_administrator_does_not_lock_themselves_out(world: World) -> None:
    world.users.create("root", RoleName.ADMIN, GOOD)
    with pytest.raises(ConflictError):
        world.users.disable("root", by=world.root)
    with pytest.raises(ConflictError):
        world.users.set_role("root", RoleName.USER, by=world.root)


# --- by a provider


def vouched(world: World, subject: str, name: str, role: RoleName | None = None) -> Principal:
    return world.users.vouched("https://id.example", subject, name, role, first=role or RoleName.USER, visitor=HOME)[1]


def test_whom_a_provider_vouches_for_becomes_a_user_once(world: World) -> None:
    first, again = vouched(world, "7", "grace"), vouched(world, "7", "grace hopper")
    assert first == again
    assert (first.name, first.role) == ("grace", RoleName.USER)
    assert world.users.list()[-1].issuer == "https://id.example"


def test_a_name_that_a_provider_tells_never_leads_to_somebody_who_was_here(world: World) -> None:
    for name in ("ada", "root"):
        made = vouched(world, f"evil {name}", name)
        assert made.name.startswith(f"{name} (")
        assert made.role is RoleName.USER
    assert vouched(world, "8", "").name.startswith("user (")


def test_the_providers_role_holds_from_the_next_sign_in(world: World) -> None:
    assert vouched(world, "7", "grace", RoleName.OPERATOR).role is RoleName.OPERATOR
    assert vouched(world, "7", "grace", RoleName.USER).id == world.store.principals.get("grace").id
    assert world.store.principals.get("grace").role is RoleName.USER
    world.users.disable("grace", by=world.root)
    with pytest.raises(AuthenticationError, match="disabled"):
        vouched(world, "7", "grace", RoleName.ADMIN)
