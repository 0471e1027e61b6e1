"""Durable work: rows are the queue, the bell may be lost."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from commissions.models import Entry
from retail import jobs, tasks
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

    bench.run([first])
    bench.run([second])

    assert bench.done == [2]


def test_a_lease_keeps_others_out_until_it_ends(bench):
    (job_id,) = enqueue(1)
    Job.objects.update(state="running", attempts=1, lease_until=timezone.now() + timedelta(seconds=30))
    assert bench.run([job_id]) == 0

    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert bench.run([job_id]) == 1


def test_the_sweeper_rings_once_per_lease_and_within_capacity(settings):
    settings.JOB_WORKER_CAPACITY = 3
    enqueue(*range(5))
    now = timezone.now()
    assert jobs.sweep(now=now) == 0  # just rung when they were made

    later = now + timedelta(seconds=settings.JOB_LEASE_SECONDS + 1)
    assert [jobs.sweep(now=later), jobs.sweep(now=later), jobs.sweep(now=later)] == [3, 2, 0]


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
