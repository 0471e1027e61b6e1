"""Pages in a real browser: `phone` is what a clerk holds, `desk` what headquarters sits at.

A test fails when its pages wrote an error to the console, threw one, or asked for anything outside this machine;
one that expects an error clears `faults` itself.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Browser, Frame, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from pytest_django.live_server_helper import LiveServer

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

SHARED: dict[str, Any] = {"locale": "zh-CN", "timezone_id": "Asia/Shanghai"}
DESK: dict[str, Any] = SHARED | {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = SHARED | {
    "viewport": {"width": 360, "height": 780},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "user_agent": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.4 Mobile/15E148 Safari/604.1"
    ),
}

# Which elements stick out, innermost last; what a parent clips or scrolls by itself is no harm.
OVERHANGS = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll('body *')]
    .filter(element => element.getBoundingClientRect().right > width + 1)
    .map(element => element.outerHTML.slice(0, 120));
}"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails says what stood on its screens, since nobody was there to look."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if call.when == "call" and report.failed and browser:
        frames = (frame for context in browser.contexts for page in context.pages for frame in page.frames)
        for frame in frames:
            report.sections.append((f"on the screen: {frame.url}", _read(frame)))
    return report


def _read(frame: Frame) -> str:
    try:
        return frame.locator("body").inner_text(timeout=1_000)
    except PlaywrightError as error:  # it is being left just now
        return str(error)


def assert_fits(page: Page) -> None:
    """The page does not scroll sideways at the width it is shown at."""
    overhangs = page.evaluate(OVERHANGS)
    assert not overhangs, "wider than the screen:\n" + "\n".join(overhangs[-5:])


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, which Django takes for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=10_000)  # as long as a click waits
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()
        connections.close_all()  # Django keeps those of an event loop apart, and the loop ends here


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """What went wrong in the pages of this test; anything left at its end fails it."""
    seen: list[str] = []
    yield seen
    assert not seen, "in the browser:\n" + "\n".join(seen)


@contextmanager
def opened(
    browser: Browser, *, url: str, faults: list[str], options: dict[str, Any], besides: tuple[str, ...] = ()
) -> Iterator[Page]:
    """A page in a context of its own (cookies, storage) that may ask only the server at `url`, and those `besides`.

    Others are not held up by a route: with one, Chromium keeps no script or font from one page to the next.
    """
    context = browser.new_context(base_url=url, **options)
    context.set_default_timeout(10_000)
    ours = (url, *besides, "blob:")
    context.on("request", lambda one: None if one.url.startswith(ours) else faults.append(f"asked for {one.url}"))
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()


@pytest.fixture
def phone(browser: Browser, live_server: LiveServer, faults: list[str]) -> Iterator[Page]:
    with opened(browser, url=live_server.url, faults=faults, options=PHONE) as page:
        yield page


@pytest.fixture
def desk(browser: Browser, live_server: LiveServer, faults: list[str]) -> Iterator[Page]:
    with opened(browser, url=live_server.url, faults=faults, options=DESK) as page:
        yield page
