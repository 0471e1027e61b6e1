"""The signatures a page shows WeCom's client, checked with the tickets of the simulator."""

import pytest
from django.test import Client
from django.utils import timezone

from retail.models import StaffAccount
from retail.wecom import crypto
from retail.wecom.models import Credential
from tests import factories, signing_in
from tests.factories import World
from tests.factories import wecom as wecom_factory
from tests.wecom_server import AGENT, CORP, OTHER_AGENT, OTHER_SECRET, Wecom

PAGE = "http://testserver/m/sidebar/?app=demo"


@pytest.fixture
def phone(shop: World) -> Client:
    staff = shop.staff["A1"]
    staff.user = factories.user()
    staff.save()
    return signing_in.signed_in(staff.user, post=staff.posts.get())


def ticket(wecom: Wecom, kind: str, agent_id: int = AGENT) -> str:
    return wecom.simulator.world.tickets[CORP, agent_id, kind].value


def is_right(signed: dict, ticket: str, url: str) -> bool:
    given = {"nonce": signed["nonceStr"], "timestamp": signed["timestamp"]}
    return signed["signature"] == crypto.js_signature(ticket=ticket, url=url, **given)


def test_both_tickets_sign_the_address_of_the_page(wecom: Wecom, phone: Client):
    answer = phone.get("/m/sidebar/signatures/", {"app": "demo", "url": PAGE})
    told = answer.json()

    assert (told["corpId"], told["agentId"]) == (CORP, AGENT)
    assert is_right(told["config"], ticket(wecom, "corp_ticket"), PAGE)
    assert is_right(told["agentConfig"], ticket(wecom, "agent_ticket"), PAGE)
    assert told["config"]["nonceStr"] != told["agentConfig"]["nonceStr"]
    assert "no-store" in answer["Cache-Control"]
    assert not [value for kind in ("corp_ticket", "agent_ticket") if (value := ticket(wecom, kind)) in str(told)]


def test_tickets_are_fetched_once_for_many_pages(wecom: Wecom, phone: Client):
    for page in ("sidebar/", "customers/1/", "customers/2/"):
        url = f"http://testserver/m/{page}"
        assert phone.get("/m/sidebar/signatures/", {"url": url}).status_code == 200

    asked = wecom.control.get("log", path="*")["requests"]
    assert sorted(one["path"] for one in asked) == ["get_jsapi_ticket", "gettoken", "ticket/get"]


def test_every_application_signs_with_its_own_ticket(wecom: Wecom, phone: Client):
    wecom_factory.app(slug="other", corp_id=CORP, agent_id=OTHER_AGENT, secret=OTHER_SECRET)
    wecom.control.post("app", agent_id=OTHER_AGENT, scopes=["jssdk"])

    told = phone.get("/m/sidebar/signatures/", {"app": "other", "url": PAGE}).json()

    assert told["agentId"] == OTHER_AGENT
    assert is_right(told["agentConfig"], ticket(wecom, "agent_ticket", OTHER_AGENT), PAGE)


@pytest.mark.parametrize(
    "url",
    ["", "https://elsewhere.example/m/", "http://testserver/admin/", "http://testserver.elsewhere.example/m/",
     "javascript:alert(1)", "/m/sidebar/", "http://testserver@elsewhere.example/m/", "http://[/m/"],
)  # fmt: skip
def test_pages_of_others_are_not_signed(wecom: Wecom, phone: Client, url: str):
    assert phone.get("/m/sidebar/signatures/", {"url": url}).status_code == 404
    assert wecom.control.get("log", path="*")["requests"] == []


def test_an_application_of_another_corp_does_not_sign_for_this_store(wecom: Wecom, phone: Client):
    wecom_factory.app(slug="foreign", corp_id="ww-another-corp")

    assert phone.get("/m/sidebar/signatures/", {"app": "foreign", "url": PAGE}).json()["agentId"] == AGENT


def test_when_wecom_is_silent_the_page_is_told(wecom: Wecom, phone: Client):
    wecom.control.post("faults", path="get_jsapi_ticket", kind="cut", times=9)

    answer = phone.get("/m/sidebar/signatures/", {"url": PAGE})

    assert answer.status_code == 503 and "企业微信没有回应" in answer.json()["said"]


def test_a_stranger_gets_no_signature(wecom: Wecom, shop: World, client: Client):
    assert client.get("/m/sidebar/signatures/", {"url": PAGE}).status_code == 302
    assert StaffAccount.objects.count() == 3


# ── Tickets that WeCom takes no more ─────────────────────────────────────────────────────────────────────────────────
def signatures(phone: Client) -> dict:
    return phone.get("/m/sidebar/signatures/", {"app": "demo", "url": PAGE}).json()


def report(phone: Client, told: dict, **changed: str) -> int:
    """The page says that the client took neither signature; the status of the answer."""
    given = {kind: f"{told[kind]['nonceStr']} {told[kind]['timestamp']} {told[kind]['signature']}" for kind in KINDS}
    return phone.post("/m/sidebar/signatures/?app=demo", {"url": PAGE, **given, **changed}).status_code


KINDS = ("config", "agentConfig")


def fetched(wecom: Wecom) -> int:
    """How many tickets WeCom has given."""
    asked = [*wecom.control.requests("get_jsapi_ticket"), *wecom.control.requests("ticket/get")]
    return sum(one["errcode"] == 0 for one in asked)


def test_refused_tickets_are_replaced_once_and_the_page_asks_again(wecom: Wecom, phone: Client):
    before = signatures(phone)
    wecom.control.post("clock", advance=3 * 3600)  # in WeCom tickets and token are over, here they are not

    assert report(phone, before) == 200
    assert report(phone, before) == 200  # another page of the same time: they are new by now

    after = signatures(phone)
    assert is_right(after["config"], ticket(wecom, "corp_ticket"), PAGE)
    assert is_right(after["agentConfig"], ticket(wecom, "agent_ticket"), PAGE)
    assert fetched(wecom) == 4


def test_tickets_whose_time_is_over_are_replaced_unasked(wecom: Wecom, phone: Client):
    before = signatures(phone)
    Credential.objects.exclude(kind="access_token").update(expires_at=timezone.now())
    wecom.control.post("clock", advance=3 * 3600)

    after = signatures(phone)

    assert is_right(after["config"], ticket(wecom, "corp_ticket"), PAGE)
    assert after["config"]["signature"] != before["config"]["signature"]


def test_good_tickets_stay_whatever_a_page_says(wecom: Wecom, phone: Client):
    told = signatures(phone)
    ours = [ticket(wecom, "corp_ticket"), ticket(wecom, "agent_ticket")]

    assert report(phone, told) == 409  # WeCom gives the same ones again
    made_up = dict.fromkeys(KINDS, "nonce 1700000000 " + "0" * 40)
    asked = fetched(wecom)
    assert report(phone, told, **made_up) == 200  # not signed with what is in use: there is nothing to replace
    assert report(phone, told, config="x", agentConfig="") == 409
    assert fetched(wecom) == asked
    assert [ticket(wecom, "corp_ticket"), ticket(wecom, "agent_ticket")] == ours


def test_reports_are_limited(wecom: Wecom, phone: Client, settings):
    settings.WECOM_RATES = {**settings.WECOM_RATES, "js_sdk/refused": (30, 2)}
    told = signatures(phone)
    assert report(phone, told) == 409
    assert report(phone, told) == 503
    assert fetched(wecom) == 4
