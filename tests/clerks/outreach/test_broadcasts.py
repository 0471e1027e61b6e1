"""Broadcasts: whom they reach, one message for many, who has read them, reminders with measure."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clerks.models import Broadcast, Notice
from clerks.outreach import broadcasts, notices
from retail import org, scope
from retail.jobs import Job
from retail.models import AuditRow, Employment, Post, Staff, StaffAccount
from retail.wecom.models import Call
from tests import factories
from tests.clerks.outreach.test_notices import phone
from tests.factories import LONG_AGO, World
from tests.factories.corp import CHEN, CORP, LI, WANG, ZHOU, Corp, employ

NOW = timezone.now()
HALF_AN_HOUR = timedelta(minutes=31)


def written(shop: World, *, stores: object = (), **fields: object) -> Broadcast:
    given = {"title": "换价签", "text": "周五打烊前换好。", "roles": list(broadcasts.OF_STORES)}
    row = Broadcast.objects.create(by=factories.user(), made_at=NOW, **given | fields)
    broadcasts.aim(broadcast=row, brands=[], regions=[], stores=stores or [shop.store])
    return row


def sent(shop: World, **fields: object) -> Broadcast:
    row = written(shop, **fields)
    broadcasts.submit(broadcast=row, by=row.by, now=NOW)
    broadcasts.send(broadcast_id=row.pk, now=NOW)
    row.refresh_from_db()
    return row


def staffed(shop: World, count: int) -> None:
    """So many clerks more, each with an account in WeCom."""
    codes = [f"N{factories.number()}" for _ in range(count)]
    people = Staff.objects.bulk_create(Staff(code=code, name=code) for code in codes)
    Employment.objects.bulk_create(Employment(staff=one, starts_at=LONG_AGO) for one in people)
    Post.objects.bulk_create(Post(staff=one, role="clerk", store=shop.store, starts_at=LONG_AGO) for one in people)
    StaffAccount.objects.bulk_create(StaffAccount(staff=one, corp=CORP, userid=one.code) for one in people)


def test_one_message_serves_all_and_opens_to_each_their_own(wecom_corp: Corp) -> None:
    shop = wecom_corp.shop
    lost = employ(shop, "nobody_there")  # WeCom does not know this account
    shop.hire("no-account")
    row = sent(shop)
    wecom_corp.work()
    lost.refresh_from_db()

    (message,) = wecom_corp.asked("message/send")
    assert sorted(message["body"]["touser"].split("|")) == [LI, WANG, ZHOU, CHEN, "nobody_there"]
    path = urlsplit(message["body"]["textcard"]["url"]).path
    page = phone(wecom_corp.staff(LI)).get(path, follow=True)
    assert "周五打烊前换好。" in page.text

    assert broadcasts.whole(broadcasts.by_store(broadcast=row))[2:] == (6, 1, 5)
    found = broadcasts.delivery(broadcast=row)
    assert (found.sent, found.without, found.waiting, found.failed) == (5, 1, 0, 0)
    assert found.missed == sorted([str(lost), str(shop.staff["no-account"])])


def test_who_reads_it_before_it_was_sent_does_not_take_it_from_the_others(wecom_corp: Corp) -> None:
    row = sent(wecom_corp.shop)
    notices.read(notice=row.notices.get(staff=wecom_corp.staff(LI)), now=NOW)
    wecom_corp.work()
    assert Call.objects.get().state == "sent"


def test_seven_hundred_take_no_more_statements_than_seventy(wecom_corp: Corp) -> None:
    counted = []
    for more in (70, 630):
        staffed(wecom_corp.shop, more)
        row = written(wecom_corp.shop)
        broadcasts.submit(broadcast=row, by=row.by, now=NOW)
        with CaptureQueriesContext(connection) as queries:
            broadcasts.send(broadcast_id=row.pk, now=NOW)
        with CaptureQueriesContext(connection) as reminding:
            assert broadcasts.remind(broadcast=_told(row), by=row.by, now=NOW + HALF_AN_HOUR).people == row.told
        counted.append((len(queries), len(reminding)))
    assert row.told == 704
    assert counted[0] == counted[1]
    assert max(counted[0]) <= 28
    assert Call.objects.count() == 4  # two messages for each broadcast
    with CaptureQueriesContext(connection) as sending:
        wecom_corp.work()
    assert len(sending) < 300, "to give a message to WeCom takes no statement for each person it is for"


def _told(row: Broadcast) -> Broadcast:
    row.refresh_from_db()
    return row


def test_only_the_unread_are_reminded_and_three_times_a_day(wecom_corp: Corp) -> None:
    row = sent(wecom_corp.shop)
    notices.read(notice=row.notices.get(staff=wecom_corp.staff(LI)), now=NOW)
    day = timezone.localtime(NOW).replace(hour=8, minute=0) + timedelta(days=1)

    def again(at: object) -> tuple[int, int]:
        return tuple(broadcasts.remind(broadcast=row, by=row.by, now=at))  # type: ignore[arg-type, return-value]

    assert again(NOW + timedelta(minutes=5)) == (0, 3), "they have only just heard of it"
    assert [again(day + n * HALF_AN_HOUR) for n in range(4)] == [(3, 0), (3, 0), (3, 0), (0, 3)]
    assert again(day + 2 * HALF_AN_HOUR + timedelta(minutes=5)) == (0, 3)
    assert again(day + timedelta(days=1)) == (3, 0)
    last = Call.objects.latest("pk")
    assert row.notices.filter(call=last, read_at=None).count() == 3
    assert AuditRow.objects.filter(action="broadcast.remind").count() == 4
    Employment.objects.filter(staff=wecom_corp.staff(WANG)).update(ends_at=day)
    assert again(day + timedelta(days=2)) == (2, 0), "who has left is left in peace"


def test_it_waits_for_its_time_and_can_be_called_back(wecom_corp: Corp) -> None:
    later = NOW + timedelta(hours=5)
    row = written(wecom_corp.shop, send_at=later)
    broadcasts.submit(broadcast=row, by=row.by, now=NOW)
    assert Job.objects.get().due_at == later
    broadcasts.send(broadcast_id=row.pk, now=NOW)  # a job of an earlier time
    assert not Notice.objects.exists()
    broadcasts.cancel(broadcast=row, by=row.by, now=NOW)
    broadcasts.send(broadcast_id=row.pk, now=later)
    assert not Notice.objects.exists()
    broadcasts.submit(broadcast=row, by=row.by, now=NOW)
    broadcasts.send(broadcast_id=row.pk, now=later)
    broadcasts.send(broadcast_id=row.pk, now=later)
    assert Notice.objects.count() == 4
    with pytest.raises(broadcasts.Refused, match="收不回来"):
        broadcasts.cancel(broadcast=row, by=row.by, now=later)
    with pytest.raises(broadcasts.Refused, match="已经发出"):
        broadcasts.submit(broadcast=row, by=row.by, now=later)


def test_places_and_roles_say_whom_it_reaches(everything: None) -> None:
    shop, other = factories.world(), factories.world()
    clerk, manager = shop.hire("A1"), shop.hire("M1", role="store_manager")
    region = shop.hire("R1", role="region_manager", region=shop.region)
    far = shop.another_store(region=other.region)
    away = shop.hire("A2", store=far)
    gone = shop.hire("A3")
    Employment.objects.filter(staff=gone).update(ends_at=NOW)
    all_roles = [*broadcasts.OF_STORES, *broadcasts.ABOVE_STORES]
    row = written(shop, roles=all_roles)

    def reached(**asked: object) -> set[Staff]:
        broadcasts.aim(broadcast=row, **{"brands": [], "regions": [], "stores": [], **asked})  # type: ignore[arg-type]
        return {post.staff for post in broadcasts.receivers(broadcast=row, now=NOW)}

    assert reached(brands=[shop.brand]) == {clerk, manager, region, away}
    assert reached(brands=[shop.brand], regions=[shop.region]) == {clerk, manager, region}
    assert reached(regions=[shop.region], stores=[far]) == {clerk, manager, region, away}
    assert reached(stores=[far]) == {away}
    with scope.within(org.scope_of(Post.objects.select_related("store").get(staff=manager))):
        assert broadcasts.roles_offered() == broadcasts.OF_STORES
        assert reached() == {clerk, manager, region}, "all their own stores, and no other"
        assert reached(stores=[far]) == set()
    found = broadcasts.reach(broadcast=row, now=NOW)
    assert (found.people, found.stores) == (0, [])
