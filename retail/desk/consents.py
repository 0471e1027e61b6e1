"""The page of approvals: what waits for a second person, in words, the two buttons, and what became of it.

A button is there only for who may press it; who may not agree reads why.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from retail import approvals
from retail.approvals import Approval
from retail.jobs import Job
from retail.scoped_admin import Badge, Confirm, ScopedAdmin, moment

COLOURS = {"waiting": "warning", "approved": "success", "refused": "danger", "expired": "info", "lapsed": "info"}
# What became of an approved act, by the state of the job that does it.
RUNNING, DONE, FAILED = _("正在执行"), _("已完成"), _("执行失败")
_OUTCOMES = {Job.State.DUE: RUNNING, Job.State.RUNNING: RUNNING, Job.State.DONE: DONE, Job.State.DEAD: FAILED}


class Refusal(BaseDialogForm):
    """Who says no says why: the other person reads it."""

    answer = forms.CharField(
        label=_("为什么不同意"), max_length=200, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
    )


AGREE = ActionDialog(
    title=_("同意并马上生效？"),
    description=_("同意后立刻执行，并记下是您同意的。"),
    form_class=Confirm,
    form_submit_text=_("同意"),
)
REFUSE = ActionDialog(
    title=_("不同意？"),
    description=_("不会执行。提出的人看得到原因，可以改了再提。"),
    form_class=Refusal,
    form_submit_text=_("不同意"),
)


@admin.register(Approval)
class ApprovalAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("title", "changes", "asker", "asked", "state_label", "decider")
    list_select_related = ("asked_by__staff", "decided_by__staff")
    list_filter = ("state",)
    ordering = ("-asked_at",)
    change_form_after_template = "admin/retail/approval/ways.html"
    actions_detail = ("agree", "refuse")

    asked = moment("asked_at", _("提出时间"))
    until = moment("expires_at", _("有效到"))
    decided = moment("decided_at", _("决定时间"))

    def get_fields(self, request: HttpRequest, obj: Approval | None = None) -> tuple[str, ...]:
        """Who decides reads what is asked, and finds the buttons below it without scrolling past empty rows."""
        asked = ("title", "changes", "reason", "asker", "asked", "until", "state_label")
        is_open = obj is not None and obj.state == Approval.State.WAITING
        return asked if is_open else (*asked, "decider", "decided", "answer", "outcome")

    @display(description=_("事项"))
    def title(self, row: Approval) -> str:
        return row.title

    @display(description=_("内容"))
    def changes(self, row: Approval) -> SafeString:
        """What changes as before → after, and what is only said as it is."""
        names = {**row.before, **row.after}
        lines = (
            (name, f"{row.before[name]} → " if name in row.before else "", row.after.get(name, "–")) for name in names
        )
        return format_html_join("", '<div class="change"><b>{}</b> {}{}</div>', lines)

    @display(description=_("执行结果"))
    def outcome(self, row: Approval) -> str:
        """Done at once where no job does it; a job that is no more was done, for failed ones stay."""
        if row.state != Approval.State.APPROVED:
            return "–"
        job = Job.objects.filter(pk=row.job_id).first() if row.job_id else None
        words = str(_OUTCOMES[Job.State(job.state)] if job else DONE)
        lines = job.last_error.strip().splitlines() if job and job.state != Job.State.DONE else []
        return _("%(state)s：%(why)s") % {"state": words, "why": lines[-1][:200]} if lines else words

    @display(description=_("谁提出"))
    def asker(self, row: Approval) -> str:
        return str(row.asked_by)

    @display(description=_("谁决定"))
    def decider(self, row: Approval) -> str:
        return str(row.decided_by or "–")

    @display(description=_("状态"), ordering="state", label=COLOURS)
    def state_label(self, row: Approval) -> Badge:
        late = row.state == Approval.State.WAITING and row.expires_at <= timezone.now()
        state = Approval.State.EXPIRED if late else Approval.State(row.state)
        return Badge(state.value, state.label)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        objection = self._objection(request, object_id, is_approved=True)
        extra = {**(extra_context or {}), "objection": objection, "ways": self._ways(request, object_id)}
        return super().change_view(request, object_id, form_url, extra)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """None in the head of the page, where a phone hides them: the two buttons stand below what they decide."""
        return []

    def _ways(self, request: HttpRequest, object_id: str) -> list[tuple[str, str, object]]:
        """(name, address, words) of what the reader may press."""
        allowed = {"agree": self.has_agree_permission, "refuse": self.has_refuse_permission}
        words = {"agree": _("同意"), "refuse": _("不同意")}
        return [
            (name, reverse(f"admin:retail_approval_{name}", args=[object_id]), words[name])
            for name, may in allowed.items()
            if may(request, object_id)
        ]

    def has_agree_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._objection(request, object_id, is_approved=True) == ""

    def has_refuse_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._objection(request, object_id, is_approved=False) == ""

    def _objection(self, request: HttpRequest, object_id: Any, *, is_approved: bool) -> str | None:
        """Why the reader may not decide it so; None where there is nothing to decide."""
        row = self.get_object(request, str(object_id)) if object_id else None
        if row is None or row.state != Approval.State.WAITING:
            return None
        return row.objection(by=request.user, now=timezone.now(), is_approved=is_approved)

    @action(description=_("同意"), icon="check_circle", permissions=["agree"], dialog=AGREE)
    def agree(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, is_approved=True)

    @action(description=_("不同意"), icon="cancel", permissions=["refuse"], dialog=REFUSE)
    def refuse(self, request: HttpRequest, form: Refusal, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, is_approved=False, answer=form.cleaned_data["answer"])

    def _decide(self, request: HttpRequest, object_id: str, *, is_approved: bool, answer: str = "") -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        verdict = {"is_approved": is_approved, "answer": answer, "now": timezone.now()}
        try:
            approvals.decide(approval=row, by=request.user, **verdict)
            messages.success(request, _("已同意，马上生效。") if is_approved else _("已记下：不同意。"))
        except approvals.Refused as refusal:
            messages.error(request, str(refusal))
        return HttpResponse(headers={"HX-Refresh": "true"})
