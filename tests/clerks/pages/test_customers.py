"""Whose customers a phone shows, and what of them."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from clerks import book
from clerks.models import Binding, CorpTag, Friend, Touch
from members import consent
from members.models import Identity, Member, Membership, Tier
from retail import logins, privacy
from retail.models import AuditRow, BuyerKey, Post, Staff
from retail.shapes import Buyer
from tests import factories
from tests.clerks.pages.conftest import signed_in
from tests.factories import NOW, World, wecom
from tests.logins import logged_in


def buyer(number: int) -> tuple[Buyer, ...]:
    return (Buyer("phone", f"138000{number:05}"),)


def customer(shop: World, number: int = 1, *, name: str = "王女士", clerk: str = "A1", **sale: object) -> Member:
    """A customer of the clerk's own, by a sale at the till."""
    shop.settle(shop.order(**{"serving_clerk": clerk, "buyer": buyer(number), **sale}))
    member = Member.objects.get(bindings__order=Binding.objects.latest("pk").order)
    Member.objects.filter(pk=member.pk).update(name=name)
    return member


def friend(member: Member, corp: str, value: str, *, of: Staff | None = None, **fields: object) -> None:
    """Let the member be known to WeCom, as a friend of this clerk."""
    known = privacy.normalised(privacy.Known("external_userid", corp, value))
    key_id = privacy.keep([known])[known]
    Identity.objects.create(member=member, key_id=key_id, source="wecom", seen_at=NOW)
    if of is not None:
        Friend.objects.create(
            **{"corp": corp, "userid": of.code, "key_id": key_id, "member": member, "staff": of,
               "state": Friend.State.FRIEND, "since": NOW, **fields}
        )  # fmt: skip


# ── The list ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_my_customers_stand_in_the_list_and_nobody_elses(shop: World, phone: Client):
    shop.hire("A2")
    customer(shop, 1, name="王女士")
    customer(shop, 2, name="赵先生", clerk="A2")

    page = phone.get("/m/customers/").content.decode()

    assert "王女士" in page and "赵先生" not in page
    assert "今天买过" in page


def test_every_page_with_a_customer_on_it_says_who_looks_and_on_which_day(shop: World, phone: Client):
    """P12: a photo of the screen tells whose phone it was."""
    member = customer(shop, 1)
    order = shop.order(serving_clerk="A1", buyer=buyer(1))
    (sold,) = shop.settle(order)
    Staff._base_manager.filter(code="A1").update(name="<b>欧阳小燕</b>")

    pages = ["", "customers/", f"customers/{member.pk}/", f"earnings/{sold}/", "earnings/", "sidebar/"]
    marks = [
        re.findall(r'<svg class="watermark".*?</svg>', phone.get(f"/m/{page}").content.decode(), re.S)
        for page in pages
    ]

    assert [len(mark) for mark in marks] == [1] * len(pages)
    for (mark,) in marks:
        assert "欧阳小燕" in mark and "A1" in mark and f"{NOW:%Y-%m-%d}" in mark
        assert "<b>" not in mark and "style" not in mark and "script" not in mark


def test_who_is_not_signed_in_has_no_mark(db):
    assert "watermark" not in Client().get("/m/sign-in/").content.decode()


def test_a_new_clerk_is_told_how_customers_come(phone: Client):
    assert "还没有专属顾客" in phone.get("/m/customers/").content.decode()


def test_a_phone_number_given_for_a_name_is_masked(shop: World, phone: Client):
    member = customer(shop, 1, name="13800001234")

    for page in (phone.get("/m/customers/"), phone.get(f"/m/customers/{member.pk}/")):
        assert "138****1234" in page.content.decode() and "13800001234" not in page.content.decode()


def test_a_long_list_comes_in_parts_without_gaps(shop: World, phone: Client):
    for number in range(23):
        customer(shop, number, paid_at=NOW - timedelta(days=number // 3))

    first = phone.get("/m/customers/").content.decode()
    (more,) = re.findall(r'hx-get="([^"]+)"', first)
    second = phone.get(more, headers={"HX-Request": "true"}).content.decode()

    shown = [re.findall(r'href="/m/customers/(\d+)/"', page) for page in (first, second)]
    newest_first = Binding.objects.order_by("-started_at", "-pk").values_list("member", flat=True)
    assert [len(page) for page in shown] == [20, 3]
    assert [int(pk) for page in shown for pk in page] == list(newest_first)
    assert "<html" not in second and "hx-get" not in second


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_asks_as_often_for_three_as_for_one(
    shop: World, phone: Client, count: int, django_assert_num_queries: DjangoAssertNumQueries
):
    for number in range(count):
        customer(shop, number)

    with django_assert_num_queries(6):  # three of every page, the list, the tiers and the tags to choose from
        assert phone.get("/m/customers/").status_code == 200


@pytest.mark.parametrize("mark", ["x", "inf-1", "1-x", "nan-1"])
def test_a_mark_that_cannot_be_is_not_found(phone: Client, mark: str):
    assert phone.get("/m/customers/", {"below": mark}).status_code == 404


# ── One customer ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_portrait_tells_tier_times_and_totals(shop: World, phone: Client):
    old = shop.order(serving_clerk="A1", buyer=buyer(1), paid_at=NOW - timedelta(days=40))
    shop.settle(old)
    member = customer_again(shop)
    tier = Tier.objects.create(brand=shop.brand, code="gold", name="金卡", rank=2)
    Membership.objects.update(tier=tier)
    shop.refund(old, fen=2500)

    page = phone.get(f"/m/customers/{member.pk}/").content.decode()

    assert "金卡" in page and "2 笔" in page
    assert "175.00" in page  # 2 × 100 yuan − 25
    assert "2026-10-12" in page and "2026-09-02" in page
    assert page.count(shop.product.name) == 2
    assert "起专属于我" in page


def customer_again(shop: World) -> Member:
    shop.settle(shop.order(serving_clerk="A1", buyer=buyer(1)))
    return Member.objects.get()


def test_orders_of_another_company_are_left_out(shop: World, phone: Client):
    franchise = shop.another_store(franchisee=factories.franchisee())
    shop.hire("F1", store=franchise)
    online = shop.channel("tmall")
    member = customer(shop, 1)
    dear = [{"paid_fen": 77700, "tag_fen": 77700}]
    shop.settle(shop.order(serving_clerk="F1", buyer=buyer(1), store_code=franchise.code, lines=dear))
    shop.settle(shop.order(channel=online, buyer=buyer(1), lines=[{"paid_fen": 5500}]), channel=online)

    page = phone.get(f"/m/customers/{member.pk}/").content.decode()

    assert "777.00" not in page
    assert "155.00" in page and "2 笔" in page


@pytest.mark.parametrize("count", [1, 3])
def test_a_portrait_asks_as_often_for_three_orders_as_for_one(
    shop: World, phone: Client, count: int, django_assert_num_queries: DjangoAssertNumQueries
):
    member = customer(shop, 1)
    for _ in range(count - 1):
        shop.settle(shop.order(serving_clerk="A1", buyer=buyer(1)))

    # Four of every page; the application, tier and points (4), what coupons and tags there are to give, leads or why
    # there are none (3), what waits for an answer. The one that reads the portrait is prepared, and not among those.
    with django_assert_num_queries(10):
        assert phone.get(f"/m/customers/{member.pk}/").status_code == 200


def test_a_colleagues_customer_is_not_found_whatever_is_asked(shop: World, phone: Client):
    shop.hire("A2")
    member = customer(shop, 1, clerk="A2")

    for answer in (phone.get(f"/m/customers/{member.pk}/"), phone.post(f"/m/customers/{member.pk}/chat/")):
        assert answer.status_code == 404
        assert "王女士" not in answer.content.decode()


def test_the_manager_sees_the_stores_customers_and_whose_they_are(shop: World):
    manager = signed_in(shop.staff["M1"])
    another = shop.another_store()
    shop.hire("B1", store=another)
    ours, elsewhere = customer(shop, 1), customer(shop, 2, clerk="B1", store_code=another.code)

    assert "专属导购：员工A1" in manager.get(f"/m/customers/{ours.pk}/").content.decode()
    assert manager.get(f"/m/customers/{elsewhere.pk}/").status_code == 404


def test_who_is_nobodys_is_seen_where_they_bought(shop: World, phone: Client):
    elsewhere = shop.another_store()
    shop.hire("B1", store=elsewhere)
    member = customer(shop, 1)
    Binding.objects.update(ended_at=NOW, end_reason=Binding.End.UNBOUND)

    assert "还没有专属导购" in phone.get(f"/m/customers/{member.pk}/").content.decode()
    assert signed_in(shop.staff["B1"]).get(f"/m/customers/{member.pk}/").status_code == 404


def test_a_relation_that_ended_shows_nothing_any_more(shop: World, phone: Client):
    shop.hire("A2")
    member = customer(shop, 1)
    old = Binding.objects.get()
    Binding.objects.update(ended_at=NOW, end_reason=Binding.End.HANDED_OVER)
    Binding.objects.create(
        brand=shop.brand, member=member, staff=shop.staff["A2"], store=shop.store, source="handover",
        started_at=NOW, protected_until=old.protected_until,
    )  # fmt: skip
    book.refresh(member_ids=[member.pk], now=NOW)

    assert phone.get(f"/m/customers/{member.pk}/").status_code == 404
    assert "王女士" not in phone.get("/m/customers/").content.decode()


# ── To the chat ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_chat_opens_with_what_wecom_calls_them_and_that_is_written_down(shop: World, phone: Client):
    corp = _corp(shop)
    member = customer(shop, 1)
    friend(member, corp, "wmCustomerOfA1", of=shop.staff["A1"])
    friend(member, "ww-another-corp", "wmElsewhere", of=shop.staff["A1"])
    friend(member, corp, "wmOfTheManager", of=shop.staff["M1"])

    answer = phone.post(f"/m/customers/{member.pk}/chat/")

    assert answer.json() == {"externalUserId": "wmCustomerOfA1"}
    assert answer["Cache-Control"].count("no-store")
    row = AuditRow.objects.get(action="open_chat")
    assert (row.by, row.target_id) == (shop.staff["A1"].user, str(member.pk))
    assert "wmCustomerOfA1" not in str(vars(row))
    assert "wmCustomerOfA1" not in phone.get(f"/m/customers/{member.pk}/").content.decode()
    phone.post(f"/m/customers/{member.pk}/chat/")
    touch = Touch.objects.get()  # one a day, however often the chat is opened
    assert (touch.member, touch.staff, touch.purpose) == (member, shop.staff["A1"], "service")


def test_why_no_chat_opens_is_said(shop: World, phone: Client):
    member = customer(shop, 1)

    assert "还没有接入企业微信" in phone.post(f"/m/customers/{member.pk}/chat/").json()["said"]
    _corp(shop)
    friend(member, shop.brand.corp, "wmOne", of=shop.staff["A1"], state=Friend.State.DELETED)
    answer = phone.post(f"/m/customers/{member.pk}/chat/")
    assert answer.status_code == 409 and "还没有加您的企业微信好友" in answer.json()["said"]


def test_who_deleted_the_clerk_looks_lost_and_is_not_to_be_contacted(shop: World, phone: Client):
    corp = _corp(shop)
    lost, kept, stranger = (
        customer(shop, number, name=name) for number, name in enumerate(("王女士", "赵先生", "钱女士"))
    )
    friend(lost, corp, "wmLost", of=shop.staff["A1"], state=Friend.State.LOST)
    friend(kept, corp, "wmKept", of=shop.staff["A1"])
    Binding.objects.filter(member=lost).update(lost_at=NOW)
    book.refresh(member_ids=[lost.pk], now=NOW)

    listed = phone.get("/m/customers/").content.decode()
    assert listed.count("已删除我") == listed.count("person_lost") == 1
    pages = [phone.get(f"/m/customers/{member.pk}/").content.decode() for member in (lost, kept, stranger)]
    assert ["已流失" in page for page in pages] == [True, False, False]
    assert ["data-chat" in page for page in pages] == [False, True, False]
    assert "把您从微信里删除了" in pages[0] and "还不是企业微信好友" in pages[2]
    answer = phone.post(f"/m/customers/{lost.pk}/chat/")
    assert answer.status_code == 409 and "已经把您删除" in answer.json()["said"]
    assert not Touch.objects.exists()


def test_lost_under_one_id_and_a_friend_under_another_they_can_be_reached(shop: World, phone: Client):
    corp = _corp(shop)
    member = customer(shop, 1)
    friend(member, corp, "wmOld", of=shop.staff["A1"])
    friend(member, corp, "wmNew", of=shop.staff["A1"], state=Friend.State.LOST, since=NOW + timedelta(days=1))

    assert phone.post(f"/m/customers/{member.pk}/chat/").json() == {"externalUserId": "wmOld"}


def test_who_wants_to_be_left_alone_is(shop: World, phone: Client):
    corp = _corp(shop)
    member = customer(shop, 1)
    friend(member, corp, "wmOne", of=shop.staff["A1"])
    consent.stop(member=member, corp=corp, by=None, now=NOW)

    answer = phone.post(f"/m/customers/{member.pk}/chat/")

    assert answer.status_code == 409 and "不要再联系" in answer.json()["said"]
    assert not Touch.objects.exists()


def test_words_are_sent_through_the_gate_and_leave_a_touch(shop: World, phone: Client):
    corp = _corp(shop)
    member = customer(shop, 1)
    address = f"/m/customers/{member.pk}/send/"

    assert phone.post(address).status_code == 200
    assert not Touch.objects.exists()  # asked, not sent
    for _time in range(2):
        assert phone.post(address, {"sent": "1"}).status_code == 200
    assert Touch.objects.get().member == member  # one a day
    consent.stop(member=member, corp=corp, by=None, now=NOW)
    answer = phone.post(address)
    assert answer.status_code == 409 and "不要再联系" in answer.json()["said"]


def test_tags_of_wecom_stand_by_their_names(shop: World, phone: Client):
    corp = _corp(shop)
    member = customer(shop, 1)
    friend(member, corp, "wmOne", of=shop.staff["A1"], tags=["et1", "et2", "et-unknown"])
    for tag_id, name, gone in (("et1", "贵宾", None), ("et2", "旧标签", NOW), ("et3", "裙装", None)):
        CorpTag.objects.create(corp=corp, tag_id=tag_id, name=name, group_id="g", deleted_at=gone)

    page = phone.get(f"/m/customers/{member.pk}/").content.decode()

    assert "贵宾" in page and "旧标签" not in page and "裙装" not in page and "et-unknown" not in page


# ── Beside the chat ──────────────────────────────────────────────────────────────────────────────────────────────────
def beside(client: Client, external_userid: str) -> str:
    return client.post("/m/sidebar/customer/", {"external_userid": external_userid}).content.decode()


def test_beside_the_chat_stands_the_portrait_with_words_to_send(shop: World, phone: Client):
    corp = _corp(shop)
    friend(customer(shop, 1), corp, "wmOne")

    part = beside(phone, "wmOne")

    assert "<html" not in part
    assert "王女士" in part and "100.00" in part and shop.product.name in part
    assert "王女士，您好！我是" in part and "员工A1" in part


def test_beside_a_colleagues_customer_stands_nothing_of_them(shop: World, phone: Client):
    corp = _corp(shop)
    shop.hire("A2")
    member = customer(shop, 1, clerk="A2")
    friend(member, corp, "wmOne")

    part = beside(phone, "wmOne")

    assert "归同事" in part and "2027年1月10日" in part  # 90 days after the sale
    assert not [told for told in ("王女士", "员工A2", "100.00", shop.product.name, "138") if told in part]


def test_beside_a_strangers_chat_stands_that_we_do_not_know_them(shop: World, phone: Client):
    corp = _corp(shop)
    friend(customer(shop, 1), "ww-another-corp", "wmOne")

    for value in ("wmOne", "wmNobody", "", "x" * 300):
        assert "还没有这位顾客的资料" in beside(phone, value), value
    assert corp


def test_a_customer_of_another_brand_is_not_told(shop: World, phone: Client):
    corp = _corp(shop)
    other = factories.world(corp=corp)
    other.hire("X1")
    friend(customer(other, 1, clerk="X1"), corp, "wmOne")

    part = beside(phone, "wmOne")

    assert "还不是本店顾客" in part and "王女士" not in part


def test_the_frame_of_the_sidebar_holds_no_customer(shop: World, phone: Client):
    app_corp = _corp(shop)

    page = phone.get("/m/sidebar/").content.decode()

    assert f'data-corp="{app_corp}"' in page and "wecom-jssdk" in page


@pytest.mark.parametrize("code", ["A1", "M1"])
@pytest.mark.django_db(transaction=True)
def test_it_works_through_the_second_net(shop: World, code: str):
    """Under the login of requests, which sees no key of a customer by itself; and it stays that way."""
    corp = _corp(shop)
    member = customer(shop, 1)
    friend(member, corp, "wmOne", of=shop.staff["A1"])
    Friend.objects.update(staff=shop.staff[code])
    client = signed_in(shop.staff[code])
    with logged_in(logins.WEB):
        assert "王女士" in beside(client, "wmOne")
        assert client.post(f"/m/customers/{member.pk}/chat/").json() == {"externalUserId": "wmOne"}
        assert not BuyerKey.objects.exists()


def test_without_an_application_the_sidebar_says_so(phone: Client):
    page = phone.get("/m/sidebar/").content.decode()

    assert "还没有接入企业微信" in page and "data-corp" not in page


def test_these_pages_are_for_people_of_a_store(shop: World, client: Client):
    for path in ("/m/customers/", "/m/sidebar/", "/m/sidebar/signatures/"):
        assert client.get(path).status_code == 302
    shop.hire("H1", role=Post.Role.HQ_OPS)
    headquarters = signed_in(shop.staff["H1"])
    assert headquarters.get("/m/customers/").status_code == 403


def _corp(shop: World) -> str:
    """The brand's corp, with an application."""
    shop.brand.corp = wecom.app().corp_id
    shop.brand.save()
    return shop.brand.corp
