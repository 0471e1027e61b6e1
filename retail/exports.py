"""Lists as files, for the roles that may: what was chosen on a list page, within the scope, with an audit row.

Some hundred rows anybody of these takes away alone, and so many a day. More takes a second person: what is wanted is
put before one, a job makes the file once they agree, it lies sealed for a day, and only the asker opens it.

    note_taken ──▶ the file, at once
        └─ TwoNeeded ──▶ ask ──approved──▶ job make_export ──▶ open_file, for a day
"""

import io
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import IO, Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connection, models, transaction
from django.db.models import IntegerField, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from retail import approvals, audit, jobs, logs, org, privacy, scope, sheets
from retail.models import AuditRow, ExportFile, Post, User
from retail.scoped_admin import ScopedAdmin

MOST_ALONE = 500  # rows of one file; of a day: settings.EXPORT_ROWS_PER_DAY
MOST = 50_000
LIFE = timedelta(hours=24)
KIND = "export"
MAKE = "make_export"  # kind of the job
TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "zip": "application/zip",
}
# Who writes a file that is no list of rows, by its format.
WRITERS: dict[str, Callable[[IO[bytes], ExportFile], None]] = {}
_CHUNK = 2_000


class Refused(ValueError):
    """This cannot be taken away; the words are for the person."""


class TwoNeeded(Refused):
    """More than one person may carry away alone."""


# ── Alone ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def note_taken(*, model: type[models.Model], rows: int, format: str, filter: str, by: User, now: datetime) -> None:
    """Write down that somebody takes these rows away. Raises TwoNeeded when that is too much for one person."""
    if rows > MOST_ALONE:
        raise TwoNeeded(_("一次超过 %(most)s 行，要另一个人同意。") % {"most": MOST_ALONE})
    _one_after_the_other(by)
    if taken_today(by=by, now=now) + rows > settings.EXPORT_ROWS_PER_DAY:
        words = _("今天一个人导出的合计会超过 %(most)s 行，要另一个人同意。")
        raise TwoNeeded(words % {"most": settings.EXPORT_ROWS_PER_DAY})
    after = {"rows": rows, "format": format, "filter": filter}
    audit.record(by=by, action="export", target=model, now=now, after=after)


def _one_after_the_other(by: User) -> None:
    """The same person in two windows, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('export', %s))", [by.pk])


def taken_today(*, by: User, now: datetime) -> int:
    """How many rows this person has taken away alone since midnight, here."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    acts = AuditRow._base_manager.filter(by=by, action="export", at__gte=midnight)
    return acts.aggregate(sum=Sum(Cast(KeyTextTransform("rows", "after"), IntegerField())))["sum"] or 0


# ── By two ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def ask(
    *,
    model: type[models.Model],
    ids: Sequence[int],
    format: str,
    filter: str,
    by: User,
    post: Post | None,
    reason: str,
    now: datetime,
    words: dict[str, str] | None = None,
) -> ExportFile:
    """Put a long list before a second person: exactly these rows. `words`: what goes out, where it is no list.

    Raises Refused.
    """
    if len(ids) > MOST:
        raise Refused(_("最多导出 %(most)s 行，请先用筛选缩小范围。") % {"most": MOST})
    if not 2 <= len(reason.strip()) <= 200:
        raise Refused(_("请写明用来做什么，2 到 200 个字。"))
    _one_after_the_other(by)
    same = {"model": model._meta.label_lower, "format": format, "ids": list(ids), "asked_by": by}
    waits = approvals.Approval.State.WAITING
    if ExportFile._base_manager.filter(**same, approval__state=waits, approval__expires_at__gt=now).exists():
        raise Refused(_("同样的导出您已经提交过，正在等另一个人同意。"))
    row = ExportFile._base_manager.create(
        **same,
        count=len(ids),
        filter=filter,
        reason=logs.struck(reason.strip()),
        post=post,
        asked_at=now,
    )
    said = {
        "by": by,
        "needs": permission(model),
        "reason": row.reason,
        "now": now,
        "after": words or _in_words(row, model),
    }
    row.approval = approvals.ask(kind=KIND, target=row, payload={}, **said)
    row.save(update_fields=["approval"])
    return row


def permission(model: type[models.Model]) -> str:
    """What it takes to carry rows of this model away."""
    return f"{model._meta.app_label}.export_{model._meta.model_name}"


def _in_words(row: ExportFile, model: type[models.Model]) -> dict[str, str]:
    """What the second person has to know: what goes out, how much of it, for whom, and what it was picked by."""
    rows = _("%(name)s %(count)s 行（%(format)s）")
    said = {"name": model._meta.verbose_name, "count": row.count, "format": row.get_format_display()}
    whom = {"person": getattr(row.asked_by, "staff", row.asked_by), "post": row.post or _("系统管理员")}
    words = {
        str(_("导出")): rows % said,
        str(_("每行有")): _("、").join(str(column.title) for column in _page_of(model).sheet),
        str(_("给谁")): _("%(person)s（%(post)s）") % whom,
    }
    return words | ({str(_("筛选")): row.filter} if row.filter else {})


@approvals.kind(KIND, name=gettext_lazy("大批导出"), permission="retail.decide_exportfile")
def _approved(*, target_id: str, payload: dict[str, Any], by: User, now: datetime) -> int:
    (job_id,) = jobs.enqueue(work=[jobs.Work(MAKE, {"export_id": int(target_id)})], now=now)
    return job_id


@transaction.atomic
def make(*, export_id: int, now: datetime) -> None:
    """The job: write the file as the asker's post sees the rows today, and seal it. Idempotent."""
    privacy.read_for_long()
    row = ExportFile._base_manager.select_for_update(of=("self",)).select_related("post").get(pk=export_id)
    if row.made_at is not None:
        return
    row.made_at, row.expires_at = now, now + LIFE
    visible = _scope_of(row, now)
    if visible is None:
        row.empty_because = ExportFile.Because.LEFT
    else:
        with scope.within(visible), tempfile.TemporaryFile() as out:
            _write(out, row)
            out.seek(0)
            row.sealed = privacy.sealed_in(row, "sealed", out.read())
    row.save(update_fields=["made_at", "expires_at", "sealed", "empty_because"])


def _scope_of(row: ExportFile, now: datetime) -> scope.Scope | None:
    """What the asker may see now, in the post in which they asked."""
    user = row.asked_by
    if not user.is_active:
        return None
    if row.post is None:
        return scope.EVERYTHING if user.is_superuser else None
    held = {post.pk for post in org.posts_of(staff=row.post.staff, now=now)}
    return org.scope_of(row.post) if row.post_id in held else None


def _write(out: IO[bytes], row: ExportFile) -> None:
    if row.format in WRITERS:
        WRITERS[row.format](out, row)
        return
    model = apps.get_model(row.model)
    page = _page_of(model)
    write_file(out, format=row.format, columns=page.sheet, rows=_rows(page, model, row.ids))


def _page_of(model: type[models.Model]) -> "ExportingAdmin":
    return admin.site.get_model_admin(model)


def _rows(page: "ExportingAdmin", model: type[models.Model], ids: Sequence[int]) -> Iterator[Any]:
    """The rows in the order they were chosen in, a few at a time."""
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK]
        found = {one.pk: one for one in page.sheet_rows(model.objects.filter(pk__in=some))}
        yield from (found[pk] for pk in some if pk in found)
    total = page.sheet_total(model.objects.filter(pk__in=ids)) if ids else None
    if total is not None:
        yield total


def write_file(out: IO[bytes], *, format: str, columns: Sequence[sheets.Column], rows: Any) -> None:
    if format == "xlsx":
        sheets.write_xlsx(out, columns=columns, rows=rows)
    else:
        out.writelines(sheets.csv_parts(columns=columns, rows=rows))


@transaction.atomic
def open_file(*, row: ExportFile, by: User, now: datetime) -> bytes:
    """What is in the file, for who asked for it and may still export; each time leaves its row. Raises Refused."""
    if row.asked_by_id != by.pk or row.state_at(now) != ExportFile.State.READY:
        raise Refused(_("这个文件现在不能下载。"))
    if not by.has_perm(permission(apps.get_model(row.model))):
        raise Refused(_("您现在的岗位不能导出，请换到提出时的岗位再下载。"))
    after = {"rows": row.count, "format": row.format, "content": row.model}
    audit.record(by=by, action="export.download", target=row, now=now, after=after, reason=row.reason)
    return privacy.opened(row, "sealed")


def forget(*, before: datetime) -> int:
    """Delete the contents of files made before then; that they were asked for stays."""
    return ExportFile._base_manager.filter(made_at__lt=before, sealed__isnull=False).update(sealed=None)


def forget_about(*, member_ids: Collection[int], key_ids: Collection[int]) -> list[ExportFile]:
    """Empty the files in which a person stands who wants to be forgotten, or may stand; those that were emptied.

    The file says why it is empty; it can be asked for again. `retail.erasure` has waited for those that were
    being written, and none is begun before our commit (`privacy.forget_alone`).
    """
    files = list(ExportFile._base_manager.filter(sealed__isnull=False).defer("sealed").select_related("asked_by"))
    pages = {file.model: _page_of(apps.get_model(file.model)) for file in files}
    about = {
        model: page.rows_about(member_ids=member_ids, key_ids=key_ids) if hasattr(page, "rows_about") else None
        for model, page in pages.items()
    }
    found = [file for file in files if (ids := about[file.model]) is None or not ids.isdisjoint(file.ids)]
    for file in found:
        file.sealed, file.empty_because = None, ExportFile.Because.FORGOTTEN
        file.save(update_fields=["sealed", "empty_because"])
    return found


# ── On list pages ────────────────────────────────────────────────────────────────────────────────────────────────────
class ExportingAdmin(ScopedAdmin):
    """Base of list pages that can be taken away as a file. Needs the permission `export_<model>`."""

    sheet: ClassVar[Sequence[sheets.Column]]
    actions = ("export_xlsx", "export_csv")

    def sheet_rows(self, rows: QuerySet) -> Iterable[Any]:
        """The rows with whatever the columns look at."""
        return rows

    def rows_about(self, *, member_ids: Collection[int], key_ids: Collection[int]) -> set[int] | None:
        """The ids of the rows that tell of a person; None where that cannot be known."""
        return None

    def sheet_total(self, rows: QuerySet) -> Any:
        """What the last line says of all rows together; None where there is none."""
        return None

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(permission(self.model))

    @admin.action(description=gettext_lazy("导出所选（Excel）"), permissions=["export"])
    def export_xlsx(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | FileResponse:
        return self.export(request, queryset, "xlsx")

    @admin.action(description=gettext_lazy("导出所选（CSV）"), permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | FileResponse:
        return self.export(request, queryset, "csv")

    def export(self, request: HttpRequest, queryset: QuerySet, format: str) -> HttpResponse | FileResponse:
        """The file, or the page that asks what so many rows are for, or the list again when they are too many."""
        ids = list(queryset.values_list("pk", flat=True)[: MOST + 1])
        # A search may have been for a number.
        filter = logs.struck(request.GET.urlencode())[:500]
        wanted = {"model": self.model, "format": format, "filter": filter, "by": request.user, "now": timezone.now()}
        try:
            if "reason" in request.POST:
                ask(**wanted, ids=ids, post=request.post, reason=request.POST["reason"])
                messages.success(request, _("已经放进双人审批。另一个人同意后，在“导出文件”里下载。"))
                return redirect("admin:retail_exportfile_changelist")
            note_taken(**wanted, rows=len(ids))
        except TwoNeeded as needed:
            return self._ask_what_for(request, str(needed), len(ids))
        except Refused as refused:
            return self._ask_what_for(request, str(refused), len(ids))
        out = io.BytesIO()
        write_file(out, format=format, columns=self.sheet, rows=_rows(self, self.model, ids))
        out.seek(0)
        name = file_name(self.opts.model_name, format, now=wanted["now"])
        return FileResponse(out, as_attachment=True, filename=name, content_type=TYPES[format])

    def _ask_what_for(self, request: HttpRequest, why: str, count: int) -> HttpResponse:
        sent = ("action", "select_across", "index", "format", ACTION_CHECKBOX_NAME)
        context = {
            **self.admin_site.each_context(request),
            "title": _("导出要另一个人同意"),
            "why": why,
            "too_many": count > MOST,
            "count": count,
            "name": self.opts.verbose_name,
            "reason": request.POST.get("reason", ""),
            "sent": [(name, value) for name in sent for value in request.POST.getlist(name)],
            "back": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
        }
        return TemplateResponse(request, "admin/retail/exportfile/ask.html", context)


def file_name(name: str, format: str, *, now: datetime) -> str:
    return f"{name}-{timezone.localtime(now):%Y%m%d-%H%M}.{format}"


def as_download(row: ExportFile, content: bytes, *, now: datetime) -> FileResponse:
    name = file_name(row.model.rpartition(".")[2], row.format, now=now)
    return FileResponse(io.BytesIO(content), as_attachment=True, filename=name, content_type=TYPES[row.format])
