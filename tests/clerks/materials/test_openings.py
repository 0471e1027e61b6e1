"""Openings are in the database before anybody is answered, many in one commit; and whose they turn out to be."""

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from clerks.materials import dwell, forgetting, links, openings, viewers
from clerks.materials.models import Opening, Visitor
from clerks.materials.openings import Row
from clerks.pages import lane
from members import identity
from members.models import Member
from retail import intake, jobs, retention, scope, shapes, tasks, together
from retail.jobs import Job
from retail.privacy import Known, keep
from tests.clerks.materials.linking import asked, linked
from tests.factories import NOW, number

AT = NOW + timedelta(minutes=5)


def rows():
    return Opening._base_manager.all()


def jobs_of(share):
    return Job.objects.filter(kind=openings.JOB, payload__share_id=share.pk)


@pytest.mark.django_db(transaction=True)
def test_those_who_come_at_once_wait_for_one_commit_and_are_all_there():
    counted = Counter()
    began = threading.Barrier(12)
    openings.prepare(now=NOW)

    def visit(place):
        began.wait()
        for step in range(20):
            openings.write(row=Row(NOW, place + 1, uuid4(), None, step))
            counted[place] += Opening._base_manager.filter(share=place + 1).count() == step + 1
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(DISTINCT xmin::text) FROM materials_opening")
            commits = cursor.fetchone()[0]
        connection.close()
        return commits

    with ThreadPoolExecutor(12) as pool:
        commits = max(pool.map(visit, range(12)))
    assert rows().count() == 240 and set(counted.values()) == {20}, "answered before it was there"
    assert commits < 240, "each row had a commit of its own"


@pytest.mark.django_db(transaction=True)
def test_a_row_the_database_did_not_take_is_promised_to_nobody():
    openings.prepare(now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE materials_opening ADD CONSTRAINT full_disk CHECK (share_id <> 7)")
    with pytest.raises(together.Away):
        openings.write(row=Row(NOW, 7))
    openings.write(row=Row(NOW, 8))  # the line goes on
    assert list(rows().values_list("share", flat=True)) == [8]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_died_and_a_fork_cost_nothing():
    openings.write(row=Row(NOW, 1))  # makes its month, too
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()
    openings.write(row=Row(NOW, 2))
    connection.close()
    openings._line._is_led = True  # as if a thread of this process were writing just now
    try:
        child = os.fork()
        if child == 0:
            openings.write(row=Row(NOW, 3))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        openings._line._is_led = False
    assert sorted(rows().values_list("share", flat=True)) == [1, 2, 3]


def test_months_are_made_ahead_and_dropped_whole(everything):
    openings.prepare(now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'materials_opening'::regclass")
        assert cursor.fetchone()[0] >= 1 + openings.MONTHS_AHEAD
    old = timezone.now() - timedelta(days=500)
    openings.write(row=Row(old, 1))
    openings.write(row=Row(NOW, 2))
    assert retention.forget(now=timezone.now())["openings of links, by the month"] == 1
    assert list(rows().values_list("share", flat=True)) == [2]


# ── Whose it is ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_browser_becomes_a_members_with_what_it_has_opened(everything):
    share, member, visitor = linked().share, Member.objects.create(name="王", created_at=NOW), uuid4()
    openings.write(row=Row(NOW, share.pk, visitor))
    assert not jobs_of(share).exists() and not viewers.is_known(visitor)
    viewers.recognise(visitor=visitor, member_id=member.pk, now=AT)
    openings.write(row=Row(AT, share.pk, visitor))
    openings.write(row=Row(AT + timedelta(days=1), share.pk, visitor))
    assert set(rows().values_list("member", flat=True)) == {member.pk} and viewers.is_known(visitor)
    # One job a day, and it names the first opening of that day.
    wanted = [{"share_id": share.pk, "member_id": member.pk, "at": NOW.isoformat()}]
    firsts = jobs_of(share).order_by("pk").values_list("payload", flat=True)
    assert [jobs_at(one) for one in firsts] == [NOW, AT + timedelta(days=1)] and set(wanted[0]) == set(firsts[0])
    jobs.run(ids=list(jobs_of(share).values_list("pk", flat=True)), registry=tasks.REGISTRY)
    assert set(jobs_of(share).values_list("state", flat=True)) == {"done"}, jobs_of(share).first().last_error
    openings.write(row=Row(AT + timedelta(minutes=1), share.pk, visitor))  # looked at once more
    assert jobs_of(share).filter(state="due").count() == 1


def jobs_at(payload):
    return timezone.datetime.fromisoformat(payload["at"])


def test_our_own_people_leave_none(everything):
    world, visitor = linked(), uuid4()
    openings.write(row=Row(NOW, world.share.pk, visitor))
    viewers.remember_staff(visitor=visitor, staff_id=world.clerk.pk, now=AT)
    openings.write(row=Row(AT, world.share.pk, visitor))
    viewers.recognise(visitor=visitor, member_id=Member.objects.create(name="王", created_at=NOW).pk, now=AT)
    assert not rows().exists() and Visitor.objects.get().staff == world.clerk


def test_who_objects_or_is_forgotten_opened_nothing_and_the_count_stays(everything):
    share, visitor, key = linked().share, uuid4(), keep([Known("phone", "", "13800138000")])
    member = Member.objects.create(name="王", created_at=NOW)
    viewers.recognise(visitor=visitor, member_id=member.pk, now=NOW)
    for who in (visitor, visitor, uuid4()):
        openings.write(row=Row(NOW, share.pk, who, None, 9))
    viewers.forget(visitor=visitor)
    assert rows().filter(visitor=None, member=None, seconds=0).count() == 2 and not viewers.is_known(visitor)
    viewers.recognise(visitor=visitor, member_id=member.pk, now=NOW)
    openings.write(row=Row(NOW, share.pk, visitor))
    (key_id,) = key.values()
    openings.write(row=Row(NOW, share.pk, viewers.of_buyer(key_id)))
    assert forgetting.forget(member_ids=[member.pk], key_ids=[key_id]) == 2
    assert rows().filter(visitor=None, member=None).count() == 4 and rows().count() == 5


# ── What a shop tells ────────────────────────────────────────────────────────────────────────────────────────────────
def event(world, channel, share, phone, **fields):
    return shapes.Event(
        channel=channel.code,
        buyer=(shapes.Buyer(type="phone", value=phone),),
        **{"outer_event_id": f"E{number()}", "type": "view", "at": NOW, "share_code": share.code, **fields},
    )


def test_views_told_by_a_shop_are_openings_once_and_somebodys_when_they_are_known(everything):
    world, other = linked(), linked()
    shop = world.shop.channel("ec")
    (known,) = keep([Known("phone", "", "13800138000")]).values()
    met = identity.meet(key_ids=[known], name="王", at=NOW, source=identity.REGISTER)
    told = [
        event(world, shop, world.share, "13800138000", seconds=40),
        event(world, shop, world.share, "13900139000"),
        event(world, shop, world.share, "13800138000", type="cart"),
        event(world, shop, other.share, "13800138000"),  # of another brand
        event(world, shop, world.share, "13800138000", share_code="s-nobody"),
    ]
    for _time in range(2):
        assert {one.status for one in intake.take_events(channel=shop, data=told, now=AT)} <= {"created", "unchanged"}
    assert sorted(rows().values_list("share", "member", "seconds"), key=str) == [
        (world.share.pk, met.member_id, 40),
        (world.share.pk, None, 0),
    ]
    assert jobs_of(world.share).count() == 1
    (key_id,) = keep([Known("phone", "", "13900139000")]).values()
    later = identity.meet(key_ids=[key_id], name="李", at=NOW, source=identity.REGISTER)
    tasks.tend_behaviour()
    assert rows().get(seconds=0).member_id == later.member_id and jobs_of(world.share).count() == 2


def test_what_was_over_or_taken_back_by_then_is_no_opening(everything):
    world = linked(valid_until=NOW)
    shop = world.shop.channel("ec")
    gone = world.another(is_active=False)
    told = [event(world, shop, world.share, "13800138000"), event(world, shop, gone, "13800138000")]
    told.append(event(world, shop, world.share, "13800138000", at=NOW - timedelta(days=1)))
    intake.take_events(channel=shop, data=told, now=AT)
    assert rows().count() == 1


# ── How long ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_page_tells_how_long_and_nobody_can_tell_more_than_was(everything):
    share, visitor = linked().share, uuid4()
    openings.write(row=Row(NOW, share.pk, visitor))
    begun = dwell.begun(share_id=share.pk, visitor=visitor, now=AT)
    assert begun is not None
    told = [("30", 60), ("12", 70), ("9999999", 80), ("81", 80.5), ("85", 100), ("86", 101)]
    for seconds, after in told:
        assert dwell.tell(token=begun.token, seconds=seconds, now=NOW + timedelta(seconds=after))
    # 12 is less than 30; only 80 seconds have gone by; what comes twice in two seconds is not heard.
    assert rows().get().seconds == 85
    dwell.tell(token=begun.token, seconds="9000", now=NOW + timedelta(hours=5))
    assert rows().get().seconds == openings.MOST_SECONDS
    for token, seconds in ((begun.token + "x", "3"), ("", "3"), (begun.token, "-3"), (begun.token, "٣")):
        assert not dwell.tell(token=token, seconds=seconds, now=AT)
    assert dwell.begun(share_id=share.pk, visitor=visitor, now=NOW + timedelta(hours=1)) is None


@pytest.mark.django_db(transaction=True)
def test_the_short_way_answers_only_what_is_kept(settings):
    links.forget_all()
    with scope.within(scope.EVERYTHING):
        share = linked().share
    told = []
    pages = lambda environ, start: [b"a page"]  # noqa: E731  what the server would ask else
    server = lane.with_links(pages)

    def get(path):
        return b"".join(server(asked(path), lambda status, head: told.append(status)))

    assert [get(f"/s/{share.code}"), get("/s/nothing"), get("/m/")] == [b"", b"a page", b"a page"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()
    links.forget_all()
    get(f"/s/{share.code}")
    assert told == ["302 Found", "302 Found"] and rows().count() == 2
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE materials_opening RENAME TO elsewhere")
    assert "再点一次" in get(f"/s/{share.code}").decode() and told[-1] == "503 Service Unavailable"
