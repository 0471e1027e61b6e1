"""求助: what clerks ask upwards, whoever waits longest first, and how long people wait."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from clerks import portraits
from clerks.models import HelpRequest
from clerks.outreach import help
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, EstimatedPaginator, moment
from retail.templatetags.figures import duration

LATELY = timedelta(days=30)
STORES = 10  # above the list


class Answer(BaseDialogForm):
    text = forms.CharField(
        label=gettext_lazy("答复"), max_length=help.LONGEST_ANSWER,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}), help_text=gettext_lazy("导购在手机上原样看到。"),
    )  # fmt: skip


class Word(BaseDialogForm):
    text = forms.CharField(
        label=gettext_lazy("想说的话"), required=False, max_length=help.LONGEST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )  # fmt: skip


ANSWER = ActionDialog(
    title=gettext_lazy("答复导购"),
    description=gettext_lazy("导购马上会在企业微信里收到。"),
    form_class=Answer,
    form_submit_text=gettext_lazy("答复"),
)
HAND_ON = ActionDialog(
    title=gettext_lazy("交给上一级"),
    description=gettext_lazy("店长交给区域经理，区域交给总部；导购会知道。"),
    form_class=Word,
    form_submit_text=gettext_lazy("交上去"),
)
TAKE = ActionDialog(
    title=gettext_lazy("您来处理？"),
    description=gettext_lazy("导购会知道您在处理，别人不再收到提醒。"),
    form_class=Confirm,
    form_submit_text=gettext_lazy("我来处理"),
)


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, object]]:
        return [("open", gettext_lazy("等答复")), ("closed", gettext_lazy("已了结"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "open":
            return queryset.open()
        return queryset.exclude(closed_at=None) if self.value() == "closed" else queryset


@admin.register(HelpRequest)
class HelpRequestAdmin(DecidingAdmin):
    refusals = (help.Refused,)
    is_read_only = True
    is_everyday = True
    paginator = EstimatedPaginator
    list_display = ("person", "state_label", "waited", "kind", "said", "store")
    list_select_related = ("staff", "store", "taken_by")
    list_filter = (StateFilter, "level", "kind", "brand", "store", "asked_at")
    search_fields = ("staff__code__exact", "staff__name__startswith")
    search_help_text = gettext_lazy("工号、姓名开头")
    ordering = help.BY_WAITING
    list_before_template = "admin/clerks/helprequest/figures.html"
    fields = (
        "person", "store", "customer", "kind", "text", "asked", "state_label", "waited", "word",
        "answer_text", "answered_by",
    )  # fmt: skip
    actions_detail = ("answer", "take", "hand_on")
    asked = moment("asked_at", gettext_lazy("提出"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        now = timezone.now()
        shown = {
            "figures": help.figures(since=now - LATELY, now=now),
            "stores": help.by_store(since=now - LATELY, now=now, limit=STORES),
        }
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    @display(description=gettext_lazy("谁求助"), ordering="staff")
    def person(self, row: HelpRequest) -> str:
        return str(row.staff)

    @display(description=gettext_lazy("顾客"))
    def customer(self, row: HelpRequest) -> SafeString:
        """Their portrait; whether it opens is up to the portrait."""
        name = portraits.called(row.member.name, row.member_id)
        return format_html('<a class="text-link" href="{}">{}</a>', reverse("portrait", args=[row.member_id]), name)

    @display(description=gettext_lazy("说了什么"))
    def said(self, row: HelpRequest) -> str:
        return Truncator(row.text).chars(24)

    @display(description=gettext_lazy("答复"))
    def answer_text(self, row: HelpRequest) -> str:
        return row.answer or "–"

    @display(description=gettext_lazy("等了多久"))
    def waited(self, row: HelpRequest) -> str:
        return duration((row.closed_at or timezone.now()) - row.asked_at)

    @display(
        description=gettext_lazy("状态"),
        label={"store": "warning", "region": "warning", "hq": "danger", "taken": "info", "closed": "success"},
    )
    def state_label(self, row: HelpRequest) -> Badge:
        if not row.is_open:
            return Badge("closed", row.get_outcome_display())
        if row.taken_by is not None:
            return Badge("taken", _("%(who)s 在处理") % {"who": row.taken_by.name})
        return Badge(row.level, _("等%(level)s答复") % {"level": row.get_level_display()})

    # Answering
    def has_answer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who leads the store or stands above it, and did not ask."""
        row = self.row(request, object_id)
        return row is not None and request.post is not None and help.may_answer(request=row, post=request.post)

    def has_take_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        may = self.has_answer_permission(request, object_id)
        return may and row.taken_by_id != request.post.staff_id

    def has_hand_on_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and request.post is not None and help.may_hand_on(request=row, post=request.post)

    @action(description=gettext_lazy("答复"), icon="chat", permissions=["answer"], dialog=ANSWER)
    def answer(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def verb(row: HelpRequest) -> str:
            said = form.cleaned_data["text"]
            help.answer(request=row, text=said, post=request.post, by=request.user, now=timezone.now())
            return _("已答复，导购会收到通知。")

        return self.attempt(request, object_id, verb)

    @action(description=gettext_lazy("我来处理"), icon="front_hand", permissions=["take"], dialog=TAKE)
    def take(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def verb(row: HelpRequest) -> str:
            help.take(request=row, post=request.post, by=request.user, now=timezone.now())
            return _("好的，导购已经知道您在处理。")

        return self.attempt(request, object_id, verb)

    @action(description=gettext_lazy("交给上一级"), icon="arrow_upward", permissions=["hand_on"], dialog=HAND_ON)
    def hand_on(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def verb(row: HelpRequest) -> str:
            said = form.cleaned_data["text"]
            done = help.hand_on(request=row, text=said, post=request.post, by=request.user, now=timezone.now())
            return _("已经交给%(level)s。") % {"level": done.get_level_display()}

        return self.attempt(request, object_id, verb)
