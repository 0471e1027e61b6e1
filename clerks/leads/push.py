"""The round of leads every few minutes, and the two digests a day that bring a clerk to their list.

The first comes when the quiet hours are over; the second in the afternoon if there is something new, or before where
a customer waits for an answer. Nobody gets a third: what comes later stands on the list.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clerks.leads import dealing, kinds, making, rules
from clerks.leads.models import Lead, LeadPolicy
from clerks.models import Customer, Notice
from clerks.outreach import notices, wording
from retail.models import Brand, Staff

AFTERNOON = 15  # o'clock, in Shanghai
A_DAY = 2  # digests
_SERVICE = max(one.rank for one in kinds.KINDS.values() if one.is_service)


def run(*, now: datetime, is_morning: bool) -> int:
    """Every brand's leads; how many were made."""
    count = 0
    for brand in Brand._base_manager.order_by("pk"):
        dealing.tend(brand=brand, now=now)
        made = making.make_all(brand=brand, now=now, is_daily=is_morning)
        count += sum(one.made for one in made.values())
        digest(brand=brand, now=now)
    return count


def digest(*, brand: Brand, now: datetime) -> int:
    """Tell the clerks of a brand what waits for them, each at most twice a day; how many were told."""
    policy, hour = rules.of(brand), now.astimezone(rules.SHANGHAI).hour
    if not policy.is_on or not policy.quiet_until <= hour < policy.quiet_from:
        return 0
    rows = Lead._base_manager.filter(brand=brand, arm=Lead.Arm.TREATED, staff__isnull=False, closed_at=None)
    rows = rows.filter(state__in=Lead.WAITING, expires_at__gt=now)
    found = rows.values("staff").annotate(
        people=Count("member", distinct=True),
        asking=Count("member", distinct=True, filter=Q(rank__lte=_SERVICE)),
        newest=Max("owned_at"),
        best=Min("rank"),
    )
    waiting: dict[int, dict[str, Any]] = {row["staff"]: dict(row) for row in found}
    told = _told_today(waiting, now)
    due = [pk for pk, row in waiting.items() if _is_due(row, told.get(pk, []), hour)]
    free = _free(due, brand, policy, now)
    listed = {pk: waiting[pk]["asking"] + min(waiting[pk]["people"] - waiting[pk]["asking"], free[pk]) for pk in due}
    due = [pk for pk in due if listed[pk]]
    for person in Staff._base_manager.filter(pk__in=due).order_by("pk"):
        _tell(person, waiting[person.pk] | {"people": listed[person.pk]}, len(told.get(person.pk, [])) + 1, now)
    return len(due)


def _free(staff_ids: Sequence[int], brand: Brand, policy: LeadPolicy, now: datetime) -> dict[int, int]:
    """How many more customers each is shown today of those who do not wait for an answer, as the list counts them."""
    reachable = Customer._base_manager.filter(staff__in=staff_ids, brand=brand, is_friend=True, is_lost=False)
    books = dict(reachable.values_list("staff").annotate(Count("pk")).order_by())
    today = rules.midnight(rules.day_of(now))
    sought = Lead._base_manager.filter(staff__in=staff_ids, brand=brand, contacted_at__gte=today)
    done = dict(sought.values_list("staff").annotate(Count("member", distinct=True)).order_by())
    most = {pk: rules.most(policy=policy, reachable=books.get(pk, 0)) for pk in staff_ids}
    return {pk: max(0, most[pk] - done.get(pk, 0)) for pk in staff_ids}


def _told_today(staff_ids: Iterable[int], now: datetime) -> dict[int, list[datetime]]:
    since = rules.midnight(rules.day_of(now))
    rows = Notice._base_manager.filter(staff__in=list(staff_ids), kind=Notice.Kind.LEADS, created_at__gte=since)
    found: dict[int, list[datetime]] = {}
    for staff_id, at in rows.order_by("created_at").values_list("staff", "created_at"):
        found.setdefault(staff_id, []).append(at)
    return found


def _is_due(row: dict[str, Any], told: list[datetime], hour: int) -> bool:
    if not told:
        return True
    return len(told) < A_DAY and row["newest"] > told[-1] and (hour >= AFTERNOON or row["best"] <= _SERVICE)


def _tell(person: Staff, row: dict[str, Any], number: int, now: datetime) -> None:
    people = row["people"]
    with wording.for_others():
        said = ngettext("今天有 %(count)s 位顾客值得联系", "今天有 %(count)s 位顾客值得联系", people)
        title = said % {"count": people}
        if row["best"] <= _SERVICE:
            title = _("有顾客在等您：%(title)s") % {"title": title}
        text = _("打开就能看到是谁、为什么、说什么。")
    rows = Lead._base_manager.filter(staff=person, arm=Lead.Arm.TREATED, closed_at=None, state__in=Lead.WAITING)
    only = list(rows.filter(expires_at__gt=now)[:2])
    about = only[0] if len(only) == 1 else None  # opens that one, else the list
    effect = f"leads:{rules.day_of(now)}:{number}"
    notices.tell(staff=person, kind=Notice.Kind.LEADS, title=title, text=text, about=about, effect=effect, now=now)
