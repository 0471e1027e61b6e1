"""关系健康: how many customers have a clerk who looks after them, and how much of the sales is theirs; in scope.

A relation is healthy, *lost* (the customer deleted the clerk) or *orphaned* (the clerk has no post in a store of the
brand any more, or left; that counts before lost). Sales are those of members, less what came back, each by what held
when it was paid. Who looks at regions goes on to their stores, and from a store to its clerks.
"""

from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from clerks.models import Binding, Pooled
from commissions.models.ledger import SHANGHAI, midnight
from members.models import Membership, Purchase
from retail import scope
from retail.gate import framed
from retail.models import Brand, Region, Staff, Store
from retail.templatetags.figures import percent

RANGES = {7: gettext_lazy("近 7 天"), 30: gettext_lazy("近 30 天"), 90: gettext_lazy("近 90 天")}


@dataclass(slots=True)
class Health:
    """Members by how their relation is now, and sales by how it was: of healthy, lost, orphaned, of no relation."""

    healthy: int = 0
    lost: int = 0
    orphaned: int = 0
    loose: int = 0
    healthy_fen: int = 0
    lost_fen: int = 0
    orphaned_fen: int = 0
    loose_fen: int = 0

    def __add__(self, other: "Health") -> "Health":
        return Health(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Health)))

    @property
    def bound(self) -> int:
        return self.healthy + self.lost + self.orphaned

    @property
    def members(self) -> int:
        return self.bound + self.loose

    @property
    def bound_fen(self) -> int:
        return self.healthy_fen + self.lost_fen + self.orphaned_fen

    @property
    def fen(self) -> int:
        return self.bound_fen + self.loose_fen

    @property
    def share(self) -> str:
        """Of the sales, those of members who had a clerk."""
        return _tenths(self.bound_fen, self.fen)

    @property
    def of_members(self) -> str:
        return _tenths(self.bound, self.members)

    @property
    def widths(self) -> list[tuple[str, float, float]]:
        """Its bar of 100: (what, where it begins, how wide)."""
        made, place = [], 0.0
        for name in ("healthy", "lost", "orphaned", "loose"):
            width = getattr(self, name) * 100 / self.members if self.members else 0.0
            made.append((name, round(place, 2), round(width, 2)))
            place += width
        return made


def _tenths(part: int, whole: int) -> str:
    return percent(part * 1000 // whole * 1000) if whole > 0 else "–"


class Row(NamedTuple):
    """A region, store or clerk; `query` leads to what it is made of."""

    name: str
    health: Health
    query: str = ""


class Report(NamedTuple):
    whole: Health
    rows: list[Row]
    days: dict[date, Health]


class Asked(NamedTuple):
    """Of which brand, region and store, and over how many days; None: of all."""

    days: int
    brand_id: int | None = None
    region_id: int | None = None
    store: Store | None = None

    def narrow(self, rows: QuerySet) -> QuerySet:
        """Only what was asked for, of rows that have a store."""
        if self.store is not None:
            rows = rows.filter(store=self.store)
        elif self.region_id is not None:
            rows = rows.filter(store__region=self.region_id)
        return rows


# ── Figures, added up by the database ────────────────────────────────────────────────────────────────────────────────
# When each person served each brand, employed and with a post in one of its stores. Worked out once, and then met by
# all the sales there are. They meet by the person: `IS TRUE` keeps the planner from joining by the few brands instead.
_SERVING = """
serving AS MATERIALIZED (
    SELECT p.staff_id, ps.brand_id,
        range_agg(tstzrange(p.starts_at, p.ends_at) * tstzrange(e.starts_at, e.ends_at)) AS times
    FROM retail_post p JOIN retail_store ps ON ps.id = p.store_id JOIN retail_employment e USING (staff_id)
    GROUP BY 1, 2
)"""
_MEMBERS = f"""
WITH bound AS ({{bindings}}), loose AS ({{pooled}}), {_SERVING}, counted AS (
    SELECT b.store_id, b.staff_id, s.times @> %s::timestamptz IS NOT TRUE AS is_orphaned,
        b.lost_at IS NOT NULL AS is_lost, 0 AS loose
    FROM bound b LEFT JOIN serving s ON s.staff_id = b.staff_id AND (s.brand_id = b.brand_id) IS TRUE
    UNION ALL SELECT store_id, NULL, false, false, 1 FROM loose
)
SELECT {{key}} AS key, count(*) FILTER (WHERE loose = 0 AND NOT is_orphaned AND NOT is_lost),
    count(*) FILTER (WHERE is_lost AND NOT is_orphaned), count(*) FILTER (WHERE is_orphaned), sum(loose)
FROM counted c JOIN retail_store st ON st.id = c.store_id GROUP BY 1
"""
_SALES = f"""
WITH bought AS ({{purchases}}), {_SERVING}, judged AS (
    SELECT o.store_id, o.net_fen, (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day, b.staff_id,
        CASE WHEN b.id IS NULL THEN 'loose'
            WHEN s.times @> o.paid_at IS NOT TRUE THEN 'orphaned'
            WHEN b.lost_at <= o.paid_at THEN 'lost' ELSE 'healthy' END AS state
    FROM bought o JOIN members_membership m ON m.id = o.membership_id
    LEFT JOIN clerks_binding b ON b.brand_id = m.brand_id AND b.member_id = m.member_id
        AND b.started_at <= o.paid_at AND (b.ended_at IS NULL OR b.ended_at > o.paid_at)
    LEFT JOIN serving s ON s.staff_id = b.staff_id AND (s.brand_id = b.brand_id) IS TRUE
)
SELECT grouping(day), {{key}} AS key, day, coalesce(sum(net_fen) FILTER (WHERE state = 'healthy'), 0)::bigint,
    coalesce(sum(net_fen) FILTER (WHERE state = 'lost'), 0)::bigint,
    coalesce(sum(net_fen) FILTER (WHERE state = 'orphaned'), 0)::bigint,
    coalesce(sum(net_fen) FILTER (WHERE state = 'loose'), 0)::bigint
FROM judged c LEFT JOIN retail_store st ON st.id = c.store_id GROUP BY GROUPING SETS (({{key}}), (day))
"""
_KEYS = {"region": "st.region_id", "store": "c.store_id", "clerk": "c.staff_id"}


def report(*, asked: Asked, level: str, now: datetime) -> Report:
    """By regions, stores or clerks. Three statements; a fourth where members of no store count."""
    today = now.astimezone(SHANGHAI).date()
    by_key, days = _sales(asked, level, today)
    for key, *counts in _members(asked, level, now):
        by_key[key] = by_key.get(key, Health()) + Health(*map(int, counts))
    if scope.current().is_everything and asked.region_id is None and asked.store is None:
        by_key[None] = by_key.get(None, Health()) + Health(loose=_in_no_pool(asked))
    return Report(sum(by_key.values(), Health()), _rows(by_key, level), days)


def _rows(by_key: dict[int | None, Health], level: str) -> list[Row]:
    """Who sold most first. At the end what belongs to nobody, and to people the reader may not know."""
    names = _names(level, [key for key in by_key if key is not None])
    rows = [Row(names[key], one, f"{level}={key}") for key, one in by_key.items() if key in names]
    rows.sort(key=lambda row: (-row.health.fen, -row.health.members, row.name))
    others = [one for key, one in by_key.items() if key is not None and key not in names]
    if others:
        rows.append(Row(_("其他门店的导购"), sum(others, Health())))
    nobodys = by_key.get(None, Health())
    return [*rows, Row(_nobody(level), nobodys)] if nobodys != Health() else rows


def _members(asked: Asked, level: str, now: datetime) -> list[tuple[Any, ...]]:
    bound = asked.narrow(_of_brand(Binding.objects.filter(ended_at=None), "brand", asked))
    loose = asked.narrow(_of_brand(Pooled.objects.all(), "brand", asked))
    bindings, given = _sql(bound.values("store_id", "staff_id", "brand_id", "lost_at"))
    pooled, more = _sql(loose.values("store_id"))
    with connection.cursor() as cursor:
        sql = _MEMBERS.format(bindings=bindings, pooled=pooled, key=_KEYS[level])
        cursor.execute(sql, [*given, *more, now])
        return cursor.fetchall()


def _in_no_pool(asked: Asked) -> int:
    """Members without a relation whom no store has had to do with."""
    held = Binding.objects.filter(brand=OuterRef("brand"), member=OuterRef("member"), ended_at=None)
    rows = Membership.objects.filter(~Exists(held), pooled=None, member__merged_into=None)
    return _of_brand(rows, "brand", asked).count()


def _sales(asked: Asked, level: str, today: date) -> tuple[dict[int | None, Health], dict[date, Health]]:
    first = midnight(today - timedelta(days=asked.days - 1))
    rows = asked.narrow(_of_brand(Purchase.objects.filter(paid_at__gte=first), "membership__brand", asked))
    sql, given = _sql(rows.values("membership_id", "store_id", "paid_at", "net_fen"))
    by_key: dict[int | None, Health] = {}
    days = {today - timedelta(days=back): Health() for back in reversed(range(asked.days))}
    with connection.cursor() as cursor:
        cursor.execute(_SALES.format(purchases=sql, key=_KEYS[level]), given)
        for is_key, key, day, *fen in cursor.fetchall():
            if is_key:
                by_key[key] = Health(0, 0, 0, 0, *fen)
            elif day in days:
                days[day] = Health(0, 0, 0, 0, *fen)
    return by_key, days


def _of_brand(rows: QuerySet, path: str, asked: Asked) -> QuerySet:
    return rows if asked.brand_id is None else rows.filter(**{path: asked.brand_id})


def _sql(rows: QuerySet) -> tuple[str, tuple[Any, ...]]:
    return rows.order_by().query.sql_with_params()


# ── The rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _names(level: str, ids: list[int]) -> dict[int, str]:
    """Of people those of the reader's scope."""
    model: Any = {"region": Region, "store": Store, "clerk": Staff}[level]
    return {row.pk: str(row) for row in model.objects.filter(pk__in=ids)}


def _nobody(level: str) -> str:
    return {"region": _("线上，或不在区域里"), "store": _("线上"), "clerk": _("没有专属导购")}[level]


# ── The page ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@require_safe
@admin.site.admin_view
def relations(request: HttpRequest) -> HttpResponse:
    """How the relations of the reader's scope are; `region` and `store` lead into it."""
    if not request.user.has_perm("clerks.view_binding"):
        raise PermissionDenied(_("您的岗位不能查看专属导购关系。"))
    now = timezone.now()
    brands = list(Brand.objects.order_by("pk"))
    asked, trail = _asked(request, [brand.pk for brand in brands])
    level = _level(asked)
    found = report(asked=asked, level=level, now=now)
    context = {
        "title": _("关系健康"),
        "asked": asked,
        "report": found,
        "level": level,
        "head": {"region": _("区域"), "store": _("门店"), "clerk": _("导购")}[level],
        "brands": brands if len(brands) > 1 else [],
        "trail": trail,
        "kept": f"&brand={asked.brand_id}" if asked.brand_id is not None else "",
        "ranges": RANGES.items(),
        "chart": _chart(found.days),
    }
    return TemplateResponse(request, "admin/desk/relations.html", framed(request, context))


def _asked(request: HttpRequest, brands: list[int]) -> tuple[Asked, list[tuple[str, str]]]:
    """What the address asks for, and the way back from there. Raises Http404 for what the reader may not see."""
    days = _number(request, "days") or 30
    brand_id, region_id, store_id = (_number(request, name) for name in ("brand", "region", "store"))
    if days not in RANGES or (brand_id is not None and brand_id not in brands):
        raise Http404
    store = region = None
    if store_id is not None:
        store = Store.objects.select_related("region").filter(pk=store_id).first()
        region = store.region if store else None
    elif region_id is not None:
        region = Region.objects.filter(pk=region_id).first()
    if (store_id is not None and store is None) or (region_id is not None and store is None and region is None):
        raise Http404
    trail = [(f"region={region.pk}", str(region))] if region else []
    trail += [(f"store={store.pk}", str(store))] if store else []
    return Asked(days, brand_id, region.pk if region and not store else None, store), trail


def _level(asked: Asked) -> str:
    """What the rows are. Whoever sees one store begins with its clerks, whoever sees one region with its stores."""
    if asked.store is not None:
        return "clerk"
    if asked.region_id is not None:
        return "store"
    stores = Store.objects.order_by()
    if len(stores.values("pk")[:2]) < 2:
        return "clerk"
    return "region" if len(stores.values("region").distinct()[:2]) > 1 else "store"


def _chart(days: dict[date, Health]) -> dict[str, Any]:
    """Whole yuan a day for static/js/relations.js."""
    return {
        "days": [f"{day:%m-%d}" for day in days],
        "bound": [round(one.bound_fen / 100) for one in days.values()],
        "loose": [round(one.loose_fen / 100) for one in days.values()],
        "labels": {"bound": _("有专属导购"), "loose": _("没有专属导购")},
    }


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Http404
    return int(text)
