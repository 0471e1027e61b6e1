"""Periodic work, registered by code: `register()` makes the rows of django-celery-beat match this table.

It runs after every migrate and may run any number of times. People may switch a row off or change its rhythm in the
admin; what they changed is left alone. Rows of jobs that no longer exist are removed.
"""

from typing import NamedTuple

from django_celery_beat.models import IntervalSchedule, PeriodicTask

_PREFIX = "daogou: "


class Periodic(NamedTuple):
    name: str
    task: str
    seconds: int


TABLE = [
    Periodic("ring again for due jobs", "retail.sweep", 10),
    Periodic("forget finished jobs and old answers", "retail.forget", 3600),
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
