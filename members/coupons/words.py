"""Coupons in words, as customers and clerks say them: 满300减50, 8.5折."""

from decimal import Decimal

from django.utils.translation import gettext as _

from members.models import CouponType
from retail.templatetags.figures import whole_yuan

_Kind = CouponType.Kind


def worth(type: CouponType) -> str:
    """What it gives, and from how much on."""
    off = {
        _Kind.AMOUNT: _("减 %(yuan)s 元") % {"yuan": whole_yuan(type.off_fen)},
        _Kind.PERCENT: _("打 %(tenths)s 折") % {"tenths": tenths(type.off_ppm)},
        _Kind.GIFT: _("送%(gift)s") % {"gift": type.gift},
    }[_Kind(type.kind)]
    return _("满 %(yuan)s 元%(off)s") % {"yuan": whole_yuan(type.floor_fen), "off": off} if type.floor_fen else off


def usable(type: CouponType) -> str:
    """When one may be used."""
    parts = []
    if type.lives_days:
        parts.append(_("领取后 %(days)s 天内，领取当天算第一天") % {"days": type.lives_days})
    if type.usable_from:
        parts.append(_("%(day)s 起") % {"day": type.usable_from})
    if type.usable_until:
        parts.append(_("最晚 %(day)s") % {"day": type.usable_until})
    return _("；").join(parts)


def tenths(off_ppm: int) -> str:
    """What is still paid, in tenths: 150000 taken off → "8.5"."""
    return f"{Decimal(1_000_000 - off_ppm) / 100_000:f}".rstrip("0").rstrip(".")


def masked(code: str) -> str:
    """Who reads a list over somebody's shoulder uses no coupon: the last four characters."""
    return f"····{code[-4:]}"
