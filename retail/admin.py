"""Admin pages of organisation, catalogue, refunds and machinery. Orders, staff and accounts are in retail.desk."""

import hashlib
import secrets
from typing import Any

from axes.models import AccessAttempt
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from retail import approvals, audit, jobs, reading
from retail.jobs import Job
from retail.models import (
    ApiToken,
    Brand,
    Category,
    Channel,
    Franchisee,
    Post,
    Product,
    Refund,
    RefundVersion,
    Region,
    Store,
    StoreGroup,
)
from retail.scoped_admin import Badge, Confirm, ScopedAdmin, ScopedTabularInline, as_yuan, moment, money

REVOKE = ActionDialog(
    title=_("停用这个令牌？"),
    description=_("用它的系统马上连不上。停用后不能恢复，要用请新建一个。"),
    form_class=Confirm,
    form_submit_text=_("停用"),
)

# Roles are granted through posts (retail.desk.roles); nobody edits groups by hand. Nor the secrets of second factors.
for model in (Group, TOTPDevice, StaticDevice):
    admin.site.unregister(model)


def _link(model: str, pk: int, text: object) -> SafeString:
    page = reverse(f"admin:retail_{model}_change", args=[pk])
    return format_html('<a class="text-link" href="{}">{}</a>', page, text)


# ── Organisation ─────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(Brand)
class BrandAdmin(ScopedAdmin):
    """What it lays down about whose customer somebody is has a page of its own (`clerks.admin.policies`)."""

    list_display = ("name", "code", "corp", "share_window_days")
    search_fields = ("code", "name")
    fields = ("code", "name", "corp", "share_window_days")


class StoreOfInline(ScopedTabularInline):
    """The stores of a region or a franchisee."""

    model = Store
    fields = ("title", "code", "brand", "city", "is_open")
    is_read_only = True
    verbose_name_plural = _("门店")

    @display(description=_("门店"))
    def title(self, store: Store) -> SafeString:
        return _link("store", store.pk, store.name)


@admin.register(Region)
class RegionAdmin(ScopedAdmin):
    list_display = ("name", "code")
    search_fields = ("code", "name")
    inlines = (StoreOfInline,)


@admin.register(Franchisee)
class FranchiseeAdmin(ScopedAdmin):
    list_display = ("name", "code")
    search_fields = ("code", "name")
    inlines = (StoreOfInline,)


class PostOfStoreInline(ScopedTabularInline):
    """Who works, worked and will work here; posts are given on the page of the person."""

    model = Post
    fields = ("staff", "role", "starts_at", "ends_at")
    ordering = ("-role", "staff__code")
    is_read_only = True
    verbose_name_plural = _("在这里的人")


@admin.register(Store)
class StoreAdmin(ScopedAdmin):
    list_display = ("name", "code", "brand", "region", "franchisee", "city", "is_open")
    list_select_related = ("brand", "region", "franchisee")
    list_filter = ("brand", "region", "franchisee", "is_open")
    search_fields = ("code", "name", "city")
    autocomplete_fields = ("region", "franchisee")
    fields = ("code", "name", "brand", "region", "franchisee", "city", "is_open")
    inlines = (PostOfStoreInline,)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {"franchisee": _("空着 = 直营，佣金由品牌付；选了公司 = 加盟，佣金由这家公司付。")}
        return super().get_form(request, obj, change, **kwargs)


@admin.register(StoreGroup)
class StoreGroupAdmin(ScopedAdmin):
    list_display = ("name", "code")
    search_fields = ("code", "name")
    autocomplete_fields = ("stores",)


# ── Catalogue ────────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(Category)
class CategoryAdmin(ScopedAdmin):
    is_everyday = True
    list_display = ("name", "code")
    search_fields = ("code", "name")


@admin.register(Product)
class ProductAdmin(ScopedAdmin):
    is_everyday = True
    list_display = ("name", "sku", "brand", "category", "tag", "is_sold")
    list_select_related = ("brand", "category")
    list_filter = ("brand", "category", "is_sold")
    search_fields = ("sku", "name")
    autocomplete_fields = ("category",)

    tag = money("tag_fen", _("吊牌价"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        price = "tag_fen" if self.has_change_permission(request, obj) else "tag"
        return ("sku", "name", "brand", "category", price, "is_sold")


# ── Channels and the tokens of other systems ─────────────────────────────────────────────────────────────────────────
class TokenOfChannelInline(ScopedTabularInline):
    model = ApiToken
    fields = ("title", "can_read", "created_at", "revoked_at")
    is_read_only = True

    @display(description=_("用途"))
    def title(self, token: ApiToken) -> SafeString:
        return _link("apitoken", token.pk, token.name)


@admin.register(Channel)
class ChannelAdmin(ScopedAdmin):
    list_display = ("name", "code", "kind", "brand", "return_days")
    list_select_related = ("brand",)
    list_filter = ("kind", "brand")
    search_fields = ("code", "name")
    fields = ("code", "name", "kind", "brand", "corp", "return_days")
    inlines = (TokenOfChannelInline,)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "brand": _("空着 = 全集团共用，品牌看订单的门店。"),
            "return_days": _("从签收（没有签收就从付款）起，过了这些天佣金才算确认。"),
        }
        return super().get_form(request, obj, change, **kwargs)


@admin.register(ApiToken)
class ApiTokenAdmin(ScopedAdmin):
    list_display = ("name", "channel", "can_read", "created", "revoked")
    list_select_related = ("channel",)
    list_filter = ("channel",)
    autocomplete_fields = ("store", "franchisee", "staff")
    fields = (
        "name", "channel", "can_read", "brand", "region", "store", "franchisee", "staff", "created", "made_by",
        "agreed_by", "revoked",
    )  # fmt: skip
    readonly_fields = ("created", "made_by", "agreed_by", "revoked")
    actions_detail = ("revoke",)

    created = moment("created_at", _("创建"))
    revoked = moment("revoked_at", _("停用"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "channel": _("选了渠道，就可以推送这个渠道的订单和退款。"),
            "can_read": _(
                "可以读订单、商品、门店、员工和佣金流水；下面选了品牌、区域、门店或公司，就只读那一部分。"
                "新建只读一家门店的马上生效，其他的，还有以后放宽，都要另一个人同意。"
            ),
            "staff": _("选了人，这个人离职或没有岗位时令牌马上失效；空着 = 系统之间用的令牌。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """What was switched off stays as it is."""
        return super().has_change_permission(request, obj) and (obj is None or obj.revoked_at is None)

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        token = self.get_object(request, str(object_id)) if object_id else None
        return token is not None and self.has_change_permission(request, token)

    @action(description=_("停用"), icon="block", permissions=["revoke"], dialog=REVOKE)
    def revoke(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        token = self.get_object(request, object_id)
        reading.revoke(token=token, by=request.user, now=timezone.now())
        messages.success(request, _("“%(token)s”已经停用。") % {"token": token})
        return HttpResponse(headers={"HX-Refresh": "true"})

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """What takes two persons is asked for: until then the token may do what it could, a new one nothing."""
        before = reading.of(ApiToken.objects.get(pk=obj.pk)) if change else None
        wanted = reading.of(obj)
        takes_two = reading.takes_two(wanted=wanted, before=before)
        if not (change or takes_two or wanted.is_nothing):
            takes_two = not reading.may_alone(by=request.user, now=timezone.now())
        if takes_two:
            reading.give(obj, before or reading.Reach())
            form.changed_data = [name for name in form.changed_data if name not in reading.FIELDS]  # for the journal
        secret = "" if change else secrets.token_urlsafe(32)
        if secret:
            obj.digest, obj.made_by = hashlib.sha256(secret.encode()).hexdigest(), request.user
        super().save_model(request, obj, form, change)
        if takes_two:
            self._ask(request, obj, wanted)
        if secret:
            shown = _("令牌只显示这一次，请马上复制保存：{}")
            messages.warning(request, format_html(shown, format_html("<code>{}</code>", secret)))

    def _ask(self, request: HttpRequest, token: ApiToken, wanted: reading.Reach) -> None:
        try:
            reading.ask(token=token, wanted=wanted, by=request.user, now=timezone.now())
            messages.warning(request, _("这个权限要另一个人同意后才生效，已经放进双人审批。"))
        except approvals.Refused as refusal:
            messages.error(request, str(refusal))


# ── Refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class ParkedFilter(admin.SimpleListFilter):
    title = _("原单")
    parameter_name = "parked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("yes", _("原单还没到")), ("no", _("原单已到"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(order__isnull=self.value() == "yes") if self.value() else queryset


def refund_amount(refund: Refund) -> SafeString | str:
    """What the feed said: an amount, a total so far, or pieces."""
    if refund.fen is not None:
        return as_yuan(refund.fen)
    if refund.cumulative_fen is not None:
        return format_html("{} {}", _("累计"), as_yuan(refund.cumulative_fen))
    return format_html('<span class="figure">{}</span>', _("%(count)s 件") % {"count": refund.qty})


class RefundVersionInline(ScopedTabularInline):
    model = RefundVersion
    fields = ("version", "said", "superseded_at")
    is_read_only = True
    verbose_name_plural = _("更正前的版本")

    @display(description=_("当时的内容"))
    def said(self, row: RefundVersion) -> SafeString | str:
        known = {name: row.document.get(name) for name in ("fen", "cumulative_fen", "qty")}
        return refund_amount(Refund(**known))


@admin.register(Refund)
class RefundAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("outer_refund_id", "channel", "outer_order_id", "amount", "trouble", "refunded", "settled")
    list_select_related = ("channel",)
    list_filter = (ParkedFilter, "trouble", "channel", "refunded_at")
    search_fields = ("outer_refund_id__startswith", "outer_order_id__startswith")
    search_help_text = _("退款单号或原单号的开头")
    ordering = ("-refunded_at",)
    fields = (
        "outer_refund_id", "version", "channel", "outer_order_id", "outer_line_id", "order",
        "amount", "trouble", "excess", "refunded_at", "received_at", "settled_at",
    )  # fmt: skip

    def get_inlines(self, request: HttpRequest, obj: Refund | None) -> tuple[type, ...]:
        return (RefundVersionInline,) if obj and obj.version > 1 else ()

    refunded = moment("refunded_at", _("退款时间"))
    settled = moment("settled_at", _("结算"))

    @display(description=_("金额"))
    def amount(self, row: Refund) -> SafeString | str:
        return refund_amount(row)


# ── Machinery ────────────────────────────────────────────────────────────────────────────────────────────────────────
JOB_KINDS = {
    "settle_order": _("结算订单"),
    "settle_refund": _("结算退款"),
    "settle_refunds": _("重算退款"),
    "wecom_event": _("处理企业微信回调"),
    "wecom_welcome": _("发欢迎语"),
    "wecom_call": _("调用企业微信"),
    "tags_send": _("同步标签到企业微信"),
    "tags_told": _("核对同步的标签"),
    "tags_look": _("再看一次顾客的标签"),
    "make_export": _("生成导出文件"),
    "erase_member": _("抹去会员"),
    "join_members": _("自动合并会员"),
}
_PAYLOAD = {
    "order_id": ("order", _("订单")),
    "refund_id": ("refund", _("退款")),
    "export_id": ("exportfile", _("导出文件")),
}


@admin.register(Job)
class JobAdmin(ScopedAdmin):
    """Open and failed work. Failed jobs can be run again; nothing else can be changed."""

    is_everyday = True
    is_read_only = True
    list_display = ("what", "about", "state_label", "attempts", "due", "ended", "error_line")
    list_filter = ("state", "created_at")
    ordering = ("-pk",)
    actions = ("replay",)
    list_before_template = "admin/retail/job/depth.html"
    fields = ("what", "about", "state_label", "attempts", "created_at", "due_at", "ended_at", "error")

    due = moment("due_at", _("最早执行"))
    ended = moment("ended_at", _("结束"))

    @display(description=_("任务"))
    def what(self, job: Job) -> str:
        return f"{JOB_KINDS.get(job.kind, job.kind)} #{job.pk}"

    @display(description=_("对象"))
    def about(self, job: Job) -> SafeString:
        return format_html_join(_("、"), "{}", ((_subject(name, value),) for name, value in job.payload.items()))

    @display(
        description=_("状态"),
        ordering="state",
        label={"dead": "danger", "running": "info", "due": "warning", "done": "success"},
    )
    def state_label(self, job: Job) -> Badge:
        return Badge(job.state, job.get_state_display())

    @display(description=_("最近错误"))
    def error_line(self, job: Job) -> str:
        lines = job.last_error.strip().splitlines()
        return lines[-1][:120] if lines else ""

    @display(description=_("最近错误"))
    def error(self, job: Job) -> SafeString | str:
        return format_html('<pre class="trace">{}</pre>', job.last_error) if job.last_error else ""

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("retail.change_job")

    @admin.action(description=_("重新执行所选的失败任务"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        asked = queryset.count()
        now = timezone.now()
        with transaction.atomic():
            ids = list(queryset.dead().values_list("pk", flat=True)[:1000])
            count = jobs.replay(jobs=queryset, now=now)
            if count:
                audit.record(by=request.user, action="job.replay", target=Job, now=now, after={"jobs": ids})
        if count:
            done = ngettext("%(count)s 个任务会马上重新执行。", "%(count)s 个任务会马上重新执行。", count)
            messages.success(request, done % {"count": count})
        if count < asked:
            messages.warning(request, _("%(count)s 个任务不是失败状态，没有动。") % {"count": asked - count})

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "depth": jobs.depth()})


def _subject(name: str, value: object) -> SafeString | str:
    """One payload item: a link to the row it means, where it is one of ours."""
    if name not in _PAYLOAD:
        return f"{name} {value}"
    model, label = _PAYLOAD[name]
    return _link(model, int(str(value)), f"{label} {value}")


# django-axes calls them "access attempts", also in Chinese.
AccessAttempt._meta.verbose_name = AccessAttempt._meta.verbose_name_plural = _("登录失败")
AccessAttempt._meta.app_config.verbose_name = _("登录与安全")


@admin.register(AccessAttempt)
class AccessAttemptAdmin(ScopedAdmin):
    """Failed sign-ins of the last minutes, as django-axes counts them."""

    is_read_only = True
    list_display = ("when", "username", "ip_address", "failures", "device")
    ordering = ("-attempt_time",)
    fields = ("when", "username", "ip_address", "failures", "device")

    when = moment("attempt_time", _("最近一次"))

    @display(description=_("错了几次"), ordering="failures_since_start")
    def failures(self, row: AccessAttempt) -> int:
        return row.failures_since_start

    @display(description=_("浏览器"))
    def device(self, row: AccessAttempt) -> str:
        return row.user_agent[:80]


# ── Periodic work ────────────────────────────────────────────────────────────────────────────────────────────────────
for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)

PERIODIC = {
    "retail.sweep": _("再次唤醒到期的任务"),
    "retail.sweep_fast": _("再次唤醒等不得的任务"),
    "retail.seal": _("给新的历史记录加封"),
    "retail.contact_ways": _("把当班的人同步到渠道活码"),
    "retail.wecom_sync": _("夜间与企业微信全量核对"),
    "retail.doctor": _("检查数据是否自洽"),
    "retail.forget": _("清理过了保留期的内容：任务、接口应答、未导入的行"),
    "retail.demo_traffic": _("演示：每分钟来几笔订单"),
    "celery.backend_cleanup": _("清理任务结果"),
}


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ScopedAdmin):
    """The table is written by code (retail.periodic). Pages only show it: the web server has no right to change it."""

    is_read_only = True
    list_display = ("what", "interval", "enabled", "last_run", "total_run_count")
    list_select_related = ("interval",)
    list_filter = ("enabled",)
    fields = ("what", "interval", "crontab", "enabled", "last_run", "total_run_count")

    last_run = moment("last_run_at", _("上次运行"))

    @display(description=_("定时工作"))
    def what(self, row: PeriodicTask) -> str:
        return str(PERIODIC.get(row.task, row.name))


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("every", "period")
    list_display_links = ("every", "period")


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone")
