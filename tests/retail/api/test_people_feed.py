"""Batches of events and members: the same shapes, answers and keys as orders have."""

from datetime import timedelta

import pytest
from django.utils import timezone

from clerks.models import Binding
from members import consent, tags
from members.coupons import giving
from members.models import Consent, Coupon, Doubt, Event, Identity, Member, Membership, MemberTag, Stop, Tag, Tier
from retail import privacy, scope, shapes
from retail.models import BuyerKey
from retail.privacy import Known
from tests import factories
from tests.factories import number
from tests.factories.coupons import coupon_type
from tests.factories.coupons import member as coupon_member

PHONE = "15400001234"


@pytest.fixture(autouse=True)
def _everything(shop):
    with scope.within(scope.EVERYTHING):
        yield


def event(shop, **fields):
    return {
        "channel": shop.pos.code,
        "outer_event_id": f"E{number()}",
        "type": "view",
        "at": (timezone.now() - timedelta(days=1)).isoformat(),
        "buyer": [{"type": "phone", "value": PHONE}],
        **fields,
    }


def member(**fields):
    return {
        "buyer": [{"type": "phone", "value": PHONE}],
        "name": "王女士",
        "registered_at": "2025-03-01T10:00:00+08:00",
    } | fields


def statuses(answer):
    return [row["status"] for row in answer.json()["results"]]


def codes(answer):
    return [error["code"] for row in answer.json()["results"] for error in row.get("errors", [])]


# ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_news_of_a_product_name_no_buyer_and_all_other_events_do(shop, till):
    news = event(shop, type="restocked", sku=shop.product.sku)
    told = {name: value for name, value in news.items() if name != "buyer"}
    cheaper = {**told, "outer_event_id": f"E{number()}", "type": "price_cut", "fen": 19900}
    placed = event(shop, type="order_placed", order="N1", fen=128000)
    answer = till.post("events/", {"events": [told, cheaper, placed]})
    assert statuses(answer) == ["created"] * 3 and statuses(till.post("events/", {"events": [told]})) == ["unchanged"]
    kept = {one.kind: (one.member_id, one.product_id, one.fen, one.buyer_keys == []) for one in Event.objects.all()}
    assert kept == {
        "restocked": (None, shop.product.pk, None, True),
        "price_cut": (None, shop.product.pk, 19900, True),
        "order_placed": (None, None, 128000, False),
    }
    without = {name: value for name, value in event(shop, type="cart").items() if name != "buyer"}
    wrong = [news | {"outer_event_id": "E-b"}, {**told, "outer_event_id": "E-s", "sku": None}, without]
    answer = till.post("events/", {"events": wrong})
    assert codes(answer) == ["unknown_field", "missing", "missing"] and Event.objects.count() == 3


def test_behaviour_is_kept_good_rows_beside_bad_ones(shop, till):
    good, worse = event(shop, sku=shop.product.sku, seconds=12), event(shop, sku="nothing")
    old = event(shop, at="2020-01-01T00:00:00+08:00")
    answer = till.post("events/", {"events": [good, worse, old, event(shop, type="dream")]})
    assert answer.status_code == 422 and statuses(answer) == ["created", "rejected", "rejected", "rejected"]
    assert codes(answer) == ["unknown_sku", "out_of_range", "bad_choice"]
    kept = Event.objects.get()
    assert (kept.outer_event_id, kept.product, kept.seconds) == (good["outer_event_id"], shop.product, 12)


def test_an_idempotency_key_answers_again_and_a_repeat_without_one_changes_nothing(shop, till):
    batch = {"events": [event(shop), event(shop, type="asked")]}
    first = till.post("events/", batch, **{"Idempotency-Key": "k1"})
    again = till.post("events/", batch, **{"Idempotency-Key": "k1"})
    assert again.headers["Idempotency-Hit"] == "true" and again.content == first.content
    assert statuses(till.post("events/", batch)) == ["unchanged", "unchanged"]
    assert till.post("events/", {"events": [event(shop)]}, **{"Idempotency-Key": "k1"}).status_code == 409
    assert Event.objects.count() == 2


# ── Coupons ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_member_claims_a_code_once_and_others_are_told_why_not(shop, till):
    type = coupon_type(shop, ends_at=timezone.now() + timedelta(days=9), per_member=1)
    giving.take_codes(type=type, codes=["CODE-00000001", "CODE-00000002"], by=None, now=timezone.now())
    ann, bea = coupon_member(shop, PHONE), coupon_member(shop, "15400005678")

    def claim(code, phone=PHONE, **fields):
        return {"channel": shop.pos.code, "code": code, "buyer": [{"type": "phone", "value": phone}], **fields}

    batch = [claim("CODE-00000001"), claim("CODE-00000002"), claim("CODE-00000001", "15400005678")]
    batch += [claim("CODE-00000002", "15400009999"), claim("NOSUCHCODE"), claim("CODE-00000002", channel="other")]
    answer = till.post("coupon-claims/", {"claims": batch})
    assert statuses(answer) == ["created", *["rejected"] * 5]
    assert codes(answer) == ["coupon_enough", "coupon_taken", "not_a_member", "unknown_coupon", "other_channel"]
    mine = Coupon.objects.get(code="CODE-00000001")
    assert (mine.membership, mine.state, answer.json()["results"][0]["id"]) == (ann, "issued", mine.pk)
    again = till.post("coupon-claims/", {"claims": [batch[0], claim("CODE-00000002", "15400005678")]})
    assert again.status_code == 200 and statuses(again) == ["unchanged", "created"]
    assert Coupon.objects.get(code="CODE-00000002").membership == bea
    assert not Identity.objects.filter(key__masked__endswith="9999").exists(), "nobody is learned from a claim"


# ── Members ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_member_brings_all_that_is_known_of_them(shop, till):
    clerk = shop.hire("D0001")
    tier = Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=2)
    row = member(
        buyer=[{"type": "phone", "value": PHONE}, {"type": "card", "value": "C-100001"}],
        birthday="1986-05-04",
        store_code=shop.store.code,
        clerk="D0001",
        tier="gold",
        consents=[
            {"purpose": "marketing", "is_given": False, "at": "2026-01-01T00:00:00+08:00", "text_version": "v3"}
        ],
    )
    answer = till.post("members/", {"members": [row]})
    assert answer.status_code == 200 and statuses(answer) == ["created"]
    membership = Membership.objects.select_related("member").get()
    assert answer.json()["results"][0]["id"] == membership.member_id
    assert (membership.member.name, str(membership.member.born_on)) == ("王女士", "1986-05-04")
    assert (membership.tier, membership.registered_store) == (tier, shop.store)
    assert membership.registered_at.isoformat().startswith("2025-03-01T02:00")
    assert Binding.objects.get().staff == clerk
    assert Consent.objects.get().text_version == "v3"
    assert not consent.allows(
        member_id=membership.member_id, corp=shop.brand.corp, channel="wecom", purpose="marketing"
    )
    assert statuses(till.post("members/", {"members": [row]})) == ["unchanged"]


def test_tags_by_name_and_an_opening_balance_come_once(shop, till):
    tag = tags.define(group_name="偏好", name="爱穿红色", brand=shop.brand, by=None, now=timezone.now())
    row = member(tags=["爱穿红色"], points=1200)
    assert statuses(till.post("members/", {"members": [row]})) == ["created"]
    assert statuses(till.post("members/", {"members": [row]})) == ["unchanged"]
    held = MemberTag.objects.get()
    assert (held.tag, held.source) == (tag, "import")
    assert Membership.objects.get().points == 1200
    assert Membership.objects.get().profile.tag_ids == [tag.pk]
    assert codes(till.post("members/", {"members": [member(tags=["没有的"])]})) == ["unknown_tag"]


def test_who_is_told_by_a_phone_another_only_mentioned_is_somebody_else(shop, till):
    mini = shop.channel("mini_program")
    keys = (shapes.Buyer("unionid", "o6-friend"), shapes.Buyer("phone", PHONE))
    shop.settle(shop.order(channel=mini, buyer=keys), channel=mini)
    (friend,) = Member.objects.all()

    answer = till.post("members/", {"members": [member(points=500)]})
    assert statuses(answer) == ["created"]
    told = Member.objects.exclude(pk=friend.pk).get()
    friend.refresh_from_db()
    assert (friend.name, told.name) == ("", "王女士")
    assert Doubt.objects.get().state == Doubt.State.OPEN

    shop.settle(shop.order(buyer=(shapes.Buyer("phone", PHONE),)))
    assert Membership.objects.get(member=told).purchases.count() == 1
    assert Membership.objects.get(member=told).points == 500
    assert statuses(till.post("members/", {"members": [member(points=500)]})) == ["unchanged"]


def test_who_bought_before_they_were_told_brings_their_points_along_once(shop, till):
    shop.settle(shop.order(buyer=(shapes.Buyer("phone", PHONE),)))
    assert statuses(till.post("members/", {"members": [member(points=700)]})) == ["corrected"]
    assert statuses(till.post("members/", {"members": [member(points=700)]})) == ["unchanged"]
    answer = till.post("members/", {"members": [member(points=900, name="王芳")]})
    assert codes(answer) == ["opened_before"]
    assert Membership.objects.values_list("points", "member__name").get() == (700, "王女士")


def test_who_wants_nothing_worked_out_loses_their_computed_tags_at_once(shop, till):
    till.post("members/", {"members": [member()]})
    one = Membership.objects.get()
    tag = Tag.objects.create(kind=Tag.Kind.MODEL, code="active", name="活跃")
    put = {"member": one.member, "brand": shop.brand, "tag": tag, "source": "model", "since": timezone.now()}
    MemberTag.objects.create(**put, why={"n": 3})
    told = [{"purpose": "profiling", "is_given": False, "at": "2026-01-01T00:00:00+08:00"}]
    till.post("members/", {"members": [member(consents=told)]})
    held = MemberTag.objects.get()
    assert held.until is not None and held.why == {}
    assert Membership.objects.get().profile.tag_ids == []


def test_what_is_new_corrects_and_a_lifted_stop_is_not_put_back(shop, till):
    told = [{"purpose": "marketing", "is_given": False, "at": "2026-01-01T00:00:00+08:00"}]
    till.post("members/", {"members": [member(consents=told)]})
    consent.lift(stop=Stop.objects.get(), by=None, now=timezone.now())
    assert statuses(till.post("members/", {"members": [member(consents=told)]})) == ["unchanged"]
    assert statuses(till.post("members/", {"members": [member(name="王芳", consents=told)]})) == ["corrected"]
    earlier = member(name="王芳", registered_at="2024-01-01T00:00:00+08:00", store_code=shop.store.code)
    assert statuses(till.post("members/", {"members": [earlier]})) == ["corrected"]
    assert Membership.objects.get().registered_store == shop.store
    assert not Stop.objects.filter(lifted_at=None).exists()


def test_nobody_is_merged_by_a_feed(shop, till):
    union = {"type": "unionid", "value": "o6-abcdefgh"}
    other = {"type": "phone", "value": "15400009999"}
    till.post("members/", {"members": [member(), member(buyer=[other, union])]})
    assert Member.objects.count() == 2
    both = till.post("members/", {"members": [member(buyer=[{"type": "phone", "value": PHONE}, union])]})
    second = [other, {"type": "unionid", "value": "o6-zzzzzzzz"}]
    answer = till.post("members/", {"members": [member(buyer=second)]})
    assert codes(both) == codes(answer) == ["several_members"]
    assert Doubt.objects.get().state == Doubt.State.OPEN  # they may be one: somebody has to look
    assert Identity.objects.count() == 3


def test_who_shows_anothers_card_is_not_them_but_is_looked_at(shop, till):
    card = {"type": "card", "value": "C-100001"}
    first = member(buyer=[{"type": "phone", "value": PHONE}, card], tier="none")  # refused, and teaches nothing
    rows = [
        first,
        first | {"tier": None},
        member(buyer=[{"type": "phone", "value": "15400009999"}, card], name="李四"),
    ]
    answer = till.post("members/", {"members": [*rows, member(buyer=[card])]})
    assert statuses(answer) == ["rejected", "created", "created", "corrected"]
    assert Member.objects.count() == 2 and Identity.objects.count() == 3
    assert Doubt.objects.get().evidence["source"] == "import"


def test_rows_of_one_person_in_one_batch_are_one_member(shop, till):
    card = {"type": "card", "value": "C-100001"}
    second = member(buyer=[{"type": "phone", "value": PHONE}, card], points=70)
    answer = till.post("members/", {"members": [member(points=70), second, second]})
    assert len({row["id"] for row in answer.json()["results"]}) == 1
    assert statuses(answer)[0] == "created" and Membership.objects.get().points == 70
    assert (Member.objects.count(), Identity.objects.count()) == (1, 2)


def test_who_asked_to_be_forgotten_is_not_told_again(shop, till):
    till.post("members/", {"members": [member()]})
    privacy.erase(key_id=BuyerKey.objects.get().pk, by=None, reason="本人要求", now=timezone.now())
    Member.objects.update(name="")
    answer = till.post("members/", {"members": [member()]})
    assert codes(answer) == ["forgotten"]
    later = member(registered_at=(timezone.now() + timedelta(seconds=-1)).isoformat())
    assert codes(till.post("members/", {"members": [later]})) == ["forgotten"]
    assert not BuyerKey.objects.exclude(cipher=None).exists()
    assert set(Member.objects.values_list("name", flat=True)) == {""}


def test_one_key_of_somebody_forgotten_bars_the_whole_row(shop, till):
    privacy.erase(
        key_id=privacy.keep([Known("phone", "", PHONE)]).popitem()[1], by=None, reason="本人要求", now=timezone.now()
    )
    card = {"type": "card", "value": "C-100009"}
    undated = {name: value for name, value in member().items() if name != "registered_at"}
    row = undated | {"buyer": [{"type": "phone", "value": PHONE}, card]}
    assert codes(till.post("members/", {"members": [row]})) == ["forgotten"]
    assert not Member.objects.exists() and not BuyerKey.objects.exclude(cipher=None).exists()


def test_who_comes_back_after_being_forgotten_has_no_name(shop, till):
    key = privacy.keep([Known("phone", "", PHONE)])
    privacy.erase(key_id=next(iter(key.values())), by=None, reason="本人要求", now=timezone.now() - timedelta(days=9))
    row = member(registered_at=(timezone.now() - timedelta(days=1)).isoformat(), birthday="1986-05-04")
    assert statuses(till.post("members/", {"members": [row]})) == ["created"]
    assert Member.objects.values_list("name", "born_on").get() == ("", None)


def test_a_clerk_of_another_brand_gets_nobody(shop, till):
    factories.world().hire("D9")
    assert codes(till.post("members/", {"members": [member(clerk="D9")]})) == ["unknown_clerk"]


def test_bad_codes_are_named(shop, till):
    tomorrow = (timezone.localdate() + timedelta(days=1)).isoformat()
    rows = [member(clerk="nobody"), member(tier="none"), member(store_code="none"), member(channel="else"),
            member(birthday="1900-01-01"), member(birthday=tomorrow), member(birthday="04.05.1986"),
            member(buyer=[{"type": "phone", "value": "abc"}])]  # fmt: skip
    assert codes(till.post("members/", {"members": rows})) == [
        "unknown_clerk", "unknown_tier", "unknown_store", "other_channel", "out_of_range", "out_of_range", "bad_date",
        "bad_phone",
    ]  # fmt: skip
    assert not Member.objects.exists()
