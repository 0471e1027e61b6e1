"""公海 on the phone: what is shown before somebody claims, and why they cannot."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from clerks import binding, book
from clerks.models import Binding, Pooled, PoolPolicy, Touch
from members.models import Member, Membership
from retail.models import Brand
from retail.shapes import Buyer
from tests.clerks.pages.conftest import signed_in
from tests.factories import NOW, World
from tests.factories.coupons import member

PAGE = "/m/pool/"


@pytest.fixture
def loose(shop: World) -> list[Member]:
    """Three who bought in the store from nobody, the last the first in the list."""
    numbers = [f"1380000{n:04}" for n in range(3)]
    rows = [
        shop.order(
            buyer=(Buyer("phone", number),), paid_at=NOW - timedelta(days=70 - 30 * n), lines=[{"paid_fen": 12_300}]
        )
        for n, number in enumerate(numbers)
    ]
    shop.settle(*rows)
    members = list(Member.objects.order_by("pk"))
    for one, name in zip(members, ("王小丽", "13800000001", ""), strict=True):
        one.name = name
        one.save()
    return members


def claim(phone: Client, customer: Member, **headers: str) -> str:
    answer = phone.post(f"{PAGE}{customer.pk}/claim/", headers=headers)
    return answer.content.decode() if answer.status_code != 302 else answer["Location"]


def mine() -> set[int]:
    return set(Binding.objects.filter(ended_at=None, staff__code="A1").values_list("member", flat=True))


def test_enough_to_decide_and_nobody_s_name(shop, phone, loose, django_assert_max_num_queries):
    assert PAGE in phone.get("/m/customers/").content.decode()
    with django_assert_max_num_queries(16):
        page = phone.get(PAGE).content.decode()
    assert page.index("10 天前买过") < page.index("40 天前买过") < page.index("2 个月前买过")
    assert "1 次 ¥123" in page and "今天还可以认领 5 位" in page and "王**" in page
    assert "小丽" not in page and "0000" not in page
    assert phone.get(f"/m/customers/{loose[0].pk}/").status_code == 200, (
        "nobody's customers of the store are no secret"
    )

    next_door = shop.hire("B1", store=shop.another_store())
    empty = signed_in(next_door).get(PAGE).content.decode()
    assert "公海里没有顾客" in empty
    assert "慢了一步" in claim(signed_in(next_door), loose[0]) and mine() == set()


def test_a_claimed_customer_is_mine(shop, phone, loose):
    row = claim(phone, loose[0], **{"HX-Request": "true"})
    assert "已认领" in row and "今天还可以认领 4 位" in row and "<html" not in row
    assert claim(phone, loose[1]) == f"/m/customers/{loose[1].pk}/"
    assert mine() == {loose[0].pk, loose[1].pk} and Pooled.objects.count() == 1
    assert {(row.source, row.by.staff.code) for row in Binding.objects.select_related("by__staff")} == {
        ("claim", "A1")
    }
    assert "慢了一步" in claim(phone, loose[0])


def test_what_a_clerk_may_claim_is_limited(shop, phone, loose):
    PoolPolicy.objects.create(brand=shop.brand, claims_per_day=1, claims_open=1)
    claim(phone, loose[0])
    assert (
        "还有 1 位没有联系" in claim(phone, loose[1])
        and 'class="loose__claim"' not in phone.get(PAGE).content.decode()
    )

    about = {"member": loose[0], "staff": shop.staff["A1"], "store": shop.store, "corp": shop.brand.corp}
    Touch.objects.create(purpose="service", at=NOW, effect="x", **about)
    book.refresh(member_ids=[loose[0].pk], now=NOW)
    assert "今天认领的 1 位已经用完" in claim(phone, loose[1])
    with time_machine.travel(NOW + timedelta(days=1), tick=False):
        claim(phone, loose[1])
    assert mine() == {loose[0].pk, loose[1].pk}

    with time_machine.travel(NOW + timedelta(days=1), tick=False):
        PoolPolicy.objects.update(claims_per_day=9, claims_open=9)
        Brand.objects.update(customers_cap=2)
        assert "已经满了" in claim(phone, loose[2])
        PoolPolicy.objects.update(is_claimable=False)
        assert "没有开放认领" in claim(phone, loose[2])
        assert "没有开放认领" in phone.get(PAGE).content.decode()


def test_whose_they_were_cannot_have_them_back_at_once(shop, phone, loose):
    PoolPolicy.objects.create(brand=shop.brand, barred_days=2)
    other, customer, later = signed_in(shop.hire("A2")), loose[0], NOW + timedelta(hours=1)
    claim(phone, customer)
    binding.release(pairs=[(shop.brand.pk, customer.pk)], end="unbound", by=None, now=later)
    book.refresh(member_ids=[customer.pk], now=later)
    with time_machine.travel(later, tick=False):
        assert "离开后 2 天内不能再要回，10-14 起可以" in claim(phone, customer)
        assert "之前是您的顾客，10月14日起可以认领" in phone.get(PAGE).content.decode()
        assert "10月14日" not in other.get(PAGE).content.decode()
    with time_machine.travel(later + timedelta(days=2), tick=False):
        assert claim(phone, customer) == f"/m/customers/{customer.pk}/"


def test_the_rest_comes_a_page_at_a_time(shop, phone):
    for n in range(23):
        row = member(shop, f"1370000{n:04}")
        Membership.objects.filter(pk=row.pk).update(registered_store=shop.store)
    book.refresh_all(now=NOW)
    page = phone.get(PAGE).content.decode()
    rest = phone.get(f"{PAGE}?from=20", headers={"HX-Request": "true"}).content.decode()
    assert page.count('class="loose"') == 20 and f"{PAGE}?from=20" in page
    assert rest.count('class="loose"') == 3 and "<html" not in rest and "还没有买过" in rest
