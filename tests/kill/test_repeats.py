"""Everything is delivered many times over, also at once: it counts once. And what cannot be done blocks nobody."""

import json
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from commissions.models import Entry
from retail import jobs, scope, shapes, tasks
from retail.api import tokens
from retail.jobs import Job, Work
from retail.models import ApiCall, Order, Refund
from tests.factories import NOW, World, world
from tests.figures import figure

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
THREADS = 4


@pytest.fixture(autouse=True)
def _generous(settings):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": {"token": "1000000/min"}}


@pytest.fixture
def everywhere(transactional_db) -> Iterator[None]:
    with scope.within(scope.EVERYTHING):
        yield


@pytest.fixture
def shop(everywhere) -> World:
    shop = world()
    shop.hire("A1")
    shop.plan({"id": "r", "calc": {"type": "rate", "ppm": 50_000}, "split": [{"role": "serve", "weight": 1}]})
    return shop


@pytest.fixture
def post(shop) -> Callable[..., Any]:
    """Posts one row as the shop's till does."""
    _, secret = tokens.issue(name="till", channel=shop.pos)
    usual = {"Authorization": f"Bearer {secret}"}

    def post(path: str, row: msgspec.Struct, **headers: str) -> Any:
        body = msgspec.json.encode({path: [row]})
        return Client().post(f"/api/v1/{path}/", body, "application/json", headers=usual | headers)

    return post


def at_once(verb: Callable[..., Any], each: Sequence[Any]) -> list[Any]:
    """Call the verb with each, in several threads; the outcomes in order."""

    def call(one: Any) -> Any:
        try:
            return verb(*one)
        finally:
            if threading.current_thread() is not threading.main_thread():
                connection.close_if_unusable_or_obsolete()

    def leave(start: threading.Barrier) -> None:
        start.wait()  # so that each thread gets one of these
        connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(call, each))
        list(pool.map(leave, [threading.Barrier(THREADS)] * THREADS))
    return outcomes


# ── P2: deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_delivered_eight_times_counts_once(shop, post, size):
    events, times, dice = (1_500 if size == "full" else 60), 8, random.Random(2)
    orders = [shop.order(serving_clerk="A1", buyer=buyer(n % 20)) for n in range(events // 2)]
    refunds = [give_back(order, fen=4000) for order in orders]
    deliveries = [*[("orders", row) for row in orders], *[("refunds", row) for row in refunds]] * times
    dice.shuffle(deliveries)

    answers = at_once(post, deliveries)
    ids = list(Job.objects.values_list("pk", flat=True)) * 3
    dice.shuffle(ids)
    at_once(lambda job_id: jobs.run(ids=[job_id], registry=tasks.REGISTRY), [(job_id,) for job_id in ids])

    assert {answer.status_code for answer in answers} == {200}
    assert (Order.objects.count(), Refund.objects.count()) == (len(orders), len(refunds))
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}
    legs = sorted(Entry.objects.of_staff().values_list("kind", "fen"))
    assert legs == sorted([("earn", 500), ("reverse", -200)] * len(orders))
    figure("P2", f"{len(deliveries)} deliveries of {events} events, {THREADS} at once: {events} effects")


def buyer(n: int) -> tuple[shapes.Buyer]:
    return (shapes.Buyer("phone", f"139{n:08}"),)


def give_back(order: shapes.Order, *, fen: int) -> shapes.Refund:
    return shapes.Refund(
        channel=order.channel,
        outer_refund_id=f"R{order.outer_order_id}",
        outer_order_id=order.outer_order_id,
        outer_line_id="1",
        refunded_at=NOW,
        fen=fen,
    )


# ── P20: one key ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_however_often_a_call_is_repeated_it_has_one_effect(shop, post, size):
    times = 10_000 if size == "full" else 500
    row = shop.order(serving_clerk="A1")
    other = msgspec.structs.replace(row, points_used=1)
    key = {"Idempotency-Key": "night run 7"}
    post("orders", row, **key)

    def call(n: int) -> Any:
        return post("orders", other if n % 10 == 0 else row, **key)

    answers = at_once(call, [(n,) for n in range(times)])

    same = [answer for n, answer in enumerate(answers) if n % 10]
    assert {(answer.status_code, answer.headers.get("Idempotency-Hit")) for answer in same} == {(200, "true")}
    assert {json.loads(answer.content)["results"][0]["status"] for answer in same} == {"created"}
    assert {answer.status_code for n, answer in enumerate(answers) if n % 10 == 0} == {409}
    assert (Order.objects.get().version, Job.objects.count(), ApiCall.objects.count()) == (1, 1, 1)
    figure("P20", f"{times} repeats of one call, {THREADS} at once, every tenth with another body (409): 1 effect")


def test_one_key_at_once_for_the_first_time_has_one_effect(shop, post):
    """Nobody has an answer yet: all wait for whoever is first."""
    rows = [shop.order(serving_clerk="A1") for _ in range(10)]

    answers = at_once(
        lambda row: post("orders", row, **{"Idempotency-Key": row.outer_order_id}), [(row,) for row in rows * THREADS]
    )

    assert {answer.status_code for answer in answers} == {200}
    assert sum("Idempotency-Hit" not in answer.headers for answer in answers) == len(rows)
    assert Order.objects.count() == Job.objects.count() == len(rows)


# ── P19: poison ──────────────────────────────────────────────────────────────────────────────────────────────────────
class Poison:
    """Work that fails in every way there is, and otherwise notes when it was done."""

    def __init__(self) -> None:
        self.done_at: dict[int, float] = {}

    def do(self, n: int) -> None:
        self.done_at[n] = time.monotonic()

    def fail(self, n: int) -> None:
        ways = [self._nul, self._surrogate, self._deep, self._sql, self._key, self._long]
        ways[n % len(ways)]()

    def _nul(self) -> None:
        raise ValueError("a\x00b")

    def _surrogate(self) -> None:
        raise ValueError("\ud800")

    def _deep(self) -> None:
        json.loads("[" * 100_000)

    def _sql(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    def _key(self) -> None:
        Order.objects.get(pk=-1)

    def _long(self) -> None:
        int("9" * 5_000)

    @property
    def registry(self) -> jobs.Registry:
        return {"do": self.do, "fail": self.fail}


def test_poison_blocks_nobody(everywhere, settings, size):
    settings.JOB_MAX_ATTEMPTS = 2
    count = 100_000 if size == "full" else 2_000
    healthy, _ = worked(count, poison=False)
    Job.objects.all().delete()

    delays, poison = worked(count, poison=True)

    failed = Job.objects.dead()
    assert failed.count() == count // 100 and {job.attempts for job in failed} == {2}
    assert all(job.last_error for job in failed)
    assert len(poison.done_at) == count - count // 100
    p99, before = (statistics.quantiles(some, n=100)[98] for some in (delays, healthy))
    figure(
        "P19",
        f"{count} jobs, {count // 100} of them poison: {count - count // 100} done, {failed.count()} dead;"
        f" p99 until done {p99:.2f} s, without poison {before:.2f} s",
    )


def worked(count: int, *, poison: bool) -> tuple[list[float], Poison]:
    """Run so many jobs; how long each of the good ones without a shard took to be done. In each shard one is bad."""
    registry = Poison()
    work = [
        Work("fail" if poison and n % 100 == 50 else "do", {"n": n}, f"buyer:{n // 100}" if n % 100 >= 50 else "")
        for n in range(count)
    ]
    started = time.monotonic()
    with scope.within(scope.EVERYTHING):
        ids = jobs.enqueue(work=work, now=timezone.now())
    some = [(ids[start : start + jobs.RING_SIZE],) for start in range(0, count, jobs.RING_SIZE)]
    at_once(lambda ids: jobs.run(ids=ids, registry=registry.registry), some)
    first = dict(registry.done_at)
    assert all(n in first for n in range(count) if n % 100 < 50)  # none of them waited for a second try
    rounds = 0
    while open_ids := list(Job.objects.pending().values_list("pk", flat=True)):
        Job.objects.filter(state="due").update(due_at=timezone.now())
        at_once(lambda ids: jobs.run(ids=ids, registry=registry.registry), [(open_ids,)])
        rounds += 1
        assert rounds < 20, "a shard is blocked"
    return [at - started for n, at in first.items() if n % 100 < 50], registry
