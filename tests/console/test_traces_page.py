"""Traces, costs and keys in a real browser, over a month of traffic that went through the gateway."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from athanor.store import Store
from athanor.types import RequestRecord
from tests.live import Server

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.console.chromium import Tab, chromium, executable  # noqa: E402
from tests.console.traffic import fill  # noqa: E402

pytestmark = [
    pytest.mark.browser,
    pytest.mark.weights,
    pytest.mark.timeout(180),
    pytest.mark.skipif(executable() is None, reason="no Chromium: install one, or name it in ATHANOR_CHROMIUM"),
]
REQUESTS = 130


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("books") / "home"
    live = Server(home, settings=fill(home, requests=REQUESTS), console=True)
    live.start()
    try:
        # The API answers first, the console some seconds later.
        while httpx.get(f"{live.url}/console/static/console.css").status_code != 200:
            time.sleep(0.1)
        yield live
    finally:
        live.stop()
    assert "Traceback" not in live.log.read_text()


@pytest.fixture(scope="module")
def rows(server: Server) -> list[RequestRecord]:
    opened = Store.open(f"sqlite:///{server.home / 'athanor.db'}", blobs=server.home / "blobs")
    try:
        return opened.requests.list(limit=1000)
    finally:
        opened.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with chromium() as running:
        yield running


def opened(browser: object, server: Server, key: str | None = None) -> Tab:
    context = browser.new_context(viewport={"width": 1280, "height": 800})  # type: ignore[attr-defined]
    context.set_default_timeout(30_000)
    tab = Tab.open(context, server.url)
    link = httpx.post(f"{server.url}/api/links", headers={"authorization": f"Bearer {key or server.key}"}).json()
    tab.page.goto(server.url + link["path"])
    tab.page.wait_for_url(re.compile("/console/$"))
    return tab


@pytest.fixture
def tab(browser: object, server: Server) -> Iterator[Tab]:
    made = opened(browser, server)
    yield made
    made.page.context.close()
    made.check()


def test_requests_are_listed_filtered_and_paged(tab: Tab, server: Server, rows: list[RequestRecord]) -> None:
    page = tab.page
    page.get_by_role("link", name="Traces").click()
    page.locator("tr[data-trace]").first.wait_for()
    listed = page.locator("tr[data-trace]").evaluate_all("rows => rows.map(row => row.dataset.trace)")
    assert listed == [row.trace for row in rows[:100]]
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Newest").wait_for()
    older = page.locator("tr[data-trace]").evaluate_all("rows => rows.map(row => row.dataset.trace)")
    assert older == [row.trace for row in rows[100:]]

    page.goto(f"{server.url}/console/traces")
    page.get_by_label("Status").select_option("ok")
    page.get_by_label("From").fill("Alice")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Clear").wait_for()
    (alice,) = {row.principal for row in rows if row.model == "claude-sonnet"}
    hers = [row.trace for row in rows if row.principal == alice and row.status == "ok"]
    assert hers
    assert page.locator("tr[data-trace]").evaluate_all("rows => rows.map(row => row.dataset.trace)") == hers

    page.goto(f"{server.url}/console/traces?trace={rows[5].trace[4:]}")
    page.locator("tr[data-trace] a").click()
    page.get_by_text(rows[5].trace).wait_for()
    page.goto(f"{server.url}/console/traces?model=nobody")
    page.get_by_text("No request fits").wait_for()


def test_a_trace_shows_its_attempts_in_time(tab: Tab, server: Server, rows: list[RequestRecord]) -> None:
    page = tab.page
    row = next(row for row in rows if row.model == "assistant" and row.target == "gpt-4o" and row.status == "ok")
    page.goto(f"{server.url}/console/traces/{row.trace}")
    page.locator("[data-stage]").first.wait_for()
    stages = page.locator("[data-stage]").evaluate_all("all => all.map(one => one.dataset.stage)")
    tries = ["attempt", "model"] * 3
    assert stages == ["request", "guards", *tries, "guards"]
    assert page.locator(".a-stage.is-bad").count() == 4, "two tries of the first model"
    root, last = (page.locator("[data-stage] rect").nth(place).bounding_box() for place in (0, 6))
    assert root is not None
    assert last is not None
    assert root["x"] < last["x"]
    assert last["x"] + last["width"] <= root["x"] + root["width"] + 2
    page.locator("[data-stage=model] summary").nth(2).click()
    page.locator("[data-stage=model]").nth(2).get_by_text("completion tokens").wait_for()
    assert page.get_by_text("recorded").is_visible()
    page.goto(f"{server.url}/console/traces/tr_none")
    page.get_by_role("alert").get_by_text("There is no request").wait_for()


def test_costs_add_up_to_the_ledger(tab: Tab, server: Server, rows: list[RequestRecord]) -> None:
    page = tab.page
    page.get_by_role("link", name="Costs").click()
    page.get_by_label("Period").select_option("90")
    page.wait_for_url(re.compile("period=90"))
    page.get_by_label("Group").select_option("team")
    page.wait_for_url(re.compile("by=team"))
    page.get_by_label("Measure").select_option("requests")
    page.wait_for_url(re.compile("measure=requests"))
    table = page.get_by_label("By team")
    told = {cells[0]: int(cells[1]) for cells in (
        row.locator("td").all_text_contents() for row in table.locator("tbody tr").all()
    )}  # fmt: skip
    assert set(told) == {"Support", "Research", "Sales"}
    assert sum(told.values()) == len(rows)
    bars = page.locator(".a-bars rect title").all_text_contents()
    assert sum(int(title.split(": ")[1].split("\n")[0]) for title in bars) == len(rows)
    budget = page.locator("section", has=page.get_by_role("heading", name="Support", exact=True)).last
    assert "of $0.750" in budget.inner_text()


def test_who_may_not_see_others_sees_their_own(browser: object, server: Server) -> None:
    with server.client() as client:
        key = client.post("/api/keys", json={"name": "Newcomer"}).json()["secret"]
    tab = opened(browser, server, key)
    page = tab.page
    page.locator("#main").wait_for()
    assert page.get_by_role("link", name="Keys").count() == 0
    page.goto(f"{server.url}/console/traces")
    page.get_by_text("No requests yet").wait_for()
    page.goto(f"{server.url}/console/costs")
    page.get_by_text("Nothing was asked in this time").wait_for()
    assert page.get_by_text("Limits and budgets").count() == 0
    page.goto(f"{server.url}/console/keys")
    page.get_by_role("alert").get_by_text("may not do this").wait_for()
    assert page.get_by_role("button", name="New key").count() == 0
    page.context.close()
    (refused,) = tab.complaints
    assert "403" in refused
    tab.complaints.clear()
    tab.check()


def test_a_key_is_made_changed_rotated_and_revoked(tab: Tab, server: Server) -> None:
    page = tab.page
    page.get_by_role("link", name="Keys").click()
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Who is it for").fill("Robot")
    page.get_by_label("Team").select_option("Sales")
    page.get_by_label("Models and routes").fill("gpt-*, support")
    page.get_by_label("US dollars per day").fill("0.25")
    page.get_by_role("button", name="Make key").click()
    secret = page.locator(".a-secret code").text_content() or ""
    assert httpx.get(f"{server.url}/v1/models", headers={"authorization": f"Bearer {secret}"}).status_code == 200
    page.get_by_role("button", name="I have it").click()
    card = page.locator("[data-key=Robot]")
    assert card.get_by_text("gpt-*, support").is_visible()
    assert card.get_by_text("$0 of $0.250").is_visible()
    assert page.get_by_text(secret).count() == 0

    card.get_by_role("button", name="Change").click()
    assert page.get_by_label("US dollars per day").input_value() == "0.25"
    page.get_by_label("US dollars per day").fill("")
    page.get_by_label("Requests per minute").fill("7")
    page.get_by_role("button", name="Save").click()
    card.get_by_text("0 of 7").wait_for()
    assert card.get_by_text("of $0.250").count() == 0
    assert card.get_by_text("gpt-*, support").is_visible()

    card.get_by_role("button", name="Rotate").click()
    page.get_by_role("button", name="Make a new secret").click()
    fresh = page.locator(".a-secret code").text_content() or ""
    page.get_by_role("button", name="I have it").click()
    for own in (secret, fresh):
        assert httpx.get(f"{server.url}/v1/models", headers={"authorization": f"Bearer {own}"}).status_code == 200
    assert fresh != secret
    page.locator("[data-key=Robot]").get_by_text("replaced").wait_for()

    page.locator("[data-key=Robot]", has_text="active").get_by_role("button", name="Revoke Robot").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    page.locator("[data-key=Robot]", has_text="active").wait_for(state="detached")
    assert httpx.get(f"{server.url}/v1/models", headers={"authorization": f"Bearer {fresh}"}).status_code == 401
    page.get_by_role("link", name=re.compile("Show 1")).click()
    page.locator("[data-key=Robot]", has_text="revoked").wait_for()


def test_a_phone_shows_it_without_sideways_scrolling(tab: Tab, server: Server, rows: list[RequestRecord]) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    for path in ("traces", f"traces/{rows[0].trace}", "costs", "keys"):
        tab.page.goto(f"{server.url}/console/{path}")
        tab.page.locator(".a-card").first.wait_for()
        assert tab.page.evaluate("document.scrollingElement.scrollWidth") <= 360, path
    for name in ("Chat", "Knowledge", "Models", "Traces", "Costs", "Keys"):
        link = tab.page.get_by_role("link", name=name)
        link.scroll_into_view_if_needed()
        box = link.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= 360 - box["width"], name
