"""Pages of runs over history: trying a version on past days, judging past days again, and what either found."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from commissions import runs
from commissions.models import PlanVersion, Run, RunFigure
from commissions.models.ledger import SHANGHAI
from retail import approvals
from retail.exports import ExportingAdmin
from retail.models import Brand
from retail.scoped_admin import (
    Badge,
    Confirm,
    DecidingAdmin,
    EstimatedPaginator,
    ScopedAdmin,
    as_yuan,
    link,
    moment,
    money,
)
from retail.sheets import Column

COLOURS = dict.fromkeys(("waiting", "running", "posting"), "info") | {
    "ready": "success",
    "posted": "success",
    "cancelled": "warning",
    "failed": "danger",
}
SHOWN = 12  # stores, channels … on the page of a run; all of them are on the list of its figures
MOVERS = 20  # people each way


# ── Dialogs ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class _DayInput(UnfoldAdminTextInputWidget):
    input_type = "date"


def _last_month(*, is_end: bool) -> date:
    before = timezone.localdate(timezone=SHANGHAI).replace(day=1) - timedelta(days=1)
    return before if is_end else before.replace(day=1)


class RangeForm(BaseDialogForm):
    """Days of payment; the last full month unless told otherwise."""

    first = forms.DateField(
        label=_("从哪天付款的订单"), widget=_DayInput(), initial=lambda: _last_month(is_end=False).isoformat()
    )
    last = forms.DateField(
        label=_("到哪天（含）"), widget=_DayInput(), initial=lambda: _last_month(is_end=True).isoformat()
    )


class RecomputeForm(RangeForm):
    brand = forms.ModelChoiceField(
        label=_("品牌"), queryset=Brand.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["brand"].queryset = Brand.objects.order_by("code")


class PostForm(BaseDialogForm):
    reason = forms.CharField(
        label=_("原因"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget(),
        help_text=_("变动大时要另一个人同意，这时必填。"),
    )  # fmt: skip


TRY_ON = ActionDialog(
    title=_("用过去的订单试算？"),
    description=_("按这个版本把这些天的订单再算一遍，和已经记的账比。只看，不记账；草稿也可以。"),
    form_class=RangeForm,
    form_submit_text=_("开始试算"),
)
RECOMPUTE = ActionDialog(
    title=_("重算哪些天？"),
    description=_("按现在生效的方案把这些天的订单再算一遍。先给您看会变多少，确认后才过账。"),
    form_class=RecomputeForm,
    form_submit_text=_("先算给我看"),
)
POST = ActionDialog(
    title=_("把差额过账？"),
    description=_("只补记差额，原来的流水不动。没结的期，差额记在那一期；已结的，记进还没结的那一期。"),
    form_class=PostForm,
    form_submit_text=_("过账"),
)
CANCEL = ActionDialog(
    title=_("取消这次计算？"),
    description=_("算到一半的结果不保留。正在过账的，已过的账不会撤回。"),
    form_class=Confirm,
    form_submit_text=_("取消计算"),
)


def _to(run: Run) -> HttpResponse:
    """Dialogs need HTMX's redirect."""
    return HttpResponse(headers={"HX-Redirect": reverse("admin:commissions_run_change", args=[run.pk])})


class TriedOn(DecidingAdmin):
    """For the page of versions: the button that tries one on past days. Its name goes into `actions_detail`."""

    def has_try_on_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("commissions.add_run")

    @action(description=_("试算到历史"), icon="science", permissions=["try_on"], dialog=TRY_ON)
    def try_on(self, request: HttpRequest, form: RangeForm, object_id: str) -> HttpResponse:
        def begin(version: PlanVersion) -> tuple[str, Run]:
            given = {name: form.cleaned_data[name] for name in ("first", "last")}
            run = runs.try_on(version=version, **given, by=request.user, now=timezone.now())
            return str(_("已经开始试算，算好了结果就在这一页。")), run

        return self.attempt(request, object_id, begin)


# ── The page of a run ────────────────────────────────────────────────────────────────────────────────────────────────
class Bar(NamedTuple):
    """A row of a chart: two amounts as widths of 100."""

    figure: RunFigure
    old_width: int
    new_width: int


def _bars(figures: Sequence[RunFigure]) -> list[Bar]:
    most = max((abs(fen) for figure in figures for fen in (figure.old_fen, figure.new_fen)), default=0) or 1
    return [Bar(one, abs(one.old_fen) * 100 // most, abs(one.new_fen) * 100 // most) for one in figures]


class Section(NamedTuple):
    title: object
    bars: list[Bar]
    others: int


_OF_PEOPLE = (RunFigure.By.PERSON, RunFigure.By.BONUS)


def _bonuses(run: Run) -> dict[str, Any] | None:
    """What the ladders would have given for the whole periods among the days tried; those whose bonus moves first."""
    if run.kind != Run.Kind.WHAT_IF:
        return None
    found = run.result.get("bonuses")
    if found is None:
        return {"periods": []}
    people = run.figures.filter(by=RunFigure.By.BONUS).select_related("staff")
    figures = sorted(people, key=lambda one: (-abs(one.diff_fen), -abs(one.new_fen), one.staff_id or 0))
    others = max(0, len(figures) - SHOWN)
    return {**found, "diff_fen": found["new_fen"] - found["old_fen"], "bars": _bars(figures[:SHOWN]), "others": others}


def _sections(run: Run) -> list[Section]:
    """Per role, channel …: those with the largest differences first, then the largest amounts."""
    found: dict[str, list[RunFigure]] = {by: [] for by in RunFigure.By.values if by not in _OF_PEOPLE}
    for figure in run.figures.exclude(by__in=_OF_PEOPLE):
        found[figure.by].append(figure)
    sections = []
    for by, figures in found.items():
        figures.sort(key=lambda one: (-abs(one.diff_fen), -abs(one.new_fen), one.name))
        title = RunFigure.By(by).label
        sections.append(Section(title, _bars(figures[:SHOWN]), max(0, len(figures) - SHOWN)))
    return [section for section in sections if section.bars]


def _movers(run: Run) -> list[Section]:
    people = run.figures.filter(by=RunFigure.By.PERSON).select_related("staff")
    more = people.filter(diff_fen__gt=0).order_by("-diff_fen", "staff")[:MOVERS]
    less = people.filter(diff_fen__lt=0).order_by("diff_fen", "staff")[:MOVERS]
    found, result = ((_("多得最多的人"), list(more)), (_("少得最多的人"), list(less))), run.result
    counts = (result["winners"], result["losers"])
    sections = [
        Section(title, _bars(rows), count - len(rows)) for (title, rows), count in zip(found, counts, strict=True)
    ]
    return [section for section in sections if section.bars]


@admin.register(Run)
class RunAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("title", "brand", "days", "state_label", "lines_done", "difference", "starter", "started")
    list_select_related = ("version__plan", "brand", "started_by__staff")
    list_filter = ("kind", "brand", "state")
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("title", "brand", "days", "state_label")}),
        (
            _("经手人和依据"),
            {"classes": ["collapse"], "fields": ("starter", "started", "poster", "ended", "input_hash")},
        ),
    )
    actions_list = ("recompute",)
    actions_detail = ("post", "cancel")
    change_form_outer_before_template = "admin/commissions/run/found.html"

    started = moment("started_at", _("提出时间"))
    ended = moment("ended_at", _("结束时间"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("version__plan", "brand").defer("changed")

    @display(description=_("做什么"), ordering="kind")
    def title(self, run: Run) -> str | SafeString:
        if run.version is None:
            return run.get_kind_display()
        return f"{run.get_kind_display()} {run.version}"

    @display(description=_("付款日"), ordering="first_on")
    def days(self, run: Run) -> str:
        return f"{run.first_on:%Y-%m-%d} – {run.last_on:%Y-%m-%d}"

    @display(description=_("状态"), ordering="state", label=COLOURS)
    def state_label(self, run: Run) -> Badge:
        return Badge(run.state, run.get_state_display())

    @display(description=_("订单行"))
    def lines_done(self, run: Run) -> str:
        return f"{run.result['lines']:,}" if run.result else "–"

    @display(description=_("差额"))
    def difference(self, run: Run) -> SafeString | str:
        return as_yuan(run.result["new_fen"] - run.result["old_fen"]) if run.result else "–"

    @display(description=_("谁开始的"))
    def starter(self, run: Run) -> str:
        return str(run.started_by or "–")

    @display(description=_("谁过的账"))
    def poster(self, run: Run) -> str:
        return str(run.posted_by or "–")

    # What can be done.
    def has_start_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("commissions.add_run")

    def has_post_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        run = self._run(request, object_id)
        is_ready = run is not None and run.kind == Run.Kind.RECOMPUTE and run.state == Run.State.READY
        return is_ready and request.user.has_perm("commissions.post_run") and bool(run.result.get("changed"))

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        run = self._run(request, object_id)
        return run is not None and run.is_at_work and request.user.has_perm("commissions.add_run")

    def _run(self, request: HttpRequest, object_id: Any) -> Run | None:
        """Read once in a request: each button asks for it."""
        if object_id and getattr(request, "run", None) is None:
            request.run = self.get_object(request, str(object_id))
        return request.run if object_id else None

    @action(description=_("重算一段时间"), icon="calculate", permissions=["start"], dialog=RECOMPUTE)
    def recompute(self, request: HttpRequest, form: RecomputeForm) -> HttpResponse:
        given = {name: form.cleaned_data[name] for name in ("brand", "first", "last")}
        try:
            return _to(runs.preview(**given, by=request.user, now=timezone.now()))
        except runs.RunRefused as refusal:
            messages.error(request, str(refusal))
            return HttpResponse(headers={"HX-Refresh": "true"})

    @action(description=_("过账"), icon="playlist_add_check", permissions=["post"], dialog=POST)
    def post(self, request: HttpRequest, form: PostForm, object_id: str) -> HttpResponse:
        def verb(run: Run) -> object:
            given = {"reason": form.cleaned_data["reason"], "by": request.user, "now": timezone.now()}
            is_posting = runs.post(run=run, **given).state == Run.State.POSTING
            return _("开始过账了。") if is_posting else _("已经放进双人审批，另一个人同意后开始过账。")

        return self._attempt(request, object_id, verb)

    @action(description=_("取消计算"), icon="cancel", permissions=["cancel"], dialog=CANCEL)
    def cancel(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(run: Run) -> object:
            runs.cancel(run=run, by=request.user, now=timezone.now())
            return _("已取消。")

        return self._attempt(request, object_id, verb)

    def _attempt(self, request: HttpRequest, object_id: str, verb: Callable[[Run], object]) -> HttpResponse:
        run = self._run(request, object_id)
        if run is None:
            raise Http404
        try:
            messages.success(request, str(verb(run)))
        except (runs.RunRefused, approvals.Refused) as refusal:
            messages.error(request, str(refusal))
        return _to(run)

    # The page, and the piece of it that is asked for again while the run is at work.
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.progress_view)
        return [path("<path:object_id>/progress/", view, name="commissions_run_progress"), *super().get_urls()]

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self._run(request, object_id)
        if run is None:
            raise Http404
        if not run.is_at_work:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, "admin/commissions/run/progress.html", _progress(run))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        run = self._run(request, object_id)
        found = {**(extra_context or {}), **(_found(run) if run else {})}
        return super().change_view(request, object_id, form_url, found)


def _progress(run: Run) -> dict[str, Any]:
    left = run.seconds_left(timezone.now())
    return {"run": run, "percent": run.done * 100 // run.total if run.total else 0, "left": left}


def _found(run: Run) -> dict[str, Any]:
    """What the page shows of a run: how far it is, or what it found."""
    if run.is_at_work or not run.result:
        return _progress(run)
    forecast = {**run.result["forecast"], "month": date.fromisoformat(run.result["forecast"]["month"])}
    return {
        **_progress(run),
        "found": {**run.result, "diff_fen": run.result["new_fen"] - run.result["old_fen"]},
        "forecast": {**forecast, "diff_fen": forecast["new_fen"] - forecast["old_fen"]},
        "sections": _sections(run),
        "movers": _movers(run),
        "bonuses": _bonuses(run),
        "is_outdated": runs.is_outdated(run),
        "is_preview": run.kind == Run.Kind.RECOMPUTE and run.state == Run.State.READY,
        "is_asked": run.kind == Run.Kind.RECOMPUTE and run.state == Run.State.READY and runs.is_asked(run),
    }


# ── All figures, to look through and to take away ────────────────────────────────────────────────────────────────────
class MoveFilter(admin.SimpleListFilter):
    title = _("变化")
    parameter_name = "move"
    _LOOKUPS = {"more": {"diff_fen__gt": 0}, "less": {"diff_fen__lt": 0}, "same": {"diff_fen": 0}}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("more", _("变多")), ("less", _("变少")), ("same", _("不变"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        wanted = self.value()
        if wanted is None:
            return queryset
        return queryset.filter(**self._LOOKUPS[wanted]) if wanted in self._LOOKUPS else queryset.none()


def _code(figure: RunFigure) -> str:
    return figure.staff.code if figure.staff else ""


def _name(figure: RunFigure) -> str:
    return figure.staff.name if figure.staff else figure.name


@admin.register(RunFigure)
class RunFigureAdmin(ExportingAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("who", "by", "old", "new", "diff", "old_lines", "new_lines", "of_run")
    list_select_related = ("staff", "run__version__plan", "run__brand")
    list_filter = ("by", MoveFilter)
    lookups = ("run__id__exact",)
    search_fields = ("staff__code__exact", "staff__name__startswith", "name__startswith")
    search_help_text = _("工号、姓名或名称开头")
    ordering = ("-run", "-diff_fen", "pk")
    fields = ("who", "by", "old", "new", "diff", "old_lines", "new_lines", "of_run")
    sheet = (
        Column(_("按什么"), "text", lambda figure: figure.get_by_display()),
        Column(_("工号"), "text", _code),
        Column(_("名称"), "text", _name),
        Column(_("原来（元）"), "money", lambda figure: figure.old_fen),
        Column(_("现在（元）"), "money", lambda figure: figure.new_fen),
        Column(_("差额（元）"), "money", lambda figure: figure.diff_fen),
        Column(_("原来的行数"), "whole", lambda figure: figure.old_lines),
        Column(_("现在的行数"), "whole", lambda figure: figure.new_lines),
    )
    old = money("old_fen", _("原来"))
    new = money("new_fen", _("现在"))
    diff = money("diff_fen", _("差额"))

    def sheet_rows(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("staff")

    @display(description=_("名称"))
    def who(self, figure: RunFigure) -> str:
        return str(figure)

    @display(description=_("哪一次"))
    def of_run(self, figure: RunFigure) -> SafeString:
        return link("commissions_run_change", figure.run_id, figure.run)
