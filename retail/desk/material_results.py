"""素材效果: what was shared, who opened it and what they bought, by material, clerk, store or scene; in scope.

The figures are those of `clerks.materials.results`. Who looks at a material goes on to its clerks or stores, from a
store to its clerks; what is added up here lies row by row, and as a file, on the list of `ShareDay`.
"""

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from clerks.materials import results
from clerks.materials.models import Material, Scene, ShareDay
from clerks.materials.results import Result
from commissions.models.ledger import SHANGHAI
from retail.gate import framed
from retail.models import Brand, Staff, Store

RANGES = {7: gettext_lazy("近 7 天"), 30: gettext_lazy("近 30 天"), 90: gettext_lazy("近 90 天")}
LEVELS = {
    "material": gettext_lazy("按素材"),
    "clerk": gettext_lazy("按导购"),
    "store": gettext_lazy("按门店"),
    "scene": gettext_lazy("按场景"),
}
HEADS = {
    "material": gettext_lazy("素材"),
    "clerk": gettext_lazy("导购"),
    "store": gettext_lazy("门店"),
    "scene": gettext_lazy("场景"),
}
# A column: what it is called, and by what it is sorted.
COLUMNS = {
    "shares": gettext_lazy("分享"),
    "sent": gettext_lazy("发出"),
    "viewers": gettext_lazy("打开人数"),
    "opened_ppm": gettext_lazy("打开率"),
    "known": gettext_lazy("认出"),
    "buyers": gettext_lazy("成交人数"),
    "orders": gettext_lazy("单数"),
    "sales_fen": gettext_lazy("成交额"),
    "fen_per_share": gettext_lazy("每次分享成交"),
}
LONGEST = timedelta(days=366)
PER_PAGE = 50


class Asked(NamedTuple):
    """Of which days, and of which brand, material, clerk and store: None for all."""

    first: date
    last: date
    days: int | None
    level: str
    brand: Brand | None
    material: Material | None
    store: Store | None

    @property
    def kept(self) -> dict[str, Any]:
        """What an address says of it, without the level."""
        span = {"days": self.days} if self.days else {"from": self.first.isoformat(), "to": self.last.isoformat()}
        of = {"brand": self.brand, "material": self.material, "store": self.store}
        return span | {name: row.pk for name, row in of.items() if row is not None}

    @property
    def rows(self) -> QuerySet[ShareDay]:
        rows = ShareDay.objects.all()
        of = {"brand": self.brand, "material": self.material, "store": self.store}
        return rows.filter(**{name: row for name, row in of.items() if row is not None})

    @property
    def listed(self) -> str:
        """The address of the same rows in the list."""
        span = {"day__gte": self.first.isoformat(), "day__lt": (self.last + timedelta(days=1)).isoformat()}
        of = {"brand": self.brand, "material": self.material, "store": self.store}
        return urlencode(span | {f"{name}__id__exact": row.pk for name, row in of.items() if row is not None})


class Row(NamedTuple):
    """A material, clerk, store or scene; `query` leads to what it is made of. `place`: its rank by what is sorted."""

    place: int
    name: str
    result: Result
    query: str
    width: float


@require_safe
@admin.site.admin_view
def material_results(request: HttpRequest) -> HttpResponse:
    """What came of the materials of the reader's scope."""
    if not request.user.has_perm("materials.view_shareday"):
        raise PermissionDenied(_("您的岗位不能查看素材效果。"))
    asked = _asked(request, timezone.now())
    sort, is_rising = _sort(request)
    found = results.read(rows=asked.rows, level=asked.level, first=asked.first, last=asked.last)
    page = Paginator(_rows(asked, found, sort, is_rising), PER_PAGE).get_page(request.GET.get("p"))
    brands = list(Brand.objects.order_by("pk"))
    context = {
        "title": _("素材效果"),
        "asked": asked,
        "whole": found.whole,
        "page": page,
        "head": HEADS[asked.level],
        "columns": _columns(asked, sort, is_rising),
        "levels": [(f"?{urlencode(asked.kept | {'by': level})}", name, level) for level, name in LEVELS.items()],
        "ranges": [(f"?{_without(asked, days=days)}", name, days) for days, name in RANGES.items()],
        "brands": _brands(asked, brands),
        "trail": _trail(asked),
        "turn": urlencode(asked.kept | {"by": asked.level, "sort": ("-" if not is_rising else "") + sort}),
        "window": _window([asked.brand] if asked.brand else brands),
        "chart": _chart(found.days),
        "kept": {**asked.kept, "by": asked.level},
    }
    return TemplateResponse(request, "admin/desk/material_results.html", framed(request, context))


def _asked(request: HttpRequest, now: datetime) -> Asked:
    """What the address asks for. Raises Http404 for what the reader may not see, and for days that are none."""
    today = now.astimezone(SHANGHAI).date()
    level = request.GET.get("by", "material")
    days = _number(request, "days")
    first, last = _day(request, "from"), _day(request, "to")
    if level not in LEVELS or (days is not None and days not in RANGES):
        raise Http404
    if first is None and last is None:
        days = days or 30
        first, last = today - timedelta(days=days - 1), today
    else:
        days, last = None, last or today
        first = first or last - timedelta(days=29)
    if not timedelta() <= last - first <= LONGEST:
        raise Http404
    of = (_one(request, name, model) for name, model in (("brand", Brand), ("material", Material), ("store", Store)))
    return Asked(first, last, days, level, *of)


def _one(request: HttpRequest, name: str, model: Any) -> Any:
    pk = _number(request, name)
    row = model.objects.filter(pk=pk).first() if pk is not None else None
    if pk is not None and row is None:
        raise Http404
    return row


def _sort(request: HttpRequest) -> tuple[str, bool]:
    """By which column, and whether the least comes first."""
    said = request.GET.get("sort", "-sales_fen")
    name = said.removeprefix("-")
    if name not in COLUMNS:
        raise Http404
    return name, not said.startswith("-")


# ── The rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _rows(asked: Asked, found: results.Read, sort: str, is_rising: bool) -> list[Row]:
    """Ranked; of two alike whose name comes first. At the end people the reader may not know, together."""
    names = _names(asked.level, list(found.by_key), is_of_one=asked.brand is not None or Brand.objects.count() < 2)
    ranked = [(names[key], key, one) for key, one in found.by_key.items() if key in names]
    ranked.sort(key=lambda row: row[0])
    ranked.sort(key=lambda row: _least(row[2], sort), reverse=not is_rising)
    most = max((one.sales_fen for one in found.by_key.values()), default=0)
    rows = [
        Row(place, name, one, _query(asked, key), _share(one, most))
        for place, (name, key, one) in enumerate(ranked, 1)
    ]
    others = [one for key, one in found.by_key.items() if key not in names]
    if others:
        whole = sum(others, Result())
        rows.append(Row(len(rows) + 1, _("其他门店的导购"), whole, "", _share(whole, most)))
    return rows


def _share(one: Result, most: int) -> float:
    return round(max(0, one.sales_fen) * 100 / most, 2) if most > 0 else 0.0


def _least(one: Result, sort: str) -> int:
    value = getattr(one, sort)
    return -1 if value is None else value


def _names(level: str, keys: list[Any], *, is_of_one: bool) -> dict[Any, str]:
    """Of people those of the reader's scope; of materials of several brands whose they are, too."""
    if level == "scene":
        return {key: str(Scene(key).label) for key in keys}
    model: Any = {"material": Material, "clerk": Staff, "store": Store}[level]
    rows = model.objects.filter(pk__in=keys)
    if level != "material" or is_of_one:
        return {row.pk: str(row) for row in rows}
    said = _("%(material)s（%(brand)s）")
    return {row.pk: said % {"material": row, "brand": row.brand} for row in rows.select_related("brand")}


def _query(asked: Asked, key: Any) -> str:
    """From a material to its clerks, from a store to its clerks; nothing lies below a clerk or a scene."""
    if asked.level in ("clerk", "scene"):
        return ""
    return urlencode(asked.kept | {asked.level: key, "by": "clerk"})


# ── Around them ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _columns(asked: Asked, sort: str, is_rising: bool) -> list[tuple[str, str, str]]:
    """(name, where a click leads, "ascending" | "descending" | ""): the most first, then the least."""
    made = []
    for name, title in COLUMNS.items():
        is_this = name == sort
        wanted = name if is_this and not is_rising else f"-{name}"
        state = ("ascending" if is_rising else "descending") if is_this else ""
        made.append((str(title), urlencode(asked.kept | {"by": asked.level, "sort": wanted}), state))
    return made


def _without(asked: Asked, **days: int) -> str:
    kept = {name: value for name, value in asked.kept.items() if name not in ("days", "from", "to")}
    return urlencode(days | kept | {"by": asked.level})


def _brands(asked: Asked, brands: list[Brand]) -> list[tuple[str, str, bool]]:
    if len(brands) < 2:
        return []
    kept = {name: value for name, value in asked.kept.items() if name not in ("brand", "material", "store")}
    kept["by"] = asked.level
    rows = [(f"?{urlencode(kept | {'brand': one.pk})}", one.name, asked.brand == one) for one in brands]
    return [(f"?{urlencode(kept)}", _("全部品牌"), asked.brand is None), *rows]


def _trail(asked: Asked) -> list[tuple[str, str]]:
    """What was chosen, each with the address without it."""
    made = []
    for name, row in (("material", asked.material), ("store", asked.store)):
        if row is not None:
            kept = {key: value for key, value in asked.kept.items() if key != name}
            made.append((str(row), f"?{urlencode(kept | {'by': name})}"))
    return made


def _window(brands: list[Brand | None]) -> str:
    """Within how many days of an opening a purchase counts."""
    days = sorted({brand.share_window_days for brand in brands if brand is not None})
    return _("、").join(map(str, days)) if days else "–"


def _chart(days: dict[date, Result]) -> dict[str, Any]:
    """People and whole yuan a day for static/js/material_results.js."""
    return {
        "days": [f"{day:%m-%d}" for day in days],
        "shares": [one.shares for one in days.values()],
        "viewers": [one.viewers for one in days.values()],
        "sales": [round(one.sales_fen / 100) for one in days.values()],
        "labels": {"shares": _("分享"), "viewers": _("打开人数"), "sales": _("成交额（元）")},
    }


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Http404
    return int(text)


def _day(request: HttpRequest, name: str) -> date | None:
    text = request.GET.get(name, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Http404 from None
