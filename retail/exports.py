"""Lists as files, for the roles that may: what was chosen on a list page, within the scope, with an audit row."""

import tempfile
from collections.abc import Sequence
from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from retail import audit, logs, sheets
from retail.scoped_admin import ScopedAdmin

MOST_AT_ONCE = 500
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class TooMany(ValueError):
    """More rows than one person may carry away; the words are for them."""


def allow(*, count: int) -> None:
    """The one place that decides on size. A second person's approval, once there is one, is asked for here."""
    if count > MOST_AT_ONCE:
        raise TooMany(_("一次最多导出 %(most)s 行，请先用筛选缩小范围。") % {"most": MOST_AT_ONCE})


class ExportingAdmin(ScopedAdmin):
    """Base of list pages that can be taken away as a file. Needs the permission `export_<model>`."""

    sheet: ClassVar[Sequence[sheets.Column]]
    sheet_related: ClassVar[Sequence[str]] = ()
    actions = ("export_xlsx", "export_csv")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.export_{self.opts.model_name}")

    @admin.action(description=_("导出所选（Excel）"), permissions=["export"])
    def export_xlsx(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | FileResponse | None:
        rows = self._taken(request, queryset, "xlsx")
        if rows is None:
            return None
        out = tempfile.TemporaryFile()  # noqa: SIM115  closed by the response
        sheets.write_xlsx(out, columns=self.sheet, rows=rows)
        out.seek(0)
        return FileResponse(out, as_attachment=True, filename=self._name("xlsx"), content_type=XLSX)

    @admin.action(description=_("导出所选（CSV）"), permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse | None:
        rows = self._taken(request, queryset, "csv")
        if rows is None:
            return None
        said = {"Content-Disposition": f'attachment; filename="{self._name("csv")}"'}
        # Read here and not while it streams: by then the scope of the request has ended.
        parts = list(sheets.csv_parts(columns=self.sheet, rows=rows))
        return StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8", headers=said)

    def _taken(self, request: HttpRequest, queryset: QuerySet, format: str) -> Sequence[object] | None:
        """The rows, after the act is written down; None when they are too many, which the person is told."""
        rows = list(queryset.select_related(*self.sheet_related)[: MOST_AT_ONCE + 1])
        try:
            allow(count=len(rows))
        except TooMany as error:
            messages.error(request, str(error))
            return None
        # A search may have been for a number.
        after = {"rows": len(rows), "format": format, "filter": logs.masked(request.GET.urlencode())[:500]}
        audit.record(by=request.user, action="export", target=self.model, now=timezone.now(), after=after)
        return rows

    def _name(self, ending: str) -> str:
        return f"{self.opts.model_name}-{timezone.localtime():%Y%m%d-%H%M}.{ending}"
