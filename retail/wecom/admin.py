"""The pages of headquarters about WeCom: is it well, what came in, what went out. No text of a message is shown."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from retail.scoped_admin import Badge, ScopedAdmin, moment
from retail.wecom import health, inbox, outbox
from retail.wecom.models import App, Call, Message


@admin.register(App)
class AppAdmin(ScopedAdmin):
    """Made and rotated by `manage.py wecom_app`, which keeps secrets off the screen."""

    is_read_only = True
    list_display = ("name", "slug", "corp_id", "agent_id", "well", "last_callback", "is_active")
    fields = ("name", "slug", "corp_id", "agent_id", "base_url", "is_active")
    change_form_after_template = "admin/wecom/app/health.html"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self.now = timezone.now()
        return super().changelist_view(request, extra_context)

    @display(description=_("状态"), label={"ok": "success", "trouble": "danger", "quiet": "warning"})
    def well(self, app: App) -> Badge:
        found = health.look(app=app, now=timezone.now())
        return Badge(found.verdict, health.VERDICTS[found.verdict])

    @display(description=_("最近一次回调"))
    def last_callback(self, app: App) -> str:
        at = health.last_callback(app=app)
        return f"{timezone.localtime(at):%Y-%m-%d %H:%M}" if at else "–"

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        app = self.get_object(request, object_id)
        found = health.look(app=app, now=timezone.now()) if app else None
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "health": found})


@admin.register(Message)
class MessageAdmin(ScopedAdmin):
    """What came in, by kind and outcome. Those that failed can be taken once more."""

    is_everyday = True
    is_read_only = True
    list_display = ("__str__", "app", "state_label", "received", "ended", "reason")
    list_select_related = ("app",)
    list_filter = ("state", "app", "received_at")
    ordering = ("-pk",)
    actions = ("replay",)
    fields = ("event", "change_type", "app", "state_label", "received_at", "ended_at", "error")

    received = moment("received_at", _("收到"))
    ended = moment("ended_at", _("结束"))

    @display(
        description=_("状态"),
        ordering="state",
        label={"new": "info", "done": "success", "ignored": "info", "failed": "danger"},
    )
    def state_label(self, message: Message) -> Badge:
        return Badge(message.state, message.get_state_display())

    @display(description=_("原因"))
    def reason(self, message: Message) -> str:
        return message.error[:300]

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wecom.change_message")

    @admin.action(description=_("重新处理所选的失败回调"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        asked = queryset.count()
        count = inbox.replay(messages=queryset[:1000], by=request.user, now=timezone.now())
        if count:
            done = ngettext("%(count)s 条回调会马上重新处理。", "%(count)s 条回调会马上重新处理。", count)
            messages.success(request, done % {"count": count})
        if count < asked:
            left = _("%(count)s 条没有动：不是失败状态，或者内容已经过了保留期。")
            messages.warning(request, left % {"count": asked - count})


@admin.register(Call)
class CallAdmin(ScopedAdmin):
    """What went out. Where it is unknown whether it worked, somebody looks in WeCom and says so here."""

    is_everyday = True
    is_read_only = True
    list_display = ("__str__", "app", "state_label", "errcode", "attempts", "created", "sent")
    list_select_related = ("app",)
    list_filter = ("state", "app", "created_at")
    ordering = ("-pk",)
    actions = ("was_sent", "send_again")
    fields = ("path", "app", "state_label", "errcode", "answer", "attempts", "created_at", "sent_at")

    created = moment("created_at", _("创建"))
    sent = moment("sent_at", _("发送"))

    @display(
        description=_("状态"),
        ordering="state",
        label={"waiting": "info", "sending": "info", "sent": "success", "unknown": "warning", "failed": "danger"},
    )
    def state_label(self, call: Call) -> Badge:
        return Badge(call.state, call.get_state_display())

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wecom.change_call")

    @admin.action(description=_("所选的其实已经发出"), permissions=["settle"])
    def was_sent(self, request: HttpRequest, queryset: QuerySet[Call]) -> None:
        self._settle(request, queryset, was_sent=True)

    @admin.action(description=_("所选的没有发出，再发一次"), permissions=["settle"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Call]) -> None:
        self._settle(request, queryset, was_sent=False)

    def _settle(self, request: HttpRequest, queryset: QuerySet[Call], *, was_sent: bool) -> None:
        calls = list(queryset[:1000])
        now = timezone.now()
        count = sum(outbox.settle(call=call, was_sent=was_sent, by=request.user, now=now) for call in calls)
        if count:
            done = ngettext("%(count)s 条已更新。", "%(count)s 条已更新。", count)
            messages.success(request, done % {"count": count})
        if count < len(calls):
            left = _("%(count)s 条不是“结果不明”，没有动。")
            messages.warning(request, left % {"count": len(calls) - count})
