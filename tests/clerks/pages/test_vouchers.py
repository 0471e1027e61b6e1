"""我的券 on the phone: what is left of the quotas, and what became of what was given."""

from datetime import timedelta

from clerks.models import Binding
from members.models import Membership
from retail import shapes
from tests.factories import NOW
from tests.factories.coupons import coupon_type, given, member, quota

PAGE = "/m/me/coupons/"


def bind(shop, membership: Membership, name: str) -> Membership:
    membership.member.name = name
    membership.member.save()
    who = {"member": membership.member, "staff": shop.staff["A1"], "store": shop.store, "brand": shop.brand}
    Binding.objects.create(source="manual", started_at=NOW, protected_until=NOW, **who)
    return membership


def test_quotas_and_what_became_of_what_was_given(shop, phone, django_assert_max_num_queries):
    assert PAGE in phone.get("/m/me/").content.decode()
    assert "还没有可以发的券" in phone.get(PAGE).content.decode()
    anna, type = shop.staff["A1"], coupon_type(shop, name="满 300 减 50")
    quota(type, anna, 20)
    quota(coupon_type(shop, ends_at=NOW, starts_at=NOW - timedelta(days=9)), anna)
    mine, other = bind(shop, member(shop, "13800000001"), "小鹿 13800005678"), member(shop, "13800000002")
    used = given(type, mine, anna)
    for minute, who in enumerate([mine, other] * 6, start=1):
        given(type, who, anna, NOW + timedelta(minutes=minute))
    buyer = (shapes.Buyer("phone", "13800000001"),)
    shop.settle(shop.order(coupons=(used.code,), buyer=buyer, lines=[{"paid_fen": 26_000}]))

    with django_assert_max_num_queries(12):
        page = phone.get(PAGE).content.decode()
    assert "还有 7 张" in page and "满 300 元减 50 元" in page and "现在不发放" in page
    assert "一共发了 13 张，用掉 1 张" in page and "10月12日 用的" in page and "11月10日 最后一天" in page
    assert "小鹿" in page and "13800005678" not in page and "其他导购的顾客" in page


def test_more_of_them_come_a_page_at_a_time(shop, phone):
    anna, type = shop.staff["A1"], coupon_type(shop, per_member=30)
    quota(type, anna, 30)
    for minute in range(23):
        given(type, member(shop, "13800000001"), anna, NOW - timedelta(minutes=30 - minute))
    page = phone.get(PAGE).content.decode()
    rest = phone.get(f"{PAGE}?from=20", headers={"HX-Request": "true"}).content.decode()
    assert page.count("其他导购的顾客") == 20 and f"{PAGE}?from=20" in page
    assert rest.count("其他导购的顾客") == 3 and "<html" not in rest and "再看一些" not in rest
