"""The read model behind a clerk's list is what a plain reading of the facts says, however they came."""

import hashlib
import random

import pytest
from django.core.management import CommandError, call_command

from clerks import book, friends
from clerks.models import Binding, Customer, Friend, Touch
from clerks.outreach import contact
from commissions import returns
from members.models import Identity, Member, Membership, MemberTag, Purchase, Tag
from members.profiles import refresh as roll_up
from retail import doctor, privacy
from retail.models import OrderLine, Refund, Staff
from retail.shapes import Buyer
from tests import factories
from tests.factories import NOW
from tests.factories.town import ONE_BY_ONE, Town, story

pytestmark = pytest.mark.usefixtures("everything")


def kept() -> dict[int, dict]:
    return {
        row.pop("binding_id"): row
        for row in Customer._base_manager.values()
        if row.pop("refreshed_at") and row.pop("intent") == 0
    }


def plain() -> dict[int, dict]:
    """The same rows by loops over everything."""
    return {one.pk: _plain(one) for one in Binding.objects.active().select_related("store", "brand", "member")}


def _plain(binding: Binding) -> dict:
    member, ours = binding.member, binding.store.franchisee_id
    times, fen, is_joint = [], 0, False
    for purchase in Purchase.objects.filter(membership__brand=binding.brand, membership__member=member):
        if purchase.store is not None and purchase.store.franchisee_id != ours:
            is_joint = True
            continue
        lines = list(OrderLine.objects.filter(order=purchase.order))
        back = returns.tally(lines=lines, refunds=Refund.objects.filter(order=purchase.order)).back
        whole = [line.pk in back and back[line.pk].back == back[line.pk].size for line in lines]
        fen += sum(
            line.paid_fen - _sign(line.paid_fen) * (back[line.pk].back if line.pk in back else 0) for line in lines
        )
        if any(line.qty > 0 and not gone for line, gone in zip(lines, whole, strict=True)):
            times.append(purchase.paid_at)
    touches = Touch.objects.filter(member=member, staff=binding.staff, purpose__in=["service", "marketing"])
    contacted_at = max(touches.values_list("at", flat=True), default=None)
    words = MemberTag.objects.filter(member=member, until=None, brand__in=[binding.brand]) | MemberTag.objects.filter(
        member=member, until=None, brand=None
    )
    tags = Tag._base_manager.filter(members__in=words)
    digits = {key.masked[-4:] for key in privacy.BuyerKey.objects.filter(identity__member=member, type="phone")}
    secret = privacy.blind("tails of a clerk's customers")
    return {
        "brand_id": binding.brand_id,
        "member_id": member.pk,
        "staff_id": binding.staff_id,
        "store_id": binding.store_id,
        "tier_id": Membership.objects.get(brand=binding.brand, member=member).tier_id,
        "bound_at": binding.started_at,
        "is_friend": Friend.objects.filter(member=member, staff=binding.staff, state="friend").exists(),
        "is_lost": binding.lost_at is not None,
        "contacted_at": contacted_at,
        "quiet_since": contacted_at or binding.started_at,
        "bought_at": max(times, default=None),
        "orders": len(times),
        "paid_fen": fen,
        "tag_ids": sorted(
            tag.pk
            for tag in {*tags}
            if tag.staff_id in (None, binding.staff_id) and not (tag.kind == "model" and is_joint)
        ),
        "sought": {"王小丽": "王小丽\twangxiaoli\twxl"}.get(member.name, ""),
        "tails": " ".join(
            hashlib.sha256(f"{secret}{binding.staff_id}:{one}".encode()).hexdigest()[:16] for one in sorted(digits)
        ),
    }


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def test_a_random_world_stands_in_the_lists_as_the_facts_say():
    town = Town(random.Random(5))
    story(town, rounds=3, orders=30).happen(ONE_BY_ONE)

    assert len(kept()) > 8 and any(row["orders"] > 2 for row in kept().values())
    _compute(Member.objects.all())
    joint = Purchase.objects.values("membership").filter(store__franchisee=None)
    assert Purchase.objects.filter(membership__in=joint).exclude(store__franchisee=None).exists()
    assert kept() == plain()
    assert list(book.otherwise()) == []


@pytest.fixture
def shop(settings):
    shop = factories.world(corp="ww-book")
    shop.hire("A1")
    shop.hire("A2")
    return shop


@pytest.fixture
def member(shop) -> Member:
    shop.settle(shop.order(serving_clerk="A1", buyer=(Buyer("phone", "13800001234"),)))
    member = Member.objects.get()
    Member.objects.filter(pk=member.pk).update(name="王小丽")
    return member


def test_friends_contacts_tags_and_names_follow(shop, member):
    own, other = (_tag(shop, member, shop.staff[code]) for code in ("A1", "A2"))
    roll_up(membership_ids=Membership.objects.values_list("pk", flat=True), now=NOW)
    key = Identity.objects.get(member=member).key
    _account(shop.staff["A1"])
    friends._settle("ww-book", key.pk, [friends.Move("a1", "added", NOW)], None, NOW)
    contact.touch(
        member_id=member.pk, corp="ww-book", purpose="service", by=shop.staff["A1"], store_id=shop.store.pk,
        effect="x", now=NOW,
    )  # fmt: skip

    (row,) = kept().values()

    assert kept() == plain()
    assert row["is_friend"] and row["contacted_at"] == NOW
    assert row["tag_ids"] == [own.pk] and other.pk not in row["tag_ids"]
    assert row["sought"].endswith("wxl")


def test_what_ended_is_gone_and_what_was_spoilt_is_found_and_mended(shop, member):
    assert list(book.otherwise()) == [member.pk]  # they were given a name
    with pytest.raises(CommandError, match="1 customers"):
        call_command("book", "--check")
    call_command("book")
    assert list(book.otherwise()) == []
    looked = {finding.name: finding.failures for finding in doctor.examine(now=NOW, sample=None)}
    assert looked["books_follow_the_facts"] == 0

    Customer._base_manager.update(paid_fen=1)
    assert [one.failures for one in doctor.examine(now=NOW, sample=None) if one.name.startswith("books")] == [1]
    Binding.objects.update(ended_at=NOW, end_reason="unbound")
    book.refresh(member_ids=[member.pk], now=NOW)
    assert kept() == {} and list(book.otherwise()) == []


def test_a_tail_is_told_to_its_own_clerk_alone(shop, member):
    ours, another = (book.tail(staff_id=shop.staff[code].pk, digits="1234") for code in ("A1", "A2"))

    book.refresh(member_ids=[member.pk], now=NOW)

    assert Customer._base_manager.get().tails == ours and ours != another
    assert "1234" not in str(kept())


def _compute(members) -> None:
    """Everybody bears a computed tag."""
    tag = Tag.objects.create(kind="model", code="value_high", name="高价值")
    MemberTag.objects.bulk_create(MemberTag(member=one, tag=tag, source="model", since=NOW) for one in members)
    roll_up(membership_ids=Membership.objects.values_list("pk", flat=True), now=NOW)
    assert list(book.otherwise())
    book.refresh_all(now=NOW)


def _tag(shop, member: Member, staff: Staff) -> Tag:
    code = f"own-{staff.code}"
    tag = Tag.objects.create(brand=shop.brand, kind="clerk", code=code, name=f"{staff.code}的词", staff=staff)
    MemberTag.objects.create(member=member, brand=shop.brand, tag=tag, source="manual", staff=staff, since=NOW)
    return tag


def _account(staff: Staff) -> None:
    from retail.models import StaffAccount

    StaffAccount.objects.create(staff=staff, corp="ww-book", userid=staff.code.lower())
