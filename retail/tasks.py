"""The table of everything a worker can do, and the Celery tasks that do it. Ids in, fetch, one call."""

from celery import shared_task
from django.utils import timezone

from retail import intake, jobs, retention


def _settle_order(order_id: int) -> None:
    intake.settle_order(order_id=order_id, now=timezone.now())


def _settle_refund(refund_id: int) -> None:
    intake.settle_refund(refund_id=refund_id, now=timezone.now())


def _settle_refunds(order_id: int) -> None:
    intake.settle_refunds_of(order_id=order_id, now=timezone.now())


# Job kind → function; how to add one: docs/architecture.md.
REGISTRY: jobs.Registry = {
    "settle_order": _settle_order,
    "settle_refund": _settle_refund,
    "settle_refunds": _settle_refunds,
}


@shared_task(name="retail.run_jobs")
def run_jobs(ids: list[int]) -> int:
    """Rung by `jobs.ring`: run those of the jobs that are still to do."""
    return jobs.run(ids=ids, registry=REGISTRY)


@shared_task(name="retail.sweep")
def sweep() -> int:
    """Ring again for due work whose bell was lost."""
    return jobs.sweep(now=timezone.now())


@shared_task(name="retail.forget")
def forget() -> int:
    """Drop what is kept only for a while."""
    return sum(retention.forget(now=timezone.now()).values())
