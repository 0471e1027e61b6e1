"""Who was behind an order, in which role."""

from datetime import UTC, timedelta

import msgspec
import pytest
from django.utils import timezone

from clerks.materials.models import ShareSale
from clerks.models import Binding
from commissions import explain, values
from commissions.models import BuyerSnapshot, ClaimRow, Entry
from members.models import Identity, Membership
from retail import intake, privacy
from retail.models import BuyerKey, OrderLine, Post
from retail.shapes import Buyer, Event
from tests.factories import NOW, franchisee, sharing, world

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


# ── By a link ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _member(phone: str) -> int:
    return Identity.objects.get(
        key__in=privacy.keep([privacy.normalised(privacy.Known("phone", "", phone))]).values()
    ).member_id


def test_the_last_link_a_buyer_opened_in_the_window_is_behind_their_order_where_it_names_no_code(shop):
    shop.settle(shop.order(buyer=PHONE, paid_at=NOW - timedelta(days=60)))  # known from here on
    member = _member("13800005678")
    version = sharing.material(shop)
    one, two = (sharing.share(version, shop.staff[code], shop.store) for code in ("A1", "A2"))
    days = lambda count: NOW - timedelta(days=count)  # noqa: E731
    sharing.opening(one, member, at=days(20))
    sharing.opening(two, member, at=days(14))
    sharing.opening(one, member, at=days(3))
    online = shop.channel("tmall")

    def sold(**said) -> tuple[str | None, ShareSale | None, int]:
        (order_id,) = shop.settle(shop.order(channel=online, buyer=PHONE, **said), channel=online)
        return claims(order_id).get("share"), ShareSale.objects.filter(order=order_id).first(), order_id

    staff, sale, order_id = sold(paid_at=days(13))
    assert (staff, sale.share, sale.way, sale.opened_at) == ("A2", two, "opening", days(14))
    evidence = ClaimRow.objects.get(order=order_id, role="share").evidence
    opened_at = days(14).astimezone(UTC).isoformat()
    assert evidence == {"by": "opening", "share": two.pk, "opened_at": opened_at, "material": version.material_id}
    assert sold(paid_at=days(7))[:2] == ("A2", ShareSale.objects.get(opened_at=days(14), paid_at=days(7)))
    assert sold(paid_at=days(7) + timedelta(minutes=1))[:2] == (None, None)  # the window is over
    assert sold(paid_at=days(2))[0] == "A1"
    named = sold(paid_at=days(2), share_code=two.code)
    assert (named[0], named[1].way, named[1].opened_at) == ("A2", "code", None)
    assert sold(paid_at=days(2), share_code="s-A3")[:2] == ("A3", None)  # their own code is nobody's link
    assert sold(paid_at=days(2), share_code="nobody")[:2] == (None, None)


def test_an_order_corrected_to_another_link_or_none_moves_the_sale(shop):
    version = sharing.material(shop)
    one, two = (sharing.share(version, shop.staff[code], shop.store) for code in ("A1", "A2"))
    row = shop.order(share_code=one.code)
    shop.settle(row)
    assert ShareSale.objects.get().share == one

    shop.settle(msgspec.structs.replace(row, share_code=two.code))
    assert ShareSale.objects.get().share == two

    shop.settle(msgspec.structs.replace(row, share_code=two.code, paid_at=NOW - timedelta(days=1)))
    assert ShareSale.objects.get().paid_at == NOW - timedelta(days=1)

    shop.settle(msgspec.structs.replace(row, share_code=None))
    assert not ShareSale.objects.exists()


def test_a_link_of_another_brand_is_nobodys_code_and_its_openings_bring_nothing_here(shop):
    other = world()
    other.hire("B1")
    theirs = sharing.share(sharing.material(other), other.staff["B1"], other.store)
    shop.settle(shop.order(buyer=PHONE, paid_at=NOW - timedelta(days=60)))
    sharing.opening(theirs, _member("13800005678"), at=NOW - timedelta(days=1))

    by_code, by_opening = shop.settle(shop.order(share_code=theirs.code), shop.order(buyer=PHONE))

    assert "share" not in claims(by_code) and "share" not in claims(by_opening)


def test_whoever_registers_by_a_link_is_recruited_by_its_clerk(shop):
    link = sharing.share(sharing.material(shop), shop.staff["A2"], shop.store)
    event = Event(
        channel=shop.pos.code, outer_event_id="E1", type="register", at=NOW, buyer=PHONE, share_code=link.code
    )
    intake.take_events(channel=shop.pos, data=[event], now=NOW)

    assert Membership.objects.get().registered_by == shop.staff["A2"]
    assert (Binding.objects.get().staff, Binding.objects.get().came_by) == (shop.staff["A2"], link.code)


def test_a_rule_of_a_material_pays_for_what_its_links_brought_and_says_so(shop):
    wanted, other = (sharing.material(shop, name) for name in ("秋冬画册", "夏装画册"))
    shop.plan(
        {
            "id": "look", "when": {"material": [str(wanted.material_id)]},
            "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "share", "weight": 1}],
        }
    )  # fmt: skip
    links = [sharing.share(version, shop.staff["A1"], shop.store) for version in (wanted, other)]
    online = shop.channel("tmall")
    sold = [shop.order(channel=online, share_code=link.code, lines=[{"paid_fen": 100_00}]) for link in links]

    one, two = shop.settle(*sold, channel=online)

    assert list(Entry.objects.of_staff().values_list("order", "fen")) == [(one, 10_00)]
    # The same on the inputs that were kept, read back.
    stories = [explain.of_line(order=line.order, line=line) for line in OrderLine.objects.filter(order__in=[one, two])]
    assert [("素材", "秋冬画册") in story.facts for story in stories] == [True, False]
    assert [len(story.winners) for story in stories] == [1, 0]
    assert values.search("material", "秋冬")[0] == [values.Value(str(wanted.material_id), "秋冬画册")]
    assert values.named({"material": ["M-1", "²"]}) == {}, "what somebody typed is no number"
