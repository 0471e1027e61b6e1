"""导入会员: a file is given in, its columns looked over, every row tried, then taken; what was refused comes back."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from unfold.decorators import display

from members.models import MemberImport
from retail.imports import member_rows, members
from retail.models import Brand
from retail.scoped_admin import Badge, ScopedAdmin, moment

COLOURS = {
    "mapping": "warning",
    "checking": "info",
    "checked": "warning",
    "running": "info",
    "done": "success",
    "failed": "danger",
}
COUNTED = {
    "new": _("新会员"),
    "changed": _("资料有更新"),
    "known": _("没有变化"),
    "conflict": _("和已有会员冲突"),
    "bad": _("有错，不导入"),
}
_State = MemberImport.State


class ListForm(forms.Form):
    brand = forms.ModelChoiceField(
        label=_("哪个品牌的会员"), queryset=Brand.objects.none(), empty_label=_("请选择品牌")
    )
    file = forms.FileField(label=_("CSV 或 Excel 文件"), max_length=200)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["brand"].queryset = Brand.objects.order_by("pk")

    def clean_file(self) -> Any:
        if self.cleaned_data["file"].size > members.MOST_BYTES:
            size = members.MOST_BYTES // 1024 // 1024
            raise forms.ValidationError(_("文件太大，最多 %(size)s MB，请分成几个。") % {"size": size})
        return self.cleaned_data["file"]


@admin.register(MemberImport)
class MemberImportAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("name", "brand", "state_label", "total", "taken", "not_taken", "person", "made")
    list_select_related = ("brand", "asked_by__staff")
    list_filter = ("brand", "state", "made_at")
    ordering = ("-pk",)
    fields = ("name", "brand", "state_label", "total", "person", "made", "ended")
    change_form_outer_before_template = "admin/members/memberimport/look.html"

    made = moment("made_at", _("上传时间"))
    ended = moment("ended_at", _("结束时间"))

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("content", "refused")

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return request.user.has_perm("members.add_memberimport")

    def get_urls(self) -> list[URLPattern]:
        views = {
            "columns": require_POST(self.columns_view),
            "start": require_POST(self.start_view),
            "refused": require_POST(self.refused_view),
            "progress": self.progress_view,
        }
        own = [
            path(
                f"<path:object_id>/{name}/",
                never_cache(self.admin_site.admin_view(view)),
                name=f"members_memberimport_{name}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    # ── Pages ──
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Give a file in."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ListForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file, brand = form.cleaned_data["file"], form.cleaned_data["brand"]
            try:
                given = members.give_in(
                    name=file.name, content=file.read(), brand=brand, by=request.user, now=timezone.now()
                )
                return redirect("admin:members_memberimport_change", given.pk)
            except members.Unfit as unfit:
                form.add_error("file", str(unfit))
        context = {
            **self.admin_site.each_context(request),
            "title": _("导入会员"),
            "form": form,
            "columns": str(_("、")).join(str(column.title) for column in member_rows.COLUMNS),
            "most": members.MOST_BYTES // 1024 // 1024,
            "back": reverse("admin:members_memberimport_changelist"),
        }
        return TemplateResponse(request, "admin/members/memberimport/upload.html", context)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        given = self.get_object(request, object_id)
        found = {**(extra_context or {}), **(self._found(request, given) if given else {})}
        return super().change_view(request, object_id, form_url, found)

    def _found(self, request: HttpRequest, given: MemberImport) -> dict[str, Any]:
        """What the page shows of a list: its columns and first rows, how far it is, or what became of it."""
        counts = [(name, words, given.counts.get(name, 0)) for name, words in COUNTED.items()]
        found = {"given": given, "counts": counts, "may_act": self.has_add_permission(request), **_progress(given)}
        refused = [] if given.is_at_work else members.why_refused(given)
        found |= {"refused": refused[: members.SHOWN], "more_refused": len(refused) - members.SHOWN}
        if given.state in (_State.MAPPING, _State.CHECKED):
            try:
                seen = members.look(given, now=timezone.now())
                names = [("", _("不导入")), *((column.name, column.title) for column in member_rows.COLUMNS)]
                found |= {"seen": seen, "names": names, "heads": list(zip(seen.header, seen.columns, strict=True))}
            except members.Unfit as unfit:
                found["unfit"] = str(unfit)
        return found

    # ── Acts ──
    def columns_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Set the columns, then try every row."""

        def verb(given: MemberImport) -> None:
            columns = request.POST.getlist("column")
            row = members.map_columns(given=given, columns=columns)
            members.check(given=row, now=timezone.now())

        return self._attempt(request, object_id, verb)

    def start_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def verb(given: MemberImport) -> None:
            members.start(given=given, by=request.user, now=timezone.now())

        return self._attempt(request, object_id, verb)

    def refused_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The rows that were not taken, as a file that can be corrected and given in."""
        given = self._own(request, object_id)
        try:
            content = members.take_away_refused(given=given, by=request.user, now=timezone.now())
        except members.Unfit as unfit:
            messages.error(request, str(unfit))
            return redirect("admin:members_memberimport_change", given.pk)
        headers = {"Content-Disposition": f'attachment; filename="members-{given.pk}-failed.csv"'}
        return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How far it is; once it is done the whole page comes anew."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        given = self.get_object(request, object_id)
        if given is None:
            raise Http404
        if not given.is_at_work:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, "admin/members/memberimport/progress.html", _progress(given))

    def _own(self, request: HttpRequest, object_id: str) -> MemberImport:
        if not self.has_add_permission(request):
            raise PermissionDenied
        given = self.get_object(request, object_id)
        if given is None:
            raise Http404
        return given

    def _attempt(self, request: HttpRequest, object_id: str, verb: Callable[[MemberImport], None]) -> HttpResponse:
        given = self._own(request, object_id)
        try:
            verb(given)
        except members.Unfit as unfit:
            messages.error(request, str(unfit))
        return redirect("admin:members_memberimport_change", given.pk)

    # ── Columns ──
    @display(description=_("状态"), ordering="state", label=COLOURS)
    def state_label(self, row: MemberImport) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("导入"))
    def taken(self, row: MemberImport) -> str:
        is_over = row.state == _State.DONE
        return f"{row.counts.get('new', 0) + row.counts.get('changed', 0):,}" if is_over else "–"

    @display(description=_("未导入"))
    def not_taken(self, row: MemberImport) -> str:
        return f"{row.counts.get('bad', 0) + row.counts.get('conflict', 0):,}" if row.counts else "–"

    @display(description=_("谁上传"))
    def person(self, row: MemberImport) -> str:
        return str(row.asked_by or _("系统"))


def _progress(given: MemberImport) -> dict[str, Any]:
    return {"given": given, "percent": given.done * 100 // given.total if given.total else 0}
