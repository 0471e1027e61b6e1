"""名额已满: a clerk hears once a day that customers came who could not become theirs, and so does their manager."""

from collections import defaultdict
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import ngettext

from clerks.models import Notice, TurnedAway
from clerks.outreach import notices, wording
from retail.models import Staff

MOST = 5_000


@transaction.atomic
def tell(*, now: datetime) -> int:
    """Of those who were turned away and are not told of yet. Returns to how many clerks."""
    rows = (
        TurnedAway._base_manager.filter(told_at=None).order_by("pk").select_for_update(of=("self",), skip_locked=True)
    )
    untold: defaultdict[int, list[TurnedAway]] = defaultdict(list)
    for row in rows[:MOST]:
        untold[row.staff_id].append(row)
    staff = Staff._base_manager.in_bulk(untold)
    with wording.for_others():
        for staff_id, some in untold.items():
            _tell(staff[staff_id], some, now)
    TurnedAway._base_manager.filter(pk__in=[row.pk for some in untold.values() for row in some]).update(told_at=now)
    return len(untold)


def _tell(clerk: Staff, rows: list[TurnedAway], now: datetime) -> None:
    title = ngettext("名额已满，有 %(count)s 位顾客没能绑定", "名额已满，有 %(count)s 位顾客没能绑定", len(rows))
    text = ngettext(
        "%(clerk)s 名下的顾客满了，新来的 %(count)s 位先留在门店公海。可以请店长调整名额，或者分给有名额的同事。",
        "%(clerk)s 名下的顾客满了，新来的 %(count)s 位先留在门店公海。可以请店长调整名额，或者分给有名额的同事。",
        len(rows),
    )
    said = {"count": len(rows), "clerk": clerk.name}
    managers = [one for one in notices.managers_of(store_id=rows[-1].store_id, now=now) if one.pk != clerk.pk]
    effect = f"full:{clerk.pk}:{timezone.localtime(now):%Y%m%d}"
    notices.tell_all(
        staff=[clerk, *managers], kind=Notice.Kind.TOLD, title=title % said, text=text % said, effect=effect, now=now
    )
