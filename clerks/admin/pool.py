"""公海: who is nobody's customer, shared out with a look before; and each brand's rules."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from clerks import pool
from clerks.models import Pooled, PoolPolicy
from retail.models import Store
from retail.scoped_admin import EstimatedPaginator, ScopedAdmin, moment, money

_ONE_STORE = "store__id__exact"


@admin.register(Pooled)
class PooledAdmin(ScopedAdmin):
    """The rows are made from facts; what can be done with them is to give them to clerks."""

    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("customer", "tier", "bought", "paid", "last_staff", "fell", "store")
    list_per_page = 20
    list_select_related = ("member", "membership__tier", "last_staff", "store")
    list_filter = ("brand", "store", "bought_at", "since")
    search_fields = buyer_names = ("member__name__spelled",)
    ordering = ("-since", "-pk")
    fields = ("customer", "brand", "store", "tier", "fell", "last_staff", "left", "bought", "orders", "paid")
    list_before_template = "admin/clerks/pooled/above.html"
    actions = ("share",)

    fell = moment("since", _("进公海"))
    left = moment("left_at", _("上一任结束"))
    bought = moment("bought_at", _("最近购买"))
    paid = money("paid_fen", _("消费净额"))

    @display(description=_("会员"))
    def customer(self, row: Pooled) -> str:
        return str(row.member)

    @display(description=_("等级"))
    def tier(self, row: Pooled) -> str:
        return str(row.membership.tier or "–")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.share_view)
        return [path("share/", view, name="clerks_pooled_share"), *super().get_urls()]

    def has_share_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("clerks.share_pooled")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        store = request.GET.get(_ONE_STORE, "")
        query = f"?store={store}" if store.isascii() and store.isdecimal() else ""
        href = f"{reverse('admin:clerks_pooled_share')}{query}" if self.has_share_permission(request) else ""
        return super().changelist_view(request, {**(extra_context or {}), "share_href": href})

    # Sharing out
    @admin.action(description=_("平均分配所选的顾客"), permissions=["share"])
    def share(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: pool.MOST])
        return self._preview(request, self._chosen(request, ids), ids=",".join(map(str, ids)))

    def share_view(self, request: HttpRequest) -> HttpResponse:
        """Look at what everybody would get; sent with what was seen, do it. `ids`: these; `store`: all of it."""
        if not self.has_share_permission(request):
            raise PermissionDenied(_("您的岗位不能分配公海里的顾客。"))
        given = request.POST if request.method == "POST" else request.GET
        text, store = given.get("ids", ""), given.get("store", "")
        ids = [_number(one) for one in text.split(",")] if text else None
        rows = self._chosen(request, ids, _number(store) if store else None)
        if request.method == "POST" and "digest" in given:
            return self._start(request, rows, ids=text, store=store)
        return self._preview(request, rows, ids=text, store=store)

    def _chosen(self, request: HttpRequest, ids: list[int] | None, store_id: int | None = None) -> QuerySet:
        rows = self.get_queryset(request)
        if store_id is not None:
            if not Store.objects.filter(pk=store_id).exists():
                raise Http404
            rows = rows.filter(store=store_id)
        return rows if ids is None else rows.filter(pk__in=ids)

    def _preview(self, request: HttpRequest, rows: QuerySet, *, ids: str = "", store: str = "") -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("平均分配"),
            "plan": pool.plan(rows=rows, now=timezone.now()),
            "ids": ids,
            "store_id": store,
            "most": pool.MOST,
            "back": reverse("admin:clerks_pooled_changelist"),
        }
        return TemplateResponse(request, "admin/clerks/pooled/share.html", context)

    def _start(self, request: HttpRequest, rows: QuerySet, *, ids: str, store: str) -> HttpResponse:
        """What was seen, or else once more a look at what it would be by now."""
        now = timezone.now()
        plan = pool.plan(rows=rows, now=now)
        if plan.digest != request.POST["digest"]:
            messages.warning(request, _("公海或导购刚有变化，还没有分。请再看一遍，确认后开始。"))
            return self._preview(request, rows, ids=ids, store=store)
        got = pool.hand_out(plan=plan, by=request.user, now=now)
        count = sum(got.values())
        said = ngettext(
            "分好了：%(count)s 位顾客，分给 %(clerks)s 位导购，都收到了通知。",
            "分好了：%(count)s 位顾客，分给 %(clerks)s 位导购，都收到了通知。",
            count,
        )
        messages.success(request, said % {"count": count, "clerks": len(got)})
        return redirect("admin:clerks_pooled_changelist")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Http404
    return int(text)


@admin.register(PoolPolicy)
class PoolPolicyAdmin(ScopedAdmin):
    list_display = ("brand", "auto", "auto_after_days", "is_claimable", "claims_per_day", "claims_open", "barred_days")
    list_select_related = ("brand",)
    ordering = ("brand",)
    fields = ("brand", "is_claimable", "claims_per_day", "claims_open", "barred_days", "auto", "auto_after_days")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "is_claimable": _("关掉以后，公海里的顾客只由店长分配。"),
            "claims_open": _("认领后既没联系、也没成交的，到这个数就不能再认领。"),
            "barred_days": _("顾客离开一位导购后，这么多天内不会再认领或分配给同一个人。"),
            "auto": _("店里的每位导购分到的一样多，分到的人会收到通知。"),
            "auto_after_days": _("先留几天给导购认领；0 就是第二天早上。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("brand",) if obj else ()
