"""The eleven types of leads, in one table: rank, how long they live, what caps hold for them, what they say.

A type is a line here, a query in `triggers` and a word in `Lead.Kind`; nothing else knows how many there are.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from clerks.leads import reasons
from clerks.leads.models import Lead
from retail.templatetags.figures import whole_yuan

K = Lead.Kind


class Kind(NamedTuple):
    """`lives`: None where the cause itself says until when. `is_service`: the customer began, and waits for an answer:
    no cap on unasked contact, no rest and no holdout, but a stop is a stop. `is_daily`: looked for once each morning.
    `asks`: what has to be told to us for it to exist, in words for headquarters.
    """

    code: Lead.Kind
    rank: int
    lives: timedelta | None
    asks: Any
    is_service: bool = False
    is_daily: bool = False
    is_scored: bool = False


_EVENTS = gettext_lazy("会员行为")
_TABLE = (
    Kind(K.ASKED, 1, timedelta(hours=24), gettext_lazy("咨询、回复这两种会员行为"), is_service=True),
    Kind(K.UNPAID, 2, timedelta(hours=24), gettext_lazy("下单、订单关闭这两种会员行为"), is_service=True),
    Kind(K.CART, 3, timedelta(days=3), gettext_lazy("加购、收藏这两种会员行为")),
    Kind(K.STOCK, 4, timedelta(days=3), gettext_lazy("到货、降价这两种商品消息")),
    Kind(K.VIEWED, 5, timedelta(days=3), gettext_lazy("浏览这种会员行为")),
    Kind(K.EXPIRING, 6, None, gettext_lazy("券和积分"), is_daily=True),
    Kind(K.DATE, 7, None, gettext_lazy("生日和入会日期"), is_daily=True),
    Kind(K.AFTER_SALE, 8, timedelta(days=7), gettext_lazy("订单"), is_daily=True),
    Kind(K.LIKELY, 9, timedelta(days=7), gettext_lazy("订单和意向评分"), is_daily=True, is_scored=True),
    Kind(K.DORMANT, 10, timedelta(days=14), gettext_lazy("订单和意向评分"), is_daily=True, is_scored=True),
    Kind(K.LIVE, 11, timedelta(days=2), gettext_lazy("看直播这种会员行为")),
)
KINDS: Mapping[str, Kind] = {str(one.code): one for one in _TABLE}
CONTACTED_LIVES = timedelta(days=14)  # so long after a contact an order is its success; then it is lost


# ── What they say ────────────────────────────────────────────────────────────────────────────────────────────────────
def sentence(reason: Mapping[str, Any], *, product: str = "", hours: int = 0, days: int = 0) -> str:
    """One reason, {"code": …, numbers}, in the plain words a clerk reads. "" for a code nobody knows any more.

    The numbers held so many hours ago, and so many midnights.
    """
    said: dict[str, Any] = {"what": product or _("商品"), **reason}
    moved = {"hours": hours, "since": days, "in": -days}
    said |= {name: int(said[name]) + by for name, by in moved.items() if name in said}
    code = str(reason.get("code"))
    write = _SENTENCES.get(code) or reasons.SENTENCES.get(code)
    return write(said) if write else ""


def sentences(lead: Lead, *, now: datetime, most: int = 3) -> list[str]:
    """Why this customer, by a lead with its product."""
    hours = max(0, (now - lead.created_at) // timedelta(hours=1))
    began, today = (timezone.localtime(at).date() for at in (lead.created_at, now))
    name = lead.product.name if lead.product else ""
    found = (sentence(one, product=name, hours=hours, days=(today - began).days) for one in lead.reasons)
    return [words for words in found if words][:most]


def _hours(said: dict[str, Any]) -> str:
    hours = int(said["hours"])
    if hours < 1:
        return _("刚刚")
    if hours < 24:
        return ngettext("%(count)s 小时前", "%(count)s 小时前", hours) % {"count": hours}
    return ngettext("%(count)s 天前", "%(count)s 天前", hours // 24) % {"count": hours // 24}


def _day(said: dict[str, Any]) -> str:
    days = int(said["in"])
    if days <= 0:
        return _("今天")
    if days == 1:
        return _("明天")
    return ngettext("%(count)s 天后", "%(count)s 天后", days) % {"count": days}


def _priced(said: dict[str, Any]) -> dict[str, Any]:
    """With an amount where the channel told one."""
    price = f" ¥{whole_yuan(int(said['fen']))}" if "fen" in said else ""
    return {**said, "price": price, "when": _hours({"hours": 0, **said})}


_SENTENCES = {
    "asked": lambda said: _("%(when)s问过，还没有回复") % {"when": _hours(said)},
    "replied": lambda said: _("%(when)s回复了，还没有接上话") % {"when": _hours(said)},
    "unpaid": lambda said: _("%(when)s下单%(price)s，还没有付款") % _priced(said),
    "unpaid_what": lambda said: _("%(when)s下单“%(what)s”%(price)s，还没有付款") % _priced(said),
    "cart": lambda said: _("%(when)s加购了“%(what)s”") % {**said, "when": _hours(said)},
    "favourite": lambda said: _("%(when)s收藏了“%(what)s”") % {**said, "when": _hours(said)},
    "restocked_cart": lambda said: _("加购过的“%(what)s”到货了") % said,
    "restocked_favourite": lambda said: _("收藏过的“%(what)s”到货了") % said,
    "restocked_view": lambda said: _("看过几次的“%(what)s”到货了") % said,
    "price_cut_cart": lambda said: _("加购过的“%(what)s”降价了%(price)s") % _priced(said),
    "price_cut_favourite": lambda said: _("收藏过的“%(what)s”降价了%(price)s") % _priced(said),
    "price_cut_view": lambda said: _("看过几次的“%(what)s”降价了%(price)s") % _priced(said),
    "viewed": lambda said: _("%(days)s 天里看了 %(count)s 次“%(what)s”") % said,
    "reopened": lambda said: _("%(days)s 天里打开了 %(count)s 次您分享的链接") % said,
    "coupon": lambda said: _("“%(name)s”%(when)s到期") % {**said, "when": _day(said)},
    "points": lambda said: _("%(count)s 积分%(when)s到期") % {**said, "when": _day(said)},
    "birthday": lambda said: _("%(when)s生日") % {"when": _day(said)},
    "anniversary": lambda said: _("%(when)s入会满 %(years)s 年") % {**said, "when": _day(said)},
    "after_sale": lambda said: _("买了“%(what)s”%(days)s 天，问问合不合适") % said,
    "slept": lambda said: _("%(since)s 天没来，以前一共买过 %(count)s 次") % said,
    "live": lambda said: _("看了直播 %(minutes)s 分钟，没有下单") % said,
}
