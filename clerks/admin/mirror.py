"""What a corp holds in WeCom, as last read: group chats, tags, departments, and how far apart we were."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from clerks.models import CorpTag, Department, GroupChat, SyncRun
from retail.scoped_admin import Badge, ScopedAdmin, as_percent, moment


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


@admin.register(SyncRun)
class SyncRunAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("corp", "started", "state_now", "seen", "found", "gone", "changed", "drift")
    list_filter = ("corp", "state", "started_at")
    ordering = ("-pk",)
    fields = ("corp", "state", "started_at", "ended_at", "seen", "found", "gone", "changed", "drift", "is_forced")
    started = moment("started_at", _("开始"))

    @display(description=_("状态"), label={"done": "success", "stopped": "danger", "running": "info"})
    def state_now(self, row: SyncRun) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("出入"))
    def drift(self, row: SyncRun) -> Any:
        return as_percent(row.drift_ppm)
