"""Sign-in by a provider: the way that works, and every way that must not."""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest
from joserfc import jwk

from athanor.config import AccessSettings, OidcSettings, SecretReference
from athanor.types import RoleName
from tests.console.conftest import Site, opened
from tests.console.fake_provider import CLIENT, SECRET, FakeProvider, provider

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}


@asynccontextmanager
async def world(home: Path, **more: Any) -> AsyncIterator[tuple[Site, FakeProvider]]:
    (home / "secret").write_text(SECRET)
    async with provider() as fake:
        oidc = OidcSettings(
            issuer=fake.url,
            client_id=CLIENT,
            client_secret=SecretReference(file=home / "secret"),
            name="Example",
            **more,
        )
        access = AccessSettings(argon2_memory_kib=64, argon2_iterations=1, oidc=oidc)
        async with opened(home, access) as site:
            del site.browser.headers["origin"]  # all of it is reading
            yield site, fake


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Site, FakeProvider]]:
    async with world(tmp_path) as made:
        yield made


async def begin(site: Site) -> dict[str, str]:
    """Go to the provider; what it is asked."""
    reply = await site.browser.get("/console/oidc/start")
    assert reply.status_code == 303, reply.text
    return {name: values[0] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}


async def come_back(site: Site, fake: FakeProvider, **query: str) -> httpx.Response:
    """Begin, sign in at the provider, and come back; `query` changes what is brought."""
    asked = await begin(site)
    code = fake.authorize(httpx.QueryParams(asked).__str__())
    brought = {"state": asked["state"], "code": code} | query
    return await site.browser.get("/console/oidc/callback", params=brought, headers={"sec-fetch-site": "cross-site"})


def is_in(reply: httpx.Response) -> bool:
    return "athanor_session=" in reply.headers.get("set-cookie", "") and reply.status_code in {200, 303}


async def refused(site: Site, reply: httpx.Response, word: str = "") -> None:
    """Nobody came in, and the page says why in words that tell an attacker nothing of the token."""
    assert not is_in(reply), reply.headers
    assert reply.status_code in {401, 502}, reply.text
    assert 'role="alert"' in reply.text
    assert word in reply.text
    assert site.app.sessions.list(by=site.owner) == []


async def test_whom_the_provider_vouches_for_comes_in_with_the_least_role(both: tuple[Site, FakeProvider]) -> None:
    site, fake = both
    locked = await site.browser.get("/console/", headers=HTML)
    assert "Sign in with Example" in locked.text
    reply = await come_back(site, fake)
    assert is_in(reply)
    cookies = reply.headers.get_list("set-cookie")
    assert any(c.startswith("athanor_session=") and "SameSite=strict" in c for c in cookies)
    assert any(c.startswith('athanor_oidc=""') for c in cookies)  # its work is done
    assert (await site.browser.get("/console/models", headers=HTML)).status_code == 200
    [user] = site.app.users.list()
    assert (user.principal.name, user.principal.role, user.issuer) == ("grace", RoleName.USER, fake.url)
    await come_back(site, fake)
    assert len(site.app.users.list()) == 1
    assert fake.calls.count("metadata") == 1
    assert fake.calls.count("keys") == 1


async def test_what_is_asked_of_the_provider_is_new_each_time(both: tuple[Site, FakeProvider]) -> None:
    site, _ = both
    first, second = await begin(site), await begin(site)
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name]) >= 43
    assert first["redirect_uri"] == "http://127.0.0.1:8700/console/oidc/callback"
    assert first["client_id"] == CLIENT
    cookie = (await site.browser.get("/console/oidc/start")).headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "path=/console/oidc"} <= set(re.split(r";\s*", cookie))


# --- the state


async def test_a_state_works_once(both: tuple[Site, FakeProvider]) -> None:
    site, fake = both
    asked = await begin(site)
    query = str(httpx.QueryParams(asked))
    first = {"state": asked["state"], "code": fake.authorize(query)}
    cookies = dict(site.browser.cookies)
    assert is_in(await site.browser.get("/console/oidc/callback", params=first))
    site.browser.cookies.clear()
    site.app.sessions.end_one(site.app.sessions.list(by=site.owner)[0].id, by=site.owner)
    again = {"state": asked["state"], "code": fake.authorize(query)}
    replay = await site.browser.get(
        "/console/oidc/callback", params=again, headers={"cookie": f"athanor_oidc={cookies['athanor_oidc']}"}
    )
    await refused(site, replay, "used already")


async def test_a_state_of_another_browser_does_not_work(both: tuple[Site, FakeProvider]) -> None:
    """An attacker's own code and state in a victim's browser: the victim would work in the attacker's account."""
    site, fake = both
    asked = await begin(site)
    code = fake.authorize(str(httpx.QueryParams(asked)))
    site.browser.cookies.clear()
    query = {"state": asked["state"], "code": code}
    await refused(site, await site.browser.get("/console/oidc/callback", params=query), "not begun in this browser")
    await begin(site)  # the victim is on the way too
    await refused(site, await site.browser.get("/console/oidc/callback", params=query))


@pytest.mark.parametrize("state", ["", "made up"])
async def test_a_made_up_state_does_not_work(both: tuple[Site, FakeProvider], state: str) -> None:
    site, fake = both
    await refused(site, await come_back(site, fake, state=state))


async def test_a_sign_in_ends_after_ten_minutes(
    both: tuple[Site, FakeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, fake = both
    asked = await begin(site)
    query = {"state": asked["state"], "code": fake.authorize(str(httpx.QueryParams(asked)))}
    monkeypatch.setattr("athanor.console.oidc.PENDING_SECONDS", -1.0)
    await refused(site, await site.browser.get("/console/oidc/callback", params=query))


# --- the token


def _other(fake: FakeProvider) -> None:
    fake.signing = jwk.RSAKey.generate_key(2048, {"kid": fake.key.kid})


def _by_hand(fake: FakeProvider, header: dict[str, str], secret: bytes | None) -> None:
    def forged(nonce: str) -> str:
        parts = [orjson.dumps(part) for part in (header, fake.said(nonce))]
        text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        signature = b"" if secret is None else hmac.digest(secret, text, "sha256")
        return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()

    fake.forge = forged


def _with_public_key_as_secret(fake: FakeProvider) -> None:
    """HS256 over the bytes of the public key: a library that takes the key for a secret believes it."""
    _by_hand(fake, {"alg": "HS256", "kid": fake.key.kid}, fake.key.as_pem(private=False))


def _says(**claims: Any) -> Callable[[FakeProvider], None]:
    return lambda fake: fake.claims.update(claims)


def _is(token: str) -> Callable[[FakeProvider], None]:
    return lambda fake: setattr(fake, "forge", lambda nonce: token)


ATTACKS: dict[str, Callable[[FakeProvider], None]] = {
    "wrong nonce": _says(nonce="another"),
    "no nonce": _says(nonce=None),
    "nonce that is no text": _says(nonce=7),
    "wrong audience": _says(aud="another-client"),
    "no audience": _says(aud=None),
    "audiences without a party": _says(aud=[CLIENT, "another-client"]),
    "made for another party": _says(aud=[CLIENT, "another-client"], azp="another-client"),
    "wrong issuer": _says(iss="https://evil.example"),
    "issuer with a slash": lambda fake: fake.claims.update(iss=fake.url + "/"),
    "expired": _says(exp=int(time.time()) - 3600),
    "no expiry": _says(exp=None),
    "expiry that is no number": _says(exp="never"),
    "true for expiry": _says(exp=True),
    "made in the future": _says(iat=int(time.time()) + 3600),
    "not yet": _says(nbf=int(time.time()) + 3600),
    "no subject": _says(sub=None),
    "empty subject": _says(sub=""),
    "endless subject": _says(sub="x" * 256),
    "subject that is no text": _says(sub={"a": 1}),
    "swapped key": _other,
    "key that is not known": lambda fake: (_other(fake), setattr(fake, "kid", "two"))[0],
    "public key as a secret": _with_public_key_as_secret,
    "algorithm none": lambda fake: _by_hand(fake, {"alg": "none"}, None),
    "algorithm None": lambda fake: _by_hand(fake, {"alg": "None", "kid": fake.key.kid}, None),
    "no algorithm": lambda fake: _by_hand(fake, {"kid": fake.key.kid}, None),
    "good algorithm without a signature": lambda fake: _by_hand(fake, {"alg": "RS256", "kid": fake.key.kid}, None),
    "no token at all": _is("x"),
    "three empty parts": _is(".."),
    "header that is no object": _is("W10.e30.x"),
}  # fmt: skip


async def test_a_token_that_is_not_good_lets_nobody_in(both: tuple[Site, FakeProvider]) -> None:
    site, fake = both
    honest = dict(fake.claims)
    for name, attack in ATTACKS.items():
        fake.claims, fake.algorithm, fake.signing, fake.kid, fake.forge = dict(honest), "RS256", None, None, None
        attack(fake)
        reply = await come_back(site, fake)
        assert reply.status_code == 401, name
        await refused(site, reply)
        assert site.app.users.list() == [], name
    fake.claims, fake.forge = honest, None
    assert is_in(await come_back(site, fake))  # the same way, with nothing wrong


async def test_a_key_of_symmetric_kind_is_never_used(both: tuple[Site, FakeProvider]) -> None:
    """A provider that publishes a secret, by mistake or by force, still signs with nothing."""
    site, fake = both
    fake.algorithm, fake.key = "HS256", jwk.OctKey.generate_key(256, {"kid": "one"})
    await refused(site, await come_back(site, fake))


async def test_a_new_key_of_the_provider_is_fetched_once_a_while(
    both: tuple[Site, FakeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, fake = both
    assert is_in(await come_back(site, fake))
    fake.key = jwk.RSAKey.generate_key(2048, {"kid": "two"})
    assert not is_in(await come_back(site, fake))  # too soon to ask again
    assert fake.calls.count("keys") == 1
    monkeypatch.setattr("athanor.console.provider.REFETCH_SECONDS", -1.0)
    assert is_in(await come_back(site, fake))
    assert fake.calls.count("keys") == 2


async def test_elliptic_keys_work_too(both: tuple[Site, FakeProvider]) -> None:
    site, fake = both
    fake.algorithm, fake.key = "ES256", jwk.ECKey.generate_key("P-256", {"kid": "one"})
    assert is_in(await come_back(site, fake))


# --- the provider


async def test_another_provider_does_not_answer_for_it(both: tuple[Site, FakeProvider]) -> None:
    """Mix-up (RFC 9700, section 4.4): the answer of a provider that an attacker runs."""
    site, fake = both
    await refused(site, await come_back(site, fake, iss="https://evil.example"), "Another provider")
    assert is_in(await come_back(site, fake, iss=fake.url))


async def test_a_provider_that_names_itself_always_does(both: tuple[Site, FakeProvider]) -> None:
    site, fake = both
    fake.metadata["authorization_response_iss_parameter_supported"] = True
    await refused(site, await come_back(site, fake), "Another provider")


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
async def test_metadata_that_lead_elsewhere_are_not_followed(
    both: tuple[Site, FakeProvider], metadata: dict[str, Any]
) -> None:
    site, fake = both
    fake.metadata |= metadata
    reply = await site.browser.get("/console/oidc/start")
    assert reply.status_code == 502
    assert "location" not in reply.headers
    assert "javascript:" not in reply.text


async def test_a_provider_that_is_away_or_says_too_much_is_told(both: tuple[Site, FakeProvider]) -> None:
    site, fake = both
    fake.metadata["padding"] = "x" * (2 << 20)
    reply = await site.browser.get("/console/oidc/start")
    assert (reply.status_code, "says too much" in reply.text) == (502, True)


async def test_a_refusal_there_is_a_refusal_here(both: tuple[Site, FakeProvider]) -> None:
    site, fake = both
    reply = await come_back(site, fake, error="access_denied<script>", code="")
    await refused(site, reply, "did not let you in")
    assert "<script>" not in reply.text.replace("<script src", "").replace("<script nonce", "")
    asked = await begin(site)
    query = {"state": asked["state"], "code": "stolen"}
    await refused(site, await site.browser.get("/console/oidc/callback", params=query))


# --- roles, and out again


async def test_groups_make_roles_and_lose_them(tmp_path: Path) -> None:
    roles = {"platform": RoleName.ADMIN, "engineering": RoleName.DEVELOPER}
    async with world(tmp_path, roles=roles, roles_claim="realm_access.roles", default_role="") as (site, fake):
        fake.claims["realm_access"] = {"roles": ["staff", "engineering"]}
        assert is_in(await come_back(site, fake))
        assert site.app.users.list()[0].principal.role is RoleName.DEVELOPER
        fake.claims["realm_access"] = {"roles": ["engineering", "platform"]}
        assert is_in(await come_back(site, fake))
        assert site.app.users.list()[0].principal.role is RoleName.ADMIN
        fake.claims["realm_access"] = {"roles": "staff"}
        reply = await come_back(site, fake)
        assert reply.status_code == 401
        assert "None of your groups" in reply.text
        fake.claims["groups"] = ["platform"]  # not where the settings look
        assert not is_in(await come_back(site, fake))


async def test_without_roles_in_the_settings_they_are_given_here(both: tuple[Site, FakeProvider]) -> None:
    site, fake = both
    fake.claims["groups"] = ["admin", "platform"]
    await come_back(site, fake)
    assert site.app.users.list()[0].principal.role is RoleName.USER
    site.app.users.set_role("grace", RoleName.REVIEWER, by=site.owner)
    assert is_in(await come_back(site, fake))
    assert site.app.users.list()[0].principal.role is RoleName.REVIEWER


async def test_signing_out_ends_the_session_and_shows_the_way_out_of_the_provider(
    both: tuple[Site, FakeProvider],
) -> None:
    site, fake = both
    await come_back(site, fake)
    reply = await site.browser.post("/console/logout", headers={"origin": "http://127.0.0.1:8700"})
    assert f'href="{fake.url}/logout?client_id={CLIENT}&amp;post_logout_redirect_uri=' in reply.text
    assert site.app.sessions.list(by=site.owner) == []
    await site.log_in()  # by a link: the provider has no part in it
    reply = await site.browser.post("/console/logout", headers={"origin": "http://127.0.0.1:8700"})
    assert reply.status_code == 303


async def test_without_a_provider_there_is_no_such_way(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        for path in ("/console/oidc/start", "/console/oidc/callback?state=a&code=b"):
            assert (await site.browser.get(path)).status_code in {401, 404}
