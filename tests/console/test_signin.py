"""The form, the cookie, and what other sites may not do. No browser is needed for any of it."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

import athanor.console
from athanor.config import AccessSettings
from athanor.console.rules import ACTIONS, PAGES, REQUESTS
from athanor.governance import Secret, may
from athanor.types import Principal, RoleName
from tests.console.conftest import HERE, Site, opened

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
GOOD = Secret("nine red herons wade")
PUBLIC = "https://athanor.example.com"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(tmp_path) as made:
        made.app.users.create("ada", RoleName.DEVELOPER, GOOD)
        yield made


@pytest.fixture
async def behind_a_proxy(tmp_path: Path) -> AsyncIterator[Site]:
    """Browsers speak https with a proxy, which speaks http with the server, and tells whose address it has."""
    access = AccessSettings(
        argon2_memory_kib=64, argon2_iterations=1, public_url=PUBLIC, address_header="x-forwarded-for"
    )
    async with opened(tmp_path, access) as made:
        made.app.users.create("ada", RoleName.DEVELOPER, GOOD)
        yield made


async def signed_in(site: Site, name: str = "ada", password: str = GOOD.reveal()) -> httpx.Response:
    return await site.browser.post("/console/login", data={"name": name, "password": password})


async def test_the_form_leads_into_the_console(site: Site) -> None:
    locked = await site.browser.get("/console/knowledge", headers=HTML)
    assert locked.status_code == 401
    form = re.search(r'<form[^>]*method="post"[^>]*action="/console/login"', locked.text)
    assert form is not None
    assert 'type="password"' in locked.text
    reply = await signed_in(site)
    assert (reply.status_code, reply.headers["location"]) == (303, "/console/")
    assert {"httponly", "samesite=strict", "path=/console"} <= set(
        re.split(r";\s*", reply.headers["set-cookie"].lower())
    )
    assert (await site.browser.get("/console/knowledge", headers=HTML)).status_code == 200


async def test_a_wrong_password_is_told_as_an_unknown_name(site: Site) -> None:
    heard = [await signed_in(site, name, "wrong wrong wrong") for name in ("ada", "bob")]
    assert [reply.status_code for reply in heard] == [401, 401]
    pages = [re.sub(r'value="\w+"|nonce="[^"]+"', "", reply.text) for reply in heard]
    assert pages[0] == pages[1]
    assert all("set-cookie" not in reply.headers for reply in heard)


async def test_what_was_typed_comes_back_as_text(site: Site) -> None:
    evil = '"><script>alert(1)</script>'
    reply = await signed_in(site, evil, "x")
    assert "<script>alert" not in reply.text
    assert "&lt;script&gt;alert(1)" in reply.text


async def test_guessing_is_told_to_wait(site: Site) -> None:
    replies = [await signed_in(site, password=f"wrong wrong {number}") for number in range(6)]
    assert [reply.status_code for reply in replies] == [401] * 5 + [429]
    assert int(replies[-1].headers["retry-after"]) >= 1
    assert (await signed_in(site)).status_code == 429


async def test_a_form_that_is_too_large_is_not_read(site: Site) -> None:
    reply = await signed_in(site, password="x" * 50_000)
    assert reply.status_code == 413
    assert (await site.browser.post("/console/login", content=b"name=a&" * 30)).status_code in {400, 401}


async def test_a_sign_in_ends_the_session_that_the_browser_had(site: Site) -> None:
    await signed_in(site)
    first = site.browser.cookies["athanor_session"]
    await signed_in(site)
    second = site.browser.cookies["athanor_session"]
    assert first != second
    site.browser.cookies.set("athanor_session", first, path="/console")
    site.browser.cookies.clear()
    old = {"cookie": f"athanor_session={first}", **HTML}
    assert (await site.browser.get("/console/", headers=old)).status_code == 401


async def test_one_changes_ones_own_password(site: Site) -> None:
    await signed_in(site)
    before = site.browser.cookies["athanor_session"]
    fields = {"old": GOOD.reveal(), "new": "ten blue herons fly", "again": "ten blue herons fly"}
    assert (await site.browser.post("/console/password", data={**fields, "again": "x"})).status_code == 400
    assert (await site.browser.post("/console/password", data={**fields, "old": "x"})).status_code == 401
    reply = await site.browser.post("/console/password", data=fields)
    assert (reply.status_code, reply.headers["location"]) == (303, "/console/account?changed=1")
    assert site.browser.cookies["athanor_session"] != before
    assert "was changed" in (await site.browser.get("/console/account?changed=1", headers=HTML)).text
    site.browser.cookies.clear()
    assert (await signed_in(site)).status_code == 401
    assert (await signed_in(site, password="ten blue herons fly")).status_code == 303


# --- other sites

CHANGES = [("POST", "/console/login"), ("POST", "/console/logout"), ("POST", "/console/password"),
           ("POST", "/console/upload/files"), ("POST", "/console/"), ("DELETE", "/console/keys")]  # fmt: skip
FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:8701"},
    {"origin": HERE, "sec-fetch-site": "cross-site"},
    {"origin": HERE, "sec-fetch-site": "same-site"},
    {"origin": ""},
    {"origin": "https://evil.example", "authorization": "Bearer x"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_nothing_changes_for_another_sites_page(site: Site, headers: dict[str, str]) -> None:
    await signed_in(site)
    sessions = len(site.app.sessions.list(by=site.owner))
    for method, path in CHANGES:
        reply = await site.browser.request(
            method, path, headers=headers, data={"name": "ada", "password": GOOD.reveal()}
        )
        assert reply.status_code == 403, (method, path)
    assert len(site.app.sessions.list(by=site.owner)) == sessions


async def test_who_says_nothing_of_where_it_comes_from_changes_nothing(site: Site) -> None:
    await signed_in(site)
    del site.browser.headers["origin"]
    for method, path in CHANGES:
        assert (await site.browser.request(method, path)).status_code == 403
    reply = await site.browser.post("/console/logout", headers={"sec-fetch-site": "same-origin"})
    assert reply.status_code == 303


async def test_reading_from_elsewhere_is_a_link_and_carries_no_cookie_of_ours(site: Site) -> None:
    del site.browser.headers["origin"]
    reply = await site.browser.get("/console/", headers={**HTML, "sec-fetch-site": "cross-site"})
    assert reply.status_code == 401


# --- headers


async def test_every_answer_has_the_headers(site: Site) -> None:
    answers = [await site.browser.get(path, headers=HTML) for path in ("/console/", "/console/login", "/console/x")]
    await signed_in(site)
    for path in [*PAGES, "/nothing", "/_nicegui/none", "/login", "/oidc/start", "/static/console.css"]:
        answers += [await site.browser.get("/console" + re.sub(r"[{}]", "", path), headers=HTML)]
    answers += [await site.browser.post("/console/upload/files"), await site.browser.post("/console/logout")]
    for answer in answers:
        where = str(answer.request.url)
        assert "default-src 'none'" in answer.headers["content-security-policy"], where
        assert "unsafe" not in answer.headers["content-security-policy"], where
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], where
        assert answer.headers["x-content-type-options"] == "nosniff", where
        assert answer.headers["referrer-policy"] == "same-origin", where
        assert answer.headers["cross-origin-opener-policy"] == "same-origin", where
        assert "strict-transport-security" not in answer.headers, where  # this is http
        if not answer.request.url.path.startswith("/console/static/"):
            assert answer.headers["cache-control"] == "no-store", where


async def test_behind_a_proxy_the_cookie_is_the_hosts_own(behind_a_proxy: Site) -> None:
    site = behind_a_proxy
    host = {"host": "athanor.example.com", "origin": PUBLIC, "x-forwarded-for": "10.9.9.9, 203.0.113.5"}
    reply = await site.browser.post("/console/login", data={"name": "ada", "password": GOOD.reveal()}, headers=host)
    cookie = reply.headers["set-cookie"]
    assert cookie.startswith("__Host-athanor_session=")
    assert {"secure", "path=/", "httponly", "samesite=strict"} <= set(re.split(r";\s*", cookie.lower()))
    assert "domain" not in cookie.lower()
    assert reply.headers["strict-transport-security"].startswith("max-age=31536000")
    token = cookie.partition("=")[2].partition(";")[0]
    for name, status in (("__Host-athanor_session", 200), ("athanor_session", 401)):
        sent = {**host, **HTML, "cookie": f"{name}={token}"}
        assert (await site.browser.get("/console/models", headers=sent)).status_code == status
    # Of the header, what the proxy itself has written.
    assert [one.address for one in site.app.sessions.list(by=site.owner)] == ["203.0.113.5"]
    plain = {**host, "origin": PUBLIC.replace("https", "http"), "cookie": f"__Host-athanor_session={token}"}
    assert (await site.browser.post("/console/logout", headers=plain)).status_code == 403
    assert (
        await site.browser.post("/console/logout", headers={**host, "origin": "https://evil.example"})
    ).status_code == 403


async def test_a_header_that_no_setting_names_is_not_believed(site: Site) -> None:
    await site.browser.post(
        "/console/login", data={"name": "ada", "password": GOOD.reveal()}, headers={"x-forwarded-for": "203.0.113.5"}
    )
    assert [one.address for one in site.app.sessions.list(by=site.owner)] == ["127.0.0.1"]


# --- the table


@pytest.mark.parametrize("role", [RoleName.ADMIN, RoleName.DEVELOPER, RoleName.AUDITOR])
async def test_pages_are_open_as_the_table_says(site: Site, role: RoleName) -> None:
    who = Principal(id="pr", name="x", role=role, created_at=0)
    await site.log_in(site.principal(f"the {role}", role))
    for path, rule in PAGES.items():
        reply = await site.browser.get("/console" + re.sub(r"\{\w+\}", "nothing", path), headers=HTML)
        allowed = rule.right is None or may(who, rule.right)
        assert reply.status_code == (200 if allowed else 403), (path, reply.text)
    for route, rule in REQUESTS.items():
        if route == "POST /upload/files":
            assert rule.right is not None
            reply = await site.browser.post("/console/upload/files")
            assert reply.status_code == (400 if may(who, rule.right) else 403)


async def test_without_a_session_every_page_and_request_is_refused_in_one_way(site: Site) -> None:
    heard = set()
    for path in [*PAGES, "/nothing", "/upload/files", "/password", "/logout"]:
        for method in ("GET", "POST"):
            reply = await site.browser.request(method, "/console" + re.sub(r"[{}]", "", path))
            heard.add((reply.status_code, reply.text))
    assert len(heard) == 1
    assert heard.pop()[0] == 401


def test_only_the_table_decides_who_may_do_what() -> None:
    """No module of the console asks for a role or a right by itself; each action that is named has a rule."""
    folder = Path(athanor.console.__file__).parent
    named = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("athanor.governance"):
                found = {alias.name for alias in node.names} & {"require", "may", "Right"}
                assert not found or file.name == "rules.py", file.name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"allow", "can"}:
                assert isinstance(node.args[1], ast.Constant), file.name
                named.add(node.args[1].value)
    assert named == set(ACTIONS)
