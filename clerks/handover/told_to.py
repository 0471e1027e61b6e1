"""Both sides hear of a handover: who got customers how many, and who gave them away and still works here."""

from datetime import datetime

from django.db import transaction
from django.db.models import Count, F
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clerks.models import Handover, HandoverRow, Notice
from clerks.outreach import notices, wording
from retail.models import Staff


@transaction.atomic
def both_sides(*, handover: Handover, now: datetime) -> None:
    """Once for each number: whoever gets more later hears of all. Nothing about the customers themselves."""
    got = _counts(handover)
    with wording.for_others():
        for staff in Staff._base_manager.filter(pk__in=got).order_by("pk"):
            title = ngettext("%(name)s的 %(count)s 位顾客归您了", "%(name)s的 %(count)s 位顾客归您了", got[staff.pk])
            text = _("客户继承转来的，在“顾客”里按“新绑定”就能看到。之前的单子还算原导购的，之后的算您的。")
            _tell(handover, staff, title, text, got[staff.pk], now)
        if handover.kind == Handover.Kind.ON_JOB and (given := sum(got.values())):
            title = ngettext("您的 %(count)s 位顾客转给了同事", "您的 %(count)s 位顾客转给了同事", given)
            text = _("之前的单子还算您的，之后的算接手人的。")
            _tell(handover, handover.staff, title, text, given, now)


def _counts(handover: Handover) -> dict[int, int]:
    """Receiver → whom they have by now of this handover."""
    rows = HandoverRow._base_manager.filter(handover=handover, moved_at__isnull=False, holder=F("receiver"))
    theirs = rows.exclude(state=HandoverRow.State.GONE).order_by()
    return dict(theirs.values_list("receiver").annotate(count=Count("pk")))


def _tell(handover: Handover, staff: Staff, title: str, text: str, count: int, now: datetime) -> None:
    said = {"name": handover.staff.name, "count": count}
    effect = f"handed_over:{handover.pk}:{count}"
    notices.tell(staff=staff, kind=Notice.Kind.TOLD, title=title % said, text=text, effect=effect, now=now)
