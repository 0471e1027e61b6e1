"""P3: every address × method × caller answers as the table says, and names nobody of another world.

The cells come from the URL resolver, and with it from the admin's registry and the API's router: a new address without
a row in `expected` is red. CI asks GET and POST of everything; the other methods outside the admin, and of the own
row, as no page looks at a row before it has refused them; and rows of other worlds in the admin only of who sees some
rows and not others. The full size asks everything.
"""

import time

import pytest

from retail import scope
from tests.figures import figure
from tests.matrix import cells, expected

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture(scope="module")
def every_cell(worlds, django_db_blocker):
    with django_db_blocker.unblock(), scope.within(scope.EVERYTHING):
        return cells.cells(worlds)


def methods(cell, size, caller):
    is_elsewhere = cell.whose in ("beside", "theirs")
    if size == "full" or not (is_elsewhere or cell.path.startswith("/admin/")):
        return cells.METHODS
    tells_worlds_apart = caller in ("store_manager", "region_manager", "franchise_owner")
    if is_elsewhere and cell.path.startswith("/admin/") and not tells_worlds_apart:
        return ()
    return ("GET", "POST")


def strangers(worlds, caller):
    """What no answer to this caller may contain."""
    if caller not in cells.NARROW:
        return []
    beside = [] if caller == "brand_token" else worlds.beside.sentinels  # our brand's, too
    return [*worlds.theirs.sentinels, *beside]


@pytest.mark.parametrize("caller", [*cells.ROLES, *cells.TOKENS])
def test_every_address_answers_as_expected_and_tells_nothing_of_others(worlds, every_cell, size, caller):
    began, asked, faults = time.monotonic(), 0, []
    browser, forbidden = cells.Caller(worlds, caller), strangers(worlds, caller)
    for cell in every_cell:
        if caller in cells.TOKENS and not cell.path.startswith("/api/"):
            continue
        for method in methods(cell, size, caller):
            answer = browser.ask(method, cell.path)
            asked += 1
            if answer.status_code not in (wanted := expected.statuses(cell, method, caller)):
                faults.append(f"{method} {cell.path} ({cell.whose}): {answer.status_code}, expected {wanted}")
            body = answer.content.decode(errors="replace") + str(answer.headers)
            faults += [f"{method} {cell.path} ({cell.whose}) tells {mark}" for mark in forbidden if mark in body]
    figure("P3", f"{caller}: {asked} cells, {len(faults)} wrong or leaking ({time.monotonic() - began:.0f} s)")
    assert not faults, "\n".join(faults[:40])


def test_every_address_has_its_row():
    assert [address.name for address in cells.addresses() if not expected.has_row(address)] == []
