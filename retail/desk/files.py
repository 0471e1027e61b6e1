"""One's own exported files: what waits for a second person, what can be downloaded, what is past its day."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from unfold.decorators import display

from retail import exports
from retail.models import ExportFile
from retail.scoped_admin import Badge, ScopedAdmin, moment


@admin.register(ExportFile)
class ExportFileAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("content", "count", "format", "state_label", "reason", "asked", "until")
    list_select_related = ("approval",)
    ordering = ("-pk",)
    fields = (
        "content", "count", "format", "filter", "reason", "state_label", "why", "answer", "asked", "made", "until",
    )  # fmt: skip
    change_form_outer_before_template = "admin/retail/exportfile/download.html"

    asked = moment("asked_at", _("提出时间"))
    made = moment("made_at", _("生成时间"))
    until = moment("expires_at", _("有效到"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Of this person, whatever the scope of their post: the database shows a request no others, either."""
        return self._ordered(ExportFile._base_manager.filter(asked_by=request.user).defer("ids"), request)

    def get_urls(self) -> list[URLPattern]:
        view = require_POST(never_cache(self.admin_site.admin_view(self.download_view)))
        return [path("<path:object_id>/download/", view, name="retail_exportfile_download"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        is_ready = row is not None and row.state_at(timezone.now()) == ExportFile.State.READY
        address = reverse("admin:retail_exportfile_download", args=[object_id]) if is_ready else ""
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "download": address})

    def download_view(self, request: HttpRequest, object_id: str) -> HttpResponse | FileResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        now = timezone.now()
        try:
            content = exports.open_file(row=row, by=request.user, now=now)
        except exports.Refused as refused:
            messages.error(request, str(refused))
            return redirect("admin:retail_exportfile_change", row.pk)
        return exports.as_download(row, content, now=now)

    @display(description=_("内容"))
    def content(self, row: ExportFile) -> str:
        return row.content

    @display(
        description=_("状态"),
        label={
            "waiting": "warning",
            "refused": "danger",
            "making": "info",
            "ready": "success",
            "gone": "info",
            "emptied": "warning",
        },
    )
    def state_label(self, row: ExportFile) -> Badge:
        state = ExportFile.State(row.state_at(timezone.now()))
        return Badge(state.value, state.label)

    @display(description=_("为什么没有文件"))
    def why(self, row: ExportFile) -> str:
        return row.get_empty_because_display() or "–"

    @display(description=_("答复"))
    def answer(self, row: ExportFile) -> str:
        return (row.approval.answer if row.approval else "") or "–"
