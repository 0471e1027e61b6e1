"""The pages of segments: built and looked at by headquarters, seen by stores as far as their own members go."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from members import segments
from members.models import Membership, Segment
from retail import scope, shapes
from retail.desk import roles
from retail.models import AuditRow, Post
from tests.factories import NOW, number, user, world
from tests.forms import shown
from tests.signing_in import signed_in

pytestmark = pytest.mark.django_db

SPENT = {"kind": "spent", "is": "ge", "fen": 20_000}
RICH = {"match": "all", "of": [SPENT]}
LIST, ADD = "/admin/members/segment/", "/admin/members/segment/add/"
PREVIEW, VALUES = "/admin/members/segment/preview/", "/admin/members/segment/values/"


@pytest.fixture
def shop(everything):
    """Two stores of two regions: one member bought in the first, one in the second, one in both."""
    shop = world(corp=f"corp{number()}")
    shop.there = shop.another_store(region=world().region)
    for phone, store, fen in (("1", shop.store, 30_000), ("2", shop.there, 40_000), ("3", shop.store, 15_000)):
        sell(shop, f"1380000000{phone}", store, fen)
    sell(shop, "13800000003", shop.there, 15_000)
    return shop


def sell(shop, phone, store, fen):
    buyer = (shapes.Buyer("phone", phone),)
    shop.settle(shop.order(buyer=buyer, store_code=store.code, lines=[{"paid_fen": fen}], paid_at=NOW))


def browser(shop, role, **place):
    staff = shop.hire(f"{role}-{number()}", role=role, **place)
    staff.user = user()
    staff.save()
    roles.grant(user=staff.user, role=role)
    return signed_in(staff.user)


@pytest.fixture
def hq(shop):
    return browser(shop, Post.Role.HQ_OPS)


def kept(shop, **fields):
    given = {"brand": shop.brand, "name": f"高价值{number()}", "condition": RICH, "created_at": NOW}
    segment = Segment.objects.create(**{**given, **fields})
    segments.refresh(segment=segment, now=NOW)
    return segment


def page_of(segment, name="change"):
    return reverse(f"admin:members_segment_{name}", args=[segment.pk])


def ask(client, shop, condition, **fields):
    sent = {"brand": shop.brand.pk, "condition": json.dumps(condition), **fields}
    answer = client.post(PREVIEW, sent)
    assert answer.status_code == 200, answer
    return answer.json()


# ── Building ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_preview_counts_and_shows_some_with_the_reason(shop, hq, django_assert_num_queries):
    told = ask(hq, shop, RICH)
    assert told["sentence"] == "累计消费满 200 元。"
    assert told["faults"] == []
    assert "<strong>3</strong>" in told["html"]
    assert "138****0002" in told["html"] and "400" in told["html"] and "消费净额" in told["html"]
    assert "13800000002" not in told["html"]


def test_who_bought_lately_is_left_out_and_counted(shop, hq, time_machine):
    time_machine.move_to(NOW + timedelta(days=30), tick=False)
    assert "另有 3 人" in ask(hq, shop, RICH, is_dormant_only="on")["html"]
    assert "另有" not in ask(hq, shop, RICH, rest_days="29")["html"]
    assert "<strong>0</strong>" in ask(hq, shop, RICH, rest_days="30")["html"]


def test_what_is_wrong_is_said_at_its_place(shop, hq):
    nameless = {"kind": "tier", "is": "at_least", "tier": ["nothing"]}
    told = ask(hq, shop, {"match": "all", "of": [{**SPENT, "fen": "x"}, nameless]})
    assert [fault["place"] for fault in told["faults"]] == ["of.0.fen"] and told["html"] == ""
    told = ask(hq, shop, {"match": "all", "of": [SPENT, nameless]})
    assert told["faults"] == [{"place": "of.1.tier", "words": "没有这个编码：nothing"}]
    broken = hq.post(PREVIEW, {"brand": shop.brand.pk, "condition": '{"match": NaN'}).json()
    assert [fault["place"] for fault in broken["faults"]] == [""]
    assert "先选品牌" in hq.post(PREVIEW, {"brand": "x", "condition": "{}"}).json()["html"]


def test_values_are_those_of_the_brand(shop, hq):
    def found(**query):
        return hq.get(VALUES, {"brand": shop.brand.pk, **query}).json()["results"]

    assert [shop.there.code, shop.there.name] in found(of="store")
    assert found(of="store", term=shop.there.code) == [[shop.there.code, shop.there.name]]
    assert found(of="user") == found(of="store", term="nowhere") == []
    assert hq.get(VALUES, {"of": "store", "brand": "1 OR 1=1"}).json() == {"results": []}


def test_a_segment_is_made_changed_and_told_in_the_journal(shop, hq):
    sent = {"brand": shop.brand.pk, "name": "高价值", "kind": "rule", "condition": json.dumps(RICH), "rest_days": ""}
    assert hq.post(ADD, sent).status_code == 302
    segment = Segment.objects.get(name="高价值")
    assert (segment.condition, segment.created_by is not None) == (RICH, True)
    page = hq.get(page_of(segment))
    assert "正在算" in page.content.decode()

    segments.refresh(segment=segment, now=NOW)
    changed = {"match": "all", "of": [{**SPENT, "fen": 35_000}]}
    data = shown(page) | {"condition": json.dumps(changed)}
    assert hq.post(page_of(segment), data).status_code == 302
    segment.refresh_from_db()
    assert segment.condition == changed
    twice = hq.post(ADD, sent)
    assert twice.status_code == 200 and "已经有一个叫这个名字的人群" in twice.content.decode()
    row = AuditRow.objects.filter(action="change", target_id=str(segment.pk)).get()
    assert row.before == {"condition": "累计消费满 200 元。"}
    assert row.after == {"condition": "累计消费满 350 元。"}


@pytest.mark.parametrize("condition", ["", "{", "null", "[]", '{"match": "all", "of": []}', '{"match": 1e999}'])
def test_nothing_is_kept_that_is_no_condition(shop, hq, condition):
    answer = hq.post(ADD, {"brand": shop.brand.pk, "name": "坏的", "kind": "rule", "condition": condition})
    assert answer.status_code == 200 and "condition" in answer.context["adminform"].form.errors
    assert not Segment.objects.filter(name="坏的").exists()


def test_a_drawn_list_and_an_ended_segment_are_not_changed(shop, hq):
    frozen, ended = kept(shop, kind="frozen"), kept(shop)
    segments.end(segment=ended, by=None, now=NOW)
    form = shown(hq.get(page_of(frozen)))
    assert set(form) == {"name"}
    hq.post(page_of(frozen), form | {"condition": json.dumps({"match": "all", "of": [{**SPENT, "fen": 1}]})})
    frozen.refresh_from_db()
    assert frozen.condition == RICH
    assert hq.post(page_of(ended), {"name": "新名字"}).status_code == 403
    assert "累计消费满 200 元。" in hq.get(page_of(ended)).content.decode()


# ── Who sees whom ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_manager_sees_how_many_of_theirs_are_in_it_and_who(shop):
    segment = kept(shop)
    with scope.within(scope.EVERYTHING):
        ours = set(Membership.objects.filter(purchases__store=shop.there).values_list("pk", flat=True))
    for role, place in (
        (Post.Role.STORE_MANAGER, {"store": shop.there}),
        (Post.Role.REGION_MANAGER, {"region": shop.there.region}),
    ):
        client = browser(shop, role, **place)
        row = client.get(LIST).context["cl"].result_list[0]
        assert (row.pk, row.seen_count, row.size) == (segment.pk, 2, 3)
        page = client.get(page_of(segment))
        assert page.context["count"] == 2 and {one.seen.membership.pk for one in page.context["people"]} == ours
        assert "heights" not in page.context  # how many there are in all is headquarters'
        for name in ("people", "moves"):
            listed = client.get(page_of(segment, name))
            assert {one.seen.membership.pk for one in listed.context["people"]} == ours
            assert "138****0001" not in listed.content.decode()
        assert client.post(PREVIEW, {"brand": shop.brand.pk, "condition": json.dumps(RICH)}).status_code == 403


def test_the_scope_narrows_a_preview_as_it_narrows_lists(shop):
    known = segments.check(condition=RICH, brand=shop.brand)
    given = {"known": known, "brand": shop.brand, "is_dormant_only": False, "rest_days": None, "now": NOW}
    for stores in ([shop.store.pk], [shop.there.pk], [shop.store.pk, shop.there.pk], []):
        with scope.within(scope.Scope(store_ids=frozenset(stores))):
            assert segments.preview(**given, has_reasons=False).people == Membership.objects.count()
    with scope.within(scope.Scope(store_ids=frozenset([shop.store.pk]), staff_id=1)):
        assert segments.preview(**given, has_reasons=False).people == 0


# ── How much is asked of the database ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["changelist", "people", "moves", "change"])
def test_pages_ask_as_much_for_one_row_as_for_many(shop, hq, name, django_assert_num_queries):
    segment = kept(shop)
    address = LIST if name == "changelist" else page_of(segment, name)
    hq.get(address)

    def count():
        with CaptureQueriesContext(connection) as asked:
            assert hq.get(address).status_code == 200
        return len(asked)

    few = count()
    for n in range(4, 8):
        sell(shop, f"1380000000{n}", shop.store, 30_000)
    segments.refresh(segment=segment, now=NOW + timedelta(hours=1))
    for _ in range(3):
        kept(shop)
    assert count() == few
