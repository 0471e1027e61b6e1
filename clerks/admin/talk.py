"""What is said: the editor of welcomes with a preview, what became of each, touches, notices."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from clerks.models import Greeting, Notice, Shift, Touch, Welcome, WelcomePart
from clerks.outreach import notices, welcome
from retail.models import Staff
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, ScopedStackedInline, moment


class PartInline(ScopedStackedInline):
    model = WelcomePart
    fields = ("kind", "title", "about", "url", "picture_url", "media_id", "appid", "page")
    verbose_name_plural = _("附件（最多九个）")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_formset(request, obj, **{**kwargs, "max_num": 9, "validate_max": True})


@admin.register(Welcome)
class WelcomeAdmin(ScopedAdmin):
    is_everyday = True
    list_display = ("name", "brand", "way", "store", "staff", "when", "is_active")
    list_select_related = ("brand", "way", "store", "staff")
    list_filter = ("brand", "store", "is_active")
    search_fields = ("name", "text")
    autocomplete_fields = ("way", "store", "staff")
    ordering = ("-pk",)
    fields = ("name", "brand", "way", "store", "staff", "starts", "ends", "text", "is_active", "preview")
    readonly_fields = ("preview",)
    inlines = (PartInline,)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "text": _("可以写 {clerk}、{store}、{brand}，发出时换成导购、门店和品牌的名字。"),
            "way": _("越具体越优先：活码、导购、门店、时段，都空着就是整个品牌的。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    @display(description=_("什么时候"))
    def when(self, row: Welcome) -> str:
        return f"{row.starts:%H:%M}–{row.ends:%H:%M}" if row.starts and row.ends else str(_("全天"))

    @display(description=_("顾客会看到"))
    def preview(self, row: Welcome) -> SafeString | str:
        """With the names of somebody whom it fits."""
        if row.pk is None:
            return _("保存后可以预览")
        staff, store = _somebody(row)
        said = welcome.compose(welcome=row, staff=staff, store=store)
        return render_to_string("admin/clerks/welcome/preview.html", {"said": said, "staff": staff})


def _somebody(row: Welcome) -> tuple[Staff | None, Any]:
    shift = Shift.objects.filter(way=row.way).select_related("staff").first() if row.way else None
    staff = row.staff or (shift.staff if shift else None)
    store = row.store or row.brand.stores.order_by("pk").first()
    if staff is None and store is not None:
        staff = Staff.objects.filter(posts__store=store).order_by("pk").first()
    return staff, store


@admin.register(Greeting)
class GreetingAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("received", "staff", "store", "welcome", "state_now", "seconds", "attempts", "errcode")
    list_select_related = ("staff", "store", "welcome")
    list_filter = ("state", "store", "received_at")
    ordering = ("-pk",)
    fields = ("received_at", "staff", "store", "welcome", "state", "seconds", "attempts", "errcode")
    received = moment("received_at", _("收到"))

    @display(description=_("结果"), label={"sent": "success", "missed": "danger", "taken": "warning"})
    def state_now(self, row: Greeting) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("用时"))
    def seconds(self, row: Greeting) -> str:
        return "–" if row.took_ms is None else str(_("%(count).1f 秒")) % {"count": row.took_ms / 1000}


@admin.register(Touch)
class TouchAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("when", "member", "staff", "store", "purpose")
    list_select_related = ("member", "staff", "store")
    list_filter = ("purpose", "store", "at")
    ordering = ("-pk",)
    fields = ("at", "member", "staff", "store", "purpose")
    when = moment("at", _("时间"))


@admin.register(Notice)
class NoticeAdmin(ScopedAdmin):
    is_everyday = True
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("title", "staff", "store", "kind", "sent", "state_now")
    list_select_related = ("staff", "store")
    list_filter = ("kind", "store", "is_todo", "created_at")
    search_fields = ("title", "staff__name", "staff__code")
    ordering = ("-pk",)
    fields = ("title", "text", "staff", "store", "kind", "created_at", "read_at", "done_at")
    sent = moment("created_at", _("发出"))
    actions = ("remind",)

    @display(description=_("状态"), label={"unread": "warning", "read": "info", "done": "success"})
    def state_now(self, row: Notice) -> Badge:
        if row.done_at is not None:
            return Badge("done", _("已处理"))
        return Badge("read", _("已读")) if row.read_at is not None else Badge("unread", _("未读"))

    @admin.action(description=_("再提醒未读的人"))
    def remind(self, request: HttpRequest, queryset: Any) -> None:
        count = notices.remind(notices=queryset, now=timezone.now())
        self.message_user(request, _("提醒了 %(count)s 人。") % {"count": count})
