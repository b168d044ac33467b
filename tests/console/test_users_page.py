"""People in the console as a person meets them: a user made on the command line signs in through the form."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import SCRIPTED, Server

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.console.chromium import Tab, chromium, executable  # noqa: E402

pytestmark = [
    pytest.mark.browser,
    pytest.mark.weights,
    pytest.mark.timeout(180),
    pytest.mark.skipif(executable() is None, reason="no Chromium: install one, or name it in ATHANOR_CHROMIUM"),
]
PASSWORD = "nine red herons wade"
CHEAP = "\n[access]\nargon2_memory_kib = 64\nargon2_iterations = 1\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    live = Server(tmp_path_factory.mktemp("people") / "home", settings=SCRIPTED + CHEAP, console=True).start()
    try:
        yield live
    finally:
        live.stop()
    assert PASSWORD not in live.log.read_text()
    assert "Traceback" not in live.log.read_text()


def athanor(server: Server, *arguments: str, typed: str = "") -> str:
    command = [sys.executable, "-m", "athanor", *arguments]
    done = subprocess.run(
        command, input=typed, env=server.environment, cwd=server.home, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_user_signs_in_and_an_administrator_sees_and_ends_it(server: Server) -> None:
    assert "may sign in" in athanor(server, "users", "create", "ada", "--role", "admin", typed=PASSWORD + "\n")
    assert "may sign in" in athanor(server, "users", "create", "bob", typed=PASSWORD + "\n")
    assert "bob" in athanor(server, "users", "list")
    pictures = os.environ.get("ATHANOR_PICTURES")
    with chromium() as browser:
        tabs = {name: Tab.open(browser.new_context(), server.url) for name in ("ada", "bob")}

        def shot(name: str) -> None:
            if pictures:
                tabs["ada"].page.screenshot(path=str(Path(pictures) / f"{name}.png"))

        for name, tab in tabs.items():
            tab.page.goto(f"{server.url}/console/login")
            if name == "ada":
                shot("login")
                tab.page.get_by_label("Name").fill(name)
                tab.page.get_by_label("Password").fill("not the password")
                tab.page.get_by_role("button", name="Sign in").click()
                tab.page.get_by_role("alert").get_by_text("Name or password are wrong").wait_for()
                shot("wrong")
                tab.complaints.clear()  # the browser itself notes a 401
            tab.page.get_by_label("Name").fill(name)
            tab.page.get_by_label("Password").fill(PASSWORD)
            tab.page.get_by_role("button", name="Sign in").click()
            tab.page.locator("#main").wait_for()
        ada, bob = tabs["ada"].page, tabs["bob"].page
        assert bob.get_by_role("link", name="Users").count() == 0
        ada.get_by_role("link", name="Users", exact=True).click()
        ada.locator("[data-user=bob]").wait_for()
        shot("users")
        ada.get_by_role("button", name="New user").click()
        ada.get_by_label("Name").fill("eve")
        ada.get_by_label("Password", exact=True).fill(PASSWORD)
        ada.get_by_label("Password again").fill(PASSWORD + "!")
        shot("new-user")
        ada.get_by_role("button", name="Make user").click()
        ada.get_by_text("not typed twice").wait_for()
        ada.get_by_role("button", name="Close").click()
        ada.locator("[data-user=bob]").get_by_role("button", name="Disable").click()
        ada.get_by_role("dialog").get_by_role("button", name="Disable", exact=True).click()
        ada.locator("[data-user=bob]").get_by_text("disabled").wait_for()
        bob.goto(f"{server.url}/console/models")
        tabs["bob"].complaints.clear()
        bob.wait_for_timeout(5200)  # what is believed of a session without asking
        bob.goto(f"{server.url}/console/models")
        bob.get_by_role("heading", name="Sign in").wait_for()
        tabs["bob"].complaints.clear()

        ada.goto(f"{server.url}/console/account")
        shot("account")
        ada.get_by_label("Old password").fill(PASSWORD)
        ada.get_by_label("New password", exact=True).fill("ten blue herons fly")
        ada.get_by_label("New password again").fill("ten blue herons fly")
        ada.get_by_role("button", name="Change password").click()
        ada.get_by_text("Your password was changed").wait_for()
        ada.get_by_role("button", name="Sign out").click()
        ada.get_by_role("heading", name="Sign in").wait_for()
        tabs["ada"].complaints.clear()
        for tab in tabs.values():
            tab.check()
