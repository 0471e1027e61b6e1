"""标签: headquarters' words, on how many members each is, switching off, and a whole segment tagged at once."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget

from clerks import tagging
from members import tags
from members.models import MemberTag, Segment, SegmentMember, Tag
from retail.scoped_admin import Badge, Confirm, DecidingAdmin

Kind = Tag.Kind
OFF = ActionDialog(
    title=_("停用这个标签？"),
    description=_("停用后谁身上都不再显示，人群也不再按它选人。打在谁身上仍然记着，重新启用就都回来。"),
    form_class=Confirm,
    form_submit_text=pgettext_lazy("button", "停用"),
)
ON = ActionDialog(
    title=_("重新启用这个标签？"),
    description=_("以前打在谁身上，又会在谁身上显示。"),
    form_class=Confirm,
    form_submit_text=_("启用"),
)


class SegmentForm(BaseDialogForm):
    """Which segment; each is named with how many it holds."""

    segment = forms.ModelChoiceField(label=_("人群"), queryset=Segment.objects.none(), widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["segment"]
        field.queryset = Segment.objects.filter(ended_at=None).select_related("brand").order_by("brand", "name")
        field.label_from_instance = lambda row: (
            _("%(brand)s · %(name)s（%(count)s 人）")
            % {
                "brand": row.brand,
                "name": row.name,
                "count": f"{row.size:,}",
            }
        )


class TagForm(forms.ModelForm):
    def clean_name(self) -> str:
        try:
            return tags.sound(self.cleaned_data["name"])
        except tags.Refused as refused:
            raise forms.ValidationError(str(refused)) from None


PUT = ActionDialog(
    title=_("打在一个人群身上"),
    description=_("现在在人群里的会员都打上；已经有的不变。品牌的标签只打在这个品牌的会员身上。"),
    form_class=SegmentForm,
    form_submit_text=_("打上"),
)
TAKE_OFF = ActionDialog(
    title=_("从一个人群身上摘下"),
    description=_("现在在人群里的会员都摘下，不管是谁打的。"),
    form_class=SegmentForm,
    form_submit_text=_("摘下"),
)


@admin.register(Tag)
class TagAdmin(DecidingAdmin):
    """A clerk's own words are not here: nobody else sees them."""

    form = TagForm
    refusals = (tags.Refused,)
    list_display = ("name", "group", "sort", "brand", "there", "count", "state")
    list_select_related = ("brand",)
    list_filter = ("kind", "brand", "is_active")
    search_fields = ("name", "group_name")
    ordering = ("kind", "group_name", "pk")
    fields = ("brand", "group_name", "name")
    readonly_fields = ("sort", "there", "count", "state")
    actions_detail = ("put_on", "take_off", "switch_off", "switch_on")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        held = MemberTag._base_manager.filter(tag=OuterRef("pk"), until=None).order_by().values("tag")
        counted = Subquery(held.annotate(count=Count("pk")).values("count"))
        shown = super().get_queryset(request).exclude(kind=Kind.CLERK).annotate(held=counted)
        # Of each category and size there is a word, whether or not anybody is known for it.
        return shown.exclude(Q(kind=Kind.MODEL, code__contains=":") & ~Exists(held))

    def get_fields(self, request: HttpRequest, obj: Tag | None = None) -> tuple[str, ...]:
        return self.fields if obj is None else (*self.fields, *self.readonly_fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Tag | None = None) -> tuple[str, ...]:
        """Whose it is stays; what WeCom or the computation has named is named there."""
        if obj is None:
            return self.readonly_fields
        is_ours = obj.kind == Kind.COMPANY and not obj.corp_tag_id
        return (*self.readonly_fields, "brand") if is_ours else (*self.readonly_fields, *self.fields)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "brand": _("空着 = 整个集团共用。"),
            "group_name": _("例如：生活、偏好。同一组的标签排在一起。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Tag, form: Any, change: bool) -> None:
        """The verbs keep the journal themselves."""
        given = {"group_name": obj.group_name, "name": obj.name, "by": request.user, "now": timezone.now()}
        if change and not form.changed_data:
            return
        if change:
            tags.rename(tag=Tag.objects.get(pk=obj.pk), **given)
            return
        made = tags.define(brand=obj.brand, **given)
        obj.pk, obj.code, obj.kind = made.pk, made.code, made.kind

    @display(description=_("标签组"), ordering="group_name")
    def group(self, row: Tag) -> str:
        return row.group_name or "–"

    @display(description=_("来源"), ordering="kind", label={"company": "info", "model": "success"})
    def sort(self, row: Tag) -> Badge:
        return Badge(row.kind, row.get_kind_display())

    @display(description=_("企业微信"))
    def there(self, row: Tag) -> str:
        return _("双向同步") if row.corp_tag_id else "–"

    @display(description=_("会员数"))  # not sortable: that would count all of them
    def count(self, row: Any) -> str:
        return f"{row.held or 0:,}"

    @display(description=_("状态"), ordering="is_active", label={"on": "success", "off": "warning"})
    def state(self, row: Tag) -> Badge:
        return Badge("on", _("在用")) if row.is_active else Badge("off", _("已停用"))

    # ── Buttons ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _may(self, request: HttpRequest, object_id: Any, fits: Callable[[Tag], bool]) -> bool:
        row = self.row(request, object_id)
        return row is not None and self.has_change_permission(request, row) and fits(row)

    def has_put_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, lambda row: row.kind == Kind.COMPANY and row.is_active)

    def has_off_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, lambda row: row.is_active and not row.corp_tag_id)

    def has_on_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, lambda row: not row.is_active and not row.corp_tag_id)

    @action(description=_("打在一个人群身上"), icon="new_label", permissions=["put"], dialog=PUT)
    def put_on(self, request: HttpRequest, form: SegmentForm, object_id: str) -> HttpResponse:
        return self._on_segment(request, form, object_id, tagging.put, _("给 %(count)s 位会员打上了“%(tag)s”。"))

    @action(description=_("从一个人群身上摘下"), icon="label_off", permissions=["put"], dialog=TAKE_OFF)
    def take_off(self, request: HttpRequest, form: SegmentForm, object_id: str) -> HttpResponse:
        said = _("从 %(count)s 位会员身上摘下了“%(tag)s”。")
        return self._on_segment(request, form, object_id, tagging.take_off, said)

    def _on_segment(
        self, request: HttpRequest, form: SegmentForm, object_id: str, verb: Callable[..., list[int]], said: Any
    ) -> HttpResponse:
        members = SegmentMember.objects.filter(segment=form.cleaned_data["segment"])
        ids = list(members.values_list("membership__member", flat=True))

        def act(tag: Tag) -> str:
            staff = getattr(request.user, "staff", None)
            changed = verb(tag=tag, member_ids=ids, staff=staff, now=timezone.now())
            return said % {"count": f"{len(changed):,}", "tag": tag}

        return self.attempt(request, object_id, act)

    @action(description=pgettext_lazy("button", "停用"), icon="label_off", permissions=["off"], dialog=OFF)
    def switch_off(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._switch(request, object_id, is_active=False)

    @action(description=_("启用"), icon="label", permissions=["on"], dialog=ON)
    def switch_on(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._switch(request, object_id, is_active=True)

    def _switch(self, request: HttpRequest, object_id: str, *, is_active: bool) -> HttpResponse:
        words = _("已经启用，在 %(count)s 位会员身上。") if is_active else _("已经停用，在 %(count)s 位会员身上。")

        def act(tag: Tag) -> str:
            count = tags.switch(tag=tag, is_active=is_active, by=request.user, now=timezone.now())
            return str(words) % {"count": f"{count:,}"}

        return self.attempt(request, object_id, act)
