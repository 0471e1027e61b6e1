"""异议: what clerks doubt, on one page with all an answer can be based on, and the two ways to answer."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from clerks import portraits, timeline
from clerks.models import Binding
from clerks.outreach import disputes as answers
from commissions import disputes, explain
from commissions.admin.journal import drafts_for, known, person_of
from commissions.models import ClaimRow, Dispute, Entry
from members.models import Purchase
from retail import scope
from retail.scoped_admin import Badge, DecidingAdmin, YuanField, as_yuan, link, moment

CHANGES = 50  # of a relation, the latest
COLOURS = {"overdue": "danger", "open": "warning", "adjusted": "success", "explained": "info", "withdrawn": "info"}


class Explanation(BaseDialogForm):
    text = forms.CharField(
        label=_("说明"), min_length=disputes.LEAST, max_length=disputes.MOST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_("导购在手机上原样看到这段话，会一直留在这笔佣金上。"),
    )  # fmt: skip


class Adjustment(BaseDialogForm):
    fen = YuanField(label=_("补多少（元）"), help_text=_("多给了要扣回，就填负数。"))
    text = forms.CharField(
        label=_("原因"), min_length=disputes.LEAST, max_length=disputes.MOST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )  # fmt: skip


EXPLAIN = ActionDialog(
    title=_("数没有错，写明原因"),
    description=_("答复后这笔钱照常发放。"),
    form_class=Explanation,
    form_submit_text=_("答复"),
)
PROPOSE = ActionDialog(
    title=_("提出调整"),
    description=_("总部另一个人同意后才记账，记在现在开着的结算期；没进发放批次的钱，在那之前先不发。"),
    form_class=Adjustment,
    form_submit_text=_("提交复核"),
)


class StateFilter(admin.SimpleListFilter):
    title = _("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("open", _("等答复")), ("overdue", _("超时未答")), ("closed", _("已答复"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "closed":
            return queryset.exclude(closed_at=None)
        if self.value() == "overdue":
            return queryset.overdue(timezone.now())
        return queryset.open() if self.value() == "open" else queryset


@admin.register(Dispute)
class DisputeAdmin(DecidingAdmin):
    refusals = (disputes.Refused,)
    is_read_only = True
    list_display = ("person", "state_label", "about", "store", "reason", "due")
    list_select_related = ("staff", "store", "order__channel", "statement__period", "statement__staff")
    list_filter = (StateFilter, "brand", "store")
    search_fields = ("staff__code__exact", "staff__name__startswith", "order__outer_order_id__exact")
    search_help_text = _("工号、姓名开头，或完整单号")
    ordering = ("-pk",)
    fields = ("person", "about", "store", "reason", "opened", "due", "state_label", "standing")
    change_form_after_template = "admin/commissions/dispute/evidence.html"
    actions_detail = ("explain", "propose")
    opened = moment("opened_at", _("提出时间"))
    due = moment("answer_by", _("最晚答复"))

    @display(description=_("谁"), ordering="staff")
    def person(self, row: Dispute) -> str:
        return str(row.staff)

    @display(description=_("对什么"))
    def about(self, row: Dispute) -> SafeString | str:
        if row.line_id is None:
            return str(_("结算单 %(statement)s")) % {"statement": row.statement}
        return link("retail_orderline_why", row.line_id, row.order)

    @display(description=_("状态"), label=COLOURS)
    def state_label(self, row: Dispute) -> Badge:
        if not row.is_open:
            return Badge(row.outcome, row.get_outcome_display())
        is_late = row.answer_by < timezone.now()
        return Badge("overdue", _("超时未答")) if is_late else Badge("open", _("等答复"))

    @display(description=_("现在"))
    def standing(self, row: Dispute) -> str:
        if not row.is_open:
            return str(_("已经答复，这笔钱照常发放。"))
        if (approval := answers.waiting(row)) is not None:
            return str(_("已提出调整，等另一个人同意：%(approval)s")) % {"approval": approval}
        found = disputes.doubted_of(periods=disputes.periods_of(dispute=row), staff_id=row.staff_id)
        if not found.gone_fen:
            return str(_("等答复；答复前这笔钱先不发。"))
        if not found.held_fen:
            return str(_("等答复；提出时这笔钱已在发放途中，照发，答复后有差额再补或扣。"))
        return str(_("等答复；没进发放批次的先不发，已进的照发，答复后有差额再补或扣。"))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        context = {} if row is None else _evidence(request, row)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    # Answering
    def has_answer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who leads the store or the group, sees the case, and has no part in the sale."""
        if not request.user.has_perm("commissions.answer_dispute"):
            return False
        row = self.row(request, object_id)
        return row is not None and not disputes.objection(dispute=row, by=request.user) and not answers.waiting(row)

    @action(description=_("说明原因"), icon="chat", permissions=["answer"], dialog=EXPLAIN)
    def explain(self, request: HttpRequest, form: Explanation, object_id: str) -> HttpResponse:
        def verb(row: Dispute) -> str:
            text = form.cleaned_data["text"]
            answers.explain_it(dispute=row, text=text, by=request.user, now=timezone.now())
            return str(_("已答复，本人会收到通知。"))

        return self.attempt(request, object_id, verb)

    @action(description=_("提出调整"), icon="edit_note", permissions=["answer"], dialog=PROPOSE)
    def propose(self, request: HttpRequest, form: Adjustment, object_id: str) -> HttpResponse:
        def verb(row: Dispute) -> str:
            given = {"fen": form.cleaned_data["fen"], "text": form.cleaned_data["text"]}
            answers.propose(dispute=row, by=request.user, now=timezone.now(), **given)
            return str(_("已放进双人审批，另一个人同意后记账。"))

        return self.attempt(request, object_id, verb)


def _evidence(request: HttpRequest, row: Dispute) -> dict[str, Any]:
    """For the page. Colleagues of other stores are not named to whoever may not know them."""
    found = answers.evidence(dispute=row)
    claims = known(ClaimRow._base_manager.filter(pk__in=[claim.pk for claim in found.claims]), request)
    entries = known(Entry._base_manager.filter(pk__in=[entry.pk for entry in found.entries]), request)
    names = {claim.pk: person_of(claim) for claim in claims.select_related("staff")}
    of_entry = {entry.pk: person_of(entry) for entry in entries.select_related("staff")}
    winners = found.story.winners if found.story else []
    bindings = known(Binding._base_manager.filter(pk__in=[one.pk for one in found.bindings]), request)
    return {
        "dispute": row,
        "order": row.order,
        "drafts": drafts_for(request, row.order) if row.order else [],
        "steps": row.steps.select_related("by__staff"),
        "objection": disputes.objection(dispute=row, by=request.user) if row.is_open else "",
        "claims": [(claim, names[claim.pk], explain.why(claim)) for claim in found.claims],
        "entries": [(entry, of_entry[entry.pk], as_yuan(entry.fen)) for entry in found.entries],
        "changes": _changes(row),
        "story": found.story,
        "taken_back": [
            (gone, of_entry.get(gone.entry.pk, "–")) for gone in (found.story.taken_back if found.story else [])
        ],
        "winners": [(win, [(part, names.get(part.claim.pk, "–")) for part in win.parts]) for win in winners],
        "bindings": [
            (one, person_of(one), one == found.bound_then)
            for one in bindings.select_related("staff", "store").order_by("started_at", "pk")
        ],
    }


def _changes(row: Dispute) -> list[timeline.Happened]:
    """What the relation rested on, as far as the reader's scope goes."""
    bought = Purchase.objects.filter(order=row.order_id).select_related("membership__brand").first()
    if bought is None:
        return []
    brand = bought.membership.brand
    reader = portraits.Reader.of_scope(scope.current(), brand_id=brand.pk, corp=brand.corp)
    member_id = bought.membership.member_id
    return timeline.page(reader=reader, member_id=member_id, limit=CHANGES, only=timeline.RELATION).rows
