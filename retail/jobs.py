"""Durable work. PostgreSQL is the queue; the message broker is only a doorbell.

A unit of work is a `Job` row, written in the transaction of the fact that causes it. After commit a Celery message
carries the ids of the rows to a worker, which claims each (SKIP LOCKED, a lease), then does the effect and marks the
row done in one transaction. A lost message costs a delay, never work: `sweep` rings again for what is due.

    due ──claim──▶ running ──effect + done in one transaction──▶ done
     ▲               │ error: back-off, attempt counted
     └───────────────┴── after JOB_MAX_ATTEMPTS ──▶ dead (admin shows it, `replay` makes it due again)

Jobs of one shard (one buyer, one order, one chat) run one at a time, oldest first.
"""

import json
import logging
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from retail import logs, scope

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
    """What to enqueue: a kind of the registry, its ids, and the shard whose jobs must not overlap."""

    kind: str
    payload: dict[str, Any]
    shard: str = ""


def enqueue(*, work: Sequence[Work], now: datetime, due_at: datetime | None = None) -> list[int]:
    """Write the rows inside the caller's transaction and ring the bell after its commit. Returns the job ids."""
    if not work:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO retail_job (kind, payload, shard, state, due_at, attempts, rung_at, created_at, last_error)"
            " SELECT w.kind, w.payload, w.shard, 'due', %s, 0, %s, %s, ''"
            " FROM ROWS FROM (jsonb_to_recordset(%s) AS (kind text, payload jsonb, shard text))"
            " WITH ORDINALITY AS w(kind, payload, shard, place) ORDER BY w.place RETURNING id",
            [due_at or now, now, now, json.dumps([w._asdict() for w in work])],
        )
        ids = [row[0] for row in cursor.fetchall()]
    if due_at is None or due_at <= now:
        transaction.on_commit(lambda: ring(ids))
    return ids


# ── The bell ─────────────────────────────────────────────────────────────────────────────────────────────────────────
RING_SIZE = 50  # ids in one message: few enough to spread over workers, enough not to flood the broker


def ring(ids: Sequence[int]) -> None:
    """Tell the workers. Never raises: the work is safe in its rows, and the sweeper rings again."""
    from retail.celery import app

    try:
        for start in range(0, len(ids), RING_SIZE):
            some = list(ids[start : start + RING_SIZE])
            # argsrepr: Celery's own picture of the list takes longer than all the rest of sending it.
            app.send_task("retail.run_jobs", args=[some], argsrepr=f"[{len(some)} ids]", retry=False)
    except Exception as error:
        log.warning("The broker did not take %d job ids (%s); the sweeper will ring again.", len(ids), error)


def sweep(*, now: datetime) -> int:
    """Ring for due jobs, each at most once per lease and no more than the workers can take. Returns how many."""
    lease = timedelta(seconds=settings.JOB_LEASE_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(
            # MATERIALIZED: the planner may else run the LIMIT again and again, and ring for more than the capacity.
            "WITH chosen AS MATERIALIZED ("
            " SELECT id FROM retail_job WHERE state IN ('due', 'running') AND due_at <= %(now)s"
            "  AND (lease_until IS NULL OR lease_until < %(now)s) AND (rung_at IS NULL OR rung_at < %(before)s)"
            " ORDER BY due_at, id LIMIT %(capacity)s FOR UPDATE SKIP LOCKED)"
            " UPDATE retail_job j SET rung_at = %(now)s FROM chosen WHERE chosen.id = j.id RETURNING j.id",
            {"now": now, "before": now - lease, "capacity": settings.JOB_WORKER_CAPACITY},
        )
        ids = sorted(row[0] for row in cursor.fetchall())
    ring(ids)
    return len(ids)


# ── The worker's side ────────────────────────────────────────────────────────────────────────────────────────────────
def run(*, ids: Iterable[int], registry: Registry) -> int:
    """Run those of the jobs that can be claimed now; returns how many ended done. Errors stay in their rows."""
    done = 0
    for job_id in ids:
        following: int | None = job_id
        for _place in range(RING_SIZE):
            if following is None or not run_one(job_id=following, registry=registry):
                break
            done += 1
            # A job that waited for this one was passed over when its own bell rang.
            following = _next_in_shard(following)
        else:
            # A long shard goes on with a bell of its own: others wait too, and a worker must be able to stop.
            if following is not None:
                ring([following])
    return done


def _next_in_shard(job_id: int) -> int | None:
    shard = Job.objects.filter(pk=job_id).exclude(shard="").values_list("shard", flat=True).first()
    if shard is None:
        return None
    waiting = Job.objects.pending().filter(shard=shard, pk__gt=job_id)
    return waiting.order_by("pk").values_list("pk", flat=True).first()


def run_one(*, job_id: int, registry: Registry) -> bool:
    """Claim one job, do its effect and mark it done in one transaction. False when not claimed or failed."""
    attempt = _claim(job_id)
    if attempt is None:
        return False
    try:
        with transaction.atomic(), scope.within(scope.EVERYTHING):
            # The lease may have run out meanwhile and another worker taken over: then `attempts` has moved on.
            job = Job.objects.select_for_update().get(pk=job_id)
            if job.state != Job.State.RUNNING or job.attempts != attempt:
                return False
            registry[job.kind](**job.payload)
            Job.objects.filter(pk=job_id).update(state=Job.State.DONE, ended_at=timezone.now(), lease_until=None)
    except Exception:
        _record_failure(job_id, attempt, logs.masked(traceback.format_exc(limit=-6)))
        return False
    return True


def _claim(job_id: int) -> int | None:
    """Take a due job for one lease; None when another worker has it, it is done, or its shard is busy."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE retail_job SET state = 'running', attempts = attempts + 1, lease_until = %(lease)s"
            " WHERE id = (SELECT j.id FROM retail_job j WHERE j.id = %(id)s AND j.state IN ('due', 'running')"
            "  AND j.due_at <= %(now)s AND (j.lease_until IS NULL OR j.lease_until < %(now)s)"
            "  AND NOT EXISTS (SELECT 1 FROM retail_job e WHERE j.shard <> '' AND e.shard = j.shard AND e.id < j.id"
            "   AND e.state IN ('due', 'running')) FOR UPDATE SKIP LOCKED)"
            " RETURNING attempts",
            {"id": job_id, "now": now, "lease": now + timedelta(seconds=settings.JOB_LEASE_SECONDS)},
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _record_failure(job_id: int, attempt: int, error: str) -> None:
    """Back off (5 s, 10 s, 20 s … at most an hour), or give up after JOB_MAX_ATTEMPTS."""
    now = timezone.now()
    is_last = attempt >= settings.JOB_MAX_ATTEMPTS
    log.warning("Job %s failed (attempt %s): %s", job_id, attempt, error.strip().splitlines()[-1])
    Job.objects.filter(pk=job_id, attempts=attempt).exclude(state=Job.State.DONE).update(
        state=Job.State.DEAD if is_last else Job.State.DUE,
        due_at=now + timedelta(seconds=min(3600, 5 * 2 ** (attempt - 1))),
        ended_at=now if is_last else None,
        lease_until=None,
        last_error=error[-4000:],
    )


# ── The operator's side ──────────────────────────────────────────────────────────────────────────────────────────────
def replay(*, jobs: models.QuerySet[Job], now: datetime) -> int:
    """Make dead jobs due again with a fresh count of attempts. Returns how many."""
    ids = list(jobs.filter(state=Job.State.DEAD).values_list("pk", flat=True))
    Job.objects.filter(pk__in=ids).update(
        state=Job.State.DUE, attempts=0, due_at=now, rung_at=now, ended_at=None, lease_until=None
    )
    transaction.on_commit(lambda: ring(ids))
    return len(ids)


def forget_done(*, now: datetime, days: int = 7) -> int:
    """Delete rows that ended well more than `days` days ago."""
    return Job.objects.filter(state=Job.State.DONE, ended_at__lt=now - timedelta(days=days)).delete()[0]


class Depth(NamedTuple):
    waiting: int
    dead: int
    oldest_at: datetime | None


def depth() -> Depth:
    """How much work is open, how much is dead, and since when the oldest open job is due."""
    figures = Job.objects.aggregate(
        waiting=models.Count("pk", filter=Q(state__in=["due", "running"])),
        dead=models.Count("pk", filter=Q(state="dead")),
        oldest_at=models.Min(F("due_at"), filter=Q(state__in=["due", "running"])),
    )
    return Depth(**figures)
