"""客户继承: what waits, who gets whom, how far it is, and what a person still has to say."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from clerks import binding
from clerks.handover import cases, running
from clerks.handover.planning import Way
from clerks.models import ChatTransfer, Handover, HandoverRow
from members.models import Tag
from retail.exports import ExportingAdmin
from retail.models import Post, Store
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, EstimatedPaginator, link, moment, money
from retail.sheets import Column

COLOURS = {"open": "warning", "running": "info", "done": "success", "cancelled": "info"}
ROW_COLOURS = {
    **dict.fromkeys(HandoverRow.UNDER_WAY, "info"),
    **dict.fromkeys(HandoverRow.STUCK, "danger"),
    **dict.fromkeys(HandoverRow.OVER, "success"),
}
WAYS: dict[Way, str | Promise] = {
    Way.EVEN: _("平均分"),
    Way.ALL: _("全部给一个人"),
    Way.TAG: _("按标签分"),
    Way.LAST_STORE: _("按最近购买门店分"),
}
SAID: dict[Way, str | Promise] = {
    Way.EVEN: _("人数平均，消费高的也分得匀。"),
    Way.ALL: _("所有顾客归一位同事。"),
    Way.TAG: _("给同事指定标签，带这个标签的顾客归他；其余的由没指定标签的同事平分。"),
    Way.LAST_STORE: _("顾客最近在哪家店买，就归那家店的同事；没买过的平分。"),
}
RUN = "clerks.run_handover"
PER_PAGE = 50
CANCEL = ActionDialog(
    title=_("取消这次转移？"),
    description=_("顾客都还是原导购的。"),
    form_class=Confirm,
    form_submit_text=_("取消转移"),
)


FINISH = ActionDialog(
    title=_("就这样办结？"),
    description=_("企业微信没转过去的顾客，在我们这里仍归接手人。以后还可以重办。"),
    form_class=Confirm,
    form_submit_text=_("办结"),
)


@admin.register(Handover)
class HandoverAdmin(DecidingAdmin):
    """Nothing is typed into a handover; it is planned on a page of its own and seen through on this one."""

    is_read_only = True
    refusals = (cases.Refused,)
    list_display = ("who", "kind_label", "store", "state_label", "done", "stuck", "opened")
    list_select_related = ("staff", "store")
    list_filter = ("state", "kind", "store", "opened_at")
    search_fields = ("staff__code", "staff__name")
    search_help_text = _("原导购的姓名或工号")
    ordering = ("-pk",)
    fields = ("who", "kind_label", "store", "opened", "opener", "reason", "message")
    actions_detail = ("plan", "look", "finish", "cancel")
    change_form_outer_before_template = "admin/clerks/handover/progress.html"
    change_form_outer_after_template = "admin/clerks/handover/rows.html"
    opened = moment("opened_at", _("开单"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        over, stuck = Q(rows__state__in=HandoverRow.OVER), Q(rows__state__in=HandoverRow.STUCK)
        return super().get_queryset(request).annotate(over=Count("rows", over), stuck_count=Count("rows", stuck))

    @display(description=_("原导购"), ordering="staff__name")
    def who(self, row: Handover) -> str:
        return str(row.staff)

    @display(description=_("类型"), label={"left": "danger", "on_job": "info"})
    def kind_label(self, row: Handover) -> Badge:
        return Badge(row.kind, row.get_kind_display())

    @display(description=_("状态"), label=COLOURS)
    def state_label(self, row: Handover) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("已接替"))
    def done(self, row: Handover) -> str:
        return f"{row.over:,} / {row.total:,}"

    @display(description=_("要您处理"), label={"some": "danger"})
    def stuck(self, row: Handover) -> Badge | str:
        return Badge("some", f"{row.stuck_count:,}") if row.stuck_count else "–"

    @display(description=_("谁开的"))
    def opener(self, row: Handover) -> str:
        if row.opened_by:
            return str(getattr(row.opened_by, "staff", row.opened_by))
        return gettext("企业微信通知") if row.is_resigned else gettext("系统")

    # ── The page of one ──────────────────────────────────────────────────────────────────────────────────────────────
    def get_urls(self) -> list[URLPattern]:
        pages = {"again": self.again_view, "progress": self.progress_view}
        own = [
            path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"clerks_handover_{name}")
            for name, view in pages.items()
        ]
        return own + super().get_urls()

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        context = _page(row, request) if row is not None and self.has_view_permission(request, row) else {}
        context["may_run"] = request.user.has_perm(RUN)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The bar and the counts as they are now: asked for again and again while something is under way."""
        row = self._seen(request, object_id)
        context = _progress(row, request.GET) | {"may_run": request.user.has_perm(RUN)}
        answer = TemplateResponse(request, "admin/clerks/handover/progress.html", context)
        if not context["progress"].under_way:
            answer["HX-Refresh"] = "true"  # it asked since somebody was: now the rows below say what became of them
        return answer

    def _seen(self, request: HttpRequest, object_id: str) -> Handover:
        row = self.row(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        return row

    def has_run_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and row.state != Handover.State.CANCELLED and request.user.has_perm(RUN)

    def has_plan_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and row.state in cases.UNFINISHED and request.user.has_perm(RUN)

    def has_look_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and row.state == Handover.State.RUNNING and request.user.has_perm(RUN)

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        is_fresh = row is not None and row.state == Handover.State.OPEN and row.kind == Handover.Kind.ON_JOB
        return is_fresh and request.user.has_perm(RUN)

    @action(description=_("向企业微信核对"), icon="sync", permissions=["look"], dialog=ActionDialog(
        title=_("现在去企业微信核对？"),
        description=_("问一遍每位顾客转得怎么样了。平时会自动问，不用您点。"),
        form_class=Confirm,
        form_submit_text=_("核对"),
    ))  # fmt: skip
    def look(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: Handover) -> str:
            running.enqueue_look(handover_id=row.pk, now=timezone.now())
            return gettext("正在核对，过一会儿看结果。")

        return self.attempt(request, object_id, verb)

    @action(description=_("办结"), icon="task_alt", permissions=["look"], dialog=FINISH)
    def finish(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: Handover) -> str:
            cases.finish(handover=row, by=request.user, now=timezone.now())
            return gettext("办结了。")

        return self.attempt(request, object_id, verb)

    @action(description=_("取消转移"), icon="cancel", permissions=["cancel"], dialog=CANCEL)
    def cancel(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        def verb(row: Handover) -> str:
            cases.cancel(handover=row, by=request.user, now=timezone.now())
            return gettext("已取消，顾客都没有动。")

        return self.attempt(request, object_id, verb)

    # ── Who gets whom ────────────────────────────────────────────────────────────────────────────────────────────────
    @action(description=_("安排接手的人"), icon="group_add", permissions=["plan"])
    def plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Choose, look what it comes to, start: what is started is what was shown."""
        row = self.row(request, object_id)
        if row is None:
            raise Http404
        if request.method != "POST":
            return self._plan_page(request, row, request.GET)
        try:
            choice = _choice(request.POST)
            cases.gather(handover=row, now=timezone.now())  # who came late is shown before anything starts
            seen = cases.preview(handover=row, choice=choice, now=timezone.now())
            if request.POST.get("shown") != _digest(seen):
                return self._plan_page(request, row, request.POST, seen=seen)
            chats_to = _number(request.POST.get("chats_to"))
            given = {"message": request.POST.get("message", ""), "chats_to": chats_to}
            cases.start(handover=row, choice=choice, by=request.user, now=timezone.now(), **given)
        except cases.Refused as refused:
            return self._plan_page(request, row, request.POST, wrong=str(refused))
        messages.success(request, gettext("开始了。顾客已经归接手人，企业微信好友会在 24 小时内转过去。"))
        return redirect("admin:clerks_handover_change", row.pk)

    def _plan_page(
        self,
        request: HttpRequest,
        row: Handover,
        asked: QueryDict,
        *,
        seen: cases.Preview | None = None,
        wrong: str = "",
    ) -> HttpResponse:
        now = timezone.now()
        way = _way(asked)
        stores = sorted({row.store_id, *filter(None, map(_number, asked.getlist("store")))})
        found = cases.candidates(handover=row, store_ids=stores, now=now)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("安排接手的人"),
            "handover": row,
            "way": way,
            "said": SAID[way],
            "ways": [(one, name, urlencode({"way": one, "store": stores}, doseq=True)) for one, name in WAYS.items()],
            "stores": stores,
            "other_stores": _other_stores(row, stores),
            "people": _people(found, row, asked, now),
            "tags": _tags(row) if way == Way.TAG else [],
            "waiting": HandoverRow.objects.filter(handover=row, state=HandoverRow.State.OPEN).count(),
            "chats": row.store.group_chats.filter(staff=row.staff_id, dismissed_at=None).count(),
            "message": asked.get("message", row.message),
            "has_message": not row.is_resigned and bool(row.brand.corp),
            "seen": seen,
            "shown": _digest(seen) if seen else "",
            "sent": [
                (name, value) for name in asked for value in asked.getlist(name) if name != "csrfmiddlewaretoken"
            ],
            "wrong": wrong,
        }
        return TemplateResponse(request, "admin/clerks/handover/plan.html", context)

    # ── Once more ────────────────────────────────────────────────────────────────────────────────────────────────────
    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Retry the chosen customers, or give them to somebody else."""
        row = self._seen(request, object_id)
        if request.method != "POST" or not self.has_run_permission(request, object_id):
            raise Http404
        state = request.POST.get("state", "")
        row_ids = [number for one in request.POST.getlist("row") if (number := _number(one))]
        receiver_id = _number(request.POST.get("receiver"))
        try:
            count = cases.again(
                handover=row,
                by=request.user,
                now=timezone.now(),
                row_ids=None if request.POST.get("every") else row_ids,
                state=state,
                receiver_id=receiver_id,
            )
            messages.success(request, gettext("%(count)s 位顾客重新办理。") % {"count": f"{count:,}"})
        except cases.Refused as refused:
            messages.error(request, str(refused))
        page = reverse("admin:clerks_handover_change", args=[row.pk])
        return redirect(f"{page}?{urlencode({'state': state})}" if state else page)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else None


def _way(asked: QueryDict) -> Way:
    return Way(asked["way"]) if asked.get("way") in set(Way) else Way.EVEN


def _choice(sent: QueryDict) -> cases.Choice:
    people = [number for one in sent.getlist("receiver") if (number := _number(one))]
    return cases.Choice(_way(sent), {one: _number(sent.get(f"tag_{one}")) for one in people})


def _digest(seen: cases.Preview) -> str:
    """What was shown, so that something else is not started."""
    shares = [f"{one.pk}:{share.customers}" for one, share in seen.shares.items()]
    return ",".join([*shares, f"left:{seen.left.customers}"])


def _people(found: Sequence[Post], row: Handover, asked: QueryDict, now: Any) -> list[dict[str, Any]]:
    staff_ids = [one.staff_id for one in found]
    rooms = binding.room(brand=row.brand, staff_ids=staff_ids, now=now)
    held = binding.held_by(brand=row.brand, staff_ids=staff_ids)
    chosen = set(asked.getlist("receiver"))
    return [
        {
            "staff": one.staff,
            "store": one.store,
            "role": one.get_role_display(),
            "held": held.get(one.staff_id, 0),
            "room": rooms[one.staff_id],
            "is_chosen": str(one.staff_id) in chosen,
            "tag": asked.get(f"tag_{one.staff_id}", ""),
        }
        for one in found
    ]


def _other_stores(row: Handover, chosen: Sequence[int]) -> QuerySet[Store]:
    of_company = Store.objects.filter(brand=row.brand_id, franchisee=row.store.franchisee_id, is_open=True)
    return of_company.exclude(pk__in=chosen).order_by("name")


def _tags(row: Handover) -> list[Tag]:
    words = Tag.objects.filter(Q(brand=row.brand_id) | Q(brand=None), is_active=True)
    return list(words.exclude(kind=Tag.Kind.CLERK).order_by("group_name", "name")[:300])


def _progress(row: Handover, asked: QueryDict) -> dict[str, Any]:
    found = cases.progress(handovers=[row])[row.pk]
    states = [
        {"key": state, "name": state.label, "count": found.counts[state], "colour": ROW_COLOURS[state]}
        for state in HandoverRow.State
        if found.counts.get(state)
    ]
    return {"handover": row, "progress": found, "states": states, "state": asked.get("state", "")}


def _page(row: Handover, request: HttpRequest) -> dict[str, Any]:
    context = _progress(row, request.GET)
    rows = HandoverRow.objects.filter(handover=row)
    if context["state"] in HandoverRow.State:
        rows = rows.filter(state=context["state"])
    rows = rows.select_related("member", "receiver").order_by("pk")
    chats = ChatTransfer.objects.filter(handover=row).select_related("chat", "receiver").order_by("pk")
    is_stuck = not context["state"] or context["state"] in HandoverRow.STUCK
    return context | {
        "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("p")),
        "chats": chats[:PER_PAGE],
        "stuck_states": HandoverRow.STUCK,
        "colleagues": cases.candidates(handover=row, store_ids=[row.store_id], now=timezone.now()) if is_stuck else [],
        "report": f"{reverse('admin:clerks_handoverrow_changelist')}?{urlencode({'handover__id__exact': row.pk})}",
    }


@admin.register(HandoverRow)
class HandoverRowAdmin(ExportingAdmin):
    """The report: every customer of every handover in a list that can be filtered, and taken away by those who may."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("member", "giver", "now_with", "spend", "state_label", "because", "moved", "ended")
    list_select_related = ("member", "receiver", "holder", "handover__staff", "handover__store")
    list_filter = ("state", "why", "ended_at")
    lookups = ("handover__id__exact",)
    ordering = ("-handover", "pk")
    fields = (
        "case", "member", "giver", "now_with", "spend", "state_label", "because", "tries", "moved", "asked", "ended",
    )  # fmt: skip
    spend = money("spend_fen", _("一年内消费"))
    moved = moment("moved_at", _("归接手人"))
    asked = moment("asked_at", _("告诉企业微信"))
    ended = moment("ended_at", _("有结果"))
    sheet = (
        Column(_("顾客编号"), "whole", lambda row: row.member_id),
        Column(_("顾客"), "text", lambda row: row.member),
        Column(_("门店"), "text", lambda row: row.handover.store),
        Column(_("原导购"), "text", lambda row: row.handover.staff),
        Column(_("接手人"), "text", lambda row: row.receiver or ""),
        Column(_("一年内消费"), "money", lambda row: row.spend_fen),
        Column(_("状态"), "text", lambda row: row.get_state_display()),
        Column(_("原因"), "text", lambda row: row.get_why_display()),
        Column(_("归接手人"), "moment", lambda row: row.moved_at),
        Column(_("有结果"), "moment", lambda row: row.ended_at),
    )

    def sheet_rows(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("member", "receiver", "handover__staff", "handover__store")

    def rows_about(self, *, member_ids: Any, key_ids: Any) -> set[int] | None:
        return set(HandoverRow._base_manager.filter(member__in=member_ids).values_list("pk", flat=True))

    @display(description=_("客户继承"))
    def case(self, row: HandoverRow) -> str:
        return link("clerks_handover_change", row.handover_id, row.handover)

    @display(description=_("原导购"))
    def giver(self, row: HandoverRow) -> str:
        return str(row.handover.staff)

    @display(description=_("接手人"))
    def now_with(self, row: HandoverRow) -> str:
        return str(row.receiver or "–")

    @display(description=_("状态"), ordering="state", label=ROW_COLOURS)
    def state_label(self, row: HandoverRow) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=_("原因"))
    def because(self, row: HandoverRow) -> str:
        if row.why == HandoverRow.Why.OTHER and row.errcode:
            return f"{row.get_why_display()} {row.errcode}"
        return row.get_why_display() or "–"
