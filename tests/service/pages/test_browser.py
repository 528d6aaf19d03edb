"""The pages in a real browser, by mouse and by keys, at the width of a desk and of a phone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.browser import browser, open_page
from tests.service.conftest import Service

WIDTHS = (1280, 390)
WAIT = 20_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@contextmanager
def served(service: Service) -> Iterator[str]:
    """Serve the running application on a port, beside the client that started it."""
    config = uvicorn.Config(service.app, port=0, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


def log_in(page: Any, service: Service) -> None:
    page.set_default_timeout(WAIT)
    page.fill("input[name=token]", service.auditor["Authorization"].removeprefix("Bearer "))
    page.press("input[name=token]", "Enter")
    page.wait_for_selector(".grid")
    page.wait_for_load_state()  # a key that is pressed before the scripts run is lost


def wait_for_pictures(page: Any) -> None:
    """Wait for the pictures of the cards, which load after the page."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-card] img')].every(img => img.naturalWidth > 0)"
    )


def violations(page: Any) -> list[str]:
    """Return what axe-core finds wrong with a page."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    script = resources.files(axe).joinpath("axe.min.js").read_text()
    found = page.evaluate(f"async () => {{ {script}; return (await axe.run()).violations; }}")
    return [f"{one['id']}: {[node['html'][:200] for node in one['nodes']]}" for one in found]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_fault_of_access(compared: Service, chromium: Any, width: int, scheme: str) -> None:
    with served(compared) as address, open_page(chromium, f"{address}/queue", width) as page:
        page.emulate_media(color_scheme=scheme)
        assert not violations(page)
        log_in(page, compared)
        for path in (
            "/queue?class=3&label=none",
            "/queue?verdict=any",
            "/records/2",
            "/bulk",
            "/prototypes",
            "/prototypes/preview?edit=relabel&prototype=0/0&label=8",
            "/rates",
            "/shadow",
            "/actions",
        ):
            page.goto(address + path)
            page.wait_for_load_state("networkidle")
            assert not violations(page), path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_an_auditor_works_by_keys(watched: Service, chromium: Any) -> None:
    store = watched.state.store
    flagged = [record.id for record in store.records(verdict="attack")]
    with served(watched) as address, open_page(chromium, f"{address}/queue", 1280) as page:
        log_in(page, watched)
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.wait_for_selector(".card.attack")
        assert store.get(flagged[1]).human_label == "attack"
        page.wait_for_function("() => document.activeElement.closest('.card.attack') !== null")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"h1:has-text('Image {flagged[1]}')")
        page.keyboard.press("j")
        page.wait_for_selector(f"h1:has-text('Image {flagged[2]}')")
        page.keyboard.press("c")
        page.wait_for_selector("button[value=clean][aria-pressed=true]")
        page.keyboard.press("n")
        page.keyboard.type("a scratch, jack")  # its letters are no commands while one types
        page.keyboard.press("Escape")
        page.click("text=Add note")
        page.wait_for_selector("q:has-text('a scratch, jack')")
        assert store.get(flagged[2]).human_label == "clean"
        page.keyboard.press("z")
        page.wait_for_selector(".done")
        page.keyboard.press("z")
        page.wait_for_function("() => !document.querySelector('[aria-pressed=true]')")
        assert store.get(flagged[2]).human_label is None
        page.keyboard.press("k")
        page.wait_for_selector(f"h1:has-text('Image {flagged[1]}')")
        page.keyboard.press("q")
        page.wait_for_selector(".grid")
        assert page.url == f"{address}/queue"


@pytest.mark.parametrize("width", WIDTHS)
def test_filter_then_label_all_then_undo(watched: Service, chromium: Any, width: int) -> None:
    store = watched.state.store
    name = store.records(verdict="attack")[0].classifier_label
    matching = store.count(verdict="attack", class_name=name)
    with served(watched) as address, open_page(chromium, f"{address}/queue", width) as page:
        log_in(page, watched)
        page.click("summary:has-text('Filter')")
        page.fill("input[name=class]", name)
        page.click("button:has-text('Filter')")
        page.wait_for_function("() => location.search.includes('class=')")
        assert page.locator(".card").count() == matching
        page.click("text=Label all that match")
        page.click(f"button:has-text('Label {matching} as unsure')")
        page.wait_for_selector(".done")
        assert store.count(label="unsure") == matching
        assert page.locator(".card.unsure").count() == matching
        page.click(".done button")
        page.wait_for_function("() => !document.querySelector('.card.unsure')")
        assert store.count(label="unsure") == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_a_prototype_is_removed_after_its_preview_and_restored(
    watched: Service, chromium: Any, width: int
) -> None:
    before = watched.state.models.current
    assert before is not None
    with served(watched) as address, open_page(chromium, f"{address}/queue", width) as page:
        log_in(page, watched)
        page.click("text=Prototypes")
        page.wait_for_selector("h1:has-text('Prototypes of')")
        number = page.locator(".card").count()
        page.click("text=Remove …")
        page.wait_for_selector("th:has-text('calibration')")
        assert str(len(before.guard.calibration)) in page.locator("table").inner_text()
        page.click("text=Remove it")
        page.wait_for_selector("h2:has-text('Removed')")
        assert page.locator(".card").count() == number - 1
        page.click("text=Restore …")
        page.click("text=Restore it")
        page.wait_for_selector(".done:has-text('Prototype restored')")
        assert not page.locator("h2:has-text('Removed')").count()
        assert page.locator(".card").count() == number
    now = watched.state.models.current
    assert now is not None
    assert now.id == before.id


def test_paging_and_logging_out(watched: Service, chromium: Any) -> None:
    with (
        served(watched) as address,
        open_page(chromium, f"{address}/queue?verdict=any&limit=10", 1280) as page,
    ):
        log_in(page, watched)
        seen: list[str] = []
        while True:
            seen += page.locator(".card > a").evaluate_all("links => links.map(a => a.pathname)")
            older = page.locator("a[rel=next]")
            if not older.count():
                break
            place = page.url
            older.click()
            page.wait_for_function("from => location.href !== from", arg=place)
        assert seen == [f"/records/{number}" for number in range(24, 0, -1)]
        wait_for_pictures(page)  # one asked for after the log-out is refused, and the console says so
        page.click("text=Log out")
        page.wait_for_selector("input[name=token]")
        page.go_back()
        page.goto(f"{address}/queue")
        page.wait_for_selector("input[name=token]")


@pytest.mark.parametrize("width", WIDTHS)
def test_from_the_shadow_to_an_image_it_judges_otherwise(
    compared: Service, chromium: Any, width: int
) -> None:
    with served(compared) as address, open_page(chromium, f"{address}/queue", width) as page:
        log_in(page, compared)
        page.goto(f"{address}/shadow?limit=3")
        wait_for_pictures(page)
        page.click("a[rel=next]")
        page.wait_for_function("() => location.search.includes('cursor=')")
        page.click("a:has-text('Newest')")
        page.wait_for_function("() => !location.search.includes('cursor=')")
        page.click(".pair td a >> nth=0")
        page.wait_for_selector("h2:has-text('flagged by the shadow alone')")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('Image ')")
        number = int(page.url.rpartition("/")[2].partition("?")[0])
        assert number % 2 == 0
        assert compared.state.store.get(number).verdict == "clean"


def test_the_pages_work_without_scripts(watched: Service, chromium: Any) -> None:
    with served(watched) as address:
        context = chromium.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{address}/queue")
        log_in(page, watched)
        page.click(".card button[value=unsure] >> nth=0")
        page.wait_for_selector(".card.unsure")
        page.click("text=Undo my last label")
        page.wait_for_selector(".done")
        assert page.locator(".card.unsure").count() == 0
        context.close()


def test_files_of_the_pages_have_their_licence() -> None:
    static = Path(str(resources.files("simdnn.service"))) / "static"
    assert "Permission to use" in (static / "htmx.LICENSE").read_text()
