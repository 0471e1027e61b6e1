"""消费并列: whose customer a member becomes to whom several clerks have sold the same amount."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from clerks import binding, book
from clerks.models import Binding, Rival, Tie
from retail import org


class Refused(Exception):
    """It cannot be decided so; the message says why in words for whoever wanted to."""


def with_owner(rows: QuerySet[Tie]) -> QuerySet[Tie]:
    """With `is_bound`: whether the member has become somebody's customer meanwhile, so that nothing is to decide."""
    active = Binding._base_manager.filter(brand=OuterRef("brand"), member=OuterRef("member"), ended_at=None)
    return rows.annotate(is_bound=Exists(active))


@transaction.atomic
def decide(*, tie: Tie, rival: Rival, by: Any, now: datetime) -> None:
    """The member is this clerk's from now on, in the store they work in now. Raises Refused."""
    row = Tie._base_manager.select_for_update(of=("self",)).get(pk=tie.pk)
    if row.decided_at is not None:
        raise Refused(_("已经决定过了。"))
    clerk = org.roster(since=now, until=now, staff_ids=[rival.staff_id]).person(at=now, staff_id=rival.staff_id)
    if clerk is None:
        raise Refused(_("%(clerk)s 现在不在岗，请选另一位。") % {"clerk": rival.staff})
    pair = (row.brand_id, row.member_id)
    began = binding.transfer(
        to={pair: clerk}, source=Binding.Source.HISTORY, end=Binding.End.MANUAL, only_from={pair: None},
        by=by, now=now, reason=_("消费金额相同，由店长决定"),
    )  # fmt: skip
    if not began:
        raise Refused(_("这位会员已经有专属导购了，不用再决定。"))
    row.decided_at, row.decided_by, row.staff_id = now, by, clerk.staff_id
    row.save(update_fields=["decided_at", "decided_by", "staff"])
    book.refresh(member_ids=[row.member_id], now=now)
