"""The side bar: pages grouped by what people come for; a page appears only for those who may open it."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Page(NamedTuple):
    """A list page of the admin: "app.model", its name when it is not the model's, and an icon.

    `address`: the name of another page, for those who may see the model.
    """

    model: str
    title: str | Promise
    icon: str
    address: str = ""


GROUPS: list[tuple[str | Promise, list[Page]]] = [
    (
        _("每天看的"),
        [
            Page("retail.order", pgettext_lazy("plural", "订单"), "receipt_long"),
            Page("retail.refund", pgettext_lazy("plural", "退款"), "undo"),
            Page("commissions.entry", pgettext_lazy("plural", "佣金流水"), "payments"),
        ],
    ),
    (
        pgettext_lazy("plural", "顾客"),
        [
            Page("members.membership", pgettext_lazy("plural", "会员"), "loyalty"),
            Page("clerks.binding", pgettext_lazy("plural", "专属导购"), "handshake"),
            Page("clerks.tie", pgettext_lazy("plural", "消费并列"), "balance"),
            Page("clerks.policy", pgettext_lazy("plural", "专属规则"), "gavel"),
            Page("clerks.binding", pgettext_lazy("plural", "关系健康"), "monitor_heart", address="relations"),
            Page("clerks.pooled", pgettext_lazy("plural", "公海"), "water"),
            Page("clerks.poolpolicy", pgettext_lazy("plural", "公海规则"), "tune"),
            Page("clerks.handover", pgettext_lazy("plural", "客户继承"), "move_up"),
            Page("clerks.friend", pgettext_lazy("plural", "企业微信好友"), "group"),
            Page("clerks.groupchat", pgettext_lazy("plural", "客户群"), "groups"),
            Page("members.tag", pgettext_lazy("plural", "标签"), "sell"),
            Page("members.segment", pgettext_lazy("plural", "人群"), "filter_alt"),
            Page("leads.intentmodel", pgettext_lazy("plural", "意向模型"), "model_training"),
        ],
    ),
    (
        _("会员资料"),
        [
            Page("members.memberimport", pgettext_lazy("plural", "导入会员"), "upload_file"),
            Page("members.doubt", pgettext_lazy("plural", "疑似同一人"), "people"),
            Page("clerks.merge", pgettext_lazy("plural", "会员合并"), "merge"),
            Page("members.event", pgettext_lazy("plural", "会员行为"), "visibility"),
            Page("members.consent", pgettext_lazy("plural", "同意记录"), "fact_check"),
            Page("members.stop", pgettext_lazy("plural", "不要联系"), "do_not_disturb_on"),
        ],
    ),
    (
        _("会员权益"),
        [
            Page("members.tier", pgettext_lazy("plural", "会员等级"), "military_tech"),
            Page("members.tierrule", pgettext_lazy("plural", "等级规则"), "stairs"),
            Page("members.pointsrule", pgettext_lazy("plural", "积分规则"), "rule"),
            Page("members.pointsentry", pgettext_lazy("plural", "积分流水"), "toll"),
            Page("members.coupontype", pgettext_lazy("plural", "券种"), "confirmation_number"),
            Page("members.couponissue", pgettext_lazy("plural", "批量发券"), "send"),
            Page("members.couponquota", pgettext_lazy("plural", "发券额度"), "card_giftcard"),
            Page("members.coupon", pgettext_lazy("plural", "优惠券"), "local_activity"),
            Page("members.couponuse", pgettext_lazy("plural", "券核销"), "fact_check"),
        ],
    ),
    (
        _("门店和人"),
        [
            Page("retail.store", pgettext_lazy("plural", "门店"), "store"),
            Page("retail.staff", pgettext_lazy("plural", "员工"), "badge"),
            Page("retail.region", pgettext_lazy("plural", "区域"), "map"),
            Page("retail.franchisee", pgettext_lazy("plural", "加盟商"), "domain"),
            Page("retail.storegroup", pgettext_lazy("plural", "门店组"), "workspaces"),
            Page("retail.user", pgettext_lazy("plural", "账号"), "key"),
        ],
    ),
    (
        _("商品和渠道"),
        [
            Page("retail.brand", pgettext_lazy("plural", "品牌"), "sell"),
            Page("retail.product", pgettext_lazy("plural", "商品"), "checkroom"),
            Page("retail.category", pgettext_lazy("plural", "品类"), "category"),
            Page("retail.channel", pgettext_lazy("plural", "渠道"), "hub"),
            Page("retail.apitoken", pgettext_lazy("plural", "接口令牌"), "vpn_key"),
        ],
    ),
    (
        _("分佣"),
        [
            Page("commissions.plan", pgettext_lazy("plural", "分佣方案"), "rule_settings"),
            Page("commissions.planversion", pgettext_lazy("plural", "方案版本"), "history_edu"),
            Page("commissions.rule", pgettext_lazy("plural", "规则"), "rule"),
            Page("commissions.run", pgettext_lazy("plural", "试算与重算"), "science"),
            Page("commissions.actionevent", pgettext_lazy("plural", "行为记录"), "emoji_events"),
            Page("commissions.period", pgettext_lazy("plural", "结算期"), "calendar_month"),
            Page("commissions.statement", pgettext_lazy("plural", "结算单"), "request_quote"),
            Page("commissions.dispute", pgettext_lazy("plural", "异议"), "forum"),
            Page("commissions.payoutbatch", pgettext_lazy("plural", "发放批次"), "payments"),
            Page("commissions.companyaccount", pgettext_lazy("plural", "公司结算"), "domain"),
            Page("commissions.paycycle", pgettext_lazy("plural", "结算周期"), "event_repeat"),
            Page("commissions.payterms", pgettext_lazy("plural", "发放约定"), "handshake"),
            Page("commissions.guarantee", pgettext_lazy("plural", "保底"), "safety_check"),
            Page("commissions.attained", pgettext_lazy("plural", "业绩达成"), "stairs"),
            Page("commissions.target", pgettext_lazy("plural", "业绩目标"), "flag"),
        ],
    ),
    (
        _("触达"),
        [
            Page("clerks.contactway", pgettext_lazy("plural", "渠道活码"), "qr_code_2"),
            Page("clerks.welcome", pgettext_lazy("plural", "欢迎语"), "waving_hand"),
            Page("materials.shareday", _("素材效果"), "insights", address="material_results"),
            Page("materials.postertemplate", pgettext_lazy("plural", "海报模板"), "wallpaper"),
            Page("wecom.media", pgettext_lazy("plural", "素材"), "perm_media"),
            Page("clerks.greeting", pgettext_lazy("plural", "欢迎语发送"), "mark_chat_read"),
            Page("clerks.broadcast", pgettext_lazy("plural", "公告"), "campaign"),
            Page("clerks.helprequest", pgettext_lazy("plural", "求助"), "support"),
            Page("clerks.notice", pgettext_lazy("plural", "通知"), "notifications"),
            Page("clerks.touch", pgettext_lazy("plural", "触达"), "touch_app"),
        ],
    ),
    (
        _("线索"),
        [
            Page("leads.lead", pgettext_lazy("plural", "线索"), "lightbulb"),
            Page("leads.leadpolicy", pgettext_lazy("plural", "线索规则"), "tune"),
        ],
    ),
    (
        _("企业微信"),
        [
            Page("wecom.app", pgettext_lazy("plural", "应用"), "forum"),
            Page("wecom.message", pgettext_lazy("plural", "回调"), "call_received"),
            Page("wecom.call", pgettext_lazy("plural", "发送"), "call_made"),
            Page("clerks.syncrun", pgettext_lazy("plural", "全量核对"), "sync"),
            Page("clerks.corptag", pgettext_lazy("plural", "企业标签"), "label"),
            Page("clerks.department", pgettext_lazy("plural", "企业微信部门"), "account_tree"),
        ],
    ),
    (
        _("核对与运行"),
        [
            Page("commissions.claimrow", pgettext_lazy("plural", "业绩归因"), "person_search"),
            Page("commissions.buyersnapshot", pgettext_lazy("plural", "购买人快照"), "photo_camera"),
            Page("retail.approval", pgettext_lazy("plural", "双人审批"), "how_to_reg"),
            Page("retail.exportfile", pgettext_lazy("plural", "导出文件"), "download"),
            Page("retail.auditrow", pgettext_lazy("plural", "操作记录"), "history"),
            Page("axes.accessattempt", _("登录失败"), "lock_person"),
            Page("retail.job", pgettext_lazy("plural", "后台任务"), "conveyor_belt"),
            Page("django_celery_beat.periodictask", pgettext_lazy("plural", "定时工作"), "schedule"),
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
    link = reverse(page.address or f"admin:{page.model.replace('.', '_')}_changelist")
    return {"title": page.title, "icon": page.icon, "link": link}


def account(request: HttpRequest) -> list[dict[str, Any]]:
    """The links below one's own name."""
    links = [{"title": _("登录与安全"), "link": reverse("entrance:safety")}]
    if request.user.is_authenticated and request.user.has_usable_password():
        links.append({"title": _("改密码"), "link": reverse("admin:password_change")})
    return links
