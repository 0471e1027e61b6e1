"""The pages of headquarters about WeCom: is it well, what came in, what went out. No text of a message is shown."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from retail.scoped_admin import Badge, Confirm, ScopedAdmin, moment
from retail.wecom import health, inbox, keys, media, outbox
from retail.wecom.models import App, Call, Media, Message

OFF = ActionDialog(
    title=_("停用这个应用？"),
    description=_(
        "停用后收不到企业微信的回调，也不再往外发消息；夜里的核对会跳过它。等着发的消息，启用后还没过时的再发。"
    ),
    form_class=Confirm,
    form_submit_text=_("停用"),
)
ON = ActionDialog(
    title=_("启用这个应用？"),
    description=_("停用期间漏掉的变化，启用后请到“全量核对”里核对一次。"),
    form_class=Confirm,
    form_submit_text=_("启用"),
)


@admin.register(App)
class AppAdmin(ScopedAdmin):
    """Made and rotated by `manage.py wecom_app`, which keeps secrets off the screen and alone says where they go."""

    list_display = ("name", "slug", "corp_id", "agent_id", "well", "last_callback", "is_active")
    fields = ("name", "slug", "corp_id", "agent_id", "base_url", "is_active")
    readonly_fields = ("slug", "base_url", "is_active")
    change_form_after_template = "admin/wecom/app/health.html"
    actions_detail = ("switch_off", "switch_on")

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: App, form: ModelForm, change: bool) -> None:
        """Journalled by `keys`, which also ends what was got under the numbers before."""
        changes = {name: form.cleaned_data[name] for name in form.changed_data}
        keys.correct(app=obj, by=request.user, now=timezone.now(), **changes)

    def has_off_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is(request, object_id, is_active=True)

    def has_on_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._is(request, object_id, is_active=False)

    def _is(self, request: HttpRequest, object_id: Any, *, is_active: bool) -> bool:
        app = self.get_object(request, str(object_id)) if object_id else None
        return app is not None and app.is_active == is_active and self.has_change_permission(request, app)

    @action(description=_("停用"), icon="pause_circle", permissions=["off"], dialog=OFF)
    def switch_off(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._switch(request, object_id, is_active=False)

    @action(description=_("启用"), icon="play_circle", permissions=["on"], dialog=ON)
    def switch_on(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._switch(request, object_id, is_active=True)

    def _switch(self, request: HttpRequest, object_id: str, *, is_active: bool) -> HttpResponse:
        app = self.get_object(request, object_id)
        keys.switch(app=app, is_active=is_active, by=request.user, now=timezone.now())
        messages.success(request, _("已启用。") if is_active else _("已停用。"))
        return HttpResponse(headers={"HX-Refresh": "true"})

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self.now = timezone.now()
        return super().changelist_view(request, extra_context)

    @display(description=_("状态"), label={"ok": "success", "trouble": "danger", "quiet": "warning", "off": "info"})
    def well(self, app: App) -> Badge:
        if not app.is_active:
            return Badge("off", _("已停用"))
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


class MediaForm(ModelForm):
    """A file and what it is; what WeCom would not take is refused."""

    corp_id = forms.ChoiceField(label=_("企业微信"), widget=UnfoldAdminSelectWidget)
    file = forms.FileField(
        label=_("文件"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("图片：JPG、PNG，10 MB 以内。视频：MP4，10 MB 以内。文件：20 MB 以内。"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        corps = App.objects.active().order_by("corp_id").values_list("corp_id", flat=True).distinct()
        if "corp_id" in self.fields:
            self.fields["corp_id"].choices = [(corp, corp) for corp in corps]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if (file := given.get("file")) and given.get("kind"):
            self.content = file.read(media.LARGEST + 1)
            try:
                media.check(kind=given["kind"], name=file.name, content=self.content)
            except media.Unfit as error:
                self.add_error("file", str(error))
        return given


@admin.register(Media)
class MediaAdmin(ScopedAdmin):
    """Files for customers. What was sent once stays as it was: another file is another row."""

    is_everyday = True
    list_display = ("name", "kind", "corp_id", "megabytes", "state_now", "uploaded", "is_active")
    list_filter = ("kind", "is_active")
    search_fields = ("name",)
    ordering = ("-pk",)
    uploaded = moment("uploaded_at", _("上次上传"))

    def get_form(self, request: HttpRequest, obj: Media | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **({} if obj else {"form": MediaForm}), **kwargs)

    def get_fields(self, request: HttpRequest, obj: Media | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("corp_id", "kind", "file")
        return ("name", "kind", "corp_id", "megabytes", "state_now", "trouble", "uploaded", "is_active")

    def get_readonly_fields(self, request: HttpRequest, obj: Media | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)[:-1]

    def save_model(self, request: HttpRequest, obj: Media, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        obj.name = form.cleaned_data["file"].name[-128:]
        media.keep(media=obj, content=form.content, now=timezone.now())
        self._journal(request, "add", obj, form)

    @display(description=_("大小"))
    def megabytes(self, row: Media) -> str:
        return filesizeformat(row.size)

    @display(description=_("状态"), label={"ok": "success", "trouble": "danger", "waiting": "info", "off": "info"})
    def state_now(self, row: Media) -> Badge:
        if not row.is_active:
            return Badge("off", _("已停用"))
        if media.usable(row, now=timezone.now()):
            return Badge("ok", _("可以用"))
        return Badge("trouble", _("有问题")) if row.trouble else Badge("waiting", _("等待上传"))


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
    fields = ("path", "app", "state_label", "reason", "errcode", "answer", "attempts", "created_at", "sent_at")

    created = moment("created_at", _("创建"))
    sent = moment("sent_at", _("发送"))

    @display(
        description=_("状态"),
        ordering="state",
        label={
            "waiting": "info",
            "sending": "info",
            "sent": "success",
            "unknown": "warning",
            "failed": "danger",
            "dropped": "warning",
        },
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
