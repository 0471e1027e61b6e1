"""Who is whose, who is whose friend in WeCom, and 指定导购: a manager gives a customer to a clerk."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from clerks import assigning, portraits, timeline
from clerks.models import Binding, Friend, FriendMove
from retail import scope
from retail.models import Brand, Staff, Store
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, ScopedTabularInline, moment

CHANGES = 100  # of a relation, the latest


@admin.register(Binding)
class BindingAdmin(ScopedAdmin):
    """Read only, but for one act: to say whose customer somebody is from now on (`clerks.assigning`)."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("member", "staff", "store", "brand", "source", "started", "protected", "state")
    list_select_related = ("member", "staff", "store", "brand")
    list_filter = ("brand", "source", "end_reason", "store", "started_at")
    search_fields = ("staff__code", "staff__name", "member__name")
    buyer_names = ("member__name",)
    search_help_text = _("导购姓名、工号或会员称呼")
    ordering = ("-pk",)
    actions = ("assign",)
    started = moment("started_at", _("开始"))
    protected = moment("protected_until", _("保护期到"))
    fields = (
        "member", "brand", "staff", "store", "source", "order", "came_by", "by", "reason",
        "started_at", "protected_until", "lost_at", "ended_at", "end_reason", "ended_by", "ended_why",
    )  # fmt: skip

    change_form_after_template = "admin/clerks/binding/changes.html"

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """With all that ever happened between this member and our people, as far as the reader's scope goes."""
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            reader = portraits.Reader.of_scope(scope.current(), brand_id=row.brand_id, corp=row.brand.corp)
            page = timeline.page(reader=reader, member_id=row.member_id, limit=CHANGES, only=timeline.RELATION)
            may_assign = row.ended_at is None and self.has_assign_permission(request)
            extra_context = {**(extra_context or {}), "changes": page.rows, "binding": row, "may_assign": may_assign}
        return super().change_view(request, object_id, form_url, extra_context)

    @display(description=_("状态"), label={"active": "success", "ended": "info"})
    def state(self, row: Binding) -> Badge:
        return Badge("active", _("生效中")) if row.ended_at is None else Badge("ended", row.get_end_reason_display())

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.assign_view)
        return [path("assign/", view, name="clerks_binding_assign"), *super().get_urls()]

    def has_assign_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("clerks.assign_binding")

    @admin.action(description=_("换一位导购…"), permissions=["assign"])
    def assign(self, request: HttpRequest, chosen: QuerySet[Binding]) -> HttpResponse | None:
        """To the page that asks to whom and why."""
        pairs = list(chosen.filter(ended_at=None).values_list("brand", "member")[: assigning.MOST + 1])
        if not pairs or len({brand_id for brand_id, _member in pairs}) > 1 or len(pairs) > assigning.MOST:
            messages.error(
                request, _("请选同一个品牌、还在生效的关系，一次最多 %(most)s 位。") % {"most": assigning.MOST}
            )
            return None
        query = urlencode({"brand": pairs[0][0], "member": [member_id for _brand, member_id in pairs]}, doseq=True)
        return redirect(f"{reverse('admin:clerks_binding_assign')}?{query}")

    def assign_view(self, request: HttpRequest) -> HttpResponse:
        """To whom, and why. `brand`, `member` (several), `store`: in the address, and in the form that is sent."""
        if not self.has_assign_permission(request):
            raise PermissionDenied
        now, asked = timezone.now(), _asked(request)
        context: dict[str, Any] = {"problem": "", "reason": request.POST.get("reason", "")[:200]}
        if request.method == "POST" and request.POST.get("release"):
            try:
                count = assigning.release(
                    brand=asked.brand, member_ids=asked.member_ids, reason=context["reason"], by=request.user, now=now
                )
                words = ngettext(
                    "%(count)s 位顾客解绑了，在门店公海里。", "%(count)s 位顾客解绑了，在门店公海里。", count
                )
                messages.success(request, words % {"count": count})
                return redirect("admin:clerks_binding_changelist")
            except assigning.Refused as refusal:
                context["problem"] = str(refusal)
        elif request.method == "POST" and request.POST.get("staff"):
            try:
                count = assigning.assign(
                    brand=asked.brand, member_ids=asked.member_ids, staff=_staff(request), store=asked.chosen(),
                    reason=context["reason"], by=request.user, now=now,
                )  # fmt: skip
                words = ngettext("%(count)s 位顾客换了导购。", "%(count)s 位顾客换了导购。", count)
                messages.success(request, words % {"count": count})
                return redirect("admin:clerks_binding_changelist")
            except assigning.Refused as refusal:
                context["problem"] = str(refusal)
        choices = assigning.choices(brand=asked.brand, store=asked.store, now=now) if asked.store else []
        context |= {"title": _("指定导购"), "asked": asked, "choices": choices, "staff_id": request.POST.get("staff")}
        page = {**self.admin_site.each_context(request), **context}
        return TemplateResponse(request, "admin/clerks/binding/assign.html", page)


class Asked(NamedTuple):
    """Who is to have another clerk, and in which store that clerk is sought."""

    brand: Brand
    member_ids: list[int]
    bindings: list[Binding]
    names: list[str]
    store: Store | None
    stores: Sequence[Store]

    def chosen(self) -> Store:
        if self.store is None:
            raise assigning.Refused(_("请先选门店。"))
        return self.store


def _asked(request: HttpRequest) -> Asked:
    """Raises Http404 for what is not there, or not for this reader."""
    given = request.POST if request.method == "POST" else request.GET
    brand = Brand.objects.filter(pk=_number(given.get("brand", ""))).first()
    ids = [_number(one) for one in given.getlist("member")[: assigning.MOST + 1]]
    if brand is None or not ids:
        raise Http404
    rows = assigning.within_reach(brand=brand, member_ids=ids).select_related("member")
    members = [(row.member_id, str(row.member)) for row in rows]
    if {pk for pk, _name in members} != set(ids):
        raise Http404
    held = Binding.objects.filter(brand=brand, member__in=ids, ended_at=None).select_related(
        "staff", "store", "member"
    )
    stores = list(Store.objects.filter(brand=brand, is_open=True).order_by("code"))
    wanted = given.get("store", "")
    number = _number(wanted) if wanted else next((row.store_id for row in held), None)
    store = next((one for one in stores if one.pk == number), stores[0] if len(stores) == 1 else None)
    return Asked(brand, ids, list(held), [name for _pk, name in members], store, stores)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Http404
    return int(text)


def _staff(request: HttpRequest) -> Staff:
    row = Staff.objects.filter(pk=_number(request.POST.get("staff", ""))).first()
    if row is None:
        raise Http404
    return row


class MoveInline(ScopedTabularInline):
    """What happened between the two, as WeCom told it or a reading showed it."""

    model = FriendMove
    fields = ("kind", "at", "state_code", "is_read")
    ordering = ("at",)
    is_read_only = True
    verbose_name_plural = _("经过")


@admin.register(Friend)
class FriendAdmin(ScopedAdmin):
    """As WeCom tells it: nothing to edit."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("customer", "staff", "store", "state_now", "since_at", "state_code")
    list_select_related = ("member", "staff", "store")
    list_filter = ("state", "store", "since")
    search_fields = ("staff__code", "staff__name", "member__name")
    buyer_names = ("member__name",)
    search_help_text = _("导购姓名、工号或会员称呼")
    ordering = ("-pk",)
    fields = ("member", "staff", "store", "userid", "state", "since", "state_code", "tags", "read_at")
    inlines = (MoveInline,)
    since_at = moment("since", _("从何时起"))

    @display(description=_("顾客"))
    def customer(self, row: Friend) -> str:
        return str(row.member) if row.member else str(_("还不认识"))

    @display(description=_("状态"), label={"friend": "success", "lost": "danger", "half": "warning"})
    def state_now(self, row: Friend) -> Badge:
        return Badge(row.state, row.get_state_display())
