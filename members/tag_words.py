"""Why a computed tag is on somebody, in a sentence a clerk understands."""

from datetime import date

from django.utils.translation import gettext as _

from members.models import MemberTag
from retail.templatetags.figures import whole_yuan


def sentence(row: MemberTag) -> str:
    """Of a row with its tag; "" for one that a person put on, and for one nobody explained."""
    if row.source != MemberTag.Source.MODEL or not row.why:
        return ""
    kind = row.tag.code.partition(":")[0]
    said = {
        "new": _("第一次购买在 %(day)s，之后还没有再来"),
        "active": _("最近一次购买在 %(day)s，近一年买了 %(n)s 次"),
        "cooling": _("最近一次购买在 %(day)s，三个月以上没来"),
        "asleep": _("最近一次购买在 %(day)s，半年以上没来"),
        "lost": _("最近一次购买在 %(day)s，一年以上没来"),
        "value_high": _("近一年 %(n)s 单，实付 ¥%(yuan)s"),
        "value_mid": _("近一年 %(n)s 单，实付 ¥%(yuan)s"),
        "price_low": _("买过 %(n)s 件，平均每件 ¥%(yuan)s"),
        "price_mid": _("买过 %(n)s 件，平均每件 ¥%(yuan)s"),
        "price_high": _("买过 %(n)s 件，平均每件 ¥%(yuan)s"),
        "discount": _("近一年 %(n)s 单里 %(k)s 单在 7 折以下"),
        "coupon": _("近一年 %(n)s 单里 %(k)s 单用了券"),
        "points": _("近一年 %(n)s 单里 %(k)s 单用了积分"),
        "category": _("近一年 %(n)s 件里 %(k)s 件是%(name)s"),
        "size": _("近一年这类尺码 %(n)s 件里 %(k)s 件是 %(name)s"),
    }.get(kind, "")
    return said % {"name": row.tag.name, **_numbers(row.why)} if said else ""


def _numbers(why: dict[str, object]) -> dict[str, object]:
    """As they are read: money in yuan, days in the form of the page."""
    said = dict(why)
    if "fen" in why:
        said["yuan"] = whole_yuan(int(str(why["fen"])))
    if "day" in why:
        day = date.fromisoformat(str(why["day"]))
        said["day"] = _("%(year)s 年 %(month)s 月 %(day)s 日") % {"year": day.year, "month": day.month, "day": day.day}
    return said
