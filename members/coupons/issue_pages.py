"""批量发券: what is given to a segment, or made into codes: how far it is, who got none, and the codes as a file."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from members import coupons
from members.coupons import issuing
from members.models import Coupon, CouponIssue, CouponSkip
from retail import exports
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, moment

STOP = ActionDialog(
    title=gettext_lazy("停下来？"),
    description=gettext_lazy("已经发出的券不收回，没发到的不再发。"),
    form_class=Confirm,
    form_submit_text=gettext_lazy("停止发券"),
)


@admin.register(CouponIssue)
class CouponIssueAdmin(DecidingAdmin):
    """How far a giving to a segment is, or a making of codes, and who got none."""

    is_read_only = True
    refusals = (coupons.Refused,)
    list_display = ("type", "whom", "state_label", "progress", "issued", "skipped", "asked", "asker")
    list_select_related = ("type", "segment", "asked_by__staff")
    list_filter = ("type", "state")
    ordering = ("-pk",)
    fields = ("type", "whom", "state_label", "progress", "issued", "skipped", "why", "asker", "asked", "ended")
    actions_detail = ("stop", "codes")
    change_form_before_template = "admin/members/couponissue/progress.html"
    asked = moment("asked_at", gettext_lazy("时间"))
    ended = moment("ended_at", gettext_lazy("结束"))

    def get_urls(self) -> list[URLPattern]:
        views = {"progress": self.progress_view}
        own = [
            path(
                f"<path:object_id>/{name}/",
                never_cache(self.admin_site.admin_view(view)),
                name=f"members_couponissue_{name}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.row(request, object_id)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **_progress(row)})

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How far it is; once it is over the whole page comes anew."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.row(request, object_id)
        if row is None:
            raise Http404
        if not _is_at_work(row):
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, "admin/members/couponissue/progress.html", _progress(row))

    @display(description=gettext_lazy("给谁"))
    def whom(self, row: CouponIssue) -> str:
        return str(row.segment or _("券码，谁领归谁"))

    @display(
        description=gettext_lazy("状态"),
        label={"waiting": "info", "running": "info", "done": "success", "stopped": "warning"},
    )
    def state_label(self, row: CouponIssue) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=gettext_lazy("进度"))
    def progress(self, row: CouponIssue) -> str:
        return f"{row.issued + row.skipped:,} / {row.total:,}"

    @display(description=gettext_lazy("没发的原因"))
    def why(self, row: CouponIssue) -> str:
        counts = CouponSkip.objects.filter(issue=row).values_list("reason").annotate(Count("pk")).order_by("reason")
        told = [
            _("%(why)s：%(count)s 人") % {"why": CouponSkip.Reason(reason).label, "count": f"{count:,}"}
            for reason, count in counts
        ]
        return _("；").join(told) or "–"

    @display(description=gettext_lazy("谁发的"))
    def asker(self, row: CouponIssue) -> str:
        return str(row.asked_by or "–")

    def has_stop_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        is_open = row is not None and row.state in (CouponIssue.State.WAITING, CouponIssue.State.RUNNING)
        return is_open and request.user.has_perm("members.change_coupontype")

    @action(description=gettext_lazy("停止发券"), icon="stop_circle", permissions=["stop"], dialog=STOP)
    def stop(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: CouponIssue) -> str:
            issuing.stop(issue=row, by=request.user, now=timezone.now())
            return _("已经停止。")

        return self.attempt(request, object_id, verb)

    def has_codes_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        is_made = row is not None and row.segment_id is None and not _is_at_work(row) and row.issued > 0
        return is_made and request.user.has_perm(exports.permission(Coupon))

    @action(description=gettext_lazy("下载券码"), icon="download", permissions=["codes"])
    def codes(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The codes nobody has claimed yet as a file, at once or by two (retail.exports)."""
        row = self.row(request, object_id)
        if row is None:
            raise Http404
        rows = Coupon.objects.filter(issue=row, state=Coupon.State.OPEN).order_by("pk")
        if request.method == "POST" and rows.exists():
            page: Any = self.admin_site.get_model_admin(Coupon)
            return page.export(request, rows, "xlsx")
        context = {
            **self.admin_site.each_context(request),
            "title": _("下载券码"),
            "issue": row,
            "count": rows.count(),
            "most": exports.MOST_ALONE,
            "back": reverse("admin:members_couponissue_change", args=[row.pk]),
        }
        return TemplateResponse(request, "admin/members/couponissue/codes.html", context)


def _is_at_work(row: CouponIssue) -> bool:
    return row.state in (CouponIssue.State.WAITING, CouponIssue.State.RUNNING)


def _progress(row: CouponIssue | None) -> dict[str, Any]:
    if row is None:
        return {}
    done = row.issued + row.skipped
    percent = done * 100 // row.total if row.total else 0
    return {"issue": row, "is_at_work": _is_at_work(row), "done": done, "percent": percent}
