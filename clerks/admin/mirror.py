"""What a corp holds in WeCom, as last read: group chats, tags, departments, and how far apart we were."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldBooleanWidget

from clerks.callbacks import sync
from clerks.models import CorpTag, Department, GroupChat, SyncRun
from retail.scoped_admin import Badge, ScopedAdmin, as_percent, moment
from retail.wecom.models import App


@admin.register(GroupChat)
class GroupChatAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("__str__", "staff", "store", "size", "started", "dismissed")
    list_select_related = ("staff", "store")
    list_filter = ("store", "dismissed_at")
    search_fields = ("name", "staff__name", "staff__code")
    ordering = ("-pk",)
    fields = ("name", "staff", "store", "owner", "has_notice", "started_at", "dismissed_at", "read_at")
    started = moment("started_at", _("建群"))
    dismissed = moment("dismissed_at", _("解散"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(count=Count("members"))

    @display(description=_("人数"))
    def size(self, row: Any) -> int:
        return row.count


@admin.register(CorpTag)
class CorpTagAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("name", "group_name", "corp", "deleted")
    list_filter = ("corp", "deleted_at")
    search_fields = ("name", "group_name")
    ordering = ("group_name", "place", "pk")
    fields = ("name", "group_name", "corp", "deleted_at", "read_at")
    deleted = moment("deleted_at", _("删除"))


@admin.register(Department)
class DepartmentAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("name", "number", "parent", "corp")
    list_filter = ("corp",)
    search_fields = ("name",)
    ordering = ("corp", "number")
    fields = ("name", "number", "parent", "corp", "read_at")


class SyncForm(BaseDialogForm):
    corp = forms.ChoiceField(label=_("企业微信"), widget=UnfoldAdminSelectWidget)
    is_forced = forms.BooleanField(
        label=_("不刹车：企业微信里不见了的，这里也去掉"), required=False, widget=UnfoldBooleanWidget
    )
    reason = forms.CharField(
        label=_("原因"), required=False, max_length=200, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        corps = App.objects.active().order_by("corp_id").values_list("corp_id", flat=True).distinct()
        self.fields["corp"].choices = [(corp, corp) for corp in corps]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("is_forced") and not given.get("reason", "").strip():
            self.add_error("reason", _("不刹车要写原因。"))
        return given


SYNC = ActionDialog(
    title=_("现在核对一次？"),
    description=_("把企业微信里的好友、群、标签和员工和这里的对一遍，可能要几分钟。平时每天夜里自动核对。"),
    form_class=SyncForm,
    form_submit_text=_("开始核对"),
)


@admin.register(SyncRun)
class SyncRunAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("corp", "started", "state_now", "seen", "found", "gone", "changed", "unseen", "drift")
    list_filter = ("corp", "state", "started_at")
    ordering = ("-pk",)
    counts = ("seen", "found", "gone", "changed", "unseen", "drift")
    fields = ("corp", "state", "started_at", "ended_at", *counts, "is_forced")
    started = moment("started_at", _("开始"))
    actions_list = ("sync_now",)

    @display(description=_("状态"), label={"done": "success", "stopped": "danger", "running": "info"})
    def state_now(self, row: SyncRun) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("出入"))
    def drift(self, row: SyncRun) -> Any:
        if row.ended_at is None:  # of what was not looked at yet nothing is known
            return "–"
        return _("首次核对") if row.is_first else as_percent(row.drift_ppm)

    def has_sync_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("clerks.change_syncrun")

    @action(description=_("现在核对"), icon="sync", permissions=["sync"], dialog=SYNC)
    def sync_now(self, request: HttpRequest, form: SyncForm) -> HttpResponse:
        given = {name: form.cleaned_data[name] for name in ("corp", "is_forced", "reason")}
        sync.start(**given, by=request.user, now=timezone.now())
        messages.success(request, _("开始核对了，过一会儿刷新这一页看结果。"))
        return HttpResponse(headers={"HX-Refresh": "true"})
