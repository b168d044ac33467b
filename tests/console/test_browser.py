"""The console as a person meets it: one Chromium, one real server in its own process, from the link to the verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from athanor.config import Settings
from athanor.store import Store
from tests.live import SCRIPTED, Server

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.console.chromium import Tab, chromium, executable  # noqa: E402
from tests.console.slow import SlowModel, slow_model  # noqa: E402

pytestmark = [
    pytest.mark.browser,
    pytest.mark.weights,
    pytest.mark.timeout(180),
    pytest.mark.skipif(executable() is None, reason="no Chromium: install one, or name it in ATHANOR_CHROMIUM"),
]

NOTE = """# Meridian pump

## Warranty

The warranty of the Meridian pump ends 36 months after its delivery to the customer.
Seals and filters are not covered.

## Colours

The housing of the Meridian pump is painted signal orange. <img src=x onerror=alert(1)> is shown as text.
"""
QUESTION = "When does the warranty of the Meridian pump end?"


@pytest.fixture(scope="module")
def slow() -> Iterator[SlowModel]:
    with slow_model() as model:
        yield model


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, slow: SlowModel) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("console") / "home"
    live = Server(home, settings=SCRIPTED + slow.settings, console=True)
    live.start()
    try:
        yield live
    finally:
        live.stop()
    assert "Traceback" not in live.log.read_text()
    assert "Stack (most recent" not in live.log.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with chromium() as started:
        yield started


@pytest.fixture
def tab(server: Server, browser: object) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})  # type: ignore[attr-defined]
    context.set_default_timeout(30_000)
    opened = Tab.open(context, server.url)
    yield opened
    context.close()
    opened.check()


def log_in(tab: Tab, server: Server) -> None:
    with server.client() as client:
        link = client.post("/api/links").json()["path"]
    tab.page.goto(server.url + link)
    tab.page.wait_for_url(re.compile("/console/$"))


def store(server: Server) -> Store:
    return Store.of(Settings(home=server.home))


def test_from_the_link_to_the_verdict(tab: Tab, server: Server, tmp_path: Path) -> None:
    page = tab.page
    log_in(tab, server)

    # A knowledge base, and a file in it.
    page.get_by_role("link", name="Add documents").click()
    page.get_by_role("button", name="New knowledge base").click()
    page.get_by_label("Name").fill("pumps")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("heading", name="pumps").wait_for()
    file = tmp_path / "meridian.md"
    file.write_text(NOTE)
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 this is no PDF")
    page.set_input_files("input[type=file]", [file, broken])
    page.get_by_text(re.compile(r"^Done: 1 added or replaced, 1 could not be read")).wait_for()
    page.locator("tr[data-document='meridian.md']").get_by_text("ready").wait_for()
    assert "problem" in page.locator("tr[data-document='broken.pdf']").inner_text()

    # A question; the answer is a quotation with its number.
    page.get_by_role("link", name="Ask").click()
    page.get_by_placeholder("Ask a question").fill(QUESTION)
    page.keyboard.press("Enter")
    chip = page.locator("button.a-chip").first
    chip.wait_for()
    said = page.locator(".a-words").first.text_content()
    assert said is not None
    assert "36 months" in said
    assert page.get_by_text("Quoted from your documents").is_visible()

    # Its source, with exactly these words marked.
    chip.click()
    page.locator("mark").first.wait_for()
    assert "".join(page.locator("mark").all_text_contents()) == said
    panel = page.get_by_label("Source of the citation")
    assert panel.get_by_text("meridian.md").is_visible()
    assert panel.locator("mark").first.is_visible()
    link = page.get_by_role("link", name="Open the whole document").get_attribute("href")

    # A verdict with a comment.
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    page.locator("button.a-chip:focus").wait_for()
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_label("What was wrong with it?").fill("It should name the seals too.")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Your verdict is stored").wait_for()
    trace = page.locator("[data-trace]").get_attribute("data-trace")
    opened = store(server)
    try:
        (verdict,) = opened.feedback.of_trace(trace or "")
        assert (verdict.rating, verdict.comment) == (-1, "It should name the seals too.")
        assert opened.requests.get(verdict.trace).door == "console"
        span = {name: int(value[0]) for name, value in parse_qs(urlsplit(link or "").query).items()}
        (document,) = [d for d in opened.knowledge.documents(opened.knowledge.get("pumps").id) if d.version]
        text = opened.blobs.read(document.text_sha256 or "").decode()
        assert text[span["start"] : span["end"]] == said
    finally:
        opened.close()

    # The whole document: the same mark, and markup as text.
    page.goto(server.url + (link or ""))
    page.locator("mark").first.wait_for()
    assert "".join(page.locator("mark").all_text_contents()) == said
    assert "<img src=x onerror=alert(1)>" in (page.locator("[data-source]").text_content() or "")
    assert page.locator("article img").count() == 0


def test_what_the_documents_do_not_say_is_not_answered(tab: Tab, server: Server) -> None:
    log_in(tab, server)
    page = tab.page
    page.get_by_placeholder("Ask a question").fill("Who won the chess olympiad in Budapest?")
    page.keyboard.press("Enter")
    page.get_by_text("Not answered").wait_for()
    page.get_by_text("The nearest passages").wait_for()
    page.locator(".a-source.is-plain").first.click()
    page.locator("mark").first.wait_for()


def test_a_models_own_text_is_shown_as_text(tab: Tab, server: Server) -> None:
    log_in(tab, server)
    page = tab.page
    page.get_by_label("Who answers").select_option("model:echo")
    page.get_by_text("Ask the model").wait_for()
    page.get_by_placeholder("Ask a question").fill("Repeat **this** ![x](http://evil.example/x.png)")
    page.keyboard.press("Enter")
    page.get_by_text("Written by the model, without sources").wait_for()
    assert page.locator(".a-said").text_content() == "Repeat **this** ![x][LINK]"  # what a guard left of the image
    assert page.locator(".a-said img, .a-said a").count() == 0


def test_an_answer_streams_and_can_be_stopped(tab: Tab, server: Server, slow: SlowModel) -> None:
    log_in(tab, server)
    page = tab.page
    page.get_by_label("Who answers").select_option("model:slow")
    page.get_by_text("Ask the model").wait_for()
    page.get_by_placeholder("Ask a question").fill("Tell me a story.")
    page.keyboard.press("Enter")
    page.locator(".a-said").get_by_text("word3").wait_for()
    early = page.locator(".a-said").text_content() or ""
    page.locator(".a-said").get_by_text("word12").wait_for()
    assert (page.locator(".a-said").text_content() or "").startswith(early)
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped").wait_for()
    assert slow.hung_up.wait(10), "the model was not told to stop"
    page.get_by_role("button", name="Good answer").click()
    page.get_by_label("What was good about it?").wait_for()
    opened = store(server)
    try:
        trace = page.locator("[data-trace]").get_attribute("data-trace")
        assert opened.requests.get(trace or "").status == "cancelled"
        assert [verdict.rating for verdict in opened.feedback.of_trace(trace or "")] == [1]
    finally:
        opened.close()


@pytest.mark.slow
def test_a_closed_tab_stops_the_model_and_is_on_the_books(server: Server, browser: object, slow: SlowModel) -> None:
    context = browser.new_context()  # type: ignore[attr-defined]
    tab = Tab.open(context, server.url)
    log_in(tab, server)
    tab.page.get_by_label("Who answers").select_option("model:slow")
    tab.page.get_by_text("Ask the model").wait_for()
    slow.hung_up.clear()
    tab.page.get_by_placeholder("Ask a question").fill("Tell me a story.")
    tab.page.keyboard.press("Enter")
    tab.page.locator(".a-said").get_by_text("word3").wait_for()
    trace = tab.page.locator("[data-trace]").get_attribute("data-trace")
    context.close()
    assert slow.hung_up.wait(60), "the model was not told to stop"
    opened = store(server)
    try:
        assert opened.requests.get(trace or "").status == "cancelled"
    finally:
        opened.close()


def test_an_error_is_one_clear_line_and_can_be_tried_again(tab: Tab, server: Server, slow: SlowModel) -> None:
    log_in(tab, server)
    page = tab.page
    page.get_by_label("Who answers").select_option("model:slow")
    page.get_by_text("Ask the model").wait_for()
    slow.broken = True
    try:
        page.get_by_placeholder("Ask a question").fill("Tell me a story.")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("The lamp is out of oil").wait_for()
    finally:
        slow.broken = False
    page.get_by_role("button", name="Try again").click()
    page.locator(".a-said").get_by_text("word3").wait_for()
    page.get_by_role("button", name="New chat").click()
    page.get_by_text("Ask the model").wait_for()


def test_models_show_their_state(tab: Tab, server: Server) -> None:
    log_in(tab, server)
    tab.page.goto(f"{server.url}/console/models")
    tab.page.locator("[data-model=echo]").get_by_text("ready").wait_for()
    assert tab.page.locator("[data-model]").count() >= 2


def test_a_phone_shows_everything_without_sideways_scrolling(tab: Tab, server: Server) -> None:
    log_in(tab, server)
    tab.page.set_viewport_size({"width": 360, "height": 740})
    for path in ("", "knowledge", "models"):
        tab.page.goto(f"{server.url}/console/{path}")
        tab.page.locator("#main").wait_for()
        tab.page.wait_for_timeout(300)
        assert tab.page.evaluate("document.scrollingElement.scrollWidth") <= 360, path


def test_a_document_is_deleted_after_a_question(tab: Tab, server: Server) -> None:
    log_in(tab, server)
    page = tab.page
    page.goto(f"{server.url}/console/knowledge?base=pumps")
    page.get_by_role("button", name="Delete broken.pdf").click()
    page.get_by_role("button", name="Cancel").click()
    assert page.locator("tr[data-document='broken.pdf']").count() == 1
    page.get_by_role("button", name="Delete broken.pdf").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.locator("tr[data-document='broken.pdf']").wait_for(state="detached")


def test_logging_out_closes_the_open_page_too(tab: Tab, server: Server) -> None:
    log_in(tab, server)
    other = tab.page.context.new_page()
    other.goto(f"{server.url}/console/models")
    other.get_by_role("button", name="Sign out").click()
    other.get_by_text("The console is locked").wait_for()
    other.close()
    tab.page.wait_for_timeout(6_000)  # a socket asks at most every five seconds
    tab.page.goto(f"{server.url}/console/")
    tab.page.get_by_text("The console is locked").wait_for()
    tab.complaints.clear()  # the refused socket and page are what this test is about
