"""Who was behind an order, in which role."""

from datetime import timedelta

import pytest
from django.utils import timezone

from clerks.models import Binding
from commissions.models import BuyerSnapshot, ClaimRow, Entry
from members.models import Identity, Membership
from retail import privacy
from retail.models import BuyerKey, Post
from retail.shapes import Buyer
from tests.factories import NOW, franchisee, world

PHONE = (Buyer("phone", "13800005678"),)

pytestmark = pytest.mark.usefixtures("everything")


@pytest.fixture
def shop():
    shop = world()
    for code in ("A1", "A2", "A3"):
        shop.hire(code)
    shop.hire("M1", role="store_manager")
    shop.hire("G1", role="region_manager", region=shop.region)
    return shop


def claims(order_id) -> dict[str, str | None]:
    """role → code of the person, for the whole order."""
    rows = ClaimRow.objects.filter(order=order_id, line=None)
    return {row.role: row.staff.code if row.staff_id else None for row in rows}


def test_a_pos_sale_of_a_stranger(shop):
    (order_id,) = shop.settle(shop.order(serving_clerk="A1"))

    assert claims(order_id) == {"serve": "A1", "manager": "M1", "region": "G1"}


def test_the_binding_counts_as_of_the_payment(shop):
    shop.settle(shop.order(buyer=PHONE, serving_clerk="A1", paid_at=NOW - timedelta(days=50)))
    old = Binding.objects.get()
    old.ended_at, old.end_reason = NOW - timedelta(days=10), "manual"
    old.save()
    Binding.objects.create(
        brand=shop.brand,
        member=old.member,
        staff=shop.staff["A2"],
        store=shop.store,
        source="manual",
        started_at=NOW - timedelta(days=10),
        protected_until=NOW,
    )
    online = shop.channel("tmall")

    (before,) = shop.settle(shop.order(channel=online, buyer=PHONE, paid_at=NOW - timedelta(days=20)), channel=online)
    (after,) = shop.settle(shop.order(channel=online, buyer=PHONE, paid_at=NOW), channel=online)

    assert claims(before)["bound"] == "A1"
    assert claims(after)["bound"] == "A2"


def test_an_online_order_counts_for_the_manager_of_the_bound_clerk(shop):
    shop.settle(shop.order(buyer=PHONE, serving_clerk="A1", paid_at=NOW - timedelta(days=5)))
    online = shop.channel("douyin")

    (order_id,) = shop.settle(shop.order(channel=online, buyer=PHONE), channel=online)

    assert claims(order_id) == {"bound": "A1", "manager": "M1", "region": "G1"}
    assert ClaimRow.objects.get(order=order_id, role="manager").evidence == {"by": "store_of_bound"}


def test_share_and_fulfil(shop):
    online = shop.channel("mini_program")
    other = shop.another_store()

    (order_id,) = shop.settle(shop.order(channel=online, share_code="s-A2", fulfilling_clerk="A3"), channel=online)
    (by_store,) = shop.settle(shop.order(channel=online, fulfil_store_code=other.code), channel=online)

    assert claims(order_id) == {"share": "A2", "fulfil": "A3", "manager": "M1", "region": "G1"}
    assert claims(by_store) == {"fulfil": None}
    assert ClaimRow.objects.get(order=by_store).store == other


def test_recruit_gets_the_first_order_and_then_stays_recruit(shop):
    online = shop.channel("jd")
    (first,) = shop.settle(shop.order(channel=online, buyer=PHONE), channel=online)
    assert "first_order" not in claims(first)
    Membership.objects.update(registered_by=shop.staff["A1"])
    other = (Buyer("phone", "13900000001"),)
    key_id = privacy.keep([privacy.normalised(privacy.Known("phone", "", "13900000001"))])
    member = Membership.objects.get().member
    fresh = type(member).objects.create(created_at=NOW)
    Identity.objects.create(member=fresh, key_id=next(iter(key_id.values())), source="test", seen_at=NOW)
    Membership.objects.create(brand=shop.brand, member=fresh, registered_at=NOW, registered_by=shop.staff["A2"])

    (new,) = shop.settle(shop.order(channel=online, buyer=other), channel=online)
    (again,) = shop.settle(shop.order(channel=online, buyer=other, paid_at=NOW + timedelta(days=1)), channel=online)
    (known,) = shop.settle(shop.order(channel=online, buyer=PHONE, paid_at=NOW + timedelta(days=1)), channel=online)

    assert claims(new) == {"recruit": "A2", "first_order": "A2", "manager": "M1", "region": "G1"}
    assert "first_order" not in claims(again)
    assert claims(known)["recruit"] == "A1"


def test_a_line_may_name_another_clerk(shop):
    shop.plan({"id": "r", "calc": {"type": "fixed", "fen": 100}, "split": [{"role": "serve", "weight": 1}]})

    shop.settle(shop.order(serving_clerk="A1", lines=[{}, {"serving_clerk": "A2"}, {"serving_clerk": "A1"}]))

    paid = Entry.objects.of_staff().order_by("line_id").values_list("staff__code", flat=True)
    assert list(paid) == ["A1", "A2", "A1"]


def test_who_left_before_the_payment_claims_nothing(shop):
    shop.settle(shop.order(buyer=PHONE, serving_clerk="A1", paid_at=NOW - timedelta(days=5)))
    Post.objects.filter(staff=shop.staff["A1"]).update(ends_at=NOW - timedelta(days=1))
    online = shop.channel("tmall")

    (order_id,) = shop.settle(shop.order(channel=online, buyer=PHONE), channel=online)

    assert claims(order_id) == {}


def test_a_clerk_buying_for_themselves_is_left_out(shop):
    shop.plan(
        {
            "id": "r",
            "calc": {"type": "fixed", "fen": 900},
            "split": [{"role": "serve", "weight": 2}, {"role": "manager", "weight": 1}],
        }
    )
    (key_id,) = privacy.keep([privacy.normalised(privacy.Known("phone", "", "13800005678"))]).values()
    shop.staff["A1"].phone_key = BuyerKey.objects.get(pk=key_id)
    shop.staff["A1"].save()

    shop.settle(shop.order(buyer=PHONE, serving_clerk="A1"))

    assert BuyerSnapshot.objects.get().staff == shop.staff["A1"]
    assert dict(Entry.objects.of_staff().values_list("staff__code", "fen")) == {"M1": 300}


def test_franchise_staff_are_paid_by_their_company(shop):
    company = franchisee()
    theirs = shop.another_store(franchisee=company)
    shop.hire("F1", store=theirs)

    (order_id,) = shop.settle(shop.order(serving_clerk="F1"))

    claim = ClaimRow.objects.get(order=order_id, role="serve")
    assert (claim.store, claim.payer, claim.position) == (theirs, company, "clerk")
    theirs.franchisee = None
    theirs.save()
    claim.refresh_from_db()
    assert claim.payer == company
    assert claim.resolved_at <= timezone.now()
