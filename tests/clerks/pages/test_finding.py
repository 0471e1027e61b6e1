"""A clerk finds their own customers, by name, pinyin, tag and the end of a number; and nobody finds out more by it."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from clerks import book
from clerks.models import Customer
from members import profiles
from members.models import Member, Membership, MemberTag, Tag, Tier
from retail import logins, privacy
from retail.models import AuditRow
from retail.shapes import Buyer
from tests.clerks.pages.conftest import signed_in
from tests.factories import NOW, World
from tests.logins import logged_in

NAMES = ("王小丽", "单雪", "Anna 李", "王丽")


@pytest.fixture
def people(shop: World) -> dict[str, Member]:
    """Four customers of A1 and one of A2, who has the same name and the same last digits."""
    shop.hire("A2")
    found = {name: _bought(shop, number, name, "A1") for number, name in enumerate(NAMES)}
    found["A2"] = _bought(shop, 10000, "王小丽", "A2")
    book.refresh_all(now=NOW)
    return found


def _bought(shop: World, number: int, name: str, clerk: str) -> Member:
    lines = [{"paid_fen": 10000 * (number % 7 + 1)}]
    at = NOW - timedelta(days=40 * number)
    buyer = (Buyer("phone", f"1380000{number:04}" if number < 10_000 else "13900000000"),)
    shop.settle(shop.order(serving_clerk=clerk, buyer=buyer, lines=lines, paid_at=max(at, NOW - timedelta(days=300))))
    member = Member.objects.latest("pk")
    Member.objects.filter(pk=member.pk).update(name=name)
    return member


def found(client: Client, text: str, **headers: str) -> list[str]:
    page = client.post("/m/customers/search/", {"q": text}, headers=headers).content.decode()
    return re.findall(r"<strong>(.+?)</strong>", page)


def said(client: Client, text: str) -> str:
    return client.post("/m/customers/search/", {"q": text}, headers={"HX-Request": "true"}).content.decode()


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("小丽", ["王小丽"]),
        ("wxl", ["王小丽"]),
        ("WangXiaoLi", ["王小丽"]),
        ("wang xiao", ["王小丽"]),
        ("王", ["王小丽", "王丽"]),
        ("shanxue", ["单雪"]),  # as a surname
        ("dx", ["单雪"]),  # as it is read elsewhere
        ("anna", ["Anna 李"]),
        ("貂", []),
        ("%", []),
        ("_", []),
    ],
)
def test_own_customers_are_found_as_one_types(people: dict[str, Member], phone: Client, typed: str, wanted: list[str]):
    assert found(phone, typed) == wanted
    assert found(phone, typed, **{"HX-Request": "true"}) == wanted


def test_a_tag_finds_those_who_bear_it(shop: World, people: dict[str, Member], phone: Client):
    for code, name, clerk in (("vip", "90后生日月", None), ("mine", "爱旗袍", "A1"), ("hers", "爱西装", "A2")):
        staff = shop.staff[clerk] if clerk else None
        kind = "clerk" if clerk else "company"
        tag = Tag.objects.create(brand=shop.brand, kind=kind, code=code, name=name, staff=staff)
        MemberTag.objects.create(member=people["王丽"], brand=shop.brand, tag=tag, source="manual", since=NOW)
    profiles.refresh(membership_ids=Membership.objects.values_list("pk", flat=True), now=NOW)
    book.refresh_all(now=NOW)

    assert [found(phone, word) for word in ("生日", "90后", "旗袍", "西装")] == [["王丽"]] * 3 + [[]]
    page = phone.get("/m/customers/", {"tag": Tag.objects.get(code="vip").pk}).content.decode()
    assert _shown(page) == [people["王丽"].pk] and "爱旗袍" in page and "爱西装" not in page


def test_the_end_of_a_number_finds_own_customers_alone_and_is_counted(
    shop: World, people: dict[str, Member], phone: Client, settings
):
    assert found(phone, "0000") == ["王小丽"] and found(phone, "0003") == ["王丽"] and found(phone, "9999") == []
    rows = AuditRow.objects.filter(action="search_tail")
    assert [row.after for row in rows.order_by("pk")] == [{"found": 1}, {"found": 1}, {"found": 0}]
    assert "0000" not in str([vars(row) for row in rows])
    assert _shown(said(signed_in(shop.staff["A2"]), "0000")) == [people["A2"].pk]

    settings.TAIL_SEARCHES_PER_DAY = 3
    assert found(phone, "0003") == [] and "用完了" in said(phone, "0003")
    assert found(phone, "小丽") == ["王小丽"]


WRONG = ["13800000000", "138", "00", "000", "00000", "１３", "1-3", "王12", "", " ", "\x00", "字" * 65]


@pytest.mark.parametrize("typed", WRONG)
def test_no_other_part_of_a_number_is_searched_for(people: dict[str, Member], phone: Client, typed: str):
    Member.objects.filter(name="王丽").update(name="13800000000")
    book.refresh_all(now=NOW)

    page = said(phone, typed)

    assert ("最后 4 位" in page) == privacy.has_number(typed)
    assert 'class="person' not in page and 'role="status"' in page
    assert not AuditRow.objects.filter(action="search_tail").exists()
    assert "1380" not in str(list(Customer._base_manager.values_list("sought", flat=True)))
    for tails in Customer._base_manager.values_list("tails", flat=True):
        assert re.fullmatch(r"([0-9a-f]{16}( |$))*", tails)  # keyed hashes, in which any digits may follow one another


@pytest.mark.django_db(transaction=True)
def test_looking_at_a_page_under_the_second_net_keeps_the_tails(shop: World, people: dict[str, Member]):
    """Under the login of requests nobody's keys are seen; a row that is made again there must not lose its own."""
    member, before = people["王小丽"], list(Customer._base_manager.order_by("pk").values_list("tails", flat=True))
    with logged_in(logins.WEB):
        book.refresh(member_ids=[member.pk], now=NOW)

    assert list(Customer._base_manager.order_by("pk").values_list("tails", flat=True)) == before and before[0]


# ── Sorted and filtered ──────────────────────────────────────────────────────────────────────────────────────────────
def _shown(page: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'href="/m/customers/(\d+)/"', page)]


@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("bought", ["-bought_at", "-pk"]),
        ("spent", ["-paid_fen", "-pk"]),
        ("quiet", ["quiet_since", "pk"]),
        ("new", ["-bound_at", "-pk"]),
    ],
)
def test_every_way_to_sort_pages_without_gaps(shop: World, phone: Client, sort: str, wanted: list[str]):
    members = [_bought(shop, number, f"客{number}", "A1") for number in range(45)]
    Customer._base_manager.filter(member__in=members[::9]).update(bought_at=None, paid_fen=0)

    pages = [phone.get("/m/customers/", {"sort": sort}).content.decode()]
    while more := re.findall(r'hx-get="([^"]+below[^"]+)"', pages[-1]):
        pages.append(phone.get(more[0].replace("&amp;", "&"), headers={"HX-Request": "true"}).content.decode())

    shown = [_shown(page) for page in pages]
    rows = Customer._base_manager.order_by(*wanted)
    expected = sorted(rows, key=lambda row: row.bought_at is None) if sort == "bought" else rows
    assert [len(part) for part in shown] == [20, 20, 5]
    assert [pk for part in shown for pk in part] == [row.member_id for row in expected]


def test_filters_narrow_the_list_and_stay_with_the_next_page(shop: World, people: dict[str, Member], phone: Client):
    gold = Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=2)
    Customer._base_manager.filter(member=people["王丽"]).update(tier=gold)
    Customer._base_manager.filter(member=people["单雪"]).update(is_friend=True)
    Customer._base_manager.filter(member=people["Anna 李"]).update(is_lost=True)

    def listed(**wanted: object) -> list[str]:
        names = {member.pk: name for name, member in people.items()}
        return [names[pk] for pk in _shown(phone.get("/m/customers/", wanted).content.decode())]

    assert listed(tier=gold.pk) == ["王丽"]
    assert listed(friend="friend") == ["单雪"]
    assert listed(friend="lost") == ["Anna 李"]
    assert listed(friend="none") == ["王小丽", "王丽"]
    assert listed(dormant=1) == ["Anna 李", "王丽"]
    assert "没有这样的顾客" in phone.get("/m/customers/", {"dormant": 1, "friend": "friend"}).content.decode()
    for wanted in ({"sort": "x"}, {"friend": "x"}, {"tier": "x"}, {"tag": "1" * 12}, {"below": "x"}, {"below": "W10"}):
        assert phone.get("/m/customers/", wanted).status_code == 404, wanted


def test_a_search_asks_twice(
    people: dict[str, Member], phone: Client, django_assert_num_queries: DjangoAssertNumQueries
):
    with django_assert_num_queries(5):  # three of every page, the tags of that name, the customers
        assert "王小丽" in said(phone, "小")
