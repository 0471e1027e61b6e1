"""What a machine asks of the installation: is it alive, may it be sent work, how is it doing.

These pages name no person and no order. What is behind a status, and the figures, is for those who are let in by
address or by token (`DAOGOU_METRICS_FROM`, `DAOGOU_METRICS_TOKEN`); others get the bare status, or nothing.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Sum
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clerks.handover import cases
from clerks.models import HandoverRow
from retail import jobs, periodic
from retail.doctor import INVARIANTS
from retail.tasks import REGISTRY
from retail.wecom.models import Use

LATE = timedelta(minutes=2)  # a dozen rounds of the sweeper


@never_cache
@require_safe
def live(_request: HttpRequest) -> JsonResponse:
    """The process answers. Asks nobody else: a restart does not mend a database."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """503 while no order could be taken down. A late sweeper is said, but orders are safe without it: still 200."""
    status, details = _readiness()
    said = {"status": "ok" if status == 200 else "unavailable"}
    return JsonResponse(said | details if _may_read(request) else said, status=status)


def _readiness() -> tuple[int, dict[str, str | None]]:
    """The status, and what is behind it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        _require_migrations()
        swept = periodic.last(task="retail.sweep")
    except _Pending:
        return 503, {"database": "ok", "migrations": "pending"}
    except (DatabaseError, InterfaceError):
        return 503, {"database": "unreachable"}
    sweeper = {"sweeper": _punctuality(swept, timezone.now()), "swept_at": swept.at.isoformat() if swept else None}
    return 200, {"database": "ok", "migrations": "applied", **sweeper}


def _punctuality(swept: periodic.Ran | None, now: datetime) -> str:
    return "ok" if swept and now - swept.at < LATE else "late"


class _Pending(Exception):
    """The tables are not what this code was written for."""


@cache
def _require_migrations() -> None:
    """What is applied stays applied while this process lives: only a refusal is not remembered. Raises _Pending."""
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise _Pending


# ── Metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format. 404 for whoever is not let in."""
    if not _may_read(request):
        raise Http404
    registry = CollectorRegistry()
    registry.register(_Figures(timezone.now()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    if token and scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), token.encode()):
        return True
    try:
        caller = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a Unix socket has no address
    return any(caller in ip_network(allowed, strict=False) for allowed in settings.METRICS_FROM)


class _Figures(Collector):
    """Read when asked for: every process of an installation says the same, and none has to remember anything."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def collect(self) -> Iterable[Metric]:
        yield from self._work()
        yield _moment("daogou_sweeper_last_run", "When due work was last rung for again.", "retail.sweep")
        yield _moment("daogou_doctor_last_run", "When the invariants were last looked at.", "retail.doctor")
        yield _moment("daogou_seals_last_run", "When the rows that are history were last sealed.", "retail.seal")
        yield self._sealed_until()
        yield self._invariants()
        yield self._wecom()
        yield self._handovers()

    def _work(self) -> Iterable[Metric]:
        waiting = GaugeMetricFamily("daogou_jobs_waiting", "Jobs due or running.", labels=["kind"])
        dead = GaugeMetricFamily("daogou_jobs_dead", "Jobs given up, waiting for a replay.", labels=["kind"])
        oldest = GaugeMetricFamily(
            "daogou_jobs_oldest_seconds", "For how long the oldest open job is due.", labels=["kind"]
        )
        depths = jobs.depths()
        for kind in sorted({*REGISTRY, *depths}):  # also those with nothing to do: an absent figure alarms nobody
            depth = depths.get(kind, jobs.Depth())
            age = (self.now - depth.oldest_at).total_seconds() if depth.oldest_at else 0
            waiting.add_metric([kind], depth.waiting)
            dead.add_metric([kind], depth.dead)
            oldest.add_metric([kind], max(0, age))
        return waiting, dead, oldest

    def _sealed_until(self) -> Metric:
        """Falls behind, too, while sealing runs and somebody who keeps a transaction open holds it up."""
        ran = periodic.last(task="retail.seal")
        says = "What came before that is sealed, as the last sealing found."
        until = ran.found.get("until", 0) if ran else 0
        return GaugeMetricFamily("daogou_seals_until_timestamp_seconds", says, value=until)

    def _invariants(self) -> Metric:
        family = GaugeMetricFamily(
            "daogou_invariant_failures",
            "Failures of each invariant, the last time they were looked at.",
            labels=["name"],
        )
        ran = periodic.last(task="retail.doctor")
        for name in INVARIANTS:
            if ran and name in ran.found:
                family.add_metric([name], ran.found[name])
        return family

    def _wecom(self) -> Metric:
        says = (
            "Answers of WeCom in this hour and the last, by interface and code; our own to callbacks under `callback`."
        )
        family = GaugeMetricFamily("daogou_wecom_answers", says, labels=["app", "path", "errcode"])
        recent = Use.objects.filter(hour__gt=self.now - timedelta(hours=2)).values_list("app__slug", "path", "errcode")
        for slug, path, errcode, count in recent.annotate(Sum("count")).order_by("app__slug", "path", "errcode"):
            family.add_metric([slug, path, str(errcode)], count)
        return family

    def _handovers(self) -> Metric:
        says = "Customers of unfinished handovers, by state: those open, refused, full, ineligible wait for a person."
        family = GaugeMetricFamily("daogou_handover_customers", says, labels=["state"])
        rows = HandoverRow._base_manager.filter(handover__state__in=cases.UNFINISHED).order_by()
        counts = dict(rows.values_list("state").annotate(Count("pk")))
        for state in HandoverRow.State.values:
            family.add_metric([state], counts.get(state, 0))
        return family


def _moment(name: str, says: str, task: str) -> Metric:
    """A time in seconds since 1970; 0 = never."""
    ran = periodic.last(task=task)
    return GaugeMetricFamily(f"{name}_timestamp_seconds", says, value=ran.at.timestamp() if ran else 0)
