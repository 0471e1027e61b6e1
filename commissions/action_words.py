"""行为奖励 in plain words: what a rate pays, and of each event what it brought or why nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commissions.models import ActionEvent, ActionRate
from retail.templatetags.figures import yuan

# Type of an event → what its `content` is called. Those who report such events say so (`clerks.materials`).
NAMED: dict[str, Callable[[str], str]] = {}
_BEFORE = {
    "customer": gettext_lazy("每位顾客只给一次，这位已经给过了"),
    "customer+day": gettext_lazy("每位顾客每天只给一次，这天已经给过了"),
    "content": gettext_lazy("每个素材只给一次，这个已经给过了"),
    "customer+content": gettext_lazy("每位顾客每个素材只给一次，已经给过了"),
    "customer+content+day": gettext_lazy("每位顾客每个素材每天只给一次，这天已经给过了"),
}


@dataclass(frozen=True, slots=True)
class ActionStory:
    """One event in words. `state`: as of its entry (pending, earned, settled, paid), "" where nothing was booked.

    `numbers`: up to three (label, text) pairs that say by what it was judged.
    """

    event: ActionEvent
    title: str
    state: str
    sentence: str
    numbers: list[tuple[str, str]]

    @property
    def fen(self) -> int:
        return self.event.fen


def story(event: ActionEvent, state: str) -> ActionStory:
    """Give the event with select_related("rate")."""
    return ActionStory(event, event.get_type_display(), state, _sentence(event), _numbers(event))


def _sentence(event: ActionEvent) -> str:
    if event.reason:
        return _("没有奖励：%(why)s。") % {"why": why_not(event)}
    if event.cause:
        values = {"why": event.get_cause_display(), "fen": yuan(-event.fen)}
        return _("%(why)s，收回 ¥%(fen)s。") % values
    values = {"what": event.get_type_display(), "once": event.rate.get_once_per_display(), "fen": yuan(event.fen)}
    return _("%(what)s，%(once)s，得 ¥%(fen)s。") % values


def why_not(event: ActionEvent) -> str:
    """Why an event pays nothing, "" where it does."""
    rate = event.rate
    if event.reason == "too_active":
        values = {"days": event.active_days, "least": rate.min_inactive_days}
        return _("顾客 %(days)s 天前刚买过，满 %(least)s 天没买才算") % values
    if event.reason == "already_paid":
        return str(_BEFORE[rate.once_per])
    if event.reason == "daily_cap":
        return _("每天最多给 %(count)s 次，这天已经满了") % {"count": rate.daily_cap}
    if event.reason == "budget_spent":
        return _("这项奖励的预算已经用完")
    if event.reason == "too_late":
        return _("已经过了 %(days)s 天，不再收回") % {"days": rate.void_days}
    return ""


def about(event: ActionEvent) -> str:
    """What it was about, by its name."""
    return NAMED.get(event.type, str)(event.content) if event.content else ""


def _numbers(event: ActionEvent) -> list[tuple[str, str]]:
    rate = event.rate
    numbers = [(_("每次"), f"¥{yuan(rate.fen)}"), (_("怎样算一次"), rate.get_once_per_display())]
    if event.reason == "too_active" or (rate.min_inactive_days and event.active_days is not None):
        numbers.append((_("距上次购买"), _("%(days)s 天") % {"days": event.active_days}))
    elif rate.daily_cap is not None:
        numbers.append((_("每人每天最多"), _("%(count)s 次") % {"count": rate.daily_cap}))
    elif rate.void_days is not None:
        numbers.append((_("几天内可收回"), _("%(days)s 天") % {"days": rate.void_days}))
    return numbers


def terms(rate: ActionRate) -> str:
    """ "每次 ¥5.00；每位顾客一次；每人每天最多 20 次；7 天内可收回"."""
    said = [_("每次 ¥%(fen)s") % {"fen": yuan(rate.fen)}, rate.get_once_per_display()]
    if rate.min_inactive_days is not None:
        said.append(_("至少 %(days)s 天没买过") % {"days": rate.min_inactive_days})
    if rate.daily_cap is not None:
        said.append(_("每人每天最多 %(count)s 次") % {"count": rate.daily_cap})
    said.append(
        _("不论过多久都可收回") if rate.void_days is None else _("%(days)s 天内可收回") % {"days": rate.void_days}
    )
    return _("；").join(said)


def stories(events: Iterable[ActionEvent], states: dict[int, str]) -> list[ActionStory]:
    """`states`: entry id → its state."""
    return [story(event, states.get(event.entry_id or 0, "")) for event in events]
