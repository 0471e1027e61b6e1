"""疑似同一人 and 会员合并: two members side by side, one decision with a reason, and its undoing; 数据质量."""

from collections import Counter
from typing import Any, NamedTuple

from django import forms
from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from clerks import oneid, sides
from clerks.models import Merge
from members import doubts, quality
from members.models import Doubt, Member
from retail import told
from retail.models import Order
from retail.scoped_admin import Badge, DecidingAdmin, EstimatedPaginator, link, moment

COLOURS = {"open": "warning", "sure": "info", "merged": "success", "apart": "info", "undone": "warning"}
RULES: dict[str, str | Promise] = {
    "vouched": _("企业微信或注册确认是同一个人"),
    "number": _("只用卡号或渠道编号认识的，跟着出示它的人"),
}
SOURCES: dict[str, str | Promise] = {
    "order": _("一笔订单同时带了这些标识"),
    "wecom": _("企业微信说它们是同一位顾客的"),
    "register": _("注册时同时用了这些标识"),
    "import": _("导入的一行里同时有这些标识"),
    "hand": _("有同事认为是同一个人"),
}


class Reason(BaseDialogForm):
    reason = forms.CharField(
        label=_("为什么"), min_length=2, max_length=200,
        help_text=_("会一直留在操作记录里，不要写姓名和号码。"), widget=UnfoldAdminTextInputWidget(),
    )  # fmt: skip


class Keeping(Reason):
    field_order = ("keep", "reason")
    keep = forms.ChoiceField(
        label=_("保留哪一位"),
        choices=[("one", _("会员一")), ("other", _("会员二"))],
        widget=UnfoldAdminRadioSelectWidget(),
        help_text=_("另一位的标识、购买、积分、券、标签、备注都归到这一位。合并以后可以撤销。"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        doubt = Doubt.objects.select_related("one", "other").filter(pk=self.object_id).first()
        if doubt is not None:
            named = (("one", _("会员一"), doubt.one), ("other", _("会员二"), doubt.other))
            self.fields["keep"].choices = [
                (value, _("%(which)s · %(who)s · 编号 %(number)s") % {"which": which, "who": who, "number": who.pk})
                for value, which, who in named
            ]


MERGE = ActionDialog(
    title=_("合并成一位会员？"),
    description=_("两个专属导购只留下最近活跃的那一个；已经记账的佣金不变，同一个人重复给的奖励会扣回。"),
    form_class=Keeping,
    form_submit_text=_("合并"),
)
APART = ActionDialog(
    title=_("不是同一个人？"),
    description=_("以后系统不会再自动合并这两位会员。"),
    form_class=Reason,
    form_submit_text=_("分开"),
)
UNDO = ActionDialog(
    title=_("撤销这次合并？"),
    description=_(
        "合并时移过来的都移回去；合并以后发生的，按它带的标识归到各自那一位。要求过不联系的，两位都不联系。"
    ),
    form_class=Reason,
    form_submit_text=_("撤销"),
)


# ── Side by side ─────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(Doubt)
class DoubtAdmin(DecidingAdmin):
    refusals = (oneid.Refused,)
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("pair", "state_label", "because", "found", "decided")
    list_select_related = ("one", "other", "decided_by__staff")
    list_filter = ("state", "found_at")
    ordering = ("-pk",)
    fields = ("state_label", "because", "found", "decided", "decided_by")
    list_before_template = "admin/clerks/doubt/above.html"
    change_form_after_template = "admin/clerks/doubt/two.html"
    actions_detail = ("merge", "keep_apart")
    found = moment("found_at", _("发现"))
    decided = moment("decided_at", _("处理时间"))

    @display(description=_("哪两位"))
    def pair(self, row: Doubt) -> str:
        return str(row)

    @display(description=_("处理"), label=COLOURS)
    def state_label(self, row: Doubt) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("依据"))
    def because(self, row: Doubt) -> str:
        return str(_why(row.evidence))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.quality_view)
        return [path("quality/", view, name="members_doubt_quality"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        context = _both(row) if row is not None and self.has_view_permission(request, row) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        is_open = row is not None and row.state in (Doubt.State.OPEN, Doubt.State.SURE)
        return is_open and request.user.has_perm("members.merge_member")

    @action(description=_("是同一个人，合并"), icon="merge", permissions=["decide"], dialog=MERGE)
    def merge(self, request: HttpRequest, form: Keeping, object_id: str) -> HttpResponse:
        def verb(row: Doubt) -> tuple[str, Merge]:
            given = {"keep_one": form.cleaned_data["keep"] == "one", "reason": form.cleaned_data["reason"]}
            done = oneid.decide(doubt=row, by=request.user, now=timezone.now(), **given)
            return gettext("合并好了。发现不对，可以在这一页撤销。"), done

        return self.attempt(request, object_id, verb)

    @action(description=_("不是同一个人"), icon="call_split", permissions=["decide"], dialog=APART)
    def keep_apart(self, request: HttpRequest, form: Reason, object_id: str) -> HttpResponse:
        def verb(row: Doubt) -> str:
            reason = form.cleaned_data["reason"]
            oneid.refuse_names(member_ids=(row.one_id, row.other_id), reason=reason)
            doubts.keep_apart(doubt=row, by=request.user, reason=reason, now=timezone.now())
            return gettext("记下了：不是同一个人。")

        return self.attempt(request, object_id, verb)

    def quality_view(self, request: HttpRequest) -> HttpResponse:
        """How good what is known of members is, for those who see all of them."""
        if not self.has_view_permission(request):
            raise Http404
        found = quality.report(now=timezone.now())
        context = {**self.admin_site.each_context(request), "title": _("数据质量"), "report": found}
        context |= {"days": quality.DAYS, "checks": _checks(found)}
        return TemplateResponse(request, "admin/clerks/doubt/quality.html", context)


def _why(evidence: dict[str, Any]) -> str | Promise:
    return RULES.get(evidence.get("rule", "")) or SOURCES.get(evidence.get("source", ""), "–")


def _both(row: Doubt) -> dict[str, Any]:
    """The two as they are; where they were merged, as they were then."""
    merge = Merge.objects.filter(evidence=row.evidence, at=row.decided_at, undone_at=None).first()
    if row.state == Doubt.State.MERGED and merge is not None:
        return _merged(merge)
    shown = [sides.as_they_are(number=number) for number in (row.one_id, row.other_id)]
    is_one = shown[0].member == shown[1].member
    titles = (gettext("会员一"), gettext("会员二"))
    return {"sides": list(zip(titles, shown, strict=True)), "is_one": is_one, **_evidence(row.evidence)}


def _merged(merge: Merge) -> dict[str, Any]:
    titles = (gettext("保留的"), gettext("并入的"))
    shown = sides.as_they_were(merge=merge)
    return {"sides": list(zip(titles, shown, strict=True)), "is_past": True, **_evidence(merge.evidence)}


def _evidence(evidence: dict[str, Any]) -> dict[str, Any]:
    order_id = evidence.get("order")
    order = Order.objects.filter(pk=order_id).first() if order_id else None
    return {"shared": set(evidence.get("keys", [])), "order": order}


class Check(NamedTuple):
    name: str | Promise
    count: int
    href: str
    more: str | Promise


def _checks(found: quality.Report) -> list[Check]:
    members, memberships = reverse("admin:members_member_changelist"), reverse("admin:members_membership_changelist")
    said = {
        "keyless": (_("没有手机号、unionid 或企业微信"), _("只有卡号或渠道编号，换个渠道就认不出来")),
        "odd_phone": (_("手机号不对"), _("不是 11 位手机号，也没有区号或国家码；港澳 8 位号码也在里面")),
        "nameless": (_("没有称呼"), _("加了企业微信或导入档案以后就有")),
        "no_birthday": (_("没有生日"), _("生日关怀用不上")),
        "unborn": (_("生日不可能"), _("在将来，或者超过 %(years)s 岁") % {"years": told.OLDEST}),
        "early": (_("购买早于入会一年以上"), _("入会时间导错了，或者认错了人")),
        "ahead": (_("入会时间在将来"), _("导入的时间不对")),
    }
    return [
        Check(name, found.found[key], f"{members if key in quality.CHECKS else memberships}?quality={key}", more)
        for key, (name, more) in said.items()
    ]


# ── What was merged ──────────────────────────────────────────────────────────────────────────────────────────────────
class UndoneFilter(admin.SimpleListFilter):
    title = _("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("merged", _("已合并")), ("undone", _("已撤销"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset if self.value() is None else queryset.filter(undone_at__isnull=self.value() == "merged")


@admin.register(Merge)
class MergeAdmin(DecidingAdmin):
    refusals = (oneid.Refused,)
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("pair", "state_label", "because", "merged", "who", "undone")
    list_select_related = ("keep", "drop", "by__staff", "undone_by__staff")
    list_filter = (UndoneFilter, "at")
    ordering = ("-pk",)
    fields = ("kept", "dropped", "state_label", "because", "went", "merged", "who", "undone", "undone_by")
    change_form_after_template = "admin/clerks/doubt/two.html"
    actions_detail = ("undo",)
    merged = moment("at", _("合并时间"))
    undone = moment("undone_at", _("撤销时间"))

    @display(description=_("谁并入谁"))
    def pair(self, row: Merge) -> str:
        return str(row)

    @display(description=_("保留"))
    def kept(self, row: Merge) -> str:
        return link("members_member_change", row.keep_id, row.keep)

    @display(description=_("并入"))
    def dropped(self, row: Merge) -> str:
        return link("members_member_change", row.drop_id, row.drop)

    @display(description=_("状态"), label=COLOURS)
    def state_label(self, row: Merge) -> Badge:
        return Badge("undone", _("已撤销")) if row.undone_at else Badge("merged", _("已合并"))

    @display(description=_("依据"))
    def because(self, row: Merge) -> str:
        return str(_why(row.evidence))

    @display(description=_("操作人"))
    def who(self, row: Merge) -> str:
        return str(row.by) if row.by else gettext("按规则自动")

    @display(description=_("移过来的"))
    def went(self, row: Merge) -> str:
        names = {model._meta.db_table: model._meta.verbose_name for model in apps.get_models()}
        moves = row.moves.exclude(table=Member._meta.db_table).order_by()
        counted = Counter(moves.values_list("table", flat=True))
        return gettext("、").join(f"{names.get(table, table)} {count}" for table, count in counted.items()) or "–"

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        is_seen = row is not None and row.undone_at is None and self.has_view_permission(request, row)
        context = _merged(row) if is_seen else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def has_undo_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and row.undone_at is None and request.user.has_perm("members.merge_member")

    @action(description=_("撤销合并"), icon="undo", permissions=["undo"], dialog=UNDO)
    def undo(self, request: HttpRequest, form: Reason, object_id: str) -> HttpResponse:
        def verb(row: Merge) -> str:
            reason = form.cleaned_data["reason"]
            oneid.refuse_names(member_ids=(row.keep_id,), reason=reason)
            oneid.unmerge(merge=row, by=request.user, reason=reason, now=timezone.now())
            return gettext("撤销好了，又是两位会员。")

        return self.attempt(request, object_id, verb)
