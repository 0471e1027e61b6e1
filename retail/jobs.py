"""Durable work. PostgreSQL is the queue; the message broker is only a doorbell.

A unit of work is a `Job` row, written in the transaction of the fact that causes it. After commit a Celery message
carries the ids of the rows to a worker, which claims each (SKIP LOCKED, a lease), then does the effect and marks the
row done in one transaction. A lost message costs a delay, never work: `sweep` rings again for what is due.

    due ──claim──▶ running ──effect + done in one transaction──▶ done
     ▲               │ error: back-off, attempt counted
     └───────────────┴── after JOB_MAX_ATTEMPTS ──▶ dead (admin shows it, `replay` makes it due again)

Jobs of one shard (one buyer, one order, one chat) run one at a time, oldest first. While one of them is tried again
the later ones wait, since it may be what they build on; once it is dead they go on without it, and a replay of it
comes late.
"""

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

from celery import Celery, uuid
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from kombu import Producer

from retail import database, logs, scope

log = logging.getLogger(__name__)

Registry = Mapping[str, Callable[..., object]]


class JobQuerySet(models.QuerySet["Job"]):
    def pending(self) -> "JobQuerySet":
        return self.filter(state__in=[Job.State.DUE, Job.State.RUNNING])

    def dead(self) -> "JobQuerySet":
        return self.filter(state=Job.State.DEAD)


class Job(models.Model):
    """One unit of work. `payload` holds ids only, never personal data."""

    class State(models.TextChoices):
        DUE = "due", _("等待")
        RUNNING = "running", _("进行中")
        DONE = "done", _("完成")
        DEAD = "dead", _("失败")

    kind = models.CharField(_("类型"), max_length=48)
    payload = models.JSONField(_("参数"), default=dict)
    shard = models.CharField(_("分片"), max_length=64, blank=True, default="")
    queue = models.CharField(_("队列"), max_length=16, blank=True, default="", db_default="")  # "" = Celery's own
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.DUE)
    due_at = models.DateTimeField(_("最早执行"))
    attempts = models.PositiveSmallIntegerField(_("次数"), default=0)
    lease_until = models.DateTimeField(_("租约到"), null=True)
    rung_at = models.DateTimeField(_("上次通知"), null=True)
    created_at = models.DateTimeField(_("创建"))
    ended_at = models.DateTimeField(_("结束"), null=True)
    last_error = models.TextField(_("最近错误"), blank=True, default="")

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("后台任务")
        verbose_name_plural = _("后台任务")
        indexes = [
            # Only open work is ever searched; done rows must not weigh on it.
            models.Index(fields=["due_at"], name="job_due", condition=Q(state__in=["due", "running"])),
            models.Index(fields=["shard", "id"], name="job_shard", condition=Q(state__in=["due", "running"])),
            models.Index(fields=["-id"], name="job_dead", condition=Q(state="dead")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class Work(NamedTuple):
    """What to enqueue: a kind of the registry, its ids, and the shard whose jobs must not overlap.

    `queue`: the Celery queue whose workers hear the bell; "" is the common one.
    """

    kind: str
    payload: dict[str, Any]
    shard: str = ""
    queue: str = ""


FAST = "fast"  # the queue for what is worth nothing half a minute later: there nobody waits for anybody
FAST_LEASE = timedelta(seconds=6)  # of its jobs: who would wait longer for a lost bell, or a dead worker, is too late


class Lost(Exception):
    """Another worker has taken the job over: its lease had run out. Whoever gets this stops and leaves it to them."""


class Later(Exception):
    """Raised by a job's function: not now, again at `until`. It is no failure and costs no attempt."""

    def __init__(self, said: str, *, until: datetime) -> None:
        super().__init__(said)
        self.until = until


def apart(function: Callable[..., object]) -> Callable[..., object]:
    """For a job's function that calls somebody outside: it makes transactions of its own, between its calls.

    Nothing of the database is held while the other side thinks. Its job is marked done after it, in another
    transaction; a worker may die between the two, so the function must be able to run twice.
    """
    function.is_apart = True  # type: ignore[attr-defined]
    return function


def enqueue(
    *,
    work: Sequence[Work],
    now: datetime,
    due_at: datetime | None = None,
    bell: Callable[..., None] | None = None,
) -> list[int]:
    """Write the rows inside the caller's transaction and ring the bell after its commit. Returns the job ids.

    Work of a shard that already waits there, not started, is not written a second time: the row that waits does for
    both. (Two transactions at the same moment do not see each other's rows and may write one each; that costs a run.)
    `bell`: `ring` unless told otherwise, or `ring_soon`.
    """
    due_at = due_at or now
    texts = [json.dumps(one._asdict(), sort_keys=True) for one in work]
    ids = _written(list(dict.fromkeys(texts)), now, due_at)
    if ids and due_at <= now:
        for queue in {one.queue for one in work}:
            rung = {ids[text] for text, one in zip(texts, work, strict=True) if one.queue == queue}
            transaction.on_commit(partial(bell or ring, sorted(rung), queue=queue))
    return [ids[text] for text in texts]


def _written(texts: Sequence[str], now: datetime, due_at: datetime) -> dict[str, int]:
    """The id of each work's row, the one that waits or a new one."""
    if not texts:
        return {}
    with connection.cursor() as cursor:
        work, rung_at = f"[{','.join(texts)}]", now if due_at <= now else None
        cursor.execute(_ENQUEUE, {"work": work, "now": now, "due_at": due_at, "rung_at": rung_at})
        rows = cursor.fetchall()
    ids = {texts[place - 1]: job_id for place, job_id in rows if place}
    fresh = (text for text in texts if text not in ids)
    return ids | dict(zip(fresh, sorted(job_id for place, job_id in rows if not place), strict=True))


# A row that waits is locked until the caller commits: no worker may start it before it can see what the caller wrote.
# One that is being started at this moment is passed over. LATERAL: looked up by shard; as a plain join the planner may
# read the whole backlog for every row that comes.
_ENQUEUE = """
WITH given AS (
    SELECT * FROM ROWS FROM (jsonb_to_recordset(%(work)s) AS (kind text, payload jsonb, shard text, queue text))
        WITH ORDINALITY AS w(kind, payload, shard, queue, place)
), waiting AS (
    SELECT given.place, same.id FROM given CROSS JOIN LATERAL (
        SELECT j.id FROM retail_job j WHERE j.shard = given.shard AND j.kind = given.kind AND j.payload = given.payload
        AND j.state = 'due' AND j.due_at <= %(due_at)s FOR SHARE SKIP LOCKED
    ) same WHERE given.shard <> ''
), made AS (
    INSERT INTO retail_job (kind, payload, shard, queue, state, due_at, attempts, rung_at, created_at, last_error)
    SELECT kind, payload, shard, queue, 'due', %(due_at)s, 0, %(rung_at)s, %(now)s, ''
    FROM given WHERE place NOT IN (SELECT place FROM waiting) ORDER BY place RETURNING id
)
SELECT place, id FROM waiting UNION ALL SELECT NULL, id FROM made
"""


def enqueue_with(
    *,
    rows: str,
    given: Mapping[str, Any],
    name: str,
    work: Iterable[tuple[str, Work]],
    now: datetime,
    bell: Callable[..., None] | None = None,
) -> None:
    """Write rows and the work that follows from them in one statement; of a row that is not written follows none.

    `rows`: an INSERT … RETURNING id, key with the parameters `given`; each work comes with the key of its row. The id
    of the row joins the payload as `name`, so that such work never waits there already. For an edge that must answer
    fast: one way to the database instead of four.
    """
    said = json.dumps([{"key": key, **one._asdict()} for key, one in work])
    asked = {**given, "job_name": name, "job_work": said, "job_now": now}
    rung: dict[str, list[int]] = {}
    for job_id, queue in database.planned(_ENQUEUE_WITH % {"rows": rows}, asked):
        rung.setdefault(queue, []).append(job_id)
    for queue, ids in rung.items():
        transaction.on_commit(partial(bell or ring, sorted(ids), queue=queue))


_ENQUEUE_WITH = """
WITH made AS (%(rows)s)
INSERT INTO retail_job (kind, payload, shard, queue, state, due_at, attempts, rung_at, created_at, last_error)
SELECT w.kind, w.payload || jsonb_build_object(%%(job_name)s::text, made.id), w.shard, w.queue, 'due',
    %%(job_now)s, 0, %%(job_now)s, %%(job_now)s, ''
FROM made JOIN ROWS FROM (
    jsonb_to_recordset(%%(job_work)s) AS (key text, kind text, payload jsonb, shard text, queue text)
) WITH ORDINALITY AS w(key, kind, payload, shard, queue, place) USING (key)
ORDER BY w.place RETURNING id, queue
"""


# ── The bell ─────────────────────────────────────────────────────────────────────────────────────────────────────────
RING_SIZE = 50  # ids in one message: few enough to spread over workers, enough not to flood the broker


def ring(ids: Sequence[int], *, queue: str = "", is_catching_up: bool = False, after: timedelta | None = None) -> None:
    """Tell the workers, or have them told `after` a moment. Never raises: the work is safe in its rows, and the
    sweeper rings again.

    What is in a message is done one after the other, so that on the fast queue each job has a message of its own.
    """
    from retail.celery import app

    size = 1 if queue == FAST else RING_SIZE
    try:
        with app.producer_or_acquire() as producer:
            for start in range(0, len(ids), size):
                _send(app, producer, list(ids[start : start + size]), is_catching_up, queue, after)
    except Exception as error:
        log.warning("The broker did not take %d job ids (%s); the sweeper will ring again.", len(ids), error)


def _send(
    app: Celery, producer: Producer, ids: list[int], is_catching_up: bool, queue: str, after: timedelta | None
) -> None:
    """What `app.send_task` comes down to, for a third of its CPU: it reads all its settings again with each message.

    Nor is the queue declared each time: it is the workers', and none of our brokers needs to know it. Celery's own
    pictures of what is sent (`argsrepr`, `kwargsrepr`) would take longer than all the rest.
    """
    message = app.amqp.create_task_message(
        uuid(),
        "retail.run_jobs",
        args=[ids, is_catching_up],
        argsrepr=f"[{len(ids)} ids]",
        kwargsrepr="{}",
        countdown=after.total_seconds() if after else None,
    )
    where = queue or app.conf.task_default_queue
    app.amqp.send_task_message(producer, "retail.run_jobs", message, queue=where, declare=[], retry=False)


_to_ring: SimpleQueue[tuple[str, Sequence[int]]] = SimpleQueue()
_ringer: threading.Thread | None = None
_PUNCTUALITY = timedelta(milliseconds=30)  # a bell that comes before its job is due has rung in vain
_GATHER = 0.05  # seconds in which bells become one: a message costs as much CPU as all else of a callback


def ring_soon(ids: Sequence[int], *, queue: str = "") -> None:
    """`ring` from a thread of its own, for an edge that must answer fast: a message of Celery's costs more than a row.

    Under load many bells become one message. Those not yet rung when the process dies are the sweeper's.
    """
    global _ringer
    _to_ring.put((queue, ids))
    if _ringer is None or not _ringer.is_alive():  # the first time, also after a fork
        _ringer = threading.Thread(target=_ring_for_all, name="bell", daemon=True)
        _ringer.start()


def _ring_for_all() -> None:
    while True:
        heard = [_to_ring.get()]
        time.sleep(_GATHER)
        while not _to_ring.empty():
            heard.append(_to_ring.get())
        for queue in {queue for queue, _ids in heard}:
            ring([one for other, ids in heard if other == queue for one in ids], queue=queue)


def lease(queue: str) -> timedelta:
    """For how long a worker holds a job, and a bell is believed to be on its way."""
    usual = timedelta(seconds=settings.JOB_LEASE_SECONDS)
    return min(usual, FAST_LEASE) if queue == FAST else usual


def sweep(*, now: datetime, queues: Collection[str] | None = None) -> int:
    """Ring for due jobs, each at most once per lease, no more at a time than the workers can take. Returns how many.

    Jobs whose worker died JOB_MAX_ATTEMPTS times are given up first. A worker that has done what it was so rung for
    sweeps by itself, so that a backlog is worked off at the workers' speed and not at that of the clock; not so on the
    fast queue, where there is no backlog worth working off. `queues`: those alone; else all.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('retail.jobs.sweep'))")  # the room is counted by one
        cursor.execute(_BURY, {"now": now, "attempts": settings.JOB_MAX_ATTEMPTS})
        cursor.execute("SELECT DISTINCT queue FROM retail_job WHERE state IN ('due', 'running')")
        rung = {}
        for queue in [queue for (queue,) in cursor.fetchall() if queues is None or queue in queues]:
            capacity = settings.JOB_WORKER_CAPACITY
            cursor.execute(_RING, {"now": now, "before": now - lease(queue), "capacity": capacity, "queue": queue})
            rung[queue] = sorted(row[0] for row in cursor.fetchall())
    for queue, ids in rung.items():
        ring(ids, queue=queue, is_catching_up=queue != FAST)
    return sum(map(len, rung.values()))


# Nobody lived to count these failures: the attempts were counted when they began.
_BURY = """
UPDATE retail_job SET state = 'dead', ended_at = %(now)s, lease_until = NULL, last_error = 'Its worker died each time.'
WHERE id IN (SELECT id FROM retail_job WHERE state = 'running' AND lease_until < %(now)s AND attempts >= %(attempts)s
    FOR UPDATE SKIP LOCKED)
"""
# Of a shard only the first is rung for: the others could not be claimed. The room: what was rung for again (later than
# it was made) within a lease and is still open lies with the broker or a worker. Each queue has a room of its own.
# MATERIALIZED: the planner may else run the LIMIT again and again, and ring for more than the capacity.
_RING = """
WITH chosen AS MATERIALIZED (
    SELECT id FROM retail_job j WHERE state IN ('due', 'running') AND queue = %(queue)s AND due_at <= %(now)s
        AND (lease_until IS NULL OR lease_until < %(now)s) AND (rung_at IS NULL OR rung_at < %(before)s)
        AND (shard = '' OR NOT EXISTS (SELECT 1 FROM retail_job e
            WHERE e.shard = j.shard AND e.id < j.id AND e.state IN ('due', 'running')))
    ORDER BY due_at, id FOR UPDATE SKIP LOCKED
    LIMIT greatest(0, %(capacity)s - (SELECT count(*) FROM retail_job
        WHERE state IN ('due', 'running') AND queue = %(queue)s AND rung_at >= %(before)s AND rung_at > created_at))
) UPDATE retail_job j SET rung_at = %(now)s FROM chosen WHERE chosen.id = j.id RETURNING j.id
"""


# ── The worker's side ────────────────────────────────────────────────────────────────────────────────────────────────
def run(*, ids: Iterable[int], registry: Registry) -> int:
    """Run those of the jobs that can be claimed now; returns how many ended done. Errors stay in their rows.

    Raises only when the database is gone: then the lease ends, and the sweeper rings again.
    """
    return sum(_run_shard(job_id, registry) for job_id in ids)


def _run_shard(job_id: int, registry: Registry) -> int:
    """Run a job, then those of its shard that waited for it: they were passed over when their own bells rang."""
    done, following = 0, job_id
    for _place in range(RING_SIZE):
        claim = _claim(following)
        if claim is None:
            return done
        state = _do(claim, registry)
        done += state == Job.State.DONE
        successor = _successor(claim) if state in (Job.State.DONE, Job.State.DEAD) else None
        if successor is None:
            return done
        following = successor
    # A long shard goes on with a bell of its own: others wait too, and a worker must be able to stop.
    ring([following])
    return done


LATE = timedelta(milliseconds=500)  # so long due on the fast queue, not begun: its workers need the machine
GIVING_WAY = 5.0  # seconds, the most by which a message of the other queues begins later for it
_GLANCE = 0.25  # seconds from one look at the fast queue to the next


def give_way() -> None:
    """Wait while work of the fast queue is late: it is worth nothing soon, all other work only comes later.

    For a worker that does not hear that queue itself. Nobody waits longer than `GIVING_WAY`, and nobody for what
    was to be done so long ago that it is lost, or has no worker.
    """
    ends = time.monotonic() + GIVING_WAY
    while _is_fast_queue_late() and time.monotonic() < ends:
        time.sleep(_GLANCE)


def _is_fast_queue_late() -> bool:
    now = timezone.now()
    between = {"since": now - 3 * FAST_LEASE, "until": now - LATE}
    return bool(database.planned(_WAITS, between))


# The states are named twice: the first time in the words of the index of what is to be done.
_WAITS = f"""
SELECT 1 FROM retail_job WHERE state IN ('due', 'running') AND due_at BETWEEN %(since)s AND %(until)s
    AND state = 'due' AND queue = '{FAST}' LIMIT 1
"""


class _Claim(NamedTuple):
    job_id: int
    attempt: int
    shard: str
    queue: str
    kind: str
    payload: dict[str, Any]


_held: ContextVar[_Claim | None] = ContextVar("claim", default=None)


def renew() -> None:
    """For a job apart that takes longer than a lease: hold on to it for another one. Outside of jobs it does nothing.

    Raises Lost when another worker has it by now.
    """
    claim = _held.get()
    if claim is None:
        return
    if not _ours(claim).update(lease_until=timezone.now() + lease(claim.queue)):
        raise Lost(f"Job {claim.job_id} is another worker's by now.")


def _claim(job_id: int) -> _Claim | None:
    """Take a due job for one lease; None when another worker has it, it is done, or its shard is busy."""
    now = timezone.now()
    asked: dict[str, Any] = {"id": job_id, "now": now, "lease": now + lease(""), "fast_lease": now + lease(FAST)}
    rows = database.planned_lightly(_CLAIM, asked)  # a lease that is lost in a crash is one that ran out
    if not rows:
        return None
    claimed, attempt, shard, queue, kind, payload = rows[0]
    return _Claim(claimed, attempt, shard, queue, kind, json.loads(payload))


# Of a shard a later one may run already: it was committed before this one.
_CLAIM = f"""
UPDATE retail_job SET state = 'running', attempts = attempts + 1,
    lease_until = CASE queue WHEN '{FAST}' THEN %(fast_lease)s::timestamptz ELSE %(lease)s::timestamptz END
FROM {database.LIGHTLY}
WHERE id = (SELECT j.id FROM retail_job j WHERE j.id = %(id)s AND j.state IN ('due', 'running')
    AND j.due_at <= %(now)s AND (j.lease_until IS NULL OR j.lease_until < %(now)s)
    AND NOT EXISTS (SELECT 1 FROM retail_job e WHERE j.shard <> '' AND e.shard = j.shard AND e.id <> j.id
        AND e.state IN ('due', 'running') AND (e.id < j.id OR e.lease_until >= %(now)s))
    FOR UPDATE SKIP LOCKED)
RETURNING id, attempts, shard, queue, kind, payload
"""


def _successor(claim: _Claim) -> int | None:
    if not claim.shard:
        return None
    waiting = Job.objects.pending().filter(shard=claim.shard, pk__gt=claim.job_id)
    return waiting.order_by("pk").values_list("pk", flat=True).first()


def _do(claim: _Claim, registry: Registry) -> str:
    """Do the effect and mark the job done, in one transaction unless it is apart; returns the state it is then in."""
    try:
        with scope.within(scope.EVERYTHING):
            function = registry[claim.kind]
            if getattr(function, "is_apart", False):
                return _do_apart(claim, function)
            with transaction.atomic():
                if not _hold(claim):
                    return Job.State.RUNNING
                function(**claim.payload)
                _mark_done(claim)
    except Later as later:
        return _postpone(claim, later)
    except Lost as lost:
        log.warning("%s", lost)
        return Job.State.RUNNING
    except Exception as error:
        if isinstance(error, OperationalError | InterfaceError) and not connection.is_usable():
            raise  # it is the database that is gone, not a job that is bad
        return _record_failure(claim, logs.masked(traceback.format_exc(limit=-6)))
    return Job.State.DONE


def _do_apart(claim: _Claim, function: Callable[..., object]) -> str:
    """Nothing is locked meanwhile; who took over after the lease ran out finds what the first has written."""
    token = _held.set(claim)
    try:
        function(**claim.payload)
    finally:
        _held.reset(token)
    return Job.State.DONE if _mark_done(claim) else Job.State.RUNNING


def _ours(claim: _Claim) -> models.QuerySet[Job]:
    """The job, unless its lease ran out and another worker took it over: then `attempts` has moved on."""
    return Job.objects.filter(pk=claim.job_id, attempts=claim.attempt, state=Job.State.RUNNING)


def _hold(claim: _Claim) -> bool:
    """Lock the job until the transaction ends; False when it is another worker's by now."""
    return _ours(claim).select_for_update().values_list("pk", flat=True).first() is not None


def _mark_done(claim: _Claim) -> bool:
    asked: dict[str, Any] = {"id": claim.job_id, "attempt": claim.attempt, "now": timezone.now()}
    return bool(database.planned(_DONE, asked))


_DONE = """
UPDATE retail_job SET state = 'done', ended_at = %(now)s, lease_until = NULL
WHERE id = %(id)s AND attempts = %(attempt)s AND state = 'running' RETURNING id
"""


def _postpone(claim: _Claim, later: Later) -> str:
    """Due again at its time, as if it had not been tried. On the fast queue the bell is set for then."""
    said = logs.masked(f"{type(later).__name__}: {later}")
    _ours(claim).update(
        state=Job.State.DUE,
        attempts=claim.attempt - 1,
        due_at=later.until,
        rung_at=None,
        lease_until=None,
        last_error=said[-4000:],
    )
    if claim.queue == FAST:  # the sweeper's seconds are too long; should this bell be lost, they are what is left
        ring([claim.job_id], queue=FAST, after=max(timedelta(), later.until - timezone.now()) + _PUNCTUALITY)
    return Job.State.DUE


def _record_failure(claim: _Claim, error: str) -> str:
    """Back off (5 s, 10 s, 20 s … at most an hour), or give up after JOB_MAX_ATTEMPTS. Returns the new state."""
    now = timezone.now()
    is_last = claim.attempt >= settings.JOB_MAX_ATTEMPTS
    state = Job.State.DEAD if is_last else Job.State.DUE
    # What broke the job may stand in the message, and must not keep it from being written down.
    error = error.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")
    log.warning("Job %s failed (attempt %s): %s", claim.job_id, claim.attempt, error.strip().splitlines()[-1])
    Job.objects.filter(pk=claim.job_id, attempts=claim.attempt).exclude(state=Job.State.DONE).update(
        state=state,
        due_at=now + timedelta(seconds=min(3600, 5 * 2 ** (claim.attempt - 1))),
        rung_at=None,
        ended_at=now if is_last else None,
        lease_until=None,
        last_error=error[-4000:],
    )
    return state


# ── The operator's side ──────────────────────────────────────────────────────────────────────────────────────────────
def replay(*, jobs: models.QuerySet[Job], now: datetime) -> int:
    """Make dead jobs due again with a fresh count of attempts. Returns how many; the sweeper rings for them."""
    count = jobs.filter(state=Job.State.DEAD).update(
        state=Job.State.DUE, attempts=0, due_at=now, rung_at=None, ended_at=None, lease_until=None
    )
    transaction.on_commit(lambda: sweep(now=now))
    return count


def forget_done(*, now: datetime, days: int = 7) -> int:
    """Delete rows that ended well more than `days` days ago."""
    return Job.objects.filter(state=Job.State.DONE, ended_at__lt=now - timedelta(days=days)).delete()[0]


class Depth(NamedTuple):
    """How much work is open, how much is dead, and since when the oldest open job is due."""

    waiting: int = 0
    dead: int = 0
    oldest_at: datetime | None = None


def depths() -> dict[str, Depth]:
    """The depth of each kind that has open or dead work. Done rows, most of the table, are not read."""
    dead = dict(Job.objects.dead().order_by().values_list("kind").annotate(models.Count("pk")))
    rows = Job.objects.pending().order_by().values_list("kind").annotate(models.Count("pk"), models.Min("due_at"))
    found = {kind: Depth(waiting, dead.get(kind, 0), oldest_at) for kind, waiting, oldest_at in rows}
    return {kind: Depth(dead=count) for kind, count in dead.items()} | found


def depth() -> Depth:
    """The depth of all kinds together."""
    each = depths().values()
    return Depth(
        sum(one.waiting for one in each),
        sum(one.dead for one in each),
        min((one.oldest_at for one in each if one.oldest_at), default=None),
    )
