"""线索: the rows that were pushed, the rules of each brand, and for headquarters how they go and what they add."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from clerks.leads import dealing, kinds, report, rules, watching
from clerks.leads.models import Lead, LeadPolicy
from retail import audit
from retail.models import Brand
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, as_yuan, moment, rate

RANGES = {7: _("近 7 天"), 30: _("近 30 天"), 90: _("近 90 天")}
SEES_ALL = "leads.view_leadpolicy"


class Kinds(forms.MultipleChoiceField):
    """Kept as a list of codes, ticked as types."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs |= {"choices": Lead.Kind.choices, "widget": UnfoldAdminCheckboxSelectMultipleWidget, "required": False}
        super().__init__(**kwargs)


@admin.register(LeadPolicy)
class LeadPolicyAdmin(ScopedAdmin):
    list_display = ("brand", "is_on", "per_week", "clerk_most", "held_out")
    list_select_related = ("brand",)
    list_filter = ("brand",)
    ordering = ("brand__code",)
    held_out = rate("holdout_ppm", _("对照组比例"))
    fieldsets = (
        (None, {"fields": ("brand", "is_on", "off_kinds")}),
        (_("顾客"), {"fields": ("per_day", "per_week", "per_month", "rest_days", "score_rest_days",
                              "quiet_from", "quiet_until", "dormant_days", "fresh_days")}),
        (_("导购"), {"fields": ("clerk_most", "clerk_least", "book_ppm", "act_hours", "service_act_hours",
                              "claims_per_day", "barred_days")}),
        (_("对照组"), {
            "fields": ("holdout_ppm",),
            "description": _("随机留出这么多顾客不推线索，才知道线索带来了多少。改了以后从下个季度起生效。"),
        }),
    )  # fmt: skip

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "off_kinds":
            return Kinds(label=db_field.verbose_name)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("brand",) if obj is not None else ()


_STATES = {"new": "warning", "viewed": "warning", "contacted": "info", "won": "success", "withdrawn": "danger"}


@admin.register(Lead)
class LeadAdmin(ScopedAdmin):
    """Read only: a lead is worked on the phone. Who is held out is in no list: `Lead.objects` leaves them out."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("member", "kind", "staff", "store", "state_now", "made", "sought", "ended")
    list_select_related = ("member", "staff", "store")
    list_filter = ("brand", "kind", "state", "store", "created_at")
    ordering = ("-pk",)
    fields = (
        "brand", "member", "kind", "reason", "staff", "store", "state", "refusal", "created_at", "expires_at",
        "viewed_at", "contacted_at", "sent_at", "replied_at", "claimed_at", "left_staff", "left_at", "closed_at",
        "order", "is_natural", "expected", "version",
    )  # fmt: skip
    readonly_fields = ("reason", "expected")
    made = moment("created_at", _("产生"))
    sought = moment("contacted_at", _("联系"))
    ended = moment("closed_at", _("结束"))
    actions_list = ("watch", "add_up")

    @display(description=_("状态"), label=_STATES)
    def state_now(self, row: Lead) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("理由"))
    def reason(self, row: Lead) -> str:
        said = kinds.sentences(row, now=row.created_at)
        return str(_("；")).join(said) or "–"

    @display(description=_("通常消费"))
    def expected(self, row: Lead) -> Any:
        return as_yuan(row.expected_fen)

    # ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def get_urls(self) -> list[URLPattern]:
        pages = {"monitor": self.monitor_view, "increments": self.increments_view, "switch-kind": self.switch_view}
        views = {name: self.admin_site.admin_view(view) for name, view in pages.items()}
        own = [path(f"{name}/", view, name=f"leads_lead_{name.replace('-', '_')}") for name, view in views.items()]
        return [*own, *super().get_urls()]

    def has_watch_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm(SEES_ALL))

    @action(description=_("效果"), icon="monitoring", permissions=["watch"])
    def watch(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:leads_lead_monitor")

    @action(description=_("增量"), icon="science", permissions=["watch"])
    def add_up(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:leads_lead_increments")

    def monitor_view(self, request: HttpRequest) -> HttpResponse:
        """How each type goes, at which scores, and what is missing for it."""
        brand, days, now = self._brand(request), _days(request), timezone.now()
        context = self._common(request, _("线索效果"), brand)
        if brand is not None:
            counts = watching.counts(brand=brand, days=days, now=now)
            context |= {"counts": counts, "today": watching.today(brand=brand, now=now), "chart": _chart(counts)}
        context |= {"days": days, "ranges": RANGES.items(), "may_switch": _may_switch(request)}
        return TemplateResponse(request, "admin/clerks/leads/monitor.html", context)

    def increments_view(self, request: HttpRequest) -> HttpResponse:
        """Treated against withheld."""
        brand, now = self._brand(request), timezone.now()
        today = rules.day_of(now)
        first, last = _day(request, "from", today - timedelta(days=89)), _day(request, "to", today)
        if last < first:
            raise Http404
        context = self._common(request, _("线索增量"), brand) | {"first": first, "last": last}
        if brand is not None:
            names = {report.ALL: _("全部"), **{one.code: one.code.label for one in kinds.KINDS.values()}}
            table = report.lines(brand=brand, first=first, last=last, now=now)
            used = {line.kind for line in table if line.treated.members or line.withheld.members} | {report.ALL}
            context |= {"rows": [(names[line.kind], line) for line in table if line.kind in used]}
        return TemplateResponse(request, "admin/clerks/leads/increments.html", context)

    def switch_view(self, request: HttpRequest) -> HttpResponse:
        """Switch a type off for a brand, or on again. What waits of it is taken back at once."""
        if not _may_switch(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        brand, kind = self._brand(request), request.POST.get("kind", "")
        if brand is None or kind not in kinds.KINDS:
            raise Http404
        policy, _is_new = LeadPolicy.objects.get_or_create(brand=brand)
        is_off = kind in policy.off_kinds
        policy.off_kinds = [one for one in policy.off_kinds if one != kind] if is_off else [*policy.off_kinds, kind]
        policy.save(update_fields=["off_kinds"])
        act = "lead.kind_on" if is_off else "lead.kind_off"
        now = timezone.now()
        audit.record(by=request.user, action=act, target=policy, now=now, after={"kind": kind})
        dealing.withdraw(brand=brand, now=now)
        return redirect(f"{reverse('admin:leads_lead_monitor')}?brand={brand.code}")

    def _brand(self, request: HttpRequest) -> Brand | None:
        """The brand asked for, or the first. These pages are of whole brands, and for who sees those."""
        if not self.has_watch_permission(request):
            raise PermissionDenied
        code = request.GET.get("brand") or request.POST.get("brand")
        rows = Brand.objects.order_by("code")
        brand = rows.filter(code=code).first() if code else rows.first()
        if code and brand is None:
            raise Http404
        return brand

    def _common(self, request: HttpRequest, title: object, brand: Brand | None) -> dict[str, Any]:
        brands = Brand.objects.order_by("code")
        return {**self.admin_site.each_context(request), "title": title, "brand": brand, "brands": brands}


def _may_switch(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("leads.change_leadpolicy"))


def _days(request: HttpRequest) -> int:
    text = request.GET.get("days", "30")
    if not text.isdecimal() or len(text) > 3 or int(text) not in RANGES:
        raise Http404
    return int(text)


def _day(request: HttpRequest, name: str, default: date) -> date:
    try:
        return date.fromisoformat(request.GET[name]) if request.GET.get(name) else default
    except ValueError:
        raise Http404


def _chart(counts: watching.Counts) -> dict[str, Any]:
    """For static/js/leads.js: percent won of each type, and of each tenth of the scores."""
    used = [row for row in counts.kinds if row.leads]
    return {
        "kinds": {"names": [row.name for row in used], "won": [row.won_percent for row in used]},
        "tenths": {"names": [row.name for row in counts.tenths], "won": [row.won_percent for row in counts.tenths]},
    }
