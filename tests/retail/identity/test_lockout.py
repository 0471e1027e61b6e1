"""Guessing over many names, or from many addresses: it stops, and the staff are not locked out by it."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from retail import gate
from retail.models import AuditRow, User
from tests.factories import user
from tests.figures import figure
from tests.retail.identity.test_second_factor import code_of
from tests.signing_in import TOTPDevice

PASSWORD = "a-long-password"


@pytest.fixture
def clerk(db) -> User:
    return user(is_staff=True, is_superuser=True)


def guess(name: str, address: str, password: str = "guess", client: Client | None = None) -> int:
    form = {"username": name, "password": password}
    return (client or Client()).post("/admin/login/", form, REMOTE_ADDR=address).status_code


def spray_names(settings, address: str = "10.0.0.1") -> int:
    """Fail with ever other names from one address until it is closed; how often it was let try."""
    for tried in range(100):
        if guess(f"nobody-{tried}", address) == 429:
            return tried
    return 100


def spray_addresses(name: str) -> int:
    for tried in range(100):
        if guess(name, f"10.1.{tried // 4}.1") == 429 and guess(name, f"10.2.{tried}.1") == 429:
            return tried
    return 100


def known_browser(person: User, address: str) -> Client:
    """One in which the person has signed in with both factors, and out again."""
    device, _ = TOTPDevice.objects.get_or_create(user=person, confirmed=True)
    client = Client()
    assert guess(person.username, address, PASSWORD, client) == 302
    assert client.post("/admin/verify/", {"code": code_of(device)}, REMOTE_ADDR=address).status_code == 302
    client.post("/admin/logout/")
    return client


def test_one_address_that_tries_many_names_is_closed_and_others_are_not(settings, clerk):
    tried = spray_names(settings)

    assert tried == settings.SIGN_IN_FAILURES_OF_ADDRESS
    refused = Client().post(
        "/admin/login/", {"username": clerk.username, "password": PASSWORD}, REMOTE_ADDR="10.0.0.1"
    )
    assert refused.status_code == 429 and "15 分钟" in refused.content.decode()
    assert guess(clerk.username, "10.0.0.2", PASSWORD) == 302, "another address"
    figure("P8", f"passwords sprayed over names from one address: stopped after {tried}")


def test_one_name_tried_from_many_addresses_is_closed_for_strangers(settings, clerk):
    own = known_browser(clerk, "10.9.0.1")

    tried = spray_addresses(clerk.username)

    assert tried <= settings.SIGN_IN_FAILURES_OF_NAME
    assert guess(clerk.username, "10.77.0.1", PASSWORD) == 429, "a browser nobody knows"
    assert guess(clerk.username, "10.9.0.1", PASSWORD, own) == 302, "the owner's own browser"
    figure("P8", f"one name sprayed from many addresses: stopped after {tried}, the owner signs in all the same")


def test_the_staff_of_an_office_go_on_while_somebody_sprays_from_it(settings, clerk):
    own = known_browser(clerk, "10.0.0.1")
    spray_names(settings)

    assert guess(clerk.username, "10.0.0.1", PASSWORD, own) == 302
    assert guess(user().username, "10.0.0.1", PASSWORD, own) == 429, "known as one person, not as another"


def test_a_known_browser_still_has_its_own_five_tries(settings, clerk):
    own = known_browser(clerk, "10.0.0.1")

    answers = [guess(clerk.username, "10.0.0.1", f"guess {n}", own) for n in range(5)]

    assert answers[-1] == 429 and guess(clerk.username, "10.0.0.1", PASSWORD, own) == 429


def test_nobody_is_locked_out_for_long(settings, clerk):
    spray_names(settings)
    spray_addresses(clerk.username)

    with time_machine.travel(timezone.now() + timedelta(minutes=16), tick=True):
        assert guess(clerk.username, "10.0.0.1", PASSWORD) == 302


def test_a_forged_cookie_makes_no_known_browser(settings, clerk):
    spray_addresses(clerk.username)
    forger = Client()
    forger.cookies["known"] = f"{clerk.pk}:1:forged"

    assert guess(clerk.username, "10.0.0.9", PASSWORD, forger) == 429


# ── In the journal ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_sign_ins_are_in_the_journal_with_the_network_they_came_from(clerk):
    known_browser(clerk, "10.20.30.40")
    guess(clerk.username, "10.20.30.41")
    guess("sesame-open", "10.20.30.42")

    rows = AuditRow._base_manager.filter(action__startswith="sign_in").order_by("pk")
    came, failed, nobody = rows
    assert (came.action, came.by, came.after) == ("sign_in", clerk, {"way": "two_steps", "address": "10.20.30.*"})
    assert (failed.action, failed.by, failed.target_id) == ("sign_in.failed", None, str(clerk.pk))
    assert (nobody.target_id, nobody.after) == ("", {"address": "10.20.30.*"})
    assert "sesame" not in str(list(rows.values())), "what is typed for a name may be a password"


@pytest.mark.parametrize(
    ("address", "kept"),
    [("10.1.2.3", "10.1.2.*"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("nonsense", ""), (None, "")],
)
def test_of_an_address_the_network_is_kept(address, kept):
    assert gate.masked_address(address) == kept
