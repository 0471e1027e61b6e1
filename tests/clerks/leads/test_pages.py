"""The clerk's phone: the list, the three buttons, the pool, the manager's view; headquarters' two pages."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from clerks.leads import cards, dealing, kinds, push
from clerks.leads.models import Lead, LeadPolicy
from clerks.models import Notice
from members import consent
from retail import privacy
from retail.desk import roles
from retail.models import Post
from tests import factories, signing_in
from tests.clerks.leads.scene import CORP, NOON, Scene
from tests.factories import wecom

pytestmark = pytest.mark.usefixtures("everything")


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def scene(everything: None) -> Scene:
    scene = Scene.make()
    wecom.app(slug="app", corp_id=CORP)
    return scene


def phone(scene: Scene, number: int = 0) -> Client:
    staff = scene.clerks[number]
    staff.user = staff.user or factories.user()
    staff.save()
    return signing_in.signed_in(staff.user, post=staff.posts.get())


def carted(scene: Scene, count: int = 1) -> list[Lead]:
    for _ in range(count):
        scene.did(scene.member(), "cart", hours_ago=5, product_id=scene.shop.product.pk)
    scene.make_kind("cart")
    return list(Lead.objects.order_by("pk"))


def test_from_home_to_the_chat_in_two_taps(scene: Scene) -> None:
    (lead,), browser = carted(scene), phone(scene)
    home = browser.get("/m/").text
    assert lead.member.name in home and f'href="/m/leads/{lead.pk}/"' in home
    page = browser.get("/m/leads/").text
    assert all(words in page for words in (lead.member.name, "5 小时前加购了", "联系", "稍后", "不合适", "我们还有货"))
    answer = browser.post(f"/m/leads/{lead.pk}/contact/")
    assert answer.json() == {"externalUserId": privacy.reveal(lead.member.friends.get().key)}
    assert lead.member.name not in browser.get("/m/leads/").text
    done = browser.get(f"/m/leads/{lead.pk}/").text
    assert "已联系" in done and "客户回复了" in done
    browser.post(f"/m/leads/{lead.pk}/replied/")
    assert Lead.objects.get().replied_at == NOON


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_asks_as_often_for_three_as_for_one(
    scene: Scene, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    carted(scene, count)
    browser = phone(scene)
    with django_assert_num_queries(16):
        assert browser.get("/m/leads/").text.count("data-chat") == count


def test_put_off_turned_down_and_what_was_said_stands(scene: Scene) -> None:
    (one, two), browser = carted(scene, 2), phone(scene)
    browser.post(f"/m/leads/{one.pk}/later/")
    page = browser.get("/m/leads/").text
    assert page.index(two.member.name) < page.index(one.member.name) and "再找" in page
    assert browser.post(f"/m/leads/{two.pk}/refuse/", {"refusal": "nonsense"}).status_code == 302
    assert Lead.objects.get(pk=two.pk).state == "new"
    browser.post(f"/m/leads/{two.pk}/refuse/", {"refusal": "bought"})
    assert "没有成交 · 刚买过了" in browser.get(f"/m/leads/{two.pk}/").text


def test_who_said_stop_since_is_gone_from_the_list_at_once_and_their_page_says_why(scene: Scene) -> None:
    (lead,), browser = carted(scene), phone(scene)
    consent.stop(member=lead.member, corp=CORP, purpose="marketing", by=None, now=NOON)
    assert lead.member.name not in browser.get("/m/leads/").text
    assert "今天不用找：顾客说过不要推销" in browser.get(f"/m/customers/{lead.member_id}/").text
    answer = browser.post(f"/m/leads/{lead.pk}/contact/")
    assert (answer.status_code, answer.json()["said"]) == (409, "顾客说过不要推销")


def test_who_is_held_out_is_behind_no_address(scene: Scene) -> None:
    """Not for their clerk, not for a colleague, the manager or headquarters: a withheld lead is a 404 everywhere."""
    (lead,) = carted(scene)
    Lead._base_manager.filter(pk=lead.pk).update(arm="withheld", state="withheld")
    manager = scene.shop.hire("boss", role=Post.Role.STORE_MANAGER)
    ops = scene.shop.hire("ops", role=Post.Role.HQ_OPS)
    browsers = [phone(scene), phone(scene, 1)]
    for staff in (manager, ops):
        staff.user = factories.user()
        staff.save()
        roles.grant(user=staff.user, role=staff.posts.get().role)
        browsers.append(signing_in.signed_in(staff.user, post=staff.posts.get()))
    for loose in (False, True):  # in a book, and in the pool
        Lead._base_manager.update(staff=None if loose else scene.clerks[0])
        for browser in browsers:
            for verb in ("", "contact/", "later/", "refuse/", "replied/", "claim/"):
                path = f"/m/leads/{lead.pk}/{verb}"
                answer = browser.post(path, {"refusal": "bought"}) if verb else browser.get(path)
                assert answer.status_code in (403, 404), path
            assert lead.member.name not in browser.get("/m/leads/").text
            assert browser.get(f"/admin/leads/lead/{lead.pk}/change/").status_code in (302, 404)
            for page in ("/m/leads/pool/", "/m/leads/team/", "/m/", "/m/n/", "/admin/leads/lead/"):
                assert lead.member.name not in browser.get(page).text, page
    assert push.digest(brand=scene.shop.brand, now=NOON) == 0
    assert Lead._base_manager.get().state == "withheld"


def test_the_pool_names_nobody_before_they_are_claimed(scene: Scene) -> None:
    (lead,) = carted(scene)
    dealing.move_on(brand=scene.shop.brand, now=NOON + timedelta(hours=24))
    first, second = phone(scene), phone(scene, 1)
    assert lead.member.name not in (page := second.get("/m/leads/pool/").text) and "5 小时前加购了" in page
    assert "从您这里转出的" in first.get("/m/leads/pool/").text
    assert "请同事跟进" in first.post(f"/m/leads/{lead.pk}/claim/").text
    assert second.post(f"/m/leads/{lead.pk}/claim/").status_code == 302
    assert lead.member.name in second.get(f"/m/leads/{lead.pk}/").text
    assert "看顾客资料" not in second.get(f"/m/leads/{lead.pk}/").text  # still a colleague's customer
    assert first.get(f"/m/leads/{lead.pk}/").status_code == 404


def test_a_digest_opens_the_one_lead_or_the_list(scene: Scene) -> None:
    (lead,), browser = carted(scene), phone(scene)
    push.digest(brand=scene.shop.brand, now=NOON)
    notice = Notice.objects.get()
    assert browser.get(f"/m/n/{notice.pk}/open/")["Location"] == f"/m/leads/{lead.pk}/"
    Lead.objects.update(staff=scene.clerks[1])
    assert browser.get(f"/m/n/{notice.pk}/open/")["Location"] == "/m/leads/"


def test_headquarters_see_how_it_goes_and_switch_a_type_off(scene: Scene) -> None:
    waits, contacted = carted(scene, 2)
    Lead.objects.filter(pk=contacted.pk).update(state="contacted", contacted_at=NOON)
    staff = scene.shop.hire("ops", role=Post.Role.HQ_OPS)
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=Post.Role.HQ_OPS)
    desk = signing_in.signed_in(staff.user, post=staff.posts.get())
    page = desk.get("/admin/leads/lead/monitor/").text
    assert "没有接入：到货、降价这两种商品消息" in page and "没有接入：浏览这种会员行为" in page
    desk.post("/admin/leads/lead/switch-kind/", {"brand": scene.shop.brand.code, "kind": "cart"})
    assert LeadPolicy.objects.get().off_kinds == ["cart"] and "已停用" in desk.get("/admin/leads/lead/monitor/").text
    found = dict(Lead.objects.values_list("pk", "state"))
    assert found == {waits.pk: "withdrawn", contacted.pk: "contacted"}, (
        "what waits is taken back, what was begun stays"
    )
    assert scene.make_kind("cart", now=NOON + timedelta(days=9)).made == 0
    assert "数据还不够，还要" in desk.get("/admin/leads/lead/increments/").text


# ── The order of the list ────────────────────────────────────────────────────────────────────────────────────────────
ranks = st.integers(1, 11)
leads = st.lists(st.tuples(st.integers(1, 6), ranks, st.floats(0, 1), st.booleans()), max_size=25)


@given(leads, st.integers(0, 8))
def test_each_customer_once_highest_first_and_no_more_than_one_can_talk_to(
    given_: list[tuple[int, int, float, bool]], most: int
) -> None:
    codes = {kind.rank: code for code, kind in kinds.KINDS.items()}
    rows = [
        Lead(
            pk=place, member_id=member, kind=codes[rank], rank=rank, score=score, created_at=NOON,
            later_until=NOON + timedelta(hours=1) if later else None,
        )
        for place, (member, rank, score, later) in enumerate(given_)
    ]  # fmt: skip
    shown = cards.ranked(rows, most=most, now=NOON)
    heads = [one[0] for one in shown]
    assert len({lead.member_id for lead in heads}) == len(heads)
    assert sum(lead.rank > 2 for lead in heads) <= most
    assert {lead.member_id for lead in rows if lead.rank <= 2} <= {lead.member_id for lead in heads}
    for one in shown:
        theirs = [lead for lead in rows if lead.member_id == one[0].member_id]
        assert len(one) == len(theirs) and one[0].rank == min(lead.rank for lead in theirs)
    now = [lead for lead in heads if lead.later_until is None]
    assert heads[: len(now)] == now and [lead.rank for lead in now] == sorted(lead.rank for lead in now)
