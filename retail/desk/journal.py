"""The journal: who did what when, and what it was before and after, in the words of the pages.

The list is the page of one person or of one thing, too: a filter away, and linked from every row.
"""

import json
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from retail.models import AuditRow, BuyerKey, Staff, User
from retail.scoped_admin import EstimatedPaginator, ScopedAdmin, as_percent, as_yuan, moment

ACTIONS = {
    "add": _("新建"),
    "change": _("修改"),
    "delete": _("删除"),
    "password": _("改密码"),
    "unmask": _("查看完整号码"),
    "search_tail": _("用手机尾号找顾客"),
    "lead.claim": _("认领线索"),
    "lead.kind_off": _("停用一类线索"),
    "lead.kind_on": _("启用一类线索"),
    "member.merge": _("合并会员"),
    "member.unmerge": _("撤销合并"),
    "doubt.apart": _("认定不是同一人"),
    "doubt.raise": _("提出疑似同一人"),
    "member.find": _("按手机号找会员"),
    "erase": _("抹去个人标识"),
    "export": _("导出"),
    "export.download": _("下载导出文件"),
    "intent.export": _("导出意向分"),
    "segment.end": _("停用人群"),
    "segment.copy": _("复制人群"),
    "token.read": _("改令牌权限"),
    "token.revoke": _("停用令牌"),
    "job.replay": _("重新执行任务"),
    "plan.approve": _("批准方案"),
    "plan.activate": _("启用方案"),
    "plan.copy": _("复制方案"),
    "plan.test": _("试算方案"),
    "plan.retire": _("停用方案"),
    "plan.import": _("导入方案"),
    "plan.cases": _("加入用例"),
    "run.start": _("开始试算或重算"),
    "run.cancel": _("取消试算或重算"),
    "run.post": _("重算过账"),
    "run.posted": _("重算过账完成"),
    "period.close": _("结算一期"),
    "target.put": _("粘贴目标"),
    "payout.make": _("生成发放批次"),
    "payout.paid": _("确认已发放"),
    "payout.void": _("作废发放批次"),
    "dispute.open": _("提出疑问"),
    "dispute.close": _("答复疑问"),
    "post.grant": _("授予总部岗位"),
    "approval.ask": _("提出审批"),
    "approval.approve": _("同意审批"),
    "approval.refuse": _("不同意审批"),
    "approval.expire": _("审批过期"),
    "approval.lapse": _("审批作废"),
    "coupon.give": _("发券"),
    "coupon.claim": _("领券码"),
    "coupon.codes": _("导入券码"),
    "coupon.quotas": _("设发券额度"),
    "coupon.issue": _("给人群发券"),
    "coupon.stop": _("停止发券"),
    "coupon.void": _("作废券"),
    "sign_in": _("登录"),
    "sign_in.failed": _("登录失败"),
    "end_sessions": _("退出所有设备"),
    "second_factor.enrol": _("绑定验证器"),
    "second_factor.codes": _("换恢复码"),
    "second_factor.reset": _("重设两步验证"),
    "part_with": _("离职"),
    "handover.open": _("开客户继承"),
    "handover.start": _("开始客户继承"),
    "handover.again": _("重办客户继承"),
    "handover.cancel": _("取消客户继承"),
    "handover.end": _("客户继承办完"),
    "material.submit": _("素材送审"),
    "material.withdraw": _("撤回素材"),
    "material.approve": _("通过素材"),
    "material.return": _("退回素材"),
    "material.revise": _("素材改版"),
    "material.file": _("换素材文件"),
    "material.retire": _("停用素材"),
    "material.revive": _("启用素材"),
    "material.upload": _("批量上传素材"),
    "broadcast.submit": _("发公告"),
    "broadcast.cancel": _("取消发公告"),
    "broadcast.remind": _("提醒未读的人"),
    "help.take": _("接手求助"),
    "help.answer": _("答复求助"),
    "help.hand_on": _("上交求助"),
    "binding.change": _("换专属导购"),
    "policy.change": _("修改专属规则"),
    "link_account": _("认出企业微信账号"),
    "rename_account": _("企业微信账号改名"),
    "open_chat": _("打开聊天"),
    "points.adjust": _("人工调整积分"),
    "member.tier": _("人工定级"),
    "tiers.change": _("修改等级规则"),
    "tag.define": _("新建标签"),
    "tag.rename": _("标签改名"),
    "tag.switch": _("停用或启用标签"),
    "members.give_in": _("上传会员名单"),
    "members.import": _("导入会员"),
    "members.refused": _("下载未导入的会员"),
    "member.correct": _("更正会员资料"),
    "stop": _("登记不要联系"),
    "stop.lift": _("取消不要联系"),
    "wecom_app.add": _("接入企业微信应用"),
    "wecom_app.rotate": _("更换应用密钥"),
    "wecom_app.set": _("更正应用"),
    "wecom_app.off": _("停用应用"),
    "wecom_app.on": _("启用应用"),
    "wecom_sync.start": _("核对企业微信"),
    "wecom_message.replay": _("重新处理回调"),
    "wecom_call.settle": _("确认发送结果"),
}
# Names in the journal that are no column of their table.
_NAMES = {
    "version": _("版本"),
    "row": _("去掉的行"),
    "phone": _("手机号"),
    "key": _("号码（已打码）"),
    "type": _("类型"),
    "way": _("登录方式"),
    "address": _("网络地址（已打码）"),
    "locked": _("因此暂停登录"),
    "content": _("内容"),
    "identities": _("标识"),
    "messages": _("企业微信回调"),
    "calls": _("企业微信发送"),
    "notices": _("通知"),
    "people": _("人数"),
    "lists": _("会员名单"),
    "rows": _("行数"),
    "file": _("文件"),
    "format": _("格式"),
    "filter": _("筛选"),
    "jobs": _("任务编号"),
    "reason": _("原因"),
    "content_hash": _("内容指纹"),
    "rules": _("规则"),
    "attainments": _("阶梯"),
    "cases": _("用例"),
    "statements": _("结算单"),
    "pay_fen": _("应发合计"),
    "total_fen": _("合计"),
    "digest": _("结算摘要"),
    "moved_fen": _("变动合计"),
    "more_fen": _("多给"),
    "less_fen": _("收回"),
    "entries": _("流水笔数"),
    "reference": _("付款凭证号"),
    "fields": _("改了哪几项"),
    "customers": _("顾客数"),
    "receivers": _("接手人"),
    "channel": _("渠道"),
    "purpose": _("目的"),
    "password1": _("密码"),
    "password2": _("密码（再输一遍）"),
}
_WAYS = {"two_steps": _("密码和验证码"), "wecom": _("企业微信"), "demo": _("演示")}
_LONG = 60


# ── Filters ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Choice(admin.SimpleListFilter):
    """One of the values offered; anything else in the address finds nothing."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        if value is None:
            return queryset
        offered = {str(key) for key, _ in self.lookup_choices}
        return queryset.filter(**{self.parameter_name: value}) if value in offered else queryset.none()


class ActionFilter(_Choice):
    title = _("动作")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(ACTIONS.items())


class ThingFilter(_Choice):
    title = _("对象")
    parameter_name = "target_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        own = (model for model in apps.get_models() if model._meta.app_label in _ROOMS)
        return sorted(((m._meta.label_lower, str(m._meta.verbose_name)) for m in own), key=lambda pair: pair[1])


_ROOMS = ("retail", "members", "commissions", "clerks", "materials", "leads", "django_celery_beat")


class PersonFilter(_Choice):
    """Those who work with the admin; their people's names before their sign-ins."""

    title = _("谁")
    parameter_name = "by__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        rows = User.objects.filter(models.Q(is_staff=True) | models.Q(pk__in=self._asked(request)))
        named = rows.order_by("staff__name", "username").values_list("pk", "staff__name", "username")
        return [(str(pk), f"{name} {username}" if name else username) for pk, name, username in named[:500]]

    def _asked(self, request: HttpRequest) -> list[int]:
        asked = request.GET.get(self.parameter_name, "")
        return [int(asked)] if asked.isdecimal() and len(asked) < 19 else []


# ── The page ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(AuditRow)
class AuditRowAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("when", "who", "what", "target", "changes")
    list_display_links = ("when",)
    list_select_related = ("by__staff",)
    list_filter = ("at", ActionFilter, PersonFilter, ThingFilter)
    lookups = ("target_id",)
    ordering = ("-at", "-pk")
    list_before_template = "admin/retail/auditrow/about.html"
    fields = ("when", "who", "what", "target", "changes")

    when = moment("at", _("时间"))

    @display(description=_("谁"))
    def who(self, row: AuditRow) -> SafeString | str:
        if row.by is None:
            return str(_("系统"))
        return _filtered(_person(row.by), by__id__exact=row.by_id)

    @display(description=_("动作"))
    def what(self, row: AuditRow) -> str:
        return str(ACTIONS.get(row.action, row.action))

    @display(description=_("对象"))
    def target(self, row: AuditRow) -> SafeString | str:
        name = model_name(row.target_type)
        if not row.target_id:
            return name
        return _filtered(f"{name} {row.target_id}", target_type=row.target_type, target_id=row.target_id)

    @display(description=_("之前 → 之后"))
    def changes(self, row: AuditRow) -> SafeString:
        said = format_html_join("", '<div class="change"><b>{}</b> {}</div>', _told(row))
        if not row.reason:
            return said
        return said + format_html('<div class="change"><b>{}</b> {}</div>', _("原因"), folded(row.reason))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "about": _about(request)})


def _about(request: HttpRequest) -> dict[str, Any] | None:
    """What the page is about when it is that of one thing or one person: a name, and where it lives."""
    kind, number = request.GET.get("target_type", ""), request.GET.get("target_id", "")
    if kind and number:
        return {"name": f"{model_name(kind)} {number}", "link": _page_of(kind, number)}
    asked = request.GET.get("by__id__exact", "")
    if not (asked.isdecimal() and len(asked) < 19):
        return None
    user = User.objects.select_related("staff").filter(pk=int(asked)).first()
    return user and {"name": _person(user), "link": _page_of("retail.user", asked)}


def _page_of(kind: str, number: str) -> str:
    try:
        return reverse(f"admin:{kind.replace('.', '_')}_change", args=[number])
    except NoReverseMatch:  # it has no page of its own
        return ""


def _filtered(text: str, **query: Any) -> SafeString:
    page = f"{reverse('admin:retail_auditrow_changelist')}?{urlencode(query)}"
    return format_html('<a class="text-link" href="{}">{}</a>', page, text)


def _person(user: User) -> str:
    staff: Staff | None = getattr(user, "staff", None)
    return f"{staff.name} {user.username}" if staff else user.username


# ── In words ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _told(row: AuditRow) -> Iterator[tuple[str, SafeString]]:
    """Field by field: its name, and "before → after"; what is new or gone has one side only."""
    before, after = row.before or {}, row.after or {}
    for name in {**before, **after}:
        sides = [
            format_html("<{0}>{1}</{0}>", tag, folded(words(row.target_type, name, values[name])))
            for tag, values in (("del", before), ("ins", after))
            if name in values
        ]
        yield field_name(row.target_type, name), format_html_join(" → ", "{}", ((side,) for side in sides))


def words(label: str, name: str, value: Any) -> SafeString | str:
    """A value of the journal as the pages would show it."""
    if value in (None, "", "None", [], "[]"):
        return str(_("（空）"))
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    said, field = str(value), _field(label, name)
    if name == "key" and label != "retail.approval":  # its mask as it is now: none once the person is forgotten
        key = BuyerKey.objects.filter(pk=value).first()
        return key.masked if key else "****"
    if name == "way":
        return str(_WAYS.get(said, said))
    if said in ("True", "False") and (field is None or isinstance(field, models.BooleanField)):
        return str(_("是")) if said == "True" else str(_("否"))
    if field is None:
        return str(dict(BuyerKey.Type.choices).get(said, said)) if name == "type" else said
    if field.choices:
        return str(dict(field.flatchoices).get(value, said))
    if said.lstrip("-").isdecimal() and name.endswith("_fen"):
        return as_yuan(int(said))
    if said.isdecimal() and (name == "ppm" or name.endswith("_ppm")):
        return as_percent(int(said))
    if isinstance(field, models.DateTimeField) and (at := _moment(said)):
        return f"{timezone.localtime(at):%Y-%m-%d %H:%M}" if timezone.is_aware(at) else f"{at:%Y-%m-%d %H:%M}"
    return said


def _moment(said: str) -> Any:
    try:
        return parse_datetime(said)
    except ValueError:
        return None


def folded(text: SafeString | str) -> SafeString | str:
    """Long text shows its beginning and opens at a touch."""
    if isinstance(text, SafeString) or len(text) <= _LONG:
        return text
    return format_html("<details><summary>{}…</summary>{}</details>", text[:40], text)


def model_name(label: str) -> str:
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label


def field_name(label: str, name: str) -> str:
    if name in _NAMES:
        return str(_NAMES[name])
    field = _field(label, name)
    return str(field.verbose_name) if field is not None else name


def _field(label: str, name: str) -> models.Field | None:
    try:
        field = apps.get_model(label)._meta.get_field(name)
    except (LookupError, ValueError, FieldDoesNotExist):  # a table since dropped, or a form field of no column
        return None
    return field if isinstance(field, models.Field) else None
