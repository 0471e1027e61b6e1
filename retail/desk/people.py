"""Staff and accounts. Posts decide what a person sees and may do, so nobody hands out more than they have."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from retail import audit, privacy
from retail.desk import roles
from retail.models import Employment, Post, Staff, Store, User
from retail.scoped_admin import ScopedAdmin, ScopedStackedInline, ScopedTabularInline, visible


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
    verbose_name_plural = _("岗位：决定看得到什么、能做什么")

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "role":
            allowed = roles.grantable(by=request.user)
            kwargs["choices"] = [("", _("选择角色")), *((r, name) for r, name in Post.Role.choices if r in allowed)]
        return super().formfield_for_choice_field(db_field, request, **kwargs)


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
class StaffAdmin(ScopedAdmin):
    form = StaffForm
    list_display = ("name", "code", "posts_now", "masked_phone", "is_employed")
    list_select_related = ("phone_key",)
    list_filter = (RoleFilter, PlaceFilter)
    search_fields = ("code", "name")
    search_help_text = _("姓名或工号")
    autocomplete_fields = ("user",)
    readonly_fields = ("masked_phone",)
    inlines = (PostInline, EmploymentInline)

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
            return ("code", "name", "masked_phone", "phone", "share_code", "user")
        return ("code", "name", "masked_phone", "share_code")

    def has_change_permission(self, request: HttpRequest, obj: Staff | None = None) -> bool:
        """Somebody who may do more than you (finance, say) is not yours to change."""
        if not super().has_change_permission(request, obj):
            return False
        if obj is None:
            return True
        allowed = roles.grantable(by=request.user)
        if Post.objects.filter(staff=obj).exclude(role__in=allowed).exists():
            return False
        return obj.user is None or roles.outranks(by=request.user, user=obj.user)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "user":
            field.validators.append(lambda user: _refuse_higher(request.user, user))
        return field

    def save_model(self, request: HttpRequest, obj: Staff, form: StaffForm, change: bool) -> None:
        if known := form.cleaned_data.get("phone"):
            obj.phone_key_id = privacy.keep([known])[known]
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        roles.follow_posts(staff=form.instance, now=timezone.now())

    @display(description=_("现任岗位"))
    def posts_now(self, staff: Staff) -> str:
        return _("、").join(str(post) for post in staff.held)

    @display(description=_("在职"), boolean=True)
    def is_employed(self, staff: Staff) -> bool:
        return bool(staff.employed)

    @display(description=_("手机号"))
    def masked_phone(self, staff: Staff) -> str:
        return staff.phone_key.masked if staff.phone_key else ""


def _refuse_higher(by: User, user: User | None) -> None:
    if user is not None and not roles.outranks(by=by, user=user):
        raise ValidationError(_("这个账号的权限比您高，不能由您来关联。"))


# ── Accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@admin.register(User)
class UserAdmin(DjangoUserAdmin, ScopedAdmin):
    """Sign-ins. What an account may do follows the posts of its person; only a superuser makes superusers."""

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
    readonly_fields = ("person", "last_login", "date_joined")
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
            obj is None or roles.outranks(by=request.user, user=obj)
        )

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
