"""Who is whose, and who is whose friend in WeCom."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from clerks.models import Binding, Friend, FriendMove
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, ScopedTabularInline, moment


@admin.register(Binding)
class BindingAdmin(ScopedAdmin):
    """Read only: moving a customer is a handover with its own rules, not an edit of this row."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("member", "staff", "store", "brand", "source", "started", "protected", "state")
    list_select_related = ("member", "staff", "store", "brand")
    list_filter = ("brand", "source", "end_reason", "store", "started_at")
    search_fields = ("staff__code", "staff__name", "member__name")
    buyer_names = ("member__name",)
    search_help_text = _("导购姓名、工号或会员称呼")
    ordering = ("-pk",)
    started = moment("started_at", _("开始"))
    protected = moment("protected_until", _("保护期到"))
    fields = (
        "member", "brand", "staff", "store", "source", "order",
        "started_at", "protected_until", "lost_at", "ended_at", "end_reason",
    )  # fmt: skip

    @display(description=_("状态"), label={"active": "success", "ended": "info"})
    def state(self, row: Binding) -> Badge:
        return Badge("active", _("生效中")) if row.ended_at is None else Badge("ended", row.get_end_reason_display())


class MoveInline(ScopedTabularInline):
    """What happened between the two, as WeCom told it or a reading showed it."""

    model = FriendMove
    fields = ("kind", "at", "state_code", "is_read")
    ordering = ("at",)
    is_read_only = True
    verbose_name_plural = _("经过")


@admin.register(Friend)
class FriendAdmin(ScopedAdmin):
    """As WeCom tells it: nothing to edit."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("customer", "staff", "store", "state_now", "since_at", "state_code")
    list_select_related = ("member", "staff", "store")
    list_filter = ("state", "store", "since")
    search_fields = ("staff__code", "staff__name", "member__name")
    buyer_names = ("member__name",)
    search_help_text = _("导购姓名、工号或会员称呼")
    ordering = ("-pk",)
    fields = ("member", "staff", "store", "userid", "state", "since", "state_code", "tags", "read_at")
    inlines = (MoveInline,)
    since_at = moment("since", _("从何时起"))

    @display(description=_("顾客"))
    def customer(self, row: Friend) -> str:
        return str(row.member) if row.member else str(_("还不认识"))

    @display(description=_("状态"), label={"friend": "success", "lost": "danger", "half": "warning"})
    def state_now(self, row: Friend) -> Badge:
        return Badge(row.state, row.get_state_display())
