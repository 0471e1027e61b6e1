"""Periodic work, registered by code: `register()` makes the rows of django-celery-beat match this table.

It runs after every migrate and may run any number of times. Who runs the server may switch a row off or change its
rhythm (`manage.py periodic`); what they changed is left alone. The web server may not: it could silence the doctor.
Rows of jobs that no longer exist are removed.

When a task last ran, and what it found, stands in the description of its row: the clock's own `last_run_at` says when
it was sent, whether or not a worker was there.
"""

import json
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django_celery_beat.models import IntervalSchedule, PeriodicTask

_PREFIX = "daogou: "


class Periodic(NamedTuple):
    name: str
    task: str
    seconds: int


TABLE = [
    Periodic("ring again for due jobs", "retail.sweep", 10),
    Periodic("ring again for what cannot wait", "retail.sweep_fast", 2),
    Periodic("forget finished jobs and old answers", "retail.forget", 3600),
    Periodic("seal what is history", "retail.seal", 600),
    Periodic("let WeCom know who is on duty behind the codes", "retail.contact_ways", 60),
    Periodic("give WeCom again the files it is about to forget", "retail.wecom_media", 600),
    Periodic("look at night whether WeCom holds what we hold", "retail.wecom_sync", 900),
    Periodic("ask WeCom what became of customers who were handed over", "retail.handovers", 900),
    Periodic("see whose posts ended by a date, and hand over their customers", "retail.leavers", 60),
    Periodic("remind of requests for help that nobody answers", "retail.help", 300),
    Periodic("count what came of links that were shared", "retail.share_results", 300),
    Periodic("find whose behaviour it was", "retail.behaviour", 600),
    Periodic("tell clerks who have all the customers they may have", "retail.full_clerks", 1800),
    Periodic("count what everybody sold", "retail.attain", 1800),
    Periodic("at night points that expire, sums, tiers and computed tags", "retail.members_night", 1800),
    Periodic("at night who is likely to buy, on Sundays by new models", "retail.intent", 1800),
    Periodic("end the coupons whose time is over", "retail.coupons", 3600),
    Periodic("in the morning share out who is nobody's customer", "retail.pool", 1800),
    Periodic("look who fits the segments now", "retail.segments", 300),
    Periodic("see whom clerks should talk to, and what became of it", "retail.leads", 300),
    Periodic("look whether the invariants hold", "retail.doctor", 86_400),
]
DEMO_TABLE = [
    Periodic("demo: a few orders a minute", "retail.demo_traffic", 20),
]


def register(*, with_demo: bool) -> None:
    """Make the schedule rows match the table; idempotent."""
    table = TABLE + (DEMO_TABLE if with_demo else [])
    for row in table:
        every, _ = IntervalSchedule.objects.get_or_create(every=row.seconds, period=IntervalSchedule.SECONDS)
        task, is_new = PeriodicTask.objects.get_or_create(
            name=_PREFIX + row.name, defaults={"task": row.task, "interval": every}
        )
        if not is_new and task.task != row.task:
            task.task = row.task
            task.save()
    stale = PeriodicTask.objects.filter(name__startswith=_PREFIX)
    stale.exclude(name__in=[_PREFIX + row.name for row in table]).delete()


def rows() -> QuerySet[PeriodicTask]:
    """Those of this table, as they now are."""
    return PeriodicTask.objects.filter(name__startswith=_PREFIX).select_related("interval").order_by("task")


def change(*, task: str, enabled: bool | None = None, seconds: int | None = None) -> PeriodicTask:
    """Switch a row on or off, or give it another rhythm. Raises PeriodicTask.DoesNotExist."""
    row = rows().get(task=task)
    if enabled is not None:
        row.enabled = enabled
    if seconds is not None:
        row.interval, _ = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
    row.save()
    return row


class Ran(NamedTuple):
    """When a task last ran, and what it found."""

    at: datetime
    found: dict[str, Any]


def note(*, task: str, now: datetime, found: dict[str, Any] | None = None) -> None:
    """Write down that a task ran, and what it found (plain JSON)."""
    said = json.dumps({"at": now.isoformat(), "found": found or {}})
    PeriodicTask.objects.filter(name__startswith=_PREFIX, task=task).update(description=said)


def last(*, task: str) -> Ran | None:
    """The last run that was noted; None when there was none, or its row was removed or overwritten by hand."""
    row = PeriodicTask.objects.filter(name__startswith=_PREFIX, task=task).first()
    try:
        known = json.loads(row.description if row else "")
        return Ran(datetime.fromisoformat(known["at"]), known["found"])
    except (ValueError, TypeError, KeyError):
        return None
