"""One tap writes down that a customer wants to be left alone; what the gate then says; and the way back."""

from django.test import Client

from clerks.outreach import contact
from members import consent
from members.models import Member, Stop
from retail.models import AuditRow
from tests.clerks.pages.test_customers import customer
from tests.factories import NOW, World


def address(member: Member) -> str:
    return f"/m/customers/{member.pk}/wishes/"


def may(shop: World, member: Member, purpose: str) -> bool:
    return contact.may(member_id=member.pk, corp=shop.brand.corp, purpose=purpose, by=None, now=NOW).ok


def test_one_tap_stops_and_the_gate_says_no(shop: World, phone: Client):
    member = customer(shop)
    page = phone.get(address(member)).content.decode()
    assert "顾客没有说过不要联系" in page and "不要发优惠" in page and "不要再联系" in page

    assert phone.post(address(member), {"stop": "marketing"}).status_code == 302
    assert not may(shop, member, "marketing") and may(shop, member, "service")
    assert "顾客说：不要发优惠" in phone.get(address(member)).content.decode()
    assert "不要发优惠" in phone.get(f"/m/customers/{member.pk}/").content.decode()

    piece = phone.post(address(member), {"stop": ""}, headers={"HX-Request": "true"})
    assert piece.status_code == 200 and "<html" not in piece.content.decode()
    assert not may(shop, member, "service")
    assert AuditRow.objects.filter(action="stop", target_id=member.pk).count() == 2


def test_one_way_of_contact_alone(shop: World, phone: Client):
    member = customer(shop)
    phone.post(address(member), {"stop": "", "channel": "phone"})
    phone.post(address(member), {"stop": "marketing", "channel": "wecom"})
    page = phone.get(address(member)).content.decode()
    assert "顾客说：不要打电话" in page and "顾客说：不要在企业微信里发优惠" in page
    assert may(shop, member, "service") and not may(shop, member, "marketing")
    assert phone.post(address(member), {"stop": "", "channel": "pigeon"}).status_code == 404
    stop = Stop.objects.get(channel="wecom")
    assert phone.post(address(member), {"lift": stop.pk}).status_code == 404, "on nobody's word"
    phone.post(address(member), {"lift": stop.pk, "how": "shop"})
    assert may(shop, member, "marketing")
    assert AuditRow.objects.get(action="stop.lift").reason == "当面说的"


def test_a_second_tap_is_no_second_wish_and_who_says_so_is_called_again(shop: World, phone: Client):
    member = customer(shop)
    for _ in range(2):
        phone.post(address(member), {"stop": "profiling"})
    (stop,) = Stop.objects.all()
    assert stop.corp == "" and consent.unprofiled(member_ids=[member.pk]) == {member.pk}
    phone.post(address(member), {"lift": stop.pk, "how": "phone"})
    phone.post(address(member), {"lift": stop.pk, "how": "phone"})
    assert consent.unprofiled(member_ids=[member.pk]) == set()
    assert AuditRow.objects.filter(action="stop.lift").count() == 1


def test_another_clerks_customer_is_not_there_and_nonsense_is_not_found(shop: World, phone: Client):
    shop.hire("A2")
    theirs, mine = customer(shop, 2, clerk="A2"), customer(shop, 1)
    other = consent.stop(member=theirs, corp=shop.brand.corp, by=None, now=NOW)
    assert phone.get(address(theirs)).status_code == phone.post(address(theirs), {"stop": ""}).status_code == 404
    assert phone.post(address(mine), {"stop": "dream"}).status_code == phone.post(address(mine)).status_code == 404
    phone.post(address(mine), {"lift": other.pk, "how": "shop"})
    assert Stop.objects.get().lifted_at is None
