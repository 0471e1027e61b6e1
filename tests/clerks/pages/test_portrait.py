"""One customer on the phone: what stands there, what of it is not the reader's to know, and what one can do."""

from datetime import timedelta

import pytest
from django.test import Client

from clerks import portraits, timeline
from clerks.models import Customer, Note
from members import consent, points, profiles
from members.coupons import claiming, giving
from members.models import (
    Coupon,
    CouponQuota,
    CouponType,
    Member,
    Membership,
    MemberTag,
    Stop,
    Tag,
    Tier,
    TierRule,
)
from retail import scope
from tests import factories
from tests.clerks.pages.conftest import signed_in
from tests.clerks.pages.test_customers import buyer, customer
from tests.factories import NOW, World


@pytest.fixture
def member(shop: World) -> Member:
    return customer(shop, 1)


def page(client: Client, member: Member, part: str = "") -> str:
    return client.get(f"/m/customers/{member.pk}/{part}").content.decode()


def post(client: Client, member: Member, part: str, **data: object):
    return client.post(f"/m/customers/{member.pk}/{part}", data)


def voucher(shop: World, code: str = "v50", **fields: object) -> CouponType:
    given = {
        "code": code,
        "name": f"券{code}",
        "kind": "amount",
        "off_fen": 5000,
        "starts_at": NOW - timedelta(days=9),
    }
    return CouponType.objects.create(brand=shop.brand, **given, **fields)


def test_a_code_the_customer_claimed_stands_in_their_story(shop: World, phone: Client, member: Member):
    type, membership = voucher(shop, ends_at=NOW + timedelta(days=9)), Membership.objects.get()
    giving.take_codes(type=type, codes=[giving.new_code()], by=None, now=NOW)
    claiming.claim(code=Coupon.objects.get().code, membership=membership, by=None, now=NOW)
    assert page(phone, member, "story/").count("发券") == 1


def test_it_tells_tier_points_coupons_and_masked_identities(shop: World, phone: Client, member: Member):
    silver, gold = (
        Tier.objects.create(brand=shop.brand, code=code, name=name, rank=rank, threshold=fen)
        for code, name, rank, fen in (("s", "银卡", 1, 1000), ("g", "金卡", 2, 50_000))
    )
    TierRule.objects.create(brand=shop.brand)
    membership = Membership.objects.get()
    Membership.objects.update(tier=silver)
    points.adjust(membership=membership, points=320, reason="生日", by=factories.user(), now=NOW)
    giving.make(type=voucher(shop), membership_ids=[membership.pk], now=NOW)

    said = page(phone, member)

    assert "银卡" in said and "再消费 ¥400 升金卡" in said and gold.pk
    assert ">320<" in said and "券v50" in said
    assert "138****0001" in said and "13800000001" not in said


def test_another_companys_part_of_a_joint_member_is_left_out(shop: World, phone: Client, member: Member):
    theirs = shop.another_store(franchisee=factories.franchisee())
    shop.hire("F1", store=theirs)
    dear = [{"paid_fen": 77700}]
    shop.settle(shop.order(serving_clerk="F1", buyer=buyer(1), store_code=theirs.code, lines=dear))
    membership = Membership.objects.get()
    giving.make(type=voucher(shop, "own"), membership_ids=[membership.pk], now=NOW, store=shop.store)
    giving.make(type=voucher(shop, "house"), membership_ids=[membership.pk], now=NOW)
    giving.make(type=voucher(shop, "theirs"), membership_ids=[membership.pk], now=NOW, store=theirs)
    model = Tag.objects.create(brand=shop.brand, kind="model", code="value_high", name="高价值")
    MemberTag.objects.create(member=member, brand=shop.brand, tag=model, source="model", since=NOW)
    for store, staff in ((shop.store, "A1"), (theirs, "F1")):
        Note.objects.create(
            brand=shop.brand, member=member, staff=shop.staff[staff], store=store, text=f"备注{staff}", created_at=NOW
        )

    said, story = page(phone, member), page(phone, member, "story/")

    for told in (said, story):
        assert "777.00" not in told and "备注F1" not in told and "券theirs" not in told and "高价值" not in told
        assert "备注A1" in told and "券own" in told and "券house" in told
    assert "1 笔" in said and "买了 100.00 元" in story
    hq = portraits.of_scope(
        reader=portraits.Reader.of_scope(scope.EVERYTHING, brand_id=shop.brand.pk, corp=""),
        member_id=member.pk,
        now=NOW,
    )
    assert hq is not None and (hq.orders, hq.fen, len(hq.notes), len(hq.coupons)) == (2, 87700, 2, 3)


def test_the_story_is_one_list_and_pages_without_gaps(shop: World, phone: Client, member: Member):
    reader = portraits.Reader.of_post(shop.staff["A1"].posts.get())
    for number in range(25):
        post(phone, member, "notes/", text=f"第{number}条")
    shop.refund(shop.order(), fen=1)

    whole = timeline.page(reader=reader, member_id=member.pk, limit=100).rows
    parts, below = [], None
    while True:
        part = timeline.page(reader=reader, member_id=member.pk, limit=4, below=below)
        parts += part.rows
        below = part.mark and timeline.Mark.parse(str(part.mark))
        if below is None:
            break

    assert parts == whole and len(whole) == 27
    assert {row.kind for row in whole} == {"note", "order", "bind"}
    assert [row.at for row in whole] == sorted((row.at for row in whole), reverse=True)
    first = page(phone, member, "story/")
    assert first.count("past__row") == 20 and "below=" in first
    for wrong in ("x", "1-2", "1-2-x", "9" * 40 + "-1-1", "-1-1-1"):
        assert phone.get(f"/m/customers/{member.pk}/story/", {"below": wrong}).status_code == 404


def test_notes_are_kept_for_the_store_and_taken_away_by_their_writer_alone(shop: World, phone: Client, member: Member):
    assert post(phone, member, "notes/", text="  喜欢 <b>真丝</b>\n 不穿羊毛 ").status_code == 302
    note = Note.objects.get()
    manager = signed_in(shop.staff["M1"])

    assert note.text == "喜欢 <b>真丝</b> 不穿羊毛"
    assert "喜欢 &lt;b&gt;真丝&lt;/b&gt; 不穿羊毛" in page(manager, member)
    assert f"notes/{note.pk}/delete/" in page(phone, member)
    assert f"notes/{note.pk}/delete/" not in page(manager, member)
    assert post(manager, member, f"notes/{note.pk}/delete/").status_code == 404
    assert post(phone, member, f"notes/{note.pk}/delete/").status_code == 302
    assert "真丝" not in page(phone, member) + page(phone, member, "story/")
    assert Note.objects.get().text == ""

    post(phone, member, "notes/", text="微信同号 138 1234 5678")
    assert Note.objects.latest("pk").text == "微信同号 138****5678"


@pytest.mark.parametrize("text", ["", "  \n ", "字" * 501])
def test_a_note_that_cannot_be_kept_stays_in_the_field(phone: Client, member: Member, text: str):
    answer = post(phone, member, "notes/", text=text)

    assert answer.status_code == 400 and not Note.objects.exists()
    assert text.strip() in answer.content.decode() and 'role="alert"' in answer.content.decode()


def test_who_wants_to_be_left_alone_is_not_offered_to_be_contacted(shop: World, phone: Client, member: Member):
    shop.brand.corp = "ww1"
    shop.brand.save()
    consent.stop(member=member, corp="ww1", by=None, now=NOW)

    seen = page(phone, member)
    assert "不要再联系" in seen and "data-chat" not in seen
    assert "请顾客扫您的码" not in seen  # nor is the clerk told how to reach them


def test_a_clerk_gives_a_coupon_from_their_quota(shop: World, phone: Client, member: Member):
    type = voucher(shop, per_member=2)
    quota = CouponQuota.objects.create(type=type, staff=shop.staff["A1"], store=shop.store, limit=2)
    assert "还剩 2 张" in page(phone, member)

    given = post(phone, member, "coupons/", quota=quota.pk)
    assert given.status_code == 302 and "发好了" in phone.get(given.headers["Location"]).content.decode()
    assert Coupon.objects.get().issued_by == shop.staff["A1"]
    for limit, said in ((2, "刚刚已经发过"), (1, "请先选一种券")):  # a second tap; nothing left
        CouponQuota.objects.update(limit=limit)
        again = post(phone, member, "coupons/", quota=quota.pk)
        assert again.status_code == 400 and said in again.content.decode()
    assert Coupon.objects.count() == 1


def test_who_wants_no_offers_is_offered_no_coupon(shop: World, phone: Client, member: Member):
    CouponQuota.objects.create(type=voucher(shop), staff=shop.staff["A1"], store=shop.store, limit=2)
    consent.stop(member=member, corp=shop.brand.corp, purpose="marketing", by=None, now=NOW)
    seen = page(phone, member)
    assert "不能给 TA 发券" in seen and "还剩 2 张" not in seen


def test_tags_are_put_on_and_taken_off_and_the_list_follows(shop: World, phone: Client, member: Member):
    vip = Tag.objects.create(brand=shop.brand, kind="company", code="vip", name="生日月")
    model = Tag.objects.create(brand=shop.brand, kind="model", code="value_high", name="高价值")
    why = {"n": 3, "fen": 300_000}
    MemberTag.objects.create(member=member, brand=shop.brand, tag=model, source="model", why=why, since=NOW)
    profiles.refresh(membership_ids=[Membership.objects.get().pk], now=NOW)

    assert post(phone, member, "tags/", tag=vip.pk).status_code == 302
    assert post(phone, member, "tags/", word="爱旗袍").status_code == 302

    said, own = page(phone, member), Tag.objects.get(kind="clerk")
    assert "生日月" in said and "爱旗袍" in said and "近一年 3 单，实付 ¥3,000" in said
    assert set(Customer.objects.get().tag_ids) == {vip.pk, model.pk, own.pk}
    assert "爱旗袍" not in page(signed_in(shop.staff["M1"]), member)
    for one, status in ((vip, 302), (own, 302), (model, 400)):
        assert post(phone, member, "tags/", tag=one.pk, off="1").status_code == status
    assert Customer.objects.get().tag_ids == [model.pk]
    assert post(phone, member, "tags/").status_code == 400


@pytest.mark.parametrize("part", ["", "story/"])
def test_of_a_colleagues_customer_there_is_no_page(shop: World, phone: Client, part: str):
    shop.hire("A2")
    member = customer(shop, 1, clerk="A2")

    assert phone.get(f"/m/customers/{member.pk}/{part}").status_code == 404


@pytest.mark.parametrize("part", ["notes/", "notes/1/delete/", "wishes/", "coupons/", "tags/"])
def test_nor_is_anything_done_to_them(shop: World, phone: Client, part: str):
    shop.hire("A2")
    member = customer(shop, 1, clerk="A2")

    assert post(phone, member, part, text="x", word="x").status_code == 404
    assert not (Note.objects.exists() or Stop.objects.exists() or Tag.objects.exists())
