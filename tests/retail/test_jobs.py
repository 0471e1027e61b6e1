"""Durable work: rows are the queue, the bell may be lost."""

import threading
from datetime import datetime, timedelta

import pytest
from celery.signals import before_task_publish
from django.db import connection, transaction
from django.utils import timezone

from commissions.models import Entry
from retail import jobs, periodic, tasks
from retail.jobs import Job, Work
from tests.factories import world

pytestmark = pytest.mark.usefixtures("everything")


class Bench:
    """A registry that writes down what it was asked to do."""

    def __init__(self):
        self.done = []
        self.broken = set()

    def do(self, n):
        if n in self.broken:
            raise ValueError(f"{n} is broken")
        self.done.append(n)

    @property
    def registry(self):
        return {"do": self.do}

    def run(self, ids):
        return jobs.run(ids=ids, registry=self.registry)


@pytest.fixture
def bells():
    """What was told to the broker: (queue, ids), and for a bell that rings later its time."""
    heard = []

    def hear(body, routing_key, headers, **_said):
        eta = [datetime.fromisoformat(headers["eta"])] if headers["eta"] else []
        heard.append((routing_key, body[0][0], *eta))

    before_task_publish.connect(hear)
    yield heard
    before_task_publish.disconnect(hear)


@pytest.fixture
def bench():
    return Bench()


def enqueue(*numbers, shard=""):
    return jobs.enqueue(work=[Work("do", {"n": n}, shard) for n in numbers], now=timezone.now())


def test_a_job_is_done_once(bench):
    ids = enqueue(1, 2)

    assert bench.run(ids) == 2
    assert bench.run(ids) == 0
    assert bench.done == [1, 2]
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}


def test_what_is_rolled_back_was_never_enqueued(bench):
    with transaction.atomic():
        enqueue(1)
        transaction.set_rollback(True)

    assert not Job.objects.exists()


def test_a_failure_backs_off_and_ends_dead(bench, settings):
    settings.JOB_MAX_ATTEMPTS = 3
    (job_id,) = enqueue(1)
    bench.broken.add(1)

    waits = []
    for _ in range(3):
        bench.run([job_id])
        job = Job.objects.get()
        waits.append(round((job.due_at - timezone.now()).total_seconds()))
        assert bench.run([job_id]) == 0  # not before it is due
        Job.objects.update(due_at=timezone.now())

    assert waits == [5, 10, 20]
    assert (job.state, job.attempts) == ("dead", 3)
    assert "ValueError: 1 is broken" in job.last_error
    assert jobs.depth().dead == 1


def test_a_dead_job_can_be_replayed(bench, settings):
    settings.JOB_MAX_ATTEMPTS = 1
    (job_id,) = enqueue(1)
    bench.broken.add(1)
    bench.run([job_id])
    bench.broken.clear()

    assert jobs.replay(jobs=Job.objects.dead(), now=timezone.now()) == 1
    assert jobs.sweep(now=timezone.now()) == 1
    bench.run([job_id])

    assert bench.done == [1]


def test_the_effect_of_a_failed_job_is_undone():
    shop = world()
    (ghost,) = jobs.enqueue(work=[Work("settle_then_break", {})], now=timezone.now())

    def settle_then_break():
        shop.settle(shop.order())
        raise ValueError("after the effect")

    jobs.run(ids=[ghost], registry={"settle_then_break": settle_then_break})

    from retail.models import Order

    assert not Order.objects.exists()
    assert Job.objects.get(pk=ghost).state == "due"


def test_jobs_of_a_shard_keep_their_order(bench):
    first, second, third = enqueue(1, 2, 3, shard="buyer:7")

    assert bench.run([third]) == 0
    assert bench.run([second]) == 0
    assert bench.run([first]) == 3  # those passed over follow at once
    assert bench.done == [1, 2, 3]


def test_a_dead_job_does_not_block_its_shard(bench, settings):
    settings.JOB_MAX_ATTEMPTS = 1
    first, second = enqueue(1, 2, shard="buyer:7")
    bench.broken.add(1)

    assert bench.run([second]) == 0
    assert bench.run([first]) == 1  # the one that waited follows at once

    assert bench.done == [2]


def test_a_lease_keeps_others_out_until_it_ends(bench):
    (job_id,) = enqueue(1)
    Job.objects.update(state="running", attempts=1, lease_until=timezone.now() + timedelta(seconds=30))
    assert bench.run([job_id]) == 0

    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert bench.run([job_id]) == 1


def test_the_sweeper_rings_once_per_lease_and_within_capacity(settings):
    settings.JOB_WORKER_CAPACITY = 3
    ids = enqueue(*range(5))
    now = timezone.now()
    assert jobs.sweep(now=now) == 0  # just rung when they were made

    later = now + timedelta(seconds=settings.JOB_LEASE_SECONDS + 1)
    assert jobs.sweep(now=later) == 3
    assert jobs.sweep(now=later) == 0  # there is no room before some of those are done
    Job.objects.filter(pk__in=ids[:2]).update(state="done")
    assert [jobs.sweep(now=later), jobs.sweep(now=later)] == [2, 0]


def test_the_sweeper_rings_for_the_first_of_a_shard_only(settings):
    enqueue(*range(5), shard="buyer:7")
    enqueue(6)

    assert jobs.sweep(now=after_a_lease(settings)) == 2


def test_a_worker_that_did_what_the_sweeper_rang_for_sweeps_again(monkeypatch, settings):
    """A backlog is worked off at the workers' speed; the clock only starts that."""
    rung = []

    def hear(body, **_said):
        rung.append(body[0])

    before_task_publish.connect(hear)
    monkeypatch.setattr(jobs, "RING_SIZE", 2)
    monkeypatch.setattr(tasks, "REGISTRY", {"do": lambda n: None})
    settings.JOB_WORKER_CAPACITY = 2
    enqueue(*range(7))
    Job.objects.update(rung_at=timezone.now() - timedelta(hours=1))

    jobs.sweep(now=timezone.now())
    while rung:
        tasks.run_jobs(*rung.pop())

    assert Job.objects.filter(state="done").count() == 7


def test_a_failed_job_is_rung_for_as_soon_as_it_is_due_again(bench):
    (job_id,) = enqueue(1)
    bench.broken.add(1)
    bench.run([job_id])

    assert jobs.sweep(now=timezone.now() + timedelta(seconds=4)) == 0
    assert jobs.sweep(now=timezone.now() + timedelta(seconds=6)) == 1


def test_work_for_later_is_rung_for_when_it_is_due(bench, settings):
    now = timezone.now()
    jobs.enqueue(work=[Work("do", {"n": 1})], now=now, due_at=now + timedelta(seconds=30))

    assert jobs.sweep(now=now + timedelta(seconds=29)) == 0
    assert jobs.sweep(now=now + timedelta(seconds=31)) == 1


def after_a_lease(settings):
    return timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS + 1)


# ── The same work twice ──────────────────────────────────────────────────────────────────────────────────────────────
def test_work_that_waits_in_its_shard_is_not_written_twice(bench):
    first = enqueue(1, 2, shard="buyer:7")

    assert enqueue(2, 3, 2, shard="buyer:7")[:2] != first and Job.objects.count() == 3
    assert bench.run(first) == 3 and bench.done == [1, 2, 3]


def test_work_of_another_shard_or_that_has_started_is_work_of_its_own(bench):
    (running,) = enqueue(1, shard="buyer:7")
    Job.objects.update(state="running")

    assert len({running, *enqueue(1, shard="buyer:7"), *enqueue(1, shard="buyer:8"), *enqueue(1)}) == 4


def test_work_for_later_does_not_do_for_work_that_is_due_now():
    now = timezone.now()
    work = [Work("do", {"n": 1}, "buyer:7")]
    later = jobs.enqueue(work=work, now=now, due_at=now + timedelta(hours=1))

    assert jobs.enqueue(work=work, now=now) != later


@pytest.mark.django_db(transaction=True)
def test_no_worker_starts_work_before_it_sees_for_what_it_was_asked_again():
    (job_id,) = enqueue(1, shard="buyer:7")
    seen = []

    def elsewhere():
        seen.append(jobs.run(ids=[job_id], registry={"do": lambda n: None}))
        connection.close()

    with transaction.atomic():
        assert enqueue(1, shard="buyer:7") == [job_id]
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    assert seen == [0] and Job.objects.get().state == "due"


# ── Workers that die, databases that go ──────────────────────────────────────────────────────────────────────────────
def test_a_job_that_kills_its_worker_each_time_ends_dead(settings):
    killer, victim = enqueue(1), enqueue(2)
    past = timezone.now() - timedelta(seconds=1)
    Job.objects.filter(pk__in=killer).update(state="running", attempts=settings.JOB_MAX_ATTEMPTS, lease_until=past)
    Job.objects.filter(pk__in=victim).update(state="running", attempts=1, lease_until=past, rung_at=None)

    assert jobs.sweep(now=timezone.now()) == 1
    assert Job.objects.get(pk=killer[0]).state == "dead" and Job.objects.get(pk=victim[0]).state == "running"


@pytest.mark.parametrize("value", ["\x00", "\ud800", "x" * 100_000, "", "\n"])
def test_whatever_stands_in_an_error_it_can_be_written_down(settings, value):
    settings.JOB_MAX_ATTEMPTS = 1
    (job_id,) = enqueue(1)

    def do(n):
        raise ValueError(value)

    jobs.run(ids=[job_id], registry={"do": do})

    assert Job.objects.get().state == "dead"


def test_the_depth_of_each_kind(bench, settings):
    settings.JOB_MAX_ATTEMPTS = 1
    now = timezone.now()
    bench.broken.add(1)
    bench.run([*enqueue(1), *enqueue(2)])
    jobs.enqueue(work=[Work("other", {"n": n}) for n in range(3)], now=now)

    assert jobs.depths() == {"do": jobs.Depth(0, 1, None), "other": jobs.Depth(3, 0, now)}
    assert jobs.depth() == jobs.Depth(3, 1, now)


def test_an_order_is_settled_by_its_job():
    shop = world()
    clerk = shop.hire("A1")
    shop.plan({"id": "r", "calc": {"type": "fixed", "fen": 100}, "split": [{"role": "serve", "weight": 1}]})
    shop.take(shop.order(serving_clerk="A1"), now=timezone.now())

    assert jobs.run(ids=Job.objects.values_list("pk", flat=True), registry=tasks.REGISTRY) == 1

    assert Entry.objects.of_staff().get().staff == clerk


def test_done_jobs_are_forgotten_after_a_week(bench):
    bench.run(enqueue(1))
    assert jobs.forget_done(now=timezone.now() + timedelta(days=6)) == 0
    assert jobs.forget_done(now=timezone.now() + timedelta(days=8)) == 1


def test_a_dead_broker_loses_nothing(bench, settings, monkeypatch):
    from retail.celery import app

    monkeypatch.setattr(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    ids = enqueue(1)
    jobs.ring(ids)

    assert bench.run(ids) == 1


def test_a_long_shard_lets_others_through(bench):
    """One buyer with thousands of orders (a till's dummy number) must not keep a worker for itself."""
    ids = enqueue(*range(120), shard="buyer:7")

    assert bench.run([ids[0]]) == jobs.RING_SIZE
    assert bench.run([ids[jobs.RING_SIZE]]) == jobs.RING_SIZE


# ── Queues, jobs that wait, jobs apart ───────────────────────────────────────────────────────────────────────────────
def test_each_queue_hears_of_its_own_work(bells, django_capture_on_commit_callbacks):
    work = [Work("do", {"n": 1}), Work("do", {"n": 2}, queue=jobs.FAST), Work("do", {"n": 3})]
    with django_capture_on_commit_callbacks(execute=True):
        ids = jobs.enqueue(work=work, now=timezone.now())
    assert sorted(bells) == [("celery", [ids[0], ids[2]]), ("fast", [ids[1]])]


def test_a_backlog_takes_no_place_of_the_fast_queue(bells, settings):
    settings.JOB_WORKER_CAPACITY = 3
    long_ago = timezone.now() - timedelta(hours=1)
    jobs.enqueue(work=[Work("do", {"n": n}) for n in range(9)], now=long_ago)
    (fast,) = jobs.enqueue(work=[Work("do", {"n": 9}, queue=jobs.FAST)], now=long_ago)
    Job.objects.update(rung_at=None)
    assert jobs.sweep(now=timezone.now()) == 4
    assert ("fast", [fast]) in bells


def test_on_the_fast_queue_each_job_has_a_bell_of_its_own(bells, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        ids = jobs.enqueue(work=[Work("do", {"n": n}, queue=jobs.FAST) for n in range(3)], now=timezone.now())
    assert bells == [("fast", [one]) for one in ids]


def test_a_lost_bell_of_the_fast_queue_is_rung_again_within_seconds(bells):
    """As after a restart of the broker; the clock comes every two seconds."""
    now = timezone.now()
    ids = jobs.enqueue(work=[Work("do", {"n": n}, queue=jobs.FAST) for n in range(3)], now=now)
    enqueue(9)
    sweep = tasks.sweep_fast.app.conf.task_routes["retail.sweep_fast"]
    assert [row.seconds for row in periodic.TABLE if row.task == "retail.sweep_fast"] == [2]
    assert sweep == {"queue": jobs.FAST}  # it waits for nothing of the others

    def rung(seconds):
        return jobs.sweep(now=now + timedelta(seconds=seconds), queues=[jobs.FAST])

    assert [rung(seconds) for seconds in (2, 4, 8, 10, 12, 16)] == [0, 0, 3, 0, 0, 3]
    assert bells == [("fast", [one]) for one in ids * 2]


def test_other_workers_give_way_while_the_fast_queue_is_late(bench, monkeypatch):
    """Not for ever, and not for what is new there, under way, or lost."""
    naps = []
    monkeypatch.setattr("time.sleep", naps.append)
    monkeypatch.setattr(jobs, "GIVING_WAY", 0.2)

    def naps_for(**ago):
        Job.objects.all().delete()
        now = timezone.now()
        jobs.enqueue(work=[Work("do", {"n": 1}, queue=jobs.FAST)], now=now, due_at=now - timedelta(**ago))
        naps.clear()
        jobs.give_way()
        return len(naps)

    assert naps_for(seconds=2) > 0
    assert naps_for(milliseconds=1) == 0
    assert naps_for(minutes=1) == 0
    naps_for(seconds=2)
    bench.run(Job.objects.values_list("pk", flat=True))
    naps.clear()
    jobs.give_way()
    assert not naps


def test_a_worker_that_hears_the_fast_queue_too_does_not_wait_for_itself(bench, monkeypatch):
    naps = []
    monkeypatch.setattr("time.sleep", naps.append)
    monkeypatch.setattr(jobs, "GIVING_WAY", 0.2)
    late = timezone.now() - timedelta(seconds=2)
    jobs.enqueue(work=[Work("do", {"n": 1}, queue=jobs.FAST)], now=late, due_at=late)

    tasks.run_jobs([])
    assert naps

    naps.clear()
    monkeypatch.setitem(tasks.current_app.amqp.queues.consume_from, jobs.FAST, None)
    tasks.run_jobs([])
    assert not naps


def test_a_fast_job_whose_worker_died_is_taken_over_within_seconds(bench):
    (job_id,) = jobs.enqueue(work=[Work("do", {"n": 1}, queue=jobs.FAST)], now=timezone.now())
    leases = []
    bench.do = lambda n: leases.append(Job.objects.get().lease_until)
    bench.run([job_id])
    assert leases[0] <= timezone.now() + jobs.FAST_LEASE


def test_a_fast_job_that_waits_is_rung_for_when_it_is_due(bells):
    (job_id,) = jobs.enqueue(work=[Work("wait", {}, queue=jobs.FAST)], now=timezone.now())

    def wait():
        raise jobs.Later("not yet", until=timezone.now() + timedelta(seconds=1))

    jobs.run(ids=[job_id], registry={"wait": wait})
    ((queue, ids, rings_at),) = bells
    assert (queue, ids) == ("fast", [job_id])
    assert Job.objects.get().due_at < rings_at < timezone.now() + timedelta(seconds=2)


def test_a_job_that_waits_pays_no_attempt(bench):
    until = timezone.now() + timedelta(hours=2)
    is_ready = False

    def wait(n):
        if not is_ready:
            raise jobs.Later("13812345678 is not there", until=until)

    ids = jobs.enqueue(work=[Work("wait", {"n": 1}, "shard"), Work("do", {"n": 2}, "shard")], now=timezone.now())
    registry = {"wait": wait, **bench.registry}
    for _time in range(20):
        assert jobs.run(ids=ids, registry=registry) == 0
        Job.objects.filter(pk=ids[0]).update(due_at=timezone.now())
    job = Job.objects.get(pk=ids[0])
    assert (job.state, job.attempts) == ("due", 0)
    assert "138****5678" in job.last_error
    is_ready = True
    assert jobs.run(ids=ids[:1], registry=registry) == 2
    assert bench.done == [2]


@pytest.mark.django_db(transaction=True)
def test_a_job_apart_holds_no_transaction_while_it_works():
    seen = []

    @jobs.apart
    def ask(n):
        seen.append(connection.in_atomic_block)

    ids = jobs.enqueue(work=[Work("ask", {"n": 1})], now=timezone.now())
    assert jobs.run(ids=ids, registry={"ask": ask}) == 1
    assert seen == [False]


def test_a_job_apart_that_fails_is_tried_again(bench):
    ids = enqueue(1)
    bench.broken.add(1)
    registry = {"do": jobs.apart(lambda n: bench.do(n))}
    assert jobs.run(ids=ids, registry=registry) == 0
    assert Job.objects.get().attempts == 1
    bench.broken.clear()
    Job.objects.update(due_at=timezone.now())
    assert jobs.run(ids=ids, registry=registry) == 1


def test_a_long_job_holds_on_to_its_lease_and_stops_once_another_has_it(settings):
    (job_id,) = enqueue(1)
    leases = []

    @jobs.apart
    def long(n):
        Job.objects.filter(pk=job_id).update(lease_until=timezone.now())  # as time goes by
        jobs.renew()
        leases.append(Job.objects.get(pk=job_id).lease_until)
        Job.objects.filter(pk=job_id).update(attempts=2)  # another worker claims it
        jobs.renew()
        raise AssertionError("went on")

    assert jobs.run(ids=[job_id], registry={"do": long}) == 0

    assert leases[0] > timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS - 5)
    job = Job.objects.get(pk=job_id)
    assert (job.state, job.attempts, job.last_error) == ("running", 2, "")  # it is theirs
    jobs.renew()  # nobody's job: nothing happens
