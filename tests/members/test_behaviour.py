"""What buyers did other than buying: kept once, corrected with its past, given to whom it turns out to be."""

from datetime import datetime, timedelta

import pytest
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from members import behaviour, identity
from members.models import Event, Member
from retail import intake, privacy, shapes
from retail.models import BuyerKey
from retail.privacy import Known
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("everything")


@pytest.fixture
def shop(db):
    return factories.world()


def phone(number: str) -> shapes.Buyer:
    return shapes.Buyer("phone", number)


def event(shop, number="E1", **fields) -> shapes.Event:
    said = {"type": "view", "at": NOW - timedelta(days=1), "buyer": (phone("15400000001"),), "sku": shop.product.sku}
    return shapes.Event(channel=shop.pos.code, outer_event_id=number, **{**said, **fields})


def take(shop, *rows, now=NOW):
    return [one.status for one in intake.take_events(channel=shop.pos, data=rows, now=now)]


def known(number: str, name: str = "李女士") -> int:
    key = privacy.keep([Known("phone", "", number)])
    return identity.meet(key_ids=key.values(), name=name, at=NOW, source="test").member_id


def test_an_event_is_kept_once_for_whom_its_key_names(shop):
    member_id = known("15400000001")
    row = event(shop, seconds=30, share_code="s-1", order="SO-1")
    assert take(shop, row, row) == ["created", "created"]
    assert take(shop, row) == ["unchanged"]
    kept = Event.objects.get()
    assert (kept.member_id, kept.product, kept.seconds, kept.share_code, kept.outer_order_id) == (
        member_id, shop.product, 30, "s-1", "SO-1",
    )  # fmt: skip


def test_other_content_corrects_and_keeps_what_was_said_also_in_another_month(shop):
    take(shop, event(shop, at=datetime.fromisoformat("2026-08-31T23:59:00+08:00"), seconds=5))
    moved = event(shop, at=datetime.fromisoformat("2026-09-01T00:00:00+08:00"), seconds=9, type="cart")
    assert take(shop, moved) == ["corrected"]
    assert take(shop, moved) == ["unchanged"]
    kept = Event.objects.get()
    assert (kept.kind, kept.seconds, kept.former[0]["kind"], kept.former[0]["seconds"]) == ("cart", 9, "view", 5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM members_event")
        assert cursor.fetchall() == [("members_event_202609",)]


def test_the_same_number_twice_with_other_content_in_one_batch_is_refused(shop):
    outcomes = intake.take_events(channel=shop.pos, data=[event(shop), event(shop, seconds=1)], now=NOW)
    assert [one.status for one in outcomes] == ["created", "rejected"]
    assert "appears twice" in outcomes[1].faults[0].message


def test_what_is_older_than_is_kept_or_has_not_happened_is_refused(shop):
    late = event(shop, "E1", at=NOW - behaviour.KEPT - timedelta(days=1))
    early = event(shop, "E2", at=NOW + timedelta(days=2))
    assert take(shop, late, early, event(shop, "E3", sku="no-such")) == ["rejected"] * 3
    assert not Event.objects.exists()


def test_somebody_unknown_is_known_later_by_the_strongest_key(shop):
    both = (shapes.Buyer("channel_id", "tb-1"), phone("15400000001"))
    take(shop, event(shop, "E1", buyer=both), event(shop, "E2", buyer=(phone("15400000002"),)))
    assert set(Event.objects.values_list("member", flat=True)) == {None}
    key = privacy.keep([Known("channel_id", shop.pos.code, "tb-1")])
    weaker = identity.meet(key_ids=key.values(), name="", at=NOW, source="order").member_id
    member_id = known("15400000001")
    count, mark = behaviour.adopt(since=0)
    assert (count, weaker != member_id) == (1, True)
    assert dict(Event.objects.values_list("outer_event_id", "member")) == {"E1": member_id, "E2": None}
    assert behaviour.adopt(since=mark) == (0, mark)


def test_a_batch_takes_as_many_statements_as_one_event(shop, django_assert_max_num_queries):
    take(shop, event(shop, "E0"))
    with django_assert_max_num_queries(16):
        rows = [event(shop, f"F{n}", buyer=(phone(f"154000001{n:02}"),)) for n in range(60)]
        assert take(shop, *rows) == ["created"] * 60


def test_of_somebody_forgotten_nothing_is_told_again(shop):
    member_id = known("15400000001")
    take(shop, event(shop))
    behaviour.forget_about(member_ids=[member_id], key_ids=[])
    key = BuyerKey.objects.get(identity__member=member_id)
    privacy.erase(key_id=key.pk, by=None, reason="本人要求", now=NOW)
    assert take(shop, event(shop), event(shop, "E2"), event(shop, "E3", type="register")) == [
        "unchanged", "created", "unchanged",
    ]  # fmt: skip
    assert list(Event.objects.values_list("member", "buyer_keys").order_by("pk")) == [(None, []), (None, [])]
    assert Member.objects.count() == 1


def test_months_are_dropped_whole_and_never_those_of_the_last_year(shop):
    """By the clock of the database, whatever day a caller says it is."""
    take(shop, event(shop, at=timezone.now(), sku=None), now=timezone.now())
    long_ago = timezone.now() - timedelta(days=500)
    behaviour.make_months([long_ago])
    assert behaviour.forget(before=long_ago - timedelta(days=31)) == 0
    assert behaviour.forget(before=long_ago + timedelta(days=31)) == 1
    assert behaviour.forget(before=timezone.now() + timedelta(days=900)) == 0
    assert Event.objects.exists()


def test_requests_make_months_and_never_drop_them(shop):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE daogou_web")
        cursor.execute("SELECT make_event_month('2031-05-05')")
        for statement in (
            "SELECT drop_event_months('2001-01-01')",
            "SELECT * FROM members_event_203105",
            "DELETE FROM members_event",
        ):
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                cursor.execute(statement)
        cursor.execute("RESET ROLE")
