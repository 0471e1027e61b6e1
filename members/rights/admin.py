"""What a member may ask for, on their admin page: to be left alone, to have something put right, to get all we hold.

And the pages of behaviour, of wishes and of consents. Erasing stands in members.admin, the file in retail.dossier.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from members import consent
from members.models import Consent, Doubt, Event, Member, Stop
from members.rights import access, corrections, suspicions
from retail import approvals, exports
from retail.models import Brand
from retail.scoped_admin import (
    DecidingAdmin,
    EstimatedPaginator,
    ScopedAdmin,
    ScopedTabularInline,
    moment,
)


# ── On the page of a member ──────────────────────────────────────────────────────────────────────────────────────────
class ConsentInline(ScopedTabularInline):
    model = Consent
    fields = ("purpose", "is_given", "company", "text_version", "source_label", "at")
    ordering = ("-at", "-pk")
    is_read_only = True
    per_page = 10
    verbose_name_plural = _("同意记录")

    @display(description=_("来源"))
    def source_label(self, row: Consent) -> object:
        return {"import": _("导入"), "feed": _("接口")}.get(row.source, row.source)


class StopInline(ScopedTabularInline):
    model = Stop
    fields = ("wish", "at", "lifted_at")
    ordering = ("-at", "-pk")
    is_read_only = True
    show_change_link = True
    verbose_name_plural = _("不要联系")

    @display(description=_("顾客说"))
    def wish(self, row: Stop) -> str:
        return row.words


class WishForm(BaseDialogForm):
    purpose = forms.ChoiceField(
        label=_("顾客不要什么"),
        choices=Stop.Purpose.choices,
        required=False,
        initial="",
        widget=UnfoldAdminRadioSelectWidget(),
    )
    channel = forms.ChoiceField(
        label=_("不要用哪种方式"),
        choices=Stop.Channel.choices,
        required=False,
        initial="",
        widget=UnfoldAdminRadioSelectWidget(),
    )
    said = forms.CharField(
        label=_("顾客是怎么说的（可以不写）"),
        max_length=200,
        required=False,
        help_text=_("例如：打客服电话要求的。不要写姓名和号码。"),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class _Day(UnfoldAdminTextInputWidget):
    input_type = "date"


def _text(**attrs: Any) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", **attrs})


class CorrectionForm(BaseDialogForm):
    """Only what is filled in is changed."""

    name = forms.CharField(label=_("称呼"), max_length=64, required=False, widget=_text())
    born_on = forms.DateField(label=_("生日"), required=False, widget=_Day())
    phone = forms.CharField(label=_("新手机号"), max_length=32, required=False, widget=_text(inputmode="tel"))
    tail = forms.RegexField(
        label=_("换掉的号码后四位"),
        regex=r"^\d{4}$",
        required=False,
        help_text=_("有几个手机号时才要写。"),
        widget=_text(inputmode="numeric"),
    )
    reason = forms.CharField(
        label=_("为什么更正"),
        min_length=2,
        max_length=200,
        help_text=_("例如：本人到店出示证件。不要写姓名和号码。"),
        widget=_text(),
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not any(given.get(field) for field in ("name", "born_on", "phone")):
            raise forms.ValidationError(_("请至少填一项要更正的。"))
        return given


LEAVE_ALONE = ActionDialog(
    title=_("顾客不要联系？"),
    description=_("马上生效：所有品牌、所有同事都不再主动联系。导入和重新同意都不会取消它，只有人能取消。"),
    form_class=WishForm,
    form_submit_text=_("记下"),
)
CORRECT = ActionDialog(
    title=_("更正资料"),
    description=_("只填要改的。操作记录里只有改了哪一项和原因，没有内容。"),
    form_class=CorrectionForm,
    form_submit_text=_("更正"),
)


class WhyForm(BaseDialogForm):
    reason = forms.CharField(
        label=_("为什么导出"),
        min_length=2,
        max_length=200,
        help_text=_("例如：本人来信要求。不要写姓名和号码。"),
        widget=_text(),
    )


TAKE_OUT = ActionDialog(
    title=_("导出这位会员的全部资料？"),
    description=_("另一个人同意后，在“导出文件”里下载，24 小时内有效。文件里有完整号码，只能交给本人。"),
    form_class=WhyForm,
    form_submit_text=_("提交审批"),
)


class SuspectForm(BaseDialogForm):
    other = forms.IntegerField(
        label=_("另一位的会员编号"),
        min_value=1,
        max_value=2**62,
        error_messages={"max_value": _("没有这个编号的会员。")},
        help_text=_("在那一位的页面上，“编号”一栏。"),
        widget=_text(inputmode="numeric"),
    )
    reason = forms.CharField(
        label=_("为什么"), min_length=2, max_length=200, help_text=_("不要写姓名和号码。"), widget=_text()
    )


SUSPECT = ActionDialog(
    title=_("和另一位会员是同一个人？"),
    description=_("先放进“疑似同一人”，把两位并排看清楚，再决定是否合并。"),
    form_class=SuspectForm,
    form_submit_text=_("并排看"),
)


class WithRights(DecidingAdmin):
    """For the page of a member. The names of the buttons go into its `actions_detail`."""

    refusals = (corrections.Refused, exports.Refused, approvals.Refused, suspicions.Refused)

    def may(self, request: HttpRequest, object_id: Any, verb: str) -> bool:
        """Whether this person may do it to this member: not to who was merged away, but to whom they became."""
        row = self.row(request, object_id)
        return row is not None and row.merged_into_id is None and request.user.has_perm(f"members.{verb}_member")

    def has_take_out_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.may(request, object_id, "export")

    def has_leave_alone_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.may(request, object_id, "stop")

    def has_correct_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.may(request, object_id, "correct")

    def has_suspect_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.may(request, object_id, "merge")

    @action(description=_("不要联系"), icon="do_not_disturb_on", permissions=["leave_alone"], dialog=LEAVE_ALONE)
    def leave_alone(self, request: HttpRequest, form: WishForm, object_id: str) -> HttpResponse:
        def verb(member: Member) -> str:
            # Of all brands, also of those whose member they may become later.
            for corp in sorted(set(Brand._base_manager.values_list("corp", flat=True))):
                given = {name: form.cleaned_data[name] for name in ("channel", "purpose", "said")}
                consent.stop(member=member, corp=corp, **given, by=request.user, now=timezone.now())
            return str(_("已记下，马上生效。"))

        return self.attempt(request, object_id, verb)

    @action(description=_("更正资料"), icon="edit", permissions=["correct"], dialog=CORRECT)
    def correct(self, request: HttpRequest, form: CorrectionForm, object_id: str) -> HttpResponse:
        def verb(member: Member) -> str:
            names = ("name", "born_on", "phone", "tail", "reason")
            given = {name: form.cleaned_data[name] for name in names}
            changed = corrections.correct(member=member, **given, by=request.user, now=timezone.now())
            return str(_("已更正。") if changed else _("和原来的一样，没有改动。"))

        return self.attempt(request, object_id, verb)

    @action(description=_("导出全部资料"), icon="folder_shared", permissions=["take_out"], dialog=TAKE_OUT)
    def take_out(self, request: HttpRequest, form: WhyForm, object_id: str) -> HttpResponse:
        def verb(member: Member) -> str:
            reason = form.cleaned_data["reason"]
            access.ask(member=member, by=request.user, post=request.post, reason=reason, now=timezone.now())
            return str(_("已经放进双人审批。另一个人同意后，在“导出文件”里下载。"))

        return self.attempt(request, object_id, verb)

    @action(description=_("和另一位是同一个人"), icon="group", permissions=["suspect"], dialog=SUSPECT)
    def suspect(self, request: HttpRequest, form: SuspectForm, object_id: str) -> HttpResponse:
        def verb(member: Member) -> tuple[str, Doubt]:
            given = {"other": form.cleaned_data["other"], "reason": form.cleaned_data["reason"]}
            row = suspicions.suspect(member=member, **given, by=request.user, now=timezone.now())
            return str(_("请对照两位会员，再决定是否合并。")), row

        return self.attempt(request, object_id, verb)


# ── Pages of their own ───────────────────────────────────────────────────────────────────────────────────────────────
def _called(member: Member | None) -> str:
    return str(member or _("还不知道是谁"))


@admin.register(Event)
class EventAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("who", "kind", "when", "brand", "product", "store", "seconds")
    list_select_related = ("member", "brand", "product", "store")
    list_filter = ("kind", "brand", "at")
    lookups = ("member__id__exact",)
    ordering = ("-pk",)
    fields = (
        "who", "kind", "when", "channel", "brand", "product", "store", "seconds", "live_event", "share_code",
        "outer_order_id", "outer_event_id", "received", "corrected",
    )  # fmt: skip

    when = moment("at", _("时间"))
    received = moment("received_at", _("收到"))

    @display(description=_("会员"))
    def who(self, row: Event) -> str:
        return _called(row.member)

    @display(description=_("更正过"))
    def corrected(self, row: Event) -> str:
        return str(_("%(count)s 次") % {"count": len(row.former)}) if row.former else "–"


@admin.register(Consent)
class ConsentAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("who", "purpose", "is_given", "company", "text_version", "said")
    list_select_related = ("member", "company")
    list_filter = ("purpose", "is_given", "at")
    ordering = ("-pk",)
    fields = ("who", "purpose", "is_given", "company", "text_version", "source", "said", "noted")

    said = moment("at", _("时间"))
    noted = moment("noted_at", _("记下"))

    @display(description=_("会员"))
    def who(self, row: Consent) -> str:
        return _called(row.member)
