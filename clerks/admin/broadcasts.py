"""公告: written, shown with whom it reaches, sent; who has read it, store by store, and a reminder to the rest."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.defaultfilters import linebreaksbr
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelect2MultipleWidget

from clerks.models import Broadcast
from clerks.outreach import broadcasts
from retail import scope
from retail.models import Brand, Post, Region, Store
from retail.scoped_admin import Badge, Confirm, DecidingAdmin, moment

ABOVE = 0  # in the address: those who were told and work in no store
State = Broadcast.State

SEND = ActionDialog(
    title=gettext_lazy("发出这条公告？"),
    description=gettext_lazy("就发给下面列出的门店和人，发出以后收不回来。定了时间的到点才发，在那之前可以取消。"),
    form_class=Confirm,
    form_submit_text=gettext_lazy("发出"),
)
REMIND = ActionDialog(
    title=gettext_lazy("提醒还没看的人？"),
    description=gettext_lazy("只提醒没看的，看过的不打扰。每人每天最多 3 次，两次之间至少半小时。"),
    form_class=Confirm,
    form_submit_text=gettext_lazy("提醒"),
)
CANCEL = ActionDialog(
    title=gettext_lazy("先不发了？"),
    description=gettext_lazy("公告变回草稿，可以改，也可以再发。"),
    form_class=Confirm,
    form_submit_text=gettext_lazy("取消发送"),
)


class BroadcastForm(forms.ModelForm):
    """A draft. Which stores it goes to is said by place, by name, or both."""

    roles = forms.MultipleChoiceField(
        label=gettext_lazy("发给谁"), widget=UnfoldAdminCheckboxSelectMultipleWidget, initial=broadcasts.OF_STORES
    )
    brands = forms.ModelMultipleChoiceField(
        Brand.objects.none(), label=gettext_lazy("品牌"), required=False, widget=UnfoldAdminSelect2MultipleWidget
    )
    regions = forms.ModelMultipleChoiceField(
        Region.objects.none(), label=gettext_lazy("区域"), required=False, widget=UnfoldAdminSelect2MultipleWidget,
        help_text=gettext_lazy("品牌和区域都选，就是这些品牌在这些区域里的门店。"),
    )  # fmt: skip
    places = forms.ModelMultipleChoiceField(
        Store.objects.none(), label=gettext_lazy("点名的门店"), required=False,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text=gettext_lazy("上面三项都不选，就是您看得到的全部营业门店。"),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = self.instance.asked or {}
        rows = (("brands", Brand, "brands"), ("regions", Region, "regions"), ("places", Store, "stores"))
        for name, model, key in rows:
            field: Any = self.fields.get(name)
            if field is not None:
                field.queryset = model.objects.order_by("code")
                self.initial[name] = asked.get(key, [])
        if "roles" in self.fields:
            named = dict(Post.Role.choices)
            self.fields["roles"].choices = [(role, named[role]) for role in broadcasts.roles_offered()]  # type: ignore[attr-defined]

    def clean_send_at(self) -> Any:
        at = self.cleaned_data["send_at"]
        if at is not None and at <= timezone.now():
            raise forms.ValidationError(_("这个时间已经过了。"))
        return at


@admin.register(Broadcast)
class BroadcastAdmin(DecidingAdmin):
    """Whoever leads stores writes to the people in them, and sees how those read what headquarters wrote."""

    form = BroadcastForm
    refusals = (broadcasts.Refused,)
    list_display = ("title", "state_label", "told", "writer", "written", "sent")
    list_select_related = ("by__staff",)
    list_filter = ("state", "made_at")
    search_fields = ("title",)
    ordering = ("-pk",)
    fields = ("title", "text", "link", "roles", "brands", "regions", "places", "send_at")
    actions_detail = ("send", "cancel", "remind")
    change_form_outer_after_template = "admin/clerks/broadcast/state.html"
    written = moment("made_at", gettext_lazy("写于"))
    sent = moment("sent_at", gettext_lazy("发出"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """What is not sent yet is its writer's alone, and headquarters'."""
        rows = super().get_queryset(request)
        if scope.current().is_everything:
            return rows
        return rows.filter(Q(state=State.SENT) | Q(by=request.user))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return super().get_form(request, obj, change, **kwargs)
        kwargs["help_texts"] = {
            "title": _("企业微信里先看到的就是它，一句话说清。"),
            "send_at": _("不填就马上发。整点和半点企业微信最忙，建议错开几分钟。"),
            "link": _("不选就没有按钮。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What is on its way stays as it was seen."""
        if obj is not None and (obj.state != State.DRAFT or not self._is_writer(request, obj)):
            return False
        return super().has_change_permission(request, obj)

    def _is_writer(self, request: HttpRequest, row: Broadcast) -> bool:
        return row.by_id == request.user.pk or scope.current().is_everything

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        is_fixed = obj is not None and not self.has_change_permission(request, obj)
        if not is_fixed:
            return self.fields
        return ("title", "words", "link_label", "role_names", "sent" if obj.state == State.SENT else "send_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("words", "link_label", "role_names", "sent")

    def save_model(self, request: HttpRequest, obj: Broadcast, form: Any, change: bool) -> None:
        if not change:
            obj.by, obj.made_at = request.user, timezone.now()
        super().save_model(request, obj, form, change)
        given = form.cleaned_data
        broadcasts.aim(broadcast=obj, brands=given["brands"], regions=given["regions"], stores=given["places"])

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """To the page that shows whom it would reach: nothing is sent unseen."""
        request.POST = request.POST.copy()
        request.POST["_continue"] = "1"
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        request.POST = request.POST.copy()
        request.POST["_continue"] = "1"
        return super().response_change(request, obj)

    # What a row says
    @display(description=gettext_lazy("状态"), label={"draft": "info", "waiting": "warning", "sent": "success"})
    def state_label(self, row: Broadcast) -> Badge:
        return Badge(row.state, row.get_state_display())

    @display(description=gettext_lazy("谁写的"))
    def writer(self, row: Broadcast) -> str:
        return str(row.by or "–")

    @display(description=gettext_lazy("内容"))
    def words(self, row: Broadcast) -> SafeString:
        return linebreaksbr(row.text)

    @display(description=gettext_lazy("发给谁"))
    def role_names(self, row: Broadcast) -> str:
        named = dict(Post.Role.choices)
        return _("、").join(str(named[role]) for role in row.roles)

    @display(description=gettext_lazy("下面的按钮打开"))
    def link_label(self, row: Broadcast) -> str:
        return row.get_link_display() or "–"

    # The page: whom it reaches, or who has read it, and the piece of it that asks for itself again
    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.row(request, object_id) if request.method == "GET" else None
        context = {**(extra_context or {}), **(_shown(row) if row else {})}
        return super().change_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        progress, people = (self.admin_site.admin_view(one) for one in (self.progress_view, self.people_view))
        return [
            path("<path:object_id>/progress/", progress, name="clerks_broadcast_progress"),
            path("<path:object_id>/people/<int:store_id>/", people, name="clerks_broadcast_people"),
            *super().get_urls(),
        ]

    def _seen(self, request: HttpRequest, object_id: str) -> Broadcast:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.row(request, object_id)
        if row is None:
            raise Http404
        return row

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._seen(request, object_id)
        if row.state != State.SENT:
            return HttpResponse()  # nothing has moved yet
        return TemplateResponse(request, "admin/clerks/broadcast/read.html", _read(row))

    def people_view(self, request: HttpRequest, object_id: str, store_id: int) -> HttpResponse:
        """The names of one store, those who have not read it first."""
        row = self._seen(request, object_id)
        store = None if store_id == ABOVE else Store.objects.filter(pk=store_id).first()
        if store is None and store_id != ABOVE:
            raise Http404
        told = list(broadcasts.people(broadcast=row, store_id=store.pk if store else None)[:500])
        context = {"row": row, "store": store, "told": told, "unread": sum(one.read_at is None for one in told)}
        title = store.name if store else _("不在门店的人")
        whole = {**self.admin_site.each_context(request), **context, "title": f"{row.title} · {title}"}
        return TemplateResponse(request, "admin/clerks/broadcast/people.html", whole)

    # What can be done with one
    def has_send_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        return row is not None and row.state == State.DRAFT and self.has_change_permission(request, row)

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.row(request, object_id)
        may = super().has_change_permission(request)
        return row is not None and row.state == State.WAITING and may and self._is_writer(request, row)

    def has_remind_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Each those they see: a store manager their own people, also of what headquarters wrote."""
        row = self.row(request, object_id)
        return row is not None and row.state == State.SENT and super().has_change_permission(request)

    @action(description=gettext_lazy("发出"), icon="send", permissions=["send"], dialog=SEND)
    def send(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def verb(row: Broadcast) -> str:
            sent = broadcasts.submit(broadcast=row, by=request.user, now=timezone.now())
            return _("到点就发。") if sent.send_at else _("正在发，谁看过了会在这一页出现。")

        return self.attempt(request, object_id, verb)

    @action(description=gettext_lazy("取消发送"), icon="undo", permissions=["cancel"], dialog=CANCEL)
    def cancel(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def verb(row: Broadcast) -> str:
            broadcasts.cancel(broadcast=row, by=request.user, now=timezone.now())
            return _("没有发，公告变回草稿。")

        return self.attempt(request, object_id, verb)

    @action(description=gettext_lazy("提醒未读的人"), icon="notifications", permissions=["remind"], dialog=REMIND)
    def remind(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def verb(row: Broadcast) -> str:
            done = broadcasts.remind(broadcast=row, by=request.user, now=timezone.now())
            said = _("提醒了 %(count)s 人。") % {"count": done.people}
            if not done.spared:
                return said
            return said + _("%(count)s 人刚收到过，或今天已提醒 3 次，没有再打扰。") % {"count": done.spared}

        return self.attempt(request, object_id, verb)


def _shown(row: Broadcast) -> dict[str, Any]:
    if row.state == State.SENT:
        return _read(row)
    return {"broadcast": row, "reach": broadcasts.reach(broadcast=row, now=timezone.now())}


def _read(row: Broadcast) -> dict[str, Any]:
    rows = broadcasts.by_store(broadcast=row)
    return {
        "broadcast": row,
        "whole": broadcasts.whole(rows),
        "rows": rows,
        "delivery": broadcasts.delivery(broadcast=row),
        "above": ABOVE,
    }
