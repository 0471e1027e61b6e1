"""Admin pages of clerks: who is whose."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from clerks.models import Binding
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, moment


@admin.register(Binding)
class BindingAdmin(ScopedAdmin):
    """Read only: moving a customer is a handover with its own rules, not an edit of this row."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("member", "staff", "store", "brand", "source", "started", "protected", "state")
    list_select_related = ("member", "staff", "store", "brand")
    list_filter = ("brand", "source", "end_reason", "store", "started_at")
    search_fields = ("staff__code", "staff__name", "member__name")
    search_help_text = _("导购姓名、工号或会员称呼")
    ordering = ("-pk",)
    started = moment("started_at", _("开始"))
    protected = moment("protected_until", _("保护期到"))
    fields = (
        "member", "brand", "staff", "store", "source", "order",
        "started_at", "protected_until", "ended_at", "end_reason",
    )  # fmt: skip

    @display(description=_("状态"), label={"active": "success", "ended": "info"})
    def state(self, row: Binding) -> Badge:
        return Badge("active", _("生效中")) if row.ended_at is None else Badge("ended", row.get_end_reason_display())
