"""The page of approvals: what waits for a second person, before → after in words, and the two buttons."""

from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm

from retail import approvals, gate
from retail.approvals import Approval
from retail.models import User
from retail.scoped_admin import Badge, ScopedAdmin, moment

COLOURS = {"waiting": "warning", "approved": "success", "refused": "danger", "expired": "info"}


class Confirm(BaseDialogForm):
    """A dialog with nothing to fill in."""


AGREE = ActionDialog(
    title=_("同意并马上生效？"),
    description=_("同意后立刻执行，并记下是您同意的。"),
    form_class=Confirm,
    form_submit_text=_("同意"),
)
REFUSE = ActionDialog(
    title=_("不同意？"),
    description=_("不会执行。提出的人可以改了再提。"),
    form_class=Confirm,
    form_submit_text=_("不同意"),
)


@admin.register(Approval)
class ApprovalAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("title", "changes", "asker", "asked", "state_label", "decider")
    list_select_related = ("asked_by__staff", "decided_by__staff")
    list_filter = ("state",)
    ordering = ("-asked_at",)
    fields = (
        "title", "changes", "reason", "asker", "asked", "until", "state_label", "decider", "decided",
    )  # fmt: skip
    actions_detail = ("agree", "refuse")

    asked = moment("asked_at", _("提出时间"))
    until = moment("expires_at", _("有效到"))
    decided = moment("decided_at", _("决定时间"))

    @display(description=_("事项"))
    def title(self, row: Approval) -> str:
        return row.title

    @display(description=_("之前 → 之后"))
    def changes(self, row: Approval) -> SafeString:
        lines = ((name, row.before.get(name, "–"), row.after.get(name, "–")) for name in {**row.before, **row.after})
        return format_html_join("", '<div class="change"><b>{}</b> {} → {}</div>', lines)

    @display(description=_("谁提出"))
    def asker(self, row: Approval) -> str:
        return _person(row.asked_by)

    @display(description=_("谁决定"))
    def decider(self, row: Approval) -> str:
        return _person(row.decided_by) if row.decided_by else "–"

    @display(description=_("状态"), ordering="state", label=COLOURS)
    def state_label(self, row: Approval) -> Badge:
        late = row.state == Approval.State.WAITING and row.expires_at <= timezone.now()
        state = Approval.State.EXPIRED if late else Approval.State(row.state)
        return Badge(state.value, state.label)

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_object(request, str(object_id)) if object_id else None
        return row is not None and row.may_be_decided(by=request.user, now=timezone.now())

    @action(description=_("同意"), icon="check_circle", permissions=["decide"], dialog=AGREE)
    @gate.fresh
    def agree(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, is_approved=True)

    @action(description=_("不同意"), icon="cancel", permissions=["decide"], dialog=REFUSE)
    @gate.fresh
    def refuse(self, request: HttpRequest, form: Confirm, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, is_approved=False)

    def _decide(self, request: HttpRequest, object_id: str, *, is_approved: bool) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        try:
            approvals.decide(approval=row, by=request.user, is_approved=is_approved, now=timezone.now())
            messages.success(request, _("已同意，并且生效了。") if is_approved else _("已记下：不同意。"))
        except approvals.Refused as refusal:
            messages.error(request, str(refusal))
        return HttpResponse(headers={"HX-Refresh": "true"})


def _person(user: User) -> str:
    """The person by name where the account has one."""
    return str(user.staff) if hasattr(user, "staff") else user.get_username()
