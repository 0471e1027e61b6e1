"""行为奖励 on the phone: what each thing brought, in which state, or why nothing."""

from datetime import timedelta

import pytest
from django.test import Client

from commissions import actions, earnings
from commissions.actions import Action, Void
from commissions.models import Entry
from members.models import Member
from tests import signing_in
from tests.factories import NOW, World, number, rated, sharing, user

TODAY = NOW.date()


@pytest.fixture
def paid(shop: World) -> World:
    rates = {"friend": {"fen": 500, "daily_cap": 2, "void_days": 7}, "wake": {"fen": 800, "min_inactive_days": 60}}
    rated(shop, starts_at=NOW - timedelta(days=90), **rates)
    return shop


def happened(shop: World, *, who: Member | None = None, type: str = "friend", **fields) -> Action:
    action = Action(
        **{"number": f"{type}:{number()}", "type": type, "brand_id": shop.brand.pk, "at": NOW}
        | {"staff_id": shop.staff["A1"].pk, "store_id": shop.store.pk}
        | {"customer": who.pk if who else 10**9 + number()}
        | fields
    )
    actions.act(action=action, now=NOW)
    return action


def test_every_event_says_what_it_brought_or_why_nothing(paid: World, phone: Client):
    deer = Member.objects.create(name="小鹿 13800005678", created_at=NOW)
    first = happened(paid, who=deer)
    happened(paid, who=deer)
    happened(paid, at=NOW - timedelta(days=8))
    happened(paid, type="wake", active_days=61)
    happened(paid, type="wake", active_days=59)
    actions.void_many(voids=[Void("un", first.number, "unfriended", NOW)], now=NOW)

    page = phone.get("/m/earnings/actions/").content.decode()

    assert "小鹿" in page and "13800005678" not in page
    assert "每位顾客只给一次，这位已经给过了" in page and "顾客 59 天前刚买过，满 60 天没买才算" in page
    assert "好友被删除，收回 ¥5.00" in page and "加企业微信好友，每位顾客一次，得 ¥5.00" in page
    assert "待确认" in page and "已确认" in page and "没有奖励" in page
    rewards = earnings.rewards(staff_id=paid.staff["A1"].pk, first=TODAY.replace(day=1), today=TODAY)
    # 500 − 500 of the friend who left, 500 of the other, 800 of who was woken; what may be taken back is not certain.
    assert rewards == (3, 1300, 0)


def test_the_month_leads_there_and_today_counts_it(paid: World, phone: Client):
    happened(paid)

    assert 'href="/m/earnings/actions/?month=2026-10"' in phone.get("/m/earnings/").content.decode()
    assert earnings.summary(staff_id=paid.staff["A1"].pk, today=TODAY).today_fen == 500
    assert "这个月还没有" in phone.get("/m/earnings/actions/?month=2026-09").content.decode()


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_asks_as_often_for_three_as_for_one(paid: World, phone: Client, count, django_assert_num_queries):
    for _ in range(count):
        happened(paid, at=NOW - timedelta(days=2 * number() % 9))
    phone.get("/m/earnings/actions/")
    with django_assert_num_queries(7):
        phone.get("/m/earnings/actions/")


def test_a_long_list_goes_on(paid: World, phone: Client):
    for _ in range(22):
        happened(paid, at=NOW - timedelta(minutes=number() % 50))
    page = phone.get("/m/earnings/actions/").content.decode()
    assert "from=20" in page and page.count("<details") == 20
    rest = phone.get("/m/earnings/actions/?from=20", headers={"HX-Request": "true"}).content.decode()
    assert rest.count("<details") == 2 and "<html" not in rest
    assert phone.get("/m/earnings/actions/?from=x").status_code == 404


def test_a_response_says_of_what_on_the_phone_and_in_the_journal(shop: World, phone: Client):
    rated(shop, starts_at=NOW - timedelta(days=90), opened={"fen": 30, "once_per": "customer+content"})
    look = sharing.material(shop, "秋冬画册")
    happened(shop, type="opened", content=str(look.material_id))

    told = "「秋冬画册」：素材被打开，每位顾客每个素材一次，得 ¥0.30"
    assert told in phone.get("/m/earnings/actions/").content.decode()
    entry = Entry._base_manager.get(kind="cpr", staff=shop.staff["A1"])
    desk = signing_in.signed_in(user(is_staff=True, is_superuser=True))
    page = desk.get(f"/admin/commissions/entry/{entry.pk}/change/").content.decode()
    assert told in page and "佣金池" not in page
