"""Who gets in, by which way, and what the browser is told. No browser is needed for any of it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest
from starlette.types import Message

from athanor.console import mounted
from athanor.errors import PermissionDeniedError
from athanor.server import create_app, front
from athanor.types import RoleName
from tests.console.conftest import Site

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
PAGES = [
    "/console/", "/console/knowledge", "/console/models", "/console/document/doc_x", "/console/lab", "/console/quality",
]  # fmt: skip


async def socket(site: Site, *, cookie: str = "", origin: str = "http://127.0.0.1:8700") -> list[Message]:
    """Open a WebSocket and take what the server says to it first."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"} if not sent else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8700"), (b"origin", origin.encode()), (b"cookie", cookie.encode())]
    headers += [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    scope: dict[str, Any] = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "root_path": "",
        "path": "/console/_nicegui_ws/socket.io/", "raw_path": b"/console/_nicegui_ws/socket.io/",
        "query_string": b"EIO=4&transport=websocket&client_id=x", "headers": headers, "subprotocols": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8700),
    }  # fmt: skip
    await front(site.http)(scope, receive, send)
    return sent


async def test_a_link_becomes_a_session_and_leads_to_the_chat(site: Site) -> None:
    reply = await site.log_in()
    assert reply.status_code == 303
    assert reply.headers["location"] == "/console/"
    cookie = reply.headers["set-cookie"].lower()
    assert cookie.startswith("athanor_session=")
    assert {"httponly", "samesite=strict", "path=/console"} <= set(re.split(r";\s*", cookie))
    assert "secure" not in cookie
    page = await site.browser.get("/console/", headers=HTML)
    assert page.status_code == 200
    assert "a-composer" in page.text


async def test_over_https_the_cookie_is_secure(site: Site) -> None:
    token = site.app.links.create(site.owner).reveal()
    reply = await site.browser.get(f"https://127.0.0.1:8700/console/login?token={token}")
    assert "secure" in reply.headers["set-cookie"].lower()


async def test_a_link_that_was_opened_from_another_site_takes_one_more_step(site: Site) -> None:
    token = site.app.links.create(site.owner).reveal()
    reply = await site.browser.get(f"/console/login?token={token}", headers={"sec-fetch-site": "cross-site"})
    assert reply.status_code == 200
    assert "url=/console/" in reply.text
    assert "athanor_session" in reply.headers["set-cookie"]


async def test_a_link_works_once(site: Site) -> None:
    token = site.app.links.create(site.owner).reveal()
    assert (await site.browser.get(f"/console/login?token={token}")).status_code == 303
    site.browser.cookies.clear()
    again = await site.browser.get(f"/console/login?token={token}")
    assert again.status_code == 403
    assert "set-cookie" not in again.headers
    assert "athanor up" in again.text
    assert token not in again.text


@pytest.mark.parametrize("query", ["", "?token=", "?token=athl_wrong", "?token=<script>alert(1)</script>"])
async def test_no_or_a_wrong_token_is_refused_with_the_command_for_a_new_one(site: Site, query: str) -> None:
    reply = await site.browser.get(f"/console/login{query}")
    assert reply.status_code in {401, 403}
    assert "athanor up" in reply.text
    assert "alert(1)" not in reply.text


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_needs_a_session(site: Site, path: str) -> None:
    page = await site.browser.get(path, headers=HTML)
    assert page.status_code == 401
    assert "athanor up" in page.text
    assert (await site.browser.get(path)).json()["error"]["code"] == "unauthenticated"
    site.browser.cookies.set("athanor_session", "aths_forged", path="/console")
    assert (await site.browser.get(path, headers=HTML)).status_code == 401


async def test_uploads_need_a_session_and_the_right_to_change(site: Site) -> None:
    file = {"file": ("a.txt", b"text")}
    assert (await site.browser.post("/console/upload/files", files=file)).status_code == 401
    await site.log_in(site.principal("reader", RoleName.USER))
    refused = await site.browser.post("/console/upload/files", files=file)
    assert refused.status_code == PermissionDeniedError.status
    assert "role" in refused.json()["error"]["message"]
    assert site.app.store.files.list() == []
    await site.log_in()
    kept = await site.browser.post("/console/upload/files", files={"file": ("../../etc/a.txt", b"text")})
    assert site.app.store.files.get(kept.json()["id"]).name == "a.txt"


async def test_a_socket_needs_a_session(site: Site) -> None:
    assert await socket(site) == [{"type": "websocket.close", "code": 1008}]
    forged = await socket(site, cookie="athanor_session=aths_forged")
    assert forged == [{"type": "websocket.close", "code": 1008}]
    await site.log_in()
    good = await socket(site, cookie=f"athanor_session={site.browser.cookies['athanor_session']}")
    assert good[0]["type"] == "websocket.accept"


async def test_another_sites_page_reaches_neither_page_nor_socket_nor_upload(site: Site) -> None:
    await site.log_in()
    evil = {"origin": "https://evil.example"}
    assert (await site.browser.get("/console/", headers=evil)).status_code == 403
    file = {"file": ("a.txt", b"text")}
    assert (await site.browser.post("/console/upload/files", files=file, headers=evil)).status_code == 403
    assert (await site.browser.post("/console/logout", headers=evil)).status_code == 403
    cookie = f"athanor_session={site.browser.cookies['athanor_session']}"
    refused = await socket(site, cookie=cookie, origin="https://evil.example")
    assert refused == [{"type": "websocket.close", "code": 1008}]


async def test_logging_out_ends_the_session_everywhere(site: Site) -> None:
    await site.log_in()
    cookie = site.browser.cookies["athanor_session"]
    assert (await site.browser.get("/console/models", headers=HTML)).status_code == 200
    assert (await site.browser.post("/console/logout")).status_code == 303
    assert "athanor_session" not in site.browser.cookies
    assert await socket(site, cookie=f"athanor_session={cookie}") == [{"type": "websocket.close", "code": 1008}]


async def test_the_policy_allows_this_server_and_this_pages_scripts_only(site: Site) -> None:
    await site.log_in()
    first, second = [await site.browser.get("/console/", headers=HTML) for _ in range(2)]
    policy = first.headers["content-security-policy"]
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    assert nonce[1] not in second.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    for tag in re.findall(r"<(?:script|style)[^>]*>", first.text):
        assert f'nonce="{nonce[1]}"' in tag
    assert not re.search(r"<[^>]+ style=", first.text)
    for address in re.findall(r'(?:src|href)="([^"]+)"', first.text):
        assert address.startswith(("/console/", "#")), address
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["referrer-policy"] == "same-origin"


async def test_text_never_becomes_markup(site: Site) -> None:
    await site.log_in()
    name = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    await site.app.knowledge.create(name.replace("/", "∕"))
    for path in ("/console/", "/console/knowledge"):
        text = (await site.browser.get(path, headers=HTML)).text
        assert "alert(1)" in text
        assert "<script>alert" not in text
        assert "<img" not in text


async def test_an_unknown_document_is_one_clear_line(site: Site) -> None:
    await site.log_in()
    page = await site.browser.get("/console/document/doc_nothing", headers=HTML)
    assert "There is no document" in page.text


async def test_the_style_sheet_and_script_are_open_and_small(site: Site) -> None:
    for path, kind in (("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        reply = await site.browser.get(f"/console/static/{path}")
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith(kind)
        assert len(reply.content) < 45_000
        assert "http://" not in reply.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in reply.text


async def test_a_console_can_be_taken_off_and_put_on_again(site: Site) -> None:
    before = len(site.http.router.routes)
    async with mounted(site.app, site.http):
        assert len(site.http.router.routes) == before + 1
    assert len(site.http.router.routes) == before
    assert (await site.browser.get("/health")).status_code == 200


async def test_the_api_answers_while_the_console_is_not_there(site: Site) -> None:
    transport = httpx.ASGITransport(app=create_app(site.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as browser:
        assert (await browser.get("/console/")).status_code == 404
        assert (await browser.get("/health")).status_code == 200


async def test_a_session_is_looked_up_again_after_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.log_in()
    token = site.browser.cookies["athanor_session"]
    assert (await site.browser.get("/console/models", headers=HTML)).status_code == 200
    site.app.sessions.end(token)  # by another process
    now = time.monotonic()
    monkeypatch.setattr("athanor.console.session.time.monotonic", lambda: now + 6)
    assert (await site.browser.get("/console/models", headers=HTML)).status_code == 401


def test_importing_the_console_does_not_import_nicegui() -> None:
    code = "import sys, athanor.console; sys.exit('nicegui' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
