"""Takes the console's pictures: `python -m tests.console.screenshots`.

A real server answers from the project's own `docs/`. Without arguments the picture of the README is made again
(`docs/images/console.png`); with `--all FOLDER` every page is taken, on a desktop and on a phone, light and dark; with
`--books` those of traces and costs are (`docs/images/traces.png`, `costs.png`), over a month of made-up traffic.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page

from tests.console.chromium import chromium
from tests.console.traffic import fill
from tests.live import Server

ROOT = Path(__file__).parents[2]
QUESTION = "How does Athanor find the passages for a question?"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
DEFAULT_MODELS = ""
"""Settings: none, so that the models are those that everyone gets."""


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page in every form, into this folder")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--books", action="store_true", help="traces and costs, for the guides")
    options = parser.parse_args()
    if options.books:
        _books(ROOT / "docs/images")
        return
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "home", settings=DEFAULT_MODELS, console=True).start()
        try:
            server.ingest(ROOT / "docs")
            _wait(server)
            with chromium() as browser:
                if options.all is None:
                    _chat(browser, server, options.question, "desktop", "light", ROOT / "docs/images/console.png")
                else:
                    options.all.mkdir(parents=True, exist_ok=True)
                    for size in SIZES:
                        for scheme in ("light", "dark"):
                            _pages(browser, server, options.question, size, scheme, options.all)
        finally:
            server.stop()


def _books(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        server = Server(home, settings=fill(home), console=True).start()
        try:
            _wait(server)
            with server.client() as client:
                rows = client.get("/api/traces", params={"model": "assistant", "status": "ok", "limit": 500}).json()[
                    "data"
                ]
            trace = next(row["trace"] for row in rows if row["target"] == "gpt-4o")
            with chromium() as browser:
                page = _open(browser, server, "desktop", "light")
                page.set_viewport_size({"width": 1280, "height": 900})
                for name, path in (("traces", f"traces/{trace}"), ("costs", "costs")):
                    page.goto(f"{server.url}/console/{path}")
                    page.locator(".a-tile").first.wait_for()
                    _take(page, folder / f"{name}.png")
        finally:
            server.stop()


def _wait(server: Server) -> None:
    for path in ("/health", "/console/static/console.css"):
        while "loading" in (reply := httpx.get(server.url + path)).text[:30] or reply.status_code != 200:
            time.sleep(0.2)


def _open(browser: Browser, server: Server, size: str, scheme: str) -> Page:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        device_scale_factor=2 if size == "phone" else 1,
    )
    page = context.new_page()
    with server.client() as client:
        page.goto(server.url + client.post("/api/links").json()["path"])
    page.locator(".a-composer").wait_for()
    return page


def _chat(browser: Browser, server: Server, question: str, size: str, scheme: str, to: Path) -> Page:
    page = _open(browser, server, size, scheme)
    page.get_by_placeholder("Ask a question").fill(question)
    page.locator(".a-send:not([disabled])").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Good answer").wait_for(timeout=60_000)
    page.locator("button.a-chip").first.click()
    page.locator("mark").first.wait_for()
    _take(page, to)
    return page


def _pages(browser: Browser, server: Server, question: str, size: str, scheme: str, folder: Path) -> None:
    page = _chat(browser, server, question, size, scheme, folder / f"citation-{size}-{scheme}.png")
    link = page.get_by_role("link", name="Open the whole document").get_attribute("href") or ""
    page.keyboard.press("Escape")
    _take(page, folder / f"answer-{size}-{scheme}.png")
    for name, path, sign in (
        ("empty-chat", "/console/", ".a-ask"),
        ("knowledge", "/console/knowledge", ".a-table"),
        ("models", "/console/models", ".a-model"),
        ("document", link, "mark"),
    ):
        page.goto(server.url + path)
        page.locator(sign).first.wait_for()
        _take(page, folder / f"{name}-{size}-{scheme}.png")
    page.context.close()


def _take(page: Page, to: Path) -> None:
    page.wait_for_timeout(700)
    page.screenshot(path=to)


if __name__ == "__main__":
    main()
