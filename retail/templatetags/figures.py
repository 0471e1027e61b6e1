"""How money, rates and codes are written on a page: fen as yuan, ppm as percent."""

from datetime import datetime, timedelta

from django import template
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def yuan(fen: int | None) -> str:
    """123456 → "1,234.56"; −5 → "-0.05"; None → "–"."""
    if fen is None:
        return "–"
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{fen // 100:,}.{fen % 100:02d}"


@register.filter
def difference(fen: int) -> str:
    """500 → "+¥5.00"; −5 → "-¥0.05"; 0 → "¥0.00"."""
    sign = "" if not fen else "-" if fen < 0 else "+"
    return f"{sign}¥{yuan(abs(fen))}"


@register.filter
def whole_yuan(fen: int | None) -> str:
    """320000 → "3,200"; 320050 → "3,200.50"."""
    return yuan(fen).removesuffix(".00")


@register.filter
def percent(ppm: int | None) -> str:
    """25000 → "2.5%"; 33333 → "3.3333%"."""
    if ppm is None:
        return "–"
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"


@register.filter
def percent_tenth(ppm: int | None) -> str:
    """333333 → "33.3%"; None → "–"."""
    return percent(ppm // 1000 * 1000) if ppm is not None else "–"


@register.filter
def waited(since: datetime, until: datetime) -> str:
    """How long it was from one moment to another, as `duration` says it."""
    return duration(until - since)


@register.filter
def duration(span: timedelta | None) -> str:
    """How long something took, in its two largest units: "3 天 4 小时", "2 小时 5 分钟", "12 分钟"; None → "–"."""
    if span is None:
        return "–"
    minutes = max(0, int(span.total_seconds())) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return _("%(days)s 天 %(hours)s 小时") % {"days": days, "hours": hours}
    if hours:
        return _("%(hours)s 小时 %(minutes)s 分钟") % {"hours": hours, "minutes": minutes}
    return _("%(minutes)s 分钟") % {"minutes": minutes}
