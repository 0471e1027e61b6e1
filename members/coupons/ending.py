"""How coupons end that nobody used: their time is over, or somebody takes them away."""

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from members.coupons import using
from members.coupons.giving import Refused
from members.coupons.using import Change
from members.models import Coupon, CouponMove
from retail import audit, logs

_State = Coupon.State

AT_ONCE = 5_000

_EXPIRE = """
WITH over AS (
    SELECT id FROM members_coupon WHERE state IN ('open', 'issued') AND valid_until <= %(now)s
    ORDER BY id LIMIT %(at_once)s FOR NO KEY UPDATE SKIP LOCKED
), ended AS (
    UPDATE members_coupon c SET state = 'expired' FROM over WHERE c.id = over.id RETURNING c.id, c.valid_until
)
INSERT INTO members_couponmove (coupon_id, state, at, reason, noted_at)
SELECT id, 'expired', valid_until, '', %(now)s FROM ended
"""


def expire(*, now: datetime) -> int:
    """End the coupons whose time is over; how many. A job of every day, and it commits as it goes."""
    count, done = 0, AT_ONCE
    while done:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_EXPIRE, {"now": now, "at_once": AT_ONCE})
            done = cursor.rowcount
        count += done
    return count


@transaction.atomic
def void(*, coupon: Coupon, reason: str, by: Any, now: datetime) -> Coupon:
    """Take a coupon away that is not used; for what reason is kept. Raises Refused."""
    row = Coupon._base_manager.select_for_update(of=("self",)).select_related("type").get(pk=coupon.pk)
    if row.state not in (_State.OPEN, _State.ISSUED):
        raise Refused(_("只有没用过、没过期的券可以作废。"))
    if not reason.strip():
        raise Refused(_("请写明为什么作废。"))
    row.voided_at, row.state = now, _State.VOID
    row.save(update_fields=["voided_at", "state"])
    using.note_moves([Change(row, None, None, now, logs.struck(reason.strip())[: _longest()])], now)
    using.judge(codes={row.code}, now=now)
    audit.record(by=by, action="coupon.void", target=row, now=now, reason=reason)
    return row


def _longest() -> int:
    return CouponMove._meta.get_field("reason").max_length or 0
