"""Staff and accounts. Posts decide what a person sees and may do, so nobody hands out more than they have."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, BaseDialogForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from clerks.handover import cases, leaving
from clerks.models import Handover
from retail import approvals, audit, gate, privacy, scope, second_factor
from retail.desk import roles
from retail.masked import UnmaskingAdmin
from retail.models import BuyerKey, Employment, Post, Staff, StaffAccount, Store, User
from retail.scoped_admin import Confirm, ScopedAdmin, ScopedStackedInline, ScopedTabularInline, visible


class Reason(BaseDialogForm):
    reason = forms.CharField(
        label=_("原因"), min_length=2, max_length=200, widget=UnfoldAdminTextInputWidget(),
        help_text=_("会一直留在操作记录里，不要写号码。"),
    )  # fmt: skip


END_SESSIONS = ActionDialog(
    title=_("从所有设备退出？"),
    description=_("手机和电脑上的登录马上失效，要重新登录才能再用。手机丢了、人离开了，用这个。"),
    form_class=Confirm,
    form_submit_text=_("全部退出"),
)
RESET_FACTOR = ActionDialog(
    title=_("重设两步验证？"),
    description=_("验证器和恢复码都丢了才用。请先当面或打电话确认是本人；下次登录时重新绑定。"),
    form_class=Confirm,
    form_submit_text=_("重设并全部退出"),
)


DISMISS = ActionDialog(
    title=_("办理离职？"),
    description=_(
        "岗位马上结束，手机和电脑上的登录马上失效，活码换成备用导购，没发出去的消息不再发。"
        "名下的顾客会开一张客户继承单，通知店长安排。不能撤回：回来上班要重新给岗位。"
    ),
    form_class=Reason,
    form_submit_text=_("办理离职"),
)
HAND_OVER = ActionDialog(
    title=_("把名下的顾客转给同事？"),
    description=_("人还在岗，换店或者换岗时用。下一步再选转给谁，现在还不会动。"),
    form_class=Reason,
    form_submit_text=_("下一步"),
)


# ── Staff ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class EmploymentInline(ScopedTabularInline):
    model = Employment
    fields = ("starts_at", "ends_at")
    ordering = ("starts_at",)
    verbose_name_plural = _("在职时间")


class PostInline(ScopedStackedInline):
    model = Post
    hide_title = False
    fields = ("role", "store", "region", "franchisee", "starts_at", "ends_at")
    ordering = ("starts_at",)
    autocomplete_fields = ("store", "region", "franchisee")
    verbose_name_plural = _("岗位：决定看得到什么、能做什么（总部岗位要另一个人同意后才生效）")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Posts in the reader's stores; those elsewhere are no business of theirs."""
        posts, stores = super().get_queryset(request), scope.current().store_ids
        return posts if stores is None else posts.filter(store__in=stores)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "role":
            allowed = roles.grantable(by=request.user, post=request.post)
            kwargs["choices"] = [("", _("选择角色")), *((r, name) for r, name in Post.Role.choices if r in allowed)]
        return super().formfield_for_choice_field(db_field, request, **kwargs)


class AccountInline(ScopedTabularInline):
    """Who signs in through WeCom as this person: whoever may change the person may say so."""

    model = StaffAccount
    fields = ("corp", "userid")
    verbose_name_plural = _("企业微信账号：用它登录，收通知")


class StaffForm(forms.ModelForm):
    phone = forms.CharField(
        label=_("换手机号"),
        required=False,
        help_text=_("用来认出本人自购。保存后只显示打码的号码。"),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "tel", "autocomplete": "off"}),
    )

    def clean_phone(self) -> privacy.Known | None:
        phone = self.cleaned_data["phone"]
        try:
            return privacy.normalised(privacy.Known("phone", "", phone)) if phone else None
        except privacy.BadValue:
            raise ValidationError(_("这不像一个手机号。")) from None

    def clean_share_code(self) -> str | None:
        return self.cleaned_data["share_code"] or None  # unique: "" would be everybody's


class _HoldsFilter(admin.SimpleListFilter):
    """People by the posts of theirs that the reader may see: a filter over all would tell where else they work."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if not self.value() or self.value() not in {str(value) for value, _name in self.lookup_choices}:
            return queryset.none() if self.value() else queryset
        return queryset.filter(pk__in=visible(Post).filter(**{self.parameter_name: self.value()}).values("staff"))


class RoleFilter(_HoldsFilter):
    title = _("角色")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(Post.Role.choices)


class PlaceFilter(_HoldsFilter):
    title = _("门店")
    parameter_name = "store"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return list(Store.objects.values_list("pk", "name"))


@admin.register(Staff)
class StaffAdmin(UnmaskingAdmin):
    form = StaffForm
    list_display = ("name", "code", "posts_now", "masked_phone", "is_employed")
    list_select_related = ("phone_key",)
    list_filter = (RoleFilter, PlaceFilter)
    search_fields = ("code", "name")
    search_help_text = _("姓名或工号")
    autocomplete_fields = ("user",)
    readonly_fields = ("masked_phone",)
    inlines = (PostInline, EmploymentInline, AccountInline)
    actions_detail = ("end_sessions", "hand_over", "dismiss")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        now = timezone.now()
        posts = visible(Post).filter(pk__in=Post.objects.at(now)).select_related("store", "region", "franchisee")
        return (
            super()
            .get_queryset(request)
            .prefetch_related(
                Prefetch("posts", posts, to_attr="held"),
                Prefetch("employments", Employment.objects.at(now), to_attr="employed"),
            )
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        can_edit = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if can_edit:
            return ("code", "name", "grade", "masked_phone", "phone", "share_code", "user")
        return ("code", "name", "grade", "masked_phone", "share_code")

    def has_change_permission(self, request: HttpRequest, obj: Staff | None = None) -> bool:
        """Somebody who may do more than you (finance, say) is not yours to change."""
        if not super().has_change_permission(request, obj):
            return False
        if obj is None:
            return True
        by, post = request.user, request.post
        if not roles.is_above(by=by, post=post, staff=obj):
            return False
        return obj.user is None or roles.outranks(by=by, post=post, user=obj.user)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "user":
            field.validators.append(lambda user: _refuse_higher(request, user))
        return field

    def save_model(self, request: HttpRequest, obj: Staff, form: StaffForm, change: bool) -> None:
        if known := form.cleaned_data.get("phone"):
            obj.phone_key_id = privacy.keep([known])[known]
        super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """What takes two persons is not saved but asked for."""
        if formset.model is Post:
            for part in formset.forms:
                if part.has_changed() and _takes_two(part):
                    _ask_for_post(request, part.instance)
                    part.changed_data = []
        super().save_formset(request, form, formset, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        roles.follow_posts(staff=form.instance, now=timezone.now())
        leaving.follow_dates(staff=form.instance, by=request.user, now=timezone.now())

    def keys_of(self, obj: Staff) -> QuerySet[BuyerKey]:
        return BuyerKey.objects.filter(pk=obj.phone_key_id)

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """A manager signs a lower person of their stores out, even one they may not change otherwise."""
        staff = self.get_object(request, str(object_id)) if object_id else None
        if staff is None or staff.user is None or staff.user.is_superuser:
            return False
        if request.post and request.post.role == Post.Role.AUDITOR:  # looks on
            return False
        return roles.is_above(by=request.user, post=request.post, staff=staff)

    @action(description=_("退出所有设备"), icon="phonelink_erase", permissions=["end"], dialog=END_SESSIONS)
    def end_sessions(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return _end_sessions(request, self.get_object(request, object_id).user)

    def has_dismiss_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Headquarters lets people go, those below it."""
        staff = self.get_object(request, str(object_id)) if object_id else None
        return staff is not None and bool(staff.held or staff.employed) and self.has_change_permission(request, staff)

    @action(description=_("办理离职"), icon="person_off", permissions=["dismiss"], dialog=DISMISS)
    def dismiss(self, request: HttpRequest, form: Reason, object_id: str) -> HttpResponse:
        staff = self.get_object(request, object_id)
        try:
            leaving.dismiss(staff=staff, by=request.user, now=timezone.now(), reason=form.cleaned_data["reason"])
            roles.follow_posts(staff=staff, now=timezone.now())
            messages.success(request, _("%(name)s已经离职，所有登录都已失效。") % {"name": staff.name})
        except leaving.Refused as refusal:
            messages.error(request, str(refusal))
        return _to_handover(staff) or HttpResponse(headers={"HX-Refresh": "true"})

    def has_hand_over_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        staff = self.get_object(request, str(object_id)) if object_id else None
        return staff is not None and bool(staff.held) and request.user.has_perm("clerks.run_handover")

    @action(description=_("转移顾客"), icon="move_up", permissions=["hand_over"], dialog=HAND_OVER)
    def hand_over(self, request: HttpRequest, form: Reason, object_id: str) -> HttpResponse:
        """In the stores that the reader sees."""
        staff, reason = self.get_object(request, object_id), form.cleaned_data["reason"]
        given = {"kind": Handover.Kind.ON_JOB, "by": request.user, "reason": reason}
        cases.open_(staff=staff, store_ids=scope.current().store_ids, now=timezone.now(), **given)
        if (page := _to_handover(staff)) is None:
            messages.error(request, _("%(name)s名下没有顾客。") % {"name": staff.name})
        return page or HttpResponse(headers={"HX-Refresh": "true"})

    @display(description=_("现任岗位"))
    def posts_now(self, staff: Staff) -> str:
        return _("、").join(str(post) for post in staff.held)

    @display(description=_("在职"), boolean=True)
    def is_employed(self, staff: Staff) -> bool:
        return bool(staff.employed)

    @display(description=_("手机号"))
    def masked_phone(self, staff: Staff) -> str:
        return staff.phone_key.masked if staff.phone_key else ""


def _to_handover(staff: Staff) -> HttpResponse | None:
    """The page of their handover, if one is open where the reader sees it."""
    row = Handover.objects.filter(staff=staff, state__in=cases.UNFINISHED).order_by("pk").first()
    if row is None:
        return None
    return HttpResponse(headers={"HX-Redirect": reverse("admin:clerks_handover_change", args=[row.pk])})


def _refuse_higher(request: HttpRequest, user: User | None) -> None:
    if user is not None and not roles.outranks(by=request.user, post=request.post, user=user):
        raise ValidationError(_("这个账号的权限比您高，不能由您来关联。"))


def _takes_two(part: Any) -> bool:
    """Whether a changed row of posts needs a second person: a post of headquarters, unless it only ends earlier."""
    post, before = part.instance, part.initial
    if not (roles.takes_two(post.role) or roles.takes_two(before.get("role", post.role))):
        return False
    old_end = before.get("ends_at")
    only_ends = part.changed_data == ["ends_at"] and post.ends_at is not None
    return not (only_ends and (old_end is None or post.ends_at <= old_end))


def _ask_for_post(request: HttpRequest, post: Post) -> None:
    try:
        roles.ask_for_post(post=post, by=request.user, reason="", now=timezone.now())
        messages.warning(request, _("“%(post)s”要另一个人同意后才生效，已经放进双人审批。") % {"post": post})
    except approvals.Refused as refusal:
        messages.error(request, str(refusal))


def _end_sessions(request: HttpRequest, user: User) -> HttpResponse:
    gate.end_sessions(user=user, by=request.user, now=timezone.now())
    messages.success(request, _("%(user)s 已经从所有设备退出。") % {"user": user})
    return HttpResponse(headers={"HX-Refresh": "true"})


# ── Accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(User)
class UserAdmin(DjangoUserAdmin, ScopedAdmin):
    """Sign-ins. What an account may do follows the posts of its person; superusers are made on the server alone."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "person", "is_active", "is_staff", "last_login")
    list_select_related = ("staff",)
    list_filter = ("is_active", "is_staff")
    search_fields = ("username", "staff__name", "staff__code")
    search_help_text = _("账号、姓名或工号")
    ordering = ("username",)
    filter_horizontal = ()
    # The database refuses the web server `is_superuser`: `manage.py createsuperuser` runs as the owner.
    readonly_fields = ("person", "is_superuser", "last_login", "date_joined")
    actions_detail = ("end_sessions", "reset_factor")
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2")}),)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        power = ("is_staff", "is_superuser") if request.user.is_superuser else ()
        password = ("password",) if self.has_change_permission(request, obj) else ()
        return (
            (None, {"fields": ("username", *password, "person")}),
            (_("能不能登录"), {"fields": ("is_active", *power)}),
            (_("时间"), {"fields": ("last_login", "date_joined")}),
        )

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and (
            obj is None or roles.outranks(by=request.user, post=request.post, user=obj)
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Headquarters sees all accounts, others those of their people."""
        if scope.current().is_everything:
            return super().get_queryset(request)
        return self._ordered(User.objects.filter(staff__in=Staff.objects.all()), request)

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        user = self.get_object(request, str(object_id)) if object_id else None
        return user is not None and self.has_change_permission(request, user)

    @action(description=_("退出所有设备"), icon="phonelink_erase", permissions=["end"], dialog=END_SESSIONS)
    def end_sessions(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return _end_sessions(request, self.get_object(request, object_id))

    @action(description=_("重设两步验证"), icon="lock_reset", permissions=["end"], dialog=RESET_FACTOR)
    def reset_factor(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        user = self.get_object(request, object_id)
        second_factor.reset(user=user, by=request.user, now=timezone.now())
        return _end_sessions(request, user)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return ScopedAdmin.lookup_allowed(self, lookup, value, request)

    @display(description=_("员工"))
    def person(self, user: User) -> str:
        return str(getattr(user, "staff", "–"))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        response = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302:
            audit.record(by=request.user, action="password", target=self.get_object(request, id), now=timezone.now())
        return response
