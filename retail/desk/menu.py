"""The side bar: pages grouped by what people come for; a page appears only for those who may open it."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Page(NamedTuple):
    """A list page of the admin: "app.model", its name when it is not the model's, and an icon."""

    model: str
    title: str | Promise
    icon: str


GROUPS: list[tuple[str | Promise, list[Page]]] = [
    (
        _("每天看的"),
        [
            Page("retail.order", _("订单"), "receipt_long"),
            Page("retail.refund", _("退款"), "undo"),
            Page("commissions.entry", _("佣金流水"), "payments"),
        ],
    ),
    (
        _("顾客"),
        [
            Page("members.membership", _("会员"), "loyalty"),
            Page("clerks.binding", _("专属导购"), "handshake"),
            Page("members.tier", _("会员等级"), "military_tech"),
        ],
    ),
    (
        _("门店和人"),
        [
            Page("retail.store", _("门店"), "store"),
            Page("retail.staff", _("员工"), "badge"),
            Page("retail.region", _("区域"), "map"),
            Page("retail.franchisee", _("加盟商"), "domain"),
            Page("retail.storegroup", _("门店组"), "workspaces"),
            Page("retail.user", _("账号"), "key"),
        ],
    ),
    (
        _("商品和渠道"),
        [
            Page("retail.brand", _("品牌"), "sell"),
            Page("retail.product", _("商品"), "checkroom"),
            Page("retail.category", _("品类"), "category"),
            Page("retail.channel", _("渠道"), "hub"),
            Page("retail.apitoken", _("接口令牌"), "vpn_key"),
        ],
    ),
    (
        _("分佣"),
        [
            Page("commissions.plan", _("分佣方案"), "rule_settings"),
            Page("commissions.planversion", _("方案版本"), "history_edu"),
            Page("commissions.rule", _("规则"), "rule"),
            Page("commissions.period", _("结算期"), "calendar_month"),
        ],
    ),
    (
        _("核对与运行"),
        [
            Page("commissions.claimrow", _("业绩归因"), "person_search"),
            Page("commissions.buyersnapshot", _("购买人快照"), "photo_camera"),
            Page("retail.auditrow", _("操作记录"), "history"),
            Page("retail.job", _("后台任务"), "conveyor_belt"),
            Page("django_celery_beat.periodictask", _("定时工作"), "schedule"),
        ],
    ),
]


def groups(request: HttpRequest) -> list[dict[str, Any]]:
    """The side bar of this user, in the form the theme wants it."""
    home = {"title": _("总览"), "icon": "dashboard", "link": reverse("admin:index")}
    built = [{"title": "", "items": [home]}]
    for title, pages in GROUPS:
        items = [_item(page) for page in pages if _may_open(request, page)]
        if items:
            built.append({"title": title, "items": items, "separator": True})
    return built


def _may_open(request: HttpRequest, page: Page) -> bool:
    app, model = page.model.split(".")
    return request.user.has_perm(f"{app}.view_{model}") or request.user.has_perm(f"{app}.change_{model}")


def _item(page: Page) -> dict[str, Any]:
    link = reverse(f"admin:{page.model.replace('.', '_')}_changelist")
    return {"title": page.title, "icon": page.icon, "link": link}
