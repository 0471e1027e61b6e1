"""What is rolled up of members is what a plain reading of the facts says, however they came."""

import random
from datetime import timedelta

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from commissions import returns
from commissions.engine.money import round_div
from members import profiles
from members.models import Membership, MemberTag, Profile, Purchase, Tag
from retail import bulk
from retail.models import Order, OrderLine, Refund
from tests.factories import NOW
from tests.factories.town import ONE_BY_ONE, Town, story

pytestmark = pytest.mark.usefixtures("everything")


def test_a_random_world_is_rolled_up_as_the_facts_say(monkeypatch):
    monkeypatch.setattr(profiles, "CHUNK", 7)
    town = Town(random.Random(3))
    happens = story(town, rounds=3, orders=30)
    for _orders, refunds in happens.rounds:  # of many moments, and some lines given back again and again
        refunds[:] = [
            (channel, msgspec.structs.replace(row, refunded_at=NOW - timedelta(hours=town.dice.randrange(9))))
            for channel, row in refunds
        ]
    happens.happen(ONE_BY_ONE)
    kept_up = rolled_up()
    later = NOW + timedelta(days=40)

    assert len(kept_up) > 15 and sum(row["returned_fen"] for row in kept_up.values()) > 100_000
    assert kept_up == {pk: plain(pk, NOW) for pk in kept_up}
    profiles.refresh_all(now=later)
    assert rolled_up() == {pk: plain(pk, later) for pk in Membership.objects.values_list("pk", flat=True)}
    assert profiles.refresh_all(now=later) == 0


def rolled_up():
    return {
        pk: row for row in Profile.objects.values() if (pk := row.pop("membership_id")) and row.pop("refreshed_at")
    }


def plain(membership_id, now):
    """A profile by a loop over everything the member bought."""
    said = dict.fromkeys(("orders", "pieces", "paid_fen", "tag_fen", "returned_fen", "year_fen"), 0)
    counted = []
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    for purchase in Purchase.objects.filter(membership=membership_id).order_by("paid_at", "order"):
        lines = list(OrderLine.objects.filter(order=purchase.order))
        back = returns.tally(lines=lines, refunds=Refund.objects.filter(order=purchase.order)).back
        is_one = False
        for line in lines:
            came = back.get(line.pk)
            whole, fen, pieces = (came.back == came.size, came.back, came.pieces) if came else (False, 0, 0)
            sign = (line.qty > 0) - (line.qty < 0)
            returned = (fen if line.paid_fen > 0 else -fen) if line.paid_fen else 0
            said["pieces"] += line.qty - sign * (abs(line.qty) if whole else pieces)
            said["paid_fen"] += line.paid_fen - returned
            said["returned_fen"] += returned
            said["tag_fen"] += round_div(line.tag_fen * (came.size - fen), came.size) if came else line.tag_fen
            said["year_fen"] += (line.paid_fen - returned) * (purchase.paid_at >= midnight - timedelta(days=365))
            is_one |= line.qty > 0 and not whole
        counted += [purchase] if is_one else []
    times = [purchase.paid_at for purchase in counted]
    said |= {
        name: sum(at >= midnight - timedelta(days=days) for at in times)
        for name, days in {"orders_30": 30, "orders_90": 90, "orders_180": 180, "year_orders": 365}.items()
    }
    stores = [purchase.store_id for purchase in counted if purchase.store_id]
    membership = Membership.objects.get(pk=membership_id)
    bought = [purchase.paid_at for purchase in Purchase.objects.filter(membership=membership_id)]
    return said | {
        "orders": len(counted),
        "first_at": min(times, default=None),
        "last_at": max(times, default=None),
        "last_store_id": stores[-1] if stores else None,
        "brand_id": None if membership.member.merged_into_id else membership.brand_id,
        "first_purchase_at": min(bought, default=None),
        "last_purchase_at": max(bought, default=None),
        "tag_ids": tags_of(membership),
    }


def tags_of(membership):
    held = MemberTag.objects.filter(member=membership.member, until=None)
    return sorted({row.tag_id for row in held if row.brand_id in (None, membership.brand_id)})


def test_settling_in_bulk_keeps_up_once_and_as_well():
    town = Town(random.Random(4))
    for channel, row in town.orders(40):
        town.brands[0].take(row, channel=channel)

    bulk.settle(among=Order.objects.all(), now=NOW, how=bulk.How(batch=9))

    assert Profile.objects.count() > 10
    assert rolled_up() == {pk: plain(pk, NOW) for pk in rolled_up()}


def test_the_command_finds_what_is_otherwise_and_mends_it(capsys):
    town = Town(random.Random(6))
    for channel, row in town.orders(12):
        town.brands[0].settle(row, channel=channel)
    wrong = Profile.objects.order_by("pk")[0]
    Profile.objects.filter(pk=wrong.pk).update(paid_fen=1)
    call_command("profiles")
    call_command("profiles", "--check")
    tag = Tag.objects.create(kind=Tag.Kind.COMPANY, code="t", name="有车")
    MemberTag.objects.create(member=wrong.membership.member, tag=tag, source="manual", since=NOW)

    with pytest.raises(CommandError, match=rf"1 profiles .* memberships \[{wrong.pk}\]"):
        call_command("profiles", "--check")
    call_command("profiles")

    assert Profile.objects.get(pk=wrong.pk).tag_ids == [tag.pk]
    assert rolled_up() == {pk: plain(pk, timezone.now()) for pk in rolled_up()}
