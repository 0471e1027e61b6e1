"""The rows of 素材库: with what became of their newest version, what clerks send of them, and until when."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import F, Func, Min, OuterRef, Q, QuerySet, Subquery, TextField
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clerks.admin.material_words import ICONS
from clerks.materials import library
from clerks.materials.models import Material, MaterialFile, MaterialVersion
from retail import org

State = MaterialVersion.State


def knows_drafts(request: HttpRequest) -> bool:
    """What headquarters writes and has not released is not for shops yet: a new season, a price."""
    return request.post is None or request.post.role in org.HEADQUARTERS


def told(rows: QuerySet[Material], now: datetime) -> QuerySet[Any]:
    """Without the quick replies of single clerks, which are theirs."""
    versions = MaterialVersion._base_manager.filter(material=OuterRef("pk")).order_by("-number")
    seen = MaterialFile._base_manager.filter(version__material=OuterRef("pk"), width__isnull=False)
    live = library.live(now=now).filter(material=OuterRef("pk"))
    coming = Q(versions__state=State.APPROVED, versions__live_from__gt=now)
    return rows.filter(owner=None).annotate(
        newest_state=Subquery(versions.values("state")[:1]),
        live_number=Subquery(live.values("number")[:1]),
        picture_id=Subquery(seen.order_by("-version__number", "place").values("pk")[:1]),
        coming_at=Min("versions__live_from", filter=coming),
    )


def state_of(row: Any) -> str:
    """Of the newest version, as words."""
    return str(State(row.newest_state or State.DRAFT).label)


def sought(rows: QuerySet, term: str) -> QuerySet | None:
    """By name, its pinyin, or the first letters of that; None where nothing can be sought."""
    said = "".join(term.split()).lower()
    if not said or "\x00" in said:
        return None
    name = Func(F("name"), function="name_sought", output_field=TextField())
    return rows.annotate(sought=name).filter(Q(name__icontains=term.strip()) | Q(sought__contains=said))


class StateFilter(admin.SimpleListFilter):
    """By what became of the newest version."""

    title = gettext_lazy("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(State.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(newest_state=self.value()) if self.value() else queryset


# ── In a cell ────────────────────────────────────────────────────────────────────────────────────────────────────────
def named(row: Any) -> SafeString:
    """The name beside a small picture, or a sign for the kind."""
    if row.picture_id is None:
        picture = format_html('<span class="material-thumb material-symbols-outlined">{}</span>', ICONS[row.kind])
    else:
        address = f"{reverse('clerks:material_file', args=[row.picture_id])}?small=1"
        picture = format_html('<img class="material-thumb" src="{}" alt="" loading="lazy">', address)
    return format_html('<span class="material-named">{}<span>{}</span></span>', picture, row.name)


def sent_now(row: Any, now: datetime) -> str:
    """Which version clerks can send at this moment, or from when on."""
    if not row.is_active:
        return _("已停用")
    if row.valid_until is not None and row.valid_until <= now:
        return _("已过期")
    begins = [at for at in (row.valid_from, None if row.live_number else row.coming_at) if at and at > now]
    if begins and (row.live_number or row.coming_at):
        return _("%(at)s 上线") % {"at": _short(max(begins))}
    return _("第 %(number)s 版") % {"number": row.live_number} if row.live_number else "–"


def dates(row: Material, now: datetime) -> str:
    """Why its dates keep clerks from sending it; "" where they do not."""
    if row.valid_until is not None and row.valid_until <= now:
        return _("有效期过了，导购不能再发。还要用，就把“到什么时候为止”改晚。")
    if row.valid_from is not None and row.valid_from > now:
        return _("%(at)s 起导购才能发。") % {"at": _short(row.valid_from)}
    return ""


def valid(row: Material) -> str:
    ends = [f"{timezone.localtime(at):%Y-%m-%d}" if at else "" for at in (row.valid_from, row.valid_until)]
    return "–".join(ends) if any(ends) else _("一直")


def _short(at: datetime) -> str:
    return f"{timezone.localtime(at):%m-%d %H:%M}"
