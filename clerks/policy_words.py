"""专属规则 in plain words, as a manager would explain it to a clerk."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clerks.models import PastPolicy
from retail.models import Brand


def sentences(row: Brand | PastPolicy) -> list[str]:
    """What the policy means for a clerk's customers, one thing after another."""
    return [_protection(row), _activity(row), _afterwards(row), *_elsewhere(row), _cap(row)]


def _protection(row: Brand | PastPolicy) -> str:
    return ngettext(
        "顾客归了一位导购，%(count)s 天里别人扫码只是加好友，不会改绑。",
        "顾客归了一位导购，%(count)s 天里别人扫码只是加好友，不会改绑。",
        row.protection_days,
    ) % {"count": row.protection_days}


def _activity(row: Brand | PastPolicy) -> str:
    named = [
        (row.counts_purchases, _("买了东西")),
        (row.counts_replies, _("回复了导购")),
        (row.counts_materials, _("打开了导购发的素材")),
    ]
    if counted := [words for counts, words in named if counts]:
        return _("顾客%(what)s，天数就从那天重新算。") % {"what": str(_("、或者")).join(counted)}
    return _("买东西、回复、打开素材都不延长保护，只有再扫一次本人的码才重新算。")


def _afterwards(row: Brand | PastPolicy) -> str:
    if row.rebind == Brand.Rebind.FIRST:
        return _("过了这些天也不会自动改绑，只能由店长或总部来调整。")
    if row.rebind == Brand.Rebind.LAST:
        return _("过了这些天，顾客再加哪位导购，就归哪位。")
    words = _("过了这些天，还要满 %(count)s 天没有往来，顾客再加别的导购才改绑。")
    return words % {"count": row.rebind_idle_days}


def _elsewhere(row: Brand | PastPolicy) -> list[str]:
    if row.exclusive == Brand.Exclusive.STORE:
        return [_("保护只对同店同事有效：顾客到别的门店加了那里的导购，当场就归那位导购。")]
    return []


def _cap(row: Brand | PastPolicy) -> str:
    if row.customers_cap is None:
        return _("每位导购的顾客数不限。")
    return ngettext(
        "每位导购最多 %(count)s 位顾客；满了以后新来的先留在门店公海，本人和店长会收到通知。",
        "每位导购最多 %(count)s 位顾客；满了以后新来的先留在门店公海，本人和店长会收到通知。",
        row.customers_cap,
    ) % {"count": row.customers_cap}
