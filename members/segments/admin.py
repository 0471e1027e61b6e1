"""Admin pages of segments: a condition is built while its count and twenty of its people are shown beside it."""

import json
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from members import segments
from members.models import Segment, SegmentSize
from members.segments import names
from members.segments.forms import LONGEST, SegmentForm
from members.segments.preview import Seen, seen
from retail import gate, scope
from retail.models import Brand
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, EstimatedPaginator, StrictJSON, moment

SHOWN = 10  # people and sizes on the page of a segment
PAGE = 50

REFRESH = ActionDialog(
    title=gettext_lazy("现在就更新？"),
    description=gettext_lazy("重新看谁符合条件；平时每小时自动看一次。"),
    form_class=Confirm,
    form_submit_text=gettext_lazy("更新"),
)
END = ActionDialog(
    title=gettext_lazy("停用这个人群？"),
    description=gettext_lazy("停用后不再更新，也不能再用它发券或派任务；名单和变动还能看。"),
    form_class=Confirm,
    form_submit_text=pgettext_lazy("button", "停用"),
)
COPY = ActionDialog(
    title=gettext_lazy("复制这个人群？"),
    description=gettext_lazy("条件照原样抄一份，在新的人群里改。"),
    form_class=Confirm,
    form_submit_text=gettext_lazy("复制"),
)


class ListedMember(NamedTuple):
    seen: Seen
    at: Any
    is_entry: bool = True


class Height(NamedTuple):
    """A row of the chart: how many there were, as a width of 100."""

    size: SegmentSize
    width: int


class InUse(admin.SimpleListFilter):
    title = gettext_lazy("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("open", _("在用")), ("ended", _("已停用"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        wanted = self.value()
        return queryset if wanted not in ("open", "ended") else queryset.filter(ended_at__isnull=wanted == "open")


@admin.register(Segment)
class SegmentAdmin(DecidingAdmin):
    """Headquarters builds and changes; who sees some stores sees how many of them are theirs, and who."""

    form = SegmentForm
    refusals = (segments.SegmentRefused,)
    list_display = ("name", "brand", "kind_label", "people", "rested", "refreshed", "state_label")
    list_select_related = ("brand",)
    list_filter = ("brand", "kind", InUse)
    search_fields = ("name",)
    ordering = ("ended_at", "-pk")
    readonly_fields = ("sentence", "kind_label", "people", "rested", "refreshed", "state_label", "maker", "made")
    actions_detail = ("refresh_now", "copy", "end")
    change_form_outer_after_template = "admin/members/segment/state.html"

    refreshed = moment("refreshed_at", gettext_lazy("更新"))
    made = moment("created_at", gettext_lazy("创建"))

    class Media:
        js = ("js/segments.js",)

    # What a row says
    @display(description=gettext_lazy("类型"), ordering="kind")
    def kind_label(self, row: Segment) -> str:
        return row.get_kind_display()

    @display(description=gettext_lazy("状态"), ordering="ended_at", label={"open": "success", "ended": "info"})
    def state_label(self, row: Segment) -> Badge:
        return Badge("ended", _("已停用")) if row.ended_at else Badge("open", _("在用"))

    @display(description=gettext_lazy("人数"))
    def people(self, row: Segment) -> str:
        if row.refreshed_at is None:
            return _("正在算")
        return f"{getattr(row, 'seen_count', row.size):,}"

    @display(description=gettext_lazy("不算在内"))
    def rested(self, row: Segment) -> str:
        days = segments.rest_of(segment=row)
        return _("近 %(count)s 天买过的") % {"count": days} if days else "–"

    @display(description=gettext_lazy("谁在里面"))
    def sentence(self, row: Segment) -> str:
        try:
            return str(segments.understand(condition=row.condition, brand=row.brand))
        except segments.Refused as refused:
            return str(refused)

    @display(description=gettext_lazy("创建人"))
    def maker(self, row: Segment) -> str:
        return str(row.created_by or "–")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        return rows if scope.current().is_everything else segments.with_count(rows)

    # The form: of a new one everything, of a kept rule what may change, of a list that was drawn its name
    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        rest = ("is_dormant_only", "rest_days")
        if obj is None:
            return ((None, {"fields": ("brand", "name", "kind", "condition", *rest)}),)
        head, told = ("brand", "kind_label", "state_label"), ("maker", "made", "refreshed")
        if not self.has_change_permission(request, obj):
            return ((None, {"fields": ("name", *head, "sentence", "rested", "refreshed")}),)
        what = ("sentence", "rested") if obj.is_frozen else ("condition", *rest)
        return ((None, {"fields": ("name", *what)}), (_("经手"), {"fields": (*head, *told), "classes": ["collapse"]}))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return self.readonly_fields
        return (*self.readonly_fields, "brand", *(("condition",) if obj.is_frozen else ()))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.ended_at is None)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        brands = list(field.queryset[:2]) if db_field.name == "brand" else []
        if len(brands) == 1:
            field.initial = brands[0].pk
        return field

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        days = segments.dormant_days()
        kwargs["help_texts"] = {
            "kind": _("自动更新：每小时重新看谁符合。固定名单：现在符合的人，以后不再加人。"),
            "is_dormant_only": _("近 %(days)s 天在任何渠道买过的人不算在内，买了的人马上离开。") % {"days": days},
            "rest_days": _("比如 30：近 30 天买过的人不算在内。不填就不限。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Segment, form: Any, change: bool) -> None:
        now = timezone.now()
        if not change:
            obj.created_by, obj.created_at = request.user, now
        super().save_model(request, obj, form, change)
        segments.enqueue(segment=obj, now=now)

    # What can be done with one
    def has_write_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and self.has_change_permission(request, row)

    def has_copy_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_add_permission(request) and self.row(request, object_id) is not None

    @action(description=gettext_lazy("现在更新"), icon="refresh", permissions=["write"], dialog=REFRESH)
    def refresh_now(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: Segment) -> str:
            segments.enqueue(segment=row, now=timezone.now())
            return _("开始更新了，过几秒再看。")

        return self.attempt(request, object_id, verb)

    @action(description=gettext_lazy("复制"), icon="content_copy", permissions=["copy"], dialog=COPY)
    def copy(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: Segment) -> tuple[str, Segment]:
            made = segments.copy(segment=row, by=request.user, now=timezone.now())
            return _("已复制为「%(name)s」。") % {"name": made.name}, made

        return self.attempt(request, object_id, verb)

    @action(description=pgettext_lazy("button", "停用"), icon="event_busy", permissions=["write"], dialog=END)
    def end(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: Segment) -> str:
            segments.end(segment=row, by=request.user, now=timezone.now())
            return _("已停用。")

        return self.attempt(request, object_id, verb)

    # What is asked while somebody builds
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("preview/", view(self.preview_view), name="members_segment_preview"),
            path("values/", view(self.values_view), name="members_segment_values"),
            path("<path:object_id>/people/", view(self.people_view), name="members_segment_people"),
            path("<path:object_id>/moves/", view(self.moves_view), name="members_segment_moves"),
            *super().get_urls(),
        ]

    @gate.everyday
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """The form as it stands: what it says, what is wrong and where, how many fit and some of them."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        brand = _brand(request.POST.get("of_brand") or request.POST.get("brand"))
        if brand is None:
            return JsonResponse({"sentence": "", "faults": [], "html": _("先选品牌。")})
        try:
            known = segments.check(condition=_condition(request.POST.get("condition", "")), brand=brand)
        except segments.Refused as refused:
            faults = [fault._asdict() for fault in refused.faults]
            return JsonResponse({"sentence": "", "faults": faults, "html": ""})
        given = {"is_dormant_only": bool(request.POST.get("is_dormant_only")), "rest_days": _days(request.POST)}
        given |= {"now": timezone.now(), "has_reasons": scope.current().is_everything}
        shown = {"preview": segments.preview(known=known, brand=brand, **given)}
        html = render_to_string("admin/members/segment/preview.html", shown)
        return JsonResponse({"sentence": str(known), "faults": [], "html": html})

    def values_view(self, request: HttpRequest) -> HttpResponse:
        """Stores, tags … to choose from."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        brand = _brand(request.GET.get("brand"))
        asked = {"of": request.GET.get("of", ""), "term": request.GET.get("term", "")[:64]}
        return JsonResponse({"results": names.search(**asked, brand=brand) if brand else []})

    # Who is in it, who came and went
    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.row(request, object_id) if request.method == "GET" else None
        shown = {**(extra_context or {}), **(_state(row) if row else {})}
        return super().change_view(request, object_id, form_url, shown)

    def people_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._row(request, object_id)
        page = _page(request, segments.present(segment=row))
        people = _listed([(one.membership_id, one.entered_at, True) for one in page])
        return self._listing(request, row, {"title": _("名单"), "people": people, "page": page, "is_moves": False})

    def moves_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._row(request, object_id)
        page = _page(request, segments.moves(segment=row))
        people = _listed([(one.membership_id, one.at, one.is_entry) for one in page])
        return self._listing(request, row, {"title": _("进出记录"), "people": people, "page": page, "is_moves": True})

    def _row(self, request: HttpRequest, object_id: str) -> Segment:
        row = self.row(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def _listing(self, request: HttpRequest, row: Segment, context: dict[str, Any]) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "segment": row, **context}
        return TemplateResponse(request, "admin/members/segment/people.html", whole)


def _brand(raw: str | None) -> Brand | None:
    is_number = raw is not None and raw.isascii() and raw.isdecimal() and len(raw) < 19
    return Brand.objects.filter(pk=raw).first() if is_number else None


def _condition(text: str) -> Any:
    """What is no JSON is no condition either: the grammar says so."""
    try:
        return json.loads(text[: LONGEST + 1], cls=StrictJSON)
    except ValueError:
        return None


def _days(sent: Any) -> int | None:
    raw = sent.get("rest_days", "")
    return int(raw) if raw.isascii() and raw.isdecimal() and len(raw) < 5 else None


def _page(request: HttpRequest, rows: QuerySet) -> Any:
    return EstimatedPaginator(rows, PAGE).get_page(request.GET.get("p", "1"))


def _listed(rows: list[tuple[int, Any, bool]]) -> list[ListedMember]:
    """Two statements, however many."""
    known = {one.membership.pk: one for one in seen(ids=list({pk for pk, _at, _in in rows}))}
    return [ListedMember(known[pk], at, is_entry) for pk, at, is_entry in rows if pk in known]


def _state(row: Segment) -> dict[str, Any]:
    present = segments.present(segment=row)
    newest = [(one.membership_id, one.entered_at, True) for one in present[:SHOWN]]
    shown: dict[str, Any] = {"segment": row, "people": _listed(newest)}
    shown["count"] = row.size if scope.current().is_everything else present.count()
    if scope.current().is_everything:
        sizes = list(row.sizes.order_by("-at")[:SHOWN])
        most = max((one.size for one in sizes), default=0) or 1
        shown["heights"] = [Height(one, one.size * 100 // most) for one in sizes]
    return shown
