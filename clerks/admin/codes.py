"""渠道活码: made and changed here; who came by them, and who went."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from clerks.models import ContactWay, Shift
from clerks.outreach import codes
from retail.scoped_admin import Badge, ScopedAdmin, ScopedTabularInline, moment


class Weekdays(forms.MultipleChoiceField):
    """Kept as digits, "135"; ticked as days."""

    def __init__(self, **kwargs: Any) -> None:
        names = (_("一"), _("二"), _("三"), _("四"), _("五"), _("六"), _("日"))
        choices = [(str(number), name) for number, name in enumerate(names, start=1)]
        super().__init__(choices=choices, widget=UnfoldAdminCheckboxSelectMultipleWidget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return list(value) if isinstance(value, str) else value

    def clean(self, value: Any) -> str:
        return "".join(sorted(super().clean(value)))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return "".join(initial or "") != "".join(sorted(data or []))


class ShiftInline(ScopedTabularInline):
    model = Shift
    fields = ("staff", "weekdays", "starts", "ends")
    autocomplete_fields = ("staff",)
    verbose_name_plural = _("谁在什么时候接")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "weekdays":
            return Weekdays(label=db_field.verbose_name, initial=db_field.get_default())
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(ContactWay)
class ContactWayAdmin(ScopedAdmin):
    is_everyday = True
    list_display = ("name", "kind", "brand", "store", "on_now", "problem", "added", "lost", "added_lately", "updated")
    list_select_related = ("brand", "store")
    list_filter = ("kind", "brand", "store", "is_active")
    search_fields = ("name", "store__name")
    autocomplete_fields = ("store", "spare")
    ordering = ("-pk",)
    fields = (
        "name", "kind", "brand", "store", "spare", "daily_cap", "skip_verify", "is_active",
        "on_now", "picture", "added", "lost", "problem",
    )  # fmt: skip
    readonly_fields = ("on_now", "picture", "added", "lost", "problem")
    inlines = (ShiftInline,)
    updated = moment("applied_at", _("上次更新"))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The figures of a page in two statements."""
        page = super().get_changelist_instance(request)
        self._count(page.result_list)
        return page

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        way = super().get_object(request, object_id, from_field)
        if way is not None:
            self._count([way])
        return way

    def _count(self, ways: Any) -> None:
        lately = timezone.now() - timedelta(days=30)
        ever, month = codes.counts(ways=ways), codes.counts(ways=ways, since=lately)
        for way in ways:
            way.ever, way.month = ever.get(way.pk, codes.Count()), month.get(way.pk, codes.Count())

    def save_model(self, request: HttpRequest, obj: ContactWay, form: ModelForm, change: bool) -> None:
        obj.state_code = obj.state_code or codes.new_state_code()
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """With the shifts as they are now WeCom is told."""
        super().save_related(request, form, formsets, change)
        codes.publish(ways=[form.instance], now=timezone.now())

    @display(description=_("现在谁在接"), label={"ok": "success", "trouble": "danger", "off": "info"})
    def on_now(self, row: ContactWay) -> Badge:
        if not row.is_active:
            return Badge("off", _("已停用"))
        names = _("、").join(staff.name for staff in codes.on_duty(way=row, now=timezone.now())) if row.pk else ""
        return Badge("trouble" if row.trouble or not names else "ok", names or _("没有人"))

    @display(description=_("问题"))
    def problem(self, row: ContactWay) -> str:
        """Why it is not as it should be, and when that is tried again."""
        if not row.trouble or row.next_try_at is None:
            return row.trouble or "–"
        again = _("%(time)s 再试。") % {"time": f"{timezone.localtime(row.next_try_at):%H:%M}"}
        return f"{row.trouble} {again}"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.picture_view)
        return [path("<path:object_id>/code.png", view, name="clerks_contactway_code"), *super().get_urls()]

    def picture_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The picture itself: kept here once it was fetched, since it never changes."""
        way = super().get_object(request, unquote(object_id))
        if way is None or not self.has_view_permission(request, way) or not (picture := codes.picture(way=way)):
            raise Http404
        kind = "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
        return HttpResponse(picture, content_type=kind, headers={"Cache-Control": "private, max-age=3600"})

    @display(description=_("二维码"))
    def picture(self, row: ContactWay) -> SafeString | str:
        if not row.qr_code:
            return str(_("保存后由企业微信生成"))
        address = reverse("admin:clerks_contactway_code", args=[row.pk])
        return format_html(
            '<a class="code-picture" href="{}" download="{}.png"><img src="{}" alt="{}">{}</a>',
            *(address, row.name, address, _("二维码"), _("下载图片")),
        )

    @display(description=_("新增"))
    def added(self, row: Any) -> int:
        return row.ever.added if hasattr(row, "ever") else 0

    @display(description=_("流失"))
    def lost(self, row: Any) -> int:
        return row.ever.lost if hasattr(row, "ever") else 0

    @display(description=_("30 天新增"))
    def added_lately(self, row: Any) -> int:
        return row.month.added if hasattr(row, "month") else 0
