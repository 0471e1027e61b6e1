"""Pictures of the pages for the documentation: `make screenshots` writes docs/img/*.png from a demo of its own.

The demo lives in var/screenshots: the first run makes its world, the next ones find it again.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import PROGRAMS
from tests.e2e.conftest import DESK, FLAGS, PHONE

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "docs" / "img"
READY = "is ready: "
LARGER_PHONE = PHONE | {"viewport": {"width": 390, "height": 844}}


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        on_the_phone(browser, address)
        on_the_desk(browser, address)
        browser.close()


def on_the_phone(browser: Browser, address: str) -> None:
    """What a clerk sees, from home to one sale explained."""
    page = browser.new_context(base_url=address, **LARGER_PHONE).new_page()
    through_door(page, "导购")
    take(page, "phone-home")
    page.locator("a.sale").first.click()
    page.wait_for_url("**/m/earnings/*/")
    take(page, "phone-sale")
    page.goto("/m/earnings/")
    page.locator("details summary").first.click()
    page.locator("details .sale").first.wait_for()
    take(page, "phone-month")


def on_the_desk(browser: Browser, address: str) -> None:
    """The doors, and what headquarters sees, from all sales to the reason of one fen."""
    page = browser.new_context(base_url=address, **DESK).new_page()
    page.goto("/")
    take(page, "doors")
    through_door(page, "总部")
    take(page, "desk-dashboard")
    page.goto("/admin/retail/order/")
    take(page, "desk-orders")
    page.locator("#result_list tbody th a").first.click()
    page.wait_for_url("**/change/")
    take(page, "desk-order")
    page.get_by_role("link", name="为什么是这个数").first.click()
    page.wait_for_url("**/why/")
    take(page, "desk-why")


def through_door(page: Page, name: str) -> None:
    page.goto("/")
    page.locator(".door").filter(has=page.get_by_text(name, exact=True)).click()
    page.wait_for_url(lambda url: not url.endswith("/doors/") and url.count("/") > 3)


def take(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=OUT / f"{name}.png", animations="disabled")
    print(OUT.relative_to(ROOT) / f"{name}.png")


@contextmanager
def demo() -> Iterator[str]:
    """A running demo of its own, as its address."""
    # tests.conftest, imported above, has set up this process for tests: the demo is none.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("DAOGOU_")}
    variables |= {"DAOGOU_DEMO": "true", "DAOGOU_VAR": str(ROOT / "var" / "screenshots")}
    command = [sys.executable, "manage.py", "demo", "--port", "8019"]
    running = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)
    try:
        yield _address(running)
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate()


def _address(running: subprocess.Popen[str]) -> str:
    """Wait for the demo to say where it is, passing on what it says meanwhile."""
    assert running.stdout is not None
    for line in running.stdout:
        print(line, end="", flush=True)
        if READY in line:
            return line.split(READY)[1].strip()
    raise SystemExit("The demo ended before it was ready.")


def _chromium() -> str:
    found = next(filter(None, map(which, PROGRAMS["chromium"])), None)
    return found or sys.exit("chromium is missing: apt-get install --no-install-recommends chromium")


if __name__ == "__main__":
    main()
