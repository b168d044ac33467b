"""A Chromium for the browser tests, and what it may and may not do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def executable() -> str | None:
    """The browser of this machine: `$ATHANOR_CHROMIUM`, or one of the usual names."""
    wanted = os.environ.get("ATHANOR_CHROMIUM")
    if wanted:
        return wanted if Path(wanted).exists() else None
    return next((found for name in NAMES if (found := shutil.which(name, path="/usr/bin:/usr/local/bin"))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, started without any traffic of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=[*ARGUMENTS])
        try:
            yield browser
        finally:
            browser.close()


@dataclass(slots=True)
class Tab:
    """A page and everything that went wrong on it."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, context: BrowserContext, url: str) -> Tab:
        tab = cls(page=context.new_page(), url=url)
        tab.page.on("console", lambda m: tab.complaints.append(m.text) if m.type in {"error", "warning"} else None)
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.page.on("request", lambda request: tab._asked(request.url))
        tab.page.on("websocket", lambda socket: tab.sockets.append(socket.url))
        return tab

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", "data:")):
            self.foreign.append(url)

    def check(self) -> None:
        """No error, no warning, and not one request to another host."""
        assert self.complaints == []
        assert self.foreign == []
        assert all(socket.startswith(self.url.replace("http", "ws", 1) + "/console/") for socket in self.sockets)
