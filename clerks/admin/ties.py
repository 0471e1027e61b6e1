"""消费并列: members to whom several clerks sold the same amount, decided one by one by whoever leads the store."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from clerks import ties
from clerks.models import Rival, Tie
from retail.models import Staff, Store
from retail.scoped_admin import Badge, ScopedAdmin, as_yuan, moment


class StateFilter(admin.SimpleListFilter):
    title = _("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("open", _("等决定")), ("done", _("不用再决定"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "open":
            return queryset.filter(decided_at=None, is_bound=False)
        return queryset.exclude(decided_at=None, is_bound=False) if self.value() == "done" else queryset


@admin.register(Tie)
class TieAdmin(ScopedAdmin):
    is_read_only = True
    list_display = ("member", "brand", "who", "state", "made", "decided")
    list_select_related = ("member", "brand", "staff")
    list_filter = (StateFilter, "brand")
    ordering = ("-pk",)
    fields = ("member", "brand", "state", "made", "decided", "decided_by", "staff")
    change_form_outer_after_template = "admin/clerks/tie/rivals.html"
    made = moment("made_at", _("列出时间"))
    decided = moment("decided_at", _("决定时间"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = ties.with_owner(super().get_queryset(request)).prefetch_related("rivals__staff")
        return rows.distinct()

    @display(description=_("并列的导购"))
    def who(self, row: Tie) -> str:
        return str(_("、")).join(rival.staff.name for rival in row.rivals.all())

    @display(description=_("状态"), label={"open": "warning", "done": "success", "other": "info"})
    def state(self, row: Tie) -> Badge:
        if row.decided_at is not None:
            return Badge("done", _("归了 %(clerk)s") % {"clerk": row.staff})
        return Badge("other", _("已经有专属导购")) if row.is_bound else Badge("open", _("等决定"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.decide_view))
        return [path("<path:object_id>/decide/", view, name="clerks_tie_decide"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        context = {} if row is None else {"tie": row, "rivals": self._rivals(request, row)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def _rivals(self, request: HttpRequest, row: Tie) -> list[tuple[Rival, str, object, bool]]:
        """Each with their name, as far as the reader may know them, and whether the reader may choose them."""
        stores = set(Store.objects.values_list("pk", flat=True))
        known = set(Staff.objects.filter(pk__in=row.rivals.values("staff")).values_list("pk", flat=True))
        is_open = row.decided_at is None and not row.is_bound and request.user.has_perm("clerks.assign_binding")
        return [
            (rival, str(rival.staff) if rival.staff_id in known else str(_("其他门店的同事")), as_yuan(rival.fen),
             is_open and rival.store_id in stores)
            for rival in row.rivals.select_related("staff", "store").order_by("-fen", "pk")
        ]  # fmt: skip

    def decide_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """For one of the clerks (`rival`), in a store that the reader leads."""
        if not request.user.has_perm("clerks.assign_binding"):
            raise PermissionDenied
        tie, number = self.get_object(request, object_id), request.POST.get("rival", "")
        if tie is None or not (number.isascii() and number.isdecimal() and len(number) < 19):
            raise Http404
        rival = Rival.objects.filter(pk=number, tie=tie, store__in=Store.objects.all()).first()
        if rival is None:
            raise Http404
        try:
            ties.decide(tie=tie, rival=rival, by=request.user, now=timezone.now())
            messages.success(request, _("这位顾客归 %(clerk)s 了。") % {"clerk": rival.staff})
        except ties.Refused as refusal:
            messages.error(request, str(refusal))
        return redirect("admin:clerks_tie_changelist")
