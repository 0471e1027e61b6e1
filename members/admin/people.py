"""Admin pages of members: masked identities, memberships and tiers. Members are made by the feed, not by hand."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.cache import never_cache
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from members import erasure, quality, tag_words, tags
from members.admin.living import ListsLiving
from members.admin.points import PointsByHand, PointsEntryInline
from members.admin.tiers import TierByHand, TierMoveInline
from members.models import Identity, Member, Membership, MemberTag, Purchase
from members.rights import finding
from members.rights.admin import ConsentInline, StopInline, WithRights
from retail import approvals, privacy
from retail.masked import UnmaskingAdmin
from retail.models import BuyerKey, Staff, Store
from retail.scoped_admin import EstimatedPaginator, ScopedTabularInline, moment


class IdentityInline(ScopedTabularInline):
    model = Identity
    fields = ("kind", "masked", "source_channel", "seen_at", "verified_at", "is_hearsay")
    is_read_only = True
    verbose_name_plural = _("怎么认出这位会员")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("key", "channel")

    @display(description=_("类型"))
    def kind(self, row: Identity) -> str:
        return row.key.get_type_display()

    @display(description=_("标识（已打码）"))
    def masked(self, row: Identity) -> str:
        return row.key.masked

    @display(description=_("来自"))
    def source_channel(self, row: Identity) -> str:
        return row.channel.name if row.channel else row.get_source_display()


class _Joined:
    """Where and through whom somebody joined: named to those who see that store and that person in their lists."""

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        return rows.select_related("registered_store", "registered_by").annotate(
            is_store_known=Exists(Store.objects.filter(pk=OuterRef("registered_store"))),
            is_staff_known=Exists(Staff.objects.filter(pk=OuterRef("registered_by"))),
        )

    @display(description=_("入会门店"))
    def joined_in(self, row: Membership) -> str:
        if row.registered_store is None:
            return "–"
        return str(row.registered_store) if row.is_store_known else _("其他门店")

    @display(description=_("招募导购"))
    def joined_through(self, row: Membership) -> str:
        if row.registered_by is None:
            return "–"
        return str(row.registered_by) if row.is_staff_known else _("其他门店的同事")


class MembershipInline(_Joined, ScopedTabularInline):
    model = Membership
    fields = ("brand", "tier", "registered_at", "joined_in", "joined_through", "last_purchase_at")
    is_read_only = True
    show_change_link = True


class TagInline(ScopedTabularInline):
    """What is in force, without clerks' own words, nor what was computed of purchases that are not for these eyes."""

    model = MemberTag
    fields = ("word", "sort", "who", "reason", "since")
    is_read_only = True
    verbose_name_plural = pgettext_lazy("plural", "标签")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = tags.shown(super().get_queryset(request)).select_related("tag", "staff", "brand")
        return rows.annotate(is_staff_known=Exists(Staff.objects.filter(pk=OuterRef("staff"))))

    @display(description=_("标签"))
    def word(self, row: MemberTag) -> str:
        return " · ".join(filter(None, (row.tag.group_name, row.tag.name)))

    @display(description=_("来源"))
    def sort(self, row: MemberTag) -> str:
        return row.get_source_display()

    @display(description=_("谁打的"))
    def who(self, row: Any) -> str:
        if row.staff is None:
            return "–"
        return str(row.staff) if row.is_staff_known else _("其他门店的同事")

    @display(description=_("依据"))
    def reason(self, row: MemberTag) -> str:
        said = tag_words.sentence(row)
        return _("%(why)s（算于 %(day)s）") % {"why": said, "day": row.as_of} if said else "–"


class Why(BaseDialogForm):
    reason = forms.CharField(
        label=_("为什么抹去"),
        min_length=2,
        max_length=200,
        help_text=_("例如：本人来信要求。不要写姓名和号码。"),
        widget=UnfoldAdminTextInputWidget(),
    )


ERASE = ActionDialog(
    title=_("抹去这位会员？"),
    description=_(
        "另一个人同意后执行，不能恢复：称呼、号码和企业微信消息都没有了；订单和佣金保留，但看不出是谁的；所有品牌都不再联系。"
    ),
    form_class=Why,
    form_submit_text=_("提交审批"),
)


class QualityFilter(admin.SimpleListFilter):
    """What the page of data quality counts, as a list."""

    title = _("数据质量")
    parameter_name = "quality"
    names: dict[str, object] = {}
    checks: dict[str, Callable[[datetime], QuerySet]] = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(self.names.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        check = self.checks.get(self.value() or "")
        return queryset.filter(pk__in=check(timezone.now()).values("pk")) if check else queryset


class MemberQuality(QualityFilter):
    names = {
        "keyless": _("没有手机号、unionid 或企业微信"),
        "odd_phone": _("手机号不对"),
        "nameless": _("没有称呼"),
        "no_birthday": _("没有生日"),
        "unborn": _("生日不可能"),
    }
    checks = quality.CHECKS


class MembershipQuality(QualityFilter):
    names = {"early": _("购买早于入会一年以上"), "ahead": _("入会时间在将来")}
    checks = quality.OF_MEMBERSHIPS


class FindForm(forms.Form):
    phone = forms.CharField(
        label=_("完整手机号"),
        max_length=32,
        widget=forms.TextInput(attrs={"class": "desk-input", "inputmode": "tel", "autocomplete": "off"}),
    )
    reason = forms.CharField(
        label=_("为什么要找"),
        max_length=200,
        widget=forms.TextInput(attrs={"class": "desk-input", "placeholder": _("例如：顾客来电要求更正资料")}),
    )


@admin.register(Member)
class MemberAdmin(ListsLiving, WithRights, UnmaskingAdmin):
    merged_into = "merged_into"
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("title", "phone_masked", "portrait_link", "created_at")
    list_filter = ("created_at", MemberQuality)
    search_fields = buyer_names = ("name__spelled",)
    ordering = ("-pk",)
    fields = ("title", "number", "whole", "created_at")
    list_before_template = "admin/members/member/above.html"
    change_form_before_template = "admin/members/member/gone.html"
    inlines = (IdentityInline, MembershipInline, TagInline, StopInline, ConsentInline)
    # More than two beside 历史, and the bar has no room left for who that is.
    actions_detail = [
        "leave_alone",
        "correct",
        {"title": _("更多"), "icon": "more_horiz", "items": ["take_out", "suspect", "erase"]},
    ]

    def rows_about(self, *, member_ids: Collection[int], key_ids: Collection[int]) -> set[int]:
        """Files of one person each: see retail.exports."""
        return set(member_ids)

    @display(description=_("画像"))
    def whole(self, row: Member) -> SafeString | str:
        """Everything about them on one page (retail.desk.portraits); of who was merged away there is none."""
        if row.merged_into_id is not None:
            return "–"
        return format_html('<a class="text-link" href="{}">{}</a>', reverse("portrait", args=[row.pk]), _("打开画像"))

    @display(description=_("编号"))
    def number(self, row: Member) -> int:
        return row.pk

    def keys_of(self, obj: Member) -> QuerySet[BuyerKey]:
        return BuyerKey.objects.filter(identity__member=obj)

    def get_urls(self) -> list[URLPattern]:
        view = never_cache(self.admin_site.admin_view(self.find_view))
        return [path("find/", view, name="members_member_find"), *super().get_urls()]

    def find_view(self, request: HttpRequest) -> HttpResponse:
        """Whose number somebody gave: whoever may see numbers whole may look for one, with a reason."""
        if not self.may_unmask(request):
            raise PermissionDenied(_("您的岗位不能查看完整号码。"))
        form, refused, status = FindForm(request.POST or None), "", 200
        if form.is_valid():
            try:
                found = finding.find(**form.cleaned_data, by=request.user, now=timezone.now())
                if found is not None:
                    return redirect("admin:members_member_change", found.pk)
                refused = _("没有会员用这个号码。这次查找已记入操作记录。")
            except finding.Refused as error:
                refused, status = str(error), 400
        used = privacy.unmasked_today(by=request.user, now=timezone.now())
        context = {"form": form, "refused": refused, "used": used, "most": privacy.most_a_day()}
        page = {**self.admin_site.each_context(request), **context, "opts": self.opts, "title": _("按手机号找会员")}
        return TemplateResponse(request, "admin/members/member/find.html", page, status=status)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.row(request, object_id)
        is_gone = row is not None and row.merged_into_id is None and erasure.person(row).is_forgotten
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "is_forgotten": is_gone})

    def has_erase_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.may(request, object_id, "erase")

    @action(description=_("抹去这位会员"), icon="person_off", permissions=["erase"], dialog=ERASE)
    def erase(self, request: HttpRequest, form: Why, object_id: str) -> HttpResponse:
        given = {"reason": form.cleaned_data["reason"], "by": request.user, "now": timezone.now()}
        try:
            erasure.ask(member=self.get_object(request, object_id), **given)
            messages.success(request, _("已经放进双人审批。另一个人同意后马上抹去。"))
        except approvals.Refused as refused:
            messages.error(request, str(refused))
        return HttpResponse(headers={"HX-Refresh": "true"})

    @display(description=_("会员"))
    def title(self, row: Member) -> str:
        return str(row)


class PurchaseInline(ScopedTabularInline):
    model = Purchase
    fields = ("order", "store", "paid_at", "is_first", "dormant_days")
    ordering = ("-paid_at",)
    is_read_only = True
    per_page = 20


@admin.register(Membership)
class MembershipAdmin(ListsLiving, _Joined, PointsByHand, TierByHand):
    merged_into = "member__merged_into"
    change_form_before_template = "admin/members/membership/gone.html"
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = (
        *("title", "phone_masked", "portrait_link", "brand", "tier", "points"),
        *("registered", "joined_in", "joined_through", "last_purchase"),
    )
    list_select_related = ("member", "brand", "tier")
    list_filter = ("brand", "tier", "registered_at", "last_purchase_at", MembershipQuality)
    search_fields = buyer_names = ("member__name__spelled",)
    ordering = ("-pk",)
    fields = (
        "member", "brand", "standing", "balance", "registered_at", "joined_in", "joined_through",
        "first_purchase_at", "last_purchase_at",
    )  # fmt: skip
    inlines = (PurchaseInline, PointsEntryInline, TierMoveInline)
    actions_detail = ("adjust_points", "give_tier")

    registered = moment("registered_at", _("入会"))
    last_purchase = moment("last_purchase_at", _("最近购买"))

    @display(description=_("会员"))
    def title(self, row: Membership) -> str:
        return str(row.member)
