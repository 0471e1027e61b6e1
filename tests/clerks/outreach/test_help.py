"""Requests for help: upwards, answered, urged by a clock; each seen by those above and nobody beside."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.timezone import make_aware

from clerks import forgetting
from clerks.models import HelpRequest, Notice
from clerks.outreach import help
from members.models import Member
from retail import org, scope
from retail.models import Post, Staff
from tests import factories
from tests.clerks.outreach.test_notices import phone
from tests.factories import World
from tests.factories.corp import CHEN, CUSTOMER, LI, WANG, Corp


def at(text: str) -> datetime:
    return make_aware(datetime.fromisoformat(f"2026-10-{text}"))


@pytest.fixture
def shop(everything: None) -> World:
    """A store with two clerks and a manager, in a region with a manager; somebody in the office."""
    made = factories.world()
    made.hire("A1")
    made.hire("A2")
    made.hire("M1", role="store_manager")
    made.hire("R1", role="region_manager", region=made.region)
    made.hire("H1", role="hq_ops")
    return made


def asked(shop: World, *, by: str = "A1", now: datetime, **fields: object) -> HelpRequest:
    member = Member.objects.create(created_at=now, name="王女士")
    given = {"kind": "price", "text": "能再便宜一点吗", **fields}
    return help.ask(staff=shop.staff[by], store=shop.store, member_id=member.pk, now=now, **given)  # type: ignore[arg-type]


def post_of(staff: Staff) -> Post:
    return Post.objects.select_related("staff", "store").get(staff=staff)


def told(staff: Staff) -> list[str]:
    return list(Notice.objects.filter(staff=staff, kind="help").order_by("pk").values_list("title", flat=True))


# ── The whole way, over HTTP ─────────────────────────────────────────────────────────────────────────────────────────
def test_asked_on_the_page_of_a_customer_and_answered_in_the_app(wecom_corp: Corp) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    member_id = wecom_corp.friend().member_id
    clerk, manager = phone(wecom_corp.staff(LI)), phone(wecom_corp.staff(CHEN))
    customer = f"/m/customers/{member_id}/"
    assert "请上级帮忙" in clerk.get(customer).text
    assert "请先写几个字" in clerk.post(f"{customer}help/", {"kind": "price", "text": " "}).text
    page = clerk.post(f"{customer}help/", {"kind": "price", "text": "要三件能便宜吗"}, follow=True)
    assert "等了 0 分钟" in page.text and "在店长那里" in page.text
    assert "还没有答复" in clerk.post(f"{customer}help/", {"kind": "price", "text": "再问一次"}).text
    wecom_corp.work()

    (message,) = wecom_corp.asked("message/send")
    assert message["body"]["touser"] == CHEN
    page = manager.get(urlsplit(message["body"]["textcard"]["url"]).path, follow=True)
    (row,) = HelpRequest.objects.all()
    path = f"/m/help/{row.pk}/"
    assert page.redirect_chain == [(path, 302)] and "要三件能便宜吗" in page.text and customer in page.text
    assert ">1<span" in manager.get("/m/").text, "the badge"
    manager.post(f"{path}do/", {"do": "take"})
    assert "在处理" in clerk.get(path).text
    assert manager.post(f"{path}do/", {"do": "answer", "text": ""}).status_code == 400
    assert manager.post(f"{path}do/", {"do": "answer", "text": "三件打九折"}).status_code == 302
    wecom_corp.work()

    answer = wecom_corp.asked("message/send")[-1]["body"]
    assert answer["touser"] == LI and answer["textcard"]["description"] == "三件打九折"
    assert "三件打九折" in clerk.get(urlsplit(answer["textcard"]["url"]).path, follow=True).text
    assert "已经了结" in manager.post(f"{path}do/", {"do": "answer", "text": "又一次"}).text
    assert phone(wecom_corp.staff(WANG)).get(path).status_code == 404


# ── Who may ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_it_is_seen_and_answered_by_those_above_and_by_nobody_beside(shop: World) -> None:
    now = timezone.now()
    row = asked(shop, now=now)
    other = factories.world()
    beside = other.hire("M2", role="store_manager"), other.hire("R2", role="region_manager", region=other.region)
    assert "王女士" in phone(shop.staff["R1"]).get(f"/m/help/{row.pk}/").text
    for staff in beside:
        assert phone(staff).get(f"/m/help/{row.pk}/").status_code == 404
        assert phone(staff).post(f"/m/help/{row.pk}/do/", {"do": "answer", "text": "行"}).status_code == 404
    with pytest.raises(help.Refused, match="不归您"):
        help.answer(request=row, text="行", post=post_of(shop.staff["A1"]), by=factories.user(), now=now)
    with pytest.raises(help.Refused, match="只有提出"):
        help.withdraw(request=row, staff=shop.staff["A2"], now=now)
    help.hand_on(request=row, text="超出我的权限", post=post_of(shop.staff["M1"]), by=factories.user(), now=now)
    with pytest.raises(help.Refused, match="不归您"):
        help.answer(request=row, text="行", post=post_of(shop.staff["M1"]), by=factories.user(), now=now)
    page = phone(shop.staff["R1"]).get(f"/m/help/{row.pk}/").text
    assert "超出我的权限" in page and "交给总部" in page
    assert told(shop.staff["A1"]) == ["您的求助交给区域了"]
    help.withdraw(request=row, staff=shop.staff["A1"], now=now)
    assert not Notice.objects.filter(kind="help", read_at=None).exclude(staff=shop.staff["A1"]).exists()


def test_a_manager_asks_the_region_and_without_one_headquarters(shop: World) -> None:
    now = timezone.now()
    assert asked(shop, by="M1", now=now).level == "region"
    Post.objects.filter(staff=shop.staff["R1"]).update(ends_at=now)
    assert asked(shop, by="M1", now=now).level == "hq"
    assert told(shop.staff["H1"]) == ["员工M1 请您帮忙：价格和优惠"]


def test_the_answer_goes_to_whoever_has_the_customer_by_then(shop: World) -> None:
    now = timezone.now()
    row = asked(shop, now=now)
    held = org.roster(since=now, until=now, codes=["A2"]).person(at=now, code="A2")
    assert help.hand_over(brand_id=row.brand_id, member_ids=[row.member_id], to=held, now=now) == 1
    help.answer(request=row, text="可以", post=post_of(shop.staff["M1"]), by=factories.user(), now=now)
    assert told(shop.staff["A2"]) == ["您的求助有答复了"] and not told(shop.staff["A1"])


def test_what_was_said_of_somebody_forgotten_is_gone(shop: World) -> None:
    row = asked(shop, now=timezone.now(), text="她的电话是 13800000001")
    forgetting.forget(member_ids=[row.member_id])
    row.refresh_from_db()
    assert "138" not in row.text + "".join(Notice.objects.values_list("text", flat=True))


# ── The clock ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("12 10:00", "12 12:00", 2),
        ("12 20:30", "13 09:30", 1),
        ("12 23:00", "13 08:00", 0),
        ("11 07:00", "13 22:00", 36),
    ],
)
def test_the_clock_runs_while_shops_are_open(since: str, until: str, hours: float) -> None:
    assert help.waited_open(since=at(since), until=at(until)) == timedelta(hours=hours)


def test_the_clock_reminds_with_growing_patience_and_then_goes_a_level_up(shop: World) -> None:
    row = asked(shop, now=at("12 10:00"))
    manager, region = shop.staff["M1"], shop.staff["R1"]
    when = ("12 10:20", "12 10:30", "12 10:50", "12 11:00", "12 11:30", "12 12:00", "12 13:55", "12 14:00")
    assert [help.tend(now=at(one)) for one in when] == [0, 1, 0, 1, 0, 1, 0, 1]
    assert told(manager) == ["员工A1 请您帮忙：价格和优惠"] + 3 * ["员工A1 的求助还在等您"]
    row.refresh_from_db()
    assert (row.level, row.raised_at) == ("region", at("12 14:00"))
    assert told(region) == ["员工A1 请您帮忙：价格和优惠"]

    help.take(request=row, post=post_of(region), by=factories.user(), now=at("12 20:50"))
    assert help.tend(now=at("12 23:00")) == help.tend(now=at("13 09:15")) == 0
    assert help.tend(now=at("13 09:25")) == 1
    assert told(region)[1:] == ["员工A1 的求助还在等您"], "who has taken it is reminded, too"
    help.tend(now=at("13 13:00"))
    row.refresh_from_db()
    assert (row.level, row.taken_by) == ("hq", None)


# ── Lists and figures ────────────────────────────────────────────────────────────────────────────────────────────────
def test_whoever_waits_longest_comes_first_at_the_same_price(shop: World, django_assert_num_queries: object) -> None:
    now, manager = timezone.now(), phone(shop.staff["M1"])
    for hours, text in ((1, "第二"), (3, "第一")):
        asked(shop, now=now - timedelta(hours=hours), text=text)
    listed(manager)
    with django_assert_num_queries(5):  # type: ignore[operator]
        text = listed(manager)
    assert text.index("第一") < text.index("第二")
    for minutes in (5, 10):
        asked(shop, now=now - timedelta(minutes=minutes))
    with django_assert_num_queries(5):  # type: ignore[operator]
        listed(manager)


def listed(client: Client) -> str:
    return client.get("/m/help/").text


def test_headquarters_see_how_long_people_wait(shop: World) -> None:
    now = timezone.now()
    for minutes in (10, 30, 90):
        row = asked(shop, now=now - timedelta(minutes=minutes))
        help.answer(request=row, text="行", post=post_of(shop.staff["M1"]), by=factories.user(), now=now)
    asked(shop, now=now - timedelta(hours=2))
    since = now - timedelta(days=30)
    found = help.figures(since=since, now=now)
    assert (found.waiting, found.oldest, found.answered, found.median, found.raised) == (
        1, timedelta(hours=2), 3, timedelta(minutes=30), 0,
    )  # fmt: skip
    (store,) = help.by_store(since=since, now=now, limit=9)
    assert (store.store, store.waiting, store.median) == (shop.store.name, 1, timedelta(minutes=30))
    with scope.within(org.scope_of(post_of(factories.world().hire("M9", role="store_manager")))):
        assert help.figures(since=since, now=now).waiting == 0
