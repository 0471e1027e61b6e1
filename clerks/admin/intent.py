"""意向模型: what was learned of each brand's purchases, when, and how far it can be trusted."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from clerks.leads import drift, worth
from clerks.leads.models import IntentModel
from retail.scoped_admin import Badge, ScopedAdmin, as_percent, moment


def _share(part: float | None) -> SafeString | str:
    return as_percent(None if part is None else round(part * 1_000) * 1_000)


@admin.register(IntentModel)
class IntentModelAdmin(ScopedAdmin):
    """Read only: a model is learned, not edited."""

    is_read_only = True
    list_display = ("made_for", "brand", "state", "kind", "auc", "lift", "ece", "trained")
    list_select_related = ("brand",)
    list_filter = ("brand", "kind", "is_trial", "trained_at")
    ordering = ("-pk",)
    list_before_template = "admin/leads/intentmodel/about.html"
    change_form_outer_after_template = "admin/leads/intentmodel/worth.html"
    fields = ("brand", "kind", "as_of", "horizon_days", "state", "trained_at", "active_from", "active_until")
    readonly_fields = ("state",)
    trained = moment("trained_at", _("训练时间"))

    @display(description=_("数据截至"), ordering="as_of")
    def made_for(self, row: IntentModel) -> str:
        return f"{row.as_of:%Y-%m-%d}"

    @display(
        description=_("状态"),
        label={"on": "success", "refused": "danger", "trial": "info", "was": "info", "no": "info"},
    )
    def state(self, row: IntentModel) -> Badge:
        if row.refusal:
            return Badge("refused", _("没有启用：%(why)s") % {"why": row.get_refusal_display()})
        if row.is_trial:
            return Badge("trial", _("只为验证"))
        if row.active_until:
            return Badge("was", _("已停用"))
        return Badge("on", _("在用")) if row.active_from else Badge("no", _("没有启用"))

    @display(description=_("排序（AUC）"))
    def auc(self, row: IntentModel) -> str:
        return worth.figure(row.metrics.get("auc"))

    @display(description=_("前一成是平均的几倍"))
    def lift(self, row: IntentModel) -> str:
        return worth.times(row.metrics.get("lift"))

    @display(description=_("概率误差"))
    def ece(self, row: IntentModel) -> SafeString | str:
        return _share(row.metrics.get("ece"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        rows = IntentModel.objects.filter(is_trial=False).order_by("brand_id", "-pk").distinct("brand_id")
        newest = list(rows.select_related("brand"))
        told = {"warnings": worth.warnings(newest, now=timezone.now()), "is_none_yet": not newest}
        return super().changelist_view(request, {**(extra_context or {}), **told})

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        model = self.get_object(request, object_id)
        extra = kwargs.pop("extra_context", None) or {}
        told = {"worth": worth.of(model), "drift": drift.of(model)} if isinstance(model, IntentModel) else {}
        return super().change_view(request, object_id, *args, extra_context={**extra, **told}, **kwargs)
