"""Which order used a coupon: concluded anew from all that orders, corrections and refunds say of its code by now.

Of several orders that name a code and may use it the one paid first has it. Nothing is ever added up or undone step by
step: what the facts say is compared with what stands, and the difference is written. So it does not matter in which
order facts come, or how often. An order is never refused for a coupon; why one does not count stands in `CouponUse`.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.utils.translation import gettext_noop as _

from members import returned
from members.models import Coupon, CouponMove, CouponType, CouponUse
from members.models.coupons import TROUBLES
from retail.models import Order

_Kind = CouponType.Kind
_State = Coupon.State
_Outcome = CouponUse.Outcome

LOOKED_BACK = timedelta(days=60)  # so old are orders whose coupons are judged again each night
ROUNDING_FEN = 100  # tills drop what is less than a yuan: that much below the floor is not below it
GIVEN_BACK, DROPPED, EARLIER = _("货全退了，退回"), _("订单更正，不再用它"), _("更早付款的订单用了它")


class Change(NamedTuple):
    """A coupon that another order, or none, has redeemed by now. `uses`: how often it was redeemed so far."""

    coupon: Coupon
    before: int | None
    after: int | None
    at: datetime
    reason: str = ""


def redeem_many(*, orders: Sequence[Order], now: datetime) -> list[Change]:
    """Judge the coupons that orders name, and those that corrected orders named before; what changed.

    In the transaction that settles the orders, once it is known who bought. Where no order names a coupon and none
    was corrected, nothing is asked of the database.
    """
    named = {(order.pk, code) for order in orders for code in order.coupons}
    corrected = [order.pk for order in orders if order.settled_version]
    return judge(codes={code for _, code in named} | _named_before(corrected), named=named, now=now)


def take_back_many(*, orders: Sequence[Order], now: datetime) -> list[Change]:
    """Judge the coupons of refunded orders anew: one that came back whole may give its coupon back."""
    return judge(codes=_named_before([order.pk for order in orders]), now=now)


def _named_before(order_ids: Collection[int]) -> set[str]:
    if not order_ids:
        return set()
    return set(CouponUse._base_manager.filter(order__in=order_ids).values_list("code", flat=True))


def look_again(*, since: datetime, now: datetime) -> list[Change]:
    """Judge again what did not count lately: two members may have turned out to be one person, a rule be corrected."""
    rows = CouponUse._base_manager.filter(outcome__in=TROUBLES, order__paid_at__gte=since).exclude(outcome="unknown")
    return judge(codes=set(rows.values_list("code", flat=True)), now=now)


def judge(*, codes: Collection[str], now: datetime, named: Iterable[tuple[int, str]] = ()) -> list[Change]:
    """Bring these codes to what the facts say of them. `named`: orders and codes nobody has noted yet."""
    if not codes:
        return []
    coupons = _locked(codes)
    uses = {(use.order_id, use.code): use for use in CouponUse._base_manager.filter(code__in=codes)}
    for pair in named:
        uses.setdefault(pair, CouponUse(order_id=pair[0], code=pair[1]))
    sales = _sales({order_id for order_id, _ in uses}, known=coupons)
    by_code = defaultdict(list)
    for use in uses.values():
        by_code[use.code].append(use)
    changes: list[Change] = []
    judged: list[CouponUse] = []
    for code in sorted(codes):
        outcomes, winner = _outcomes(coupons.get(code), [sales[use.order_id] for use in by_code[code]], code)
        judged += _differing(by_code[code], outcomes, coupons.get(code), now)
        if code in coupons and (change := _moved(coupons[code], winner, outcomes, now)):
            changes.append(change)
    _write(judged, changes, now)
    return changes


# ── The facts ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _locked(codes: Collection[str]) -> dict[str, Coupon]:
    """The coupons of these codes; nobody else judges them before our commit.

    Where there is none, nobody brings in codes either: who comes later finds what we noted (`giving.take_codes`).
    """
    found = _held(codes)
    if len(found) < len(codes):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtext('coupon codes'))")
        found |= _held({*codes} - found.keys())
    return found


def _held(codes: Collection[str]) -> dict[str, Coupon]:
    rows = Coupon._base_manager.filter(code__in=codes).order_by("pk")
    return {row.code: row for row in rows.select_for_update(of=("self",)).select_related("type", "membership")}


@dataclass(slots=True)
class _Sale:
    """What of an order bears on its coupons. `goods`: category → paid for it, in fen, gifts left out."""

    order_id: int
    paid_at: datetime
    channel_id: int
    channel: str
    number: str
    brand_id: int
    codes: list[str]
    membership_id: int | None
    goods: dict[str, int]
    all_back_at: datetime | None = None
    types: list[CouponType] = field(default_factory=list)  # of all the coupons it names

    @property
    def turn(self) -> tuple[datetime, int, str]:
        """Who comes first; the same whenever it came in."""
        return self.paid_at, self.channel_id, self.number

    def worth(self, type: CouponType) -> int | None:
        """What the goods a coupon is for cost before coupons were taken off; None where there are none."""
        paid = [
            fen for category, fen in self.goods.items() if category in type.category_codes or not type.category_codes
        ]
        if not paid:
            return None
        worth = sum(paid) + sum(other.off_fen for other in self.types)
        for other in self.types:
            worth = -(-worth * 1_000_000 // (1_000_000 - other.off_ppm))
        return worth


_SALES = """
SELECT o.id, o.paid_at, o.channel_id, c.code, o.outer_order_id, o.brand_id, o.coupons, p.membership_id, coalesce((
    SELECT jsonb_object_agg(category_label, fen) FROM (
        SELECT category_label, sum(paid_fen)::bigint AS fen FROM retail_orderline
        WHERE order_id = o.id AND NOT is_gift AND qty > 0 GROUP BY 1
    ) AS goods
), '{}'), EXISTS (SELECT FROM retail_refund r WHERE r.order_id = o.id)
FROM retail_order o JOIN retail_channel c ON c.id = o.channel_id LEFT JOIN members_purchase p ON p.order_id = o.id
WHERE o.id = ANY(%s::bigint[])
"""


def _sales(order_ids: Collection[int], *, known: dict[str, Coupon]) -> dict[int, _Sale]:
    with connection.cursor() as cursor:
        cursor.execute(_SALES, [list(order_ids)])
        rows = cursor.fetchall()
    sales = {row[0]: _Sale(*(*row[:8], json.loads(row[8]))) for row in rows}
    if refunded := [row[0] for row in rows if row[9]]:
        for order_id, net in returned.nets(refunded).items():
            sales[order_id].all_back_at = net.all_back_at
    types = {code: coupon.type for code, coupon in known.items()}
    others = {code for sale in sales.values() for code in sale.codes} - types.keys()
    if others:
        rows_of_others = Coupon._base_manager.filter(code__in=others).select_related("type")
        types |= {coupon.code: coupon.type for coupon in rows_of_others}
    for sale in sales.values():
        sale.types = [types[code] for code in sale.codes if code in types]
    return sales


# ── What they come to ────────────────────────────────────────────────────────────────────────────────────────────────
def _outcomes(coupon: Coupon | None, sales: Iterable[_Sale], code: str) -> tuple[dict[int, str], _Sale | None]:
    """What each order that names a code comes to, and the one that has redeemed the coupon."""
    outcomes: dict[int, str] = {}
    may: list[_Sale] = []
    for sale in sales:
        hindrance = _Outcome.DROPPED if code not in sale.codes else _hindrance(coupon, sale)
        if hindrance:
            outcomes[sale.order_id] = hindrance
        else:
            may.append(sale)
    may.sort(key=lambda sale: sale.turn)
    for place, sale in enumerate(may):
        outcomes[sale.order_id] = _Outcome.USED if place else _Outcome.COUNTED
    return outcomes, may[0] if may else None


def _hindrance(coupon: Coupon | None, sale: _Sale) -> str:
    """Why an order does not redeem a coupon, were it the only one; "" where it does.

    Whose it is is asked only where both are known: who shows the code of an order without a name has it.
    """
    if coupon is None:
        return _Outcome.UNKNOWN
    type = coupon.type
    if type.brand_id != sale.brand_id:
        return _Outcome.OTHER_BRAND
    if _is_anothers(coupon, sale):
        return _Outcome.OTHER_MEMBER
    if sale.paid_at < coupon.valid_from:
        return _Outcome.EARLY
    if coupon.voided_at and sale.paid_at >= coupon.voided_at:
        return _Outcome.VOID
    if sale.paid_at >= coupon.valid_until:
        return _Outcome.EXPIRED
    if type.channel_codes and sale.channel not in type.channel_codes:
        return _Outcome.CHANNEL
    worth = sale.worth(type)
    if worth is None:
        return _Outcome.CATEGORY
    if worth + ROUNDING_FEN <= type.floor_fen:
        return _Outcome.FLOOR
    if sale.all_back_at and type.comes_back and sale.all_back_at < coupon.valid_until:
        return _Outcome.RETURNED
    return ""


def _is_anothers(coupon: Coupon, sale: _Sale) -> bool:
    holder = coupon.membership_id if _is_claimed(coupon) else None
    return None not in (holder, sale.membership_id) and holder != sale.membership_id


def _is_claimed(coupon: Coupon) -> bool:
    """Whether somebody got it, other than by an order that used an open code."""
    return coupon.claimed_at is not None


def _differing(
    uses: Iterable[CouponUse], outcomes: dict[int, str], coupon: Coupon | None, now: datetime
) -> list[CouponUse]:
    """Those that come to something else than is noted."""
    differing = []
    for use in uses:
        found = (outcomes[use.order_id], coupon.pk if coupon else None)
        if (use.outcome, use.coupon_id) != found:
            (use.outcome, use.coupon_id), use.judged_at = found, now
            differing.append(use)
    return differing


def _moved(coupon: Coupon, winner: _Sale | None, outcomes: dict[int, str], now: datetime) -> Change | None:
    """Put the coupon where it belongs; None where it is there."""
    before, was = coupon.order_id, (coupon.order_id, coupon.redeemed_at, coupon.state, coupon.membership_id)
    if not _is_claimed(coupon):
        coupon.membership_id = winner.membership_id if winner else None
    coupon.order_id, coupon.redeemed_at = (winner.order_id, winner.paid_at) if winner else (None, None)
    coupon.state = _State.REDEEMED if winner else standing(coupon, now)
    if was == (coupon.order_id, coupon.redeemed_at, coupon.state, coupon.membership_id):
        return None
    if winner:
        coupon.uses += winner.order_id != before
        return Change(
            coupon, before, winner.order_id, winner.paid_at, EARLIER if before not in (None, winner.order_id) else ""
        )
    if before is None:
        return Change(coupon, None, None, coupon.valid_until)  # it ended meanwhile
    return Change(coupon, before, None, now, GIVEN_BACK if outcomes.get(before) == _Outcome.RETURNED else DROPPED)


def standing(coupon: Coupon, now: datetime) -> str:
    """Where a coupon stands that no order has redeemed."""
    if coupon.voided_at:
        return _State.VOID
    if coupon.valid_until <= now:
        return _State.EXPIRED
    return _State.ISSUED if coupon.membership_id else _State.OPEN


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _write(judged: Sequence[CouponUse], changes: Sequence[Change], now: datetime) -> None:
    CouponUse._base_manager.bulk_create(
        judged,
        update_conflicts=True,
        unique_fields=["order", "code"],
        update_fields=["coupon", "outcome", "judged_at"],
    )
    if not changes:
        return
    Coupon._base_manager.bulk_update(
        [change.coupon for change in changes], ["membership", "state", "order", "redeemed_at", "uses"], batch_size=500
    )
    note_moves(changes, now)


def note_moves(changes: Iterable[Change], now: datetime) -> None:
    CouponMove._base_manager.bulk_create(
        [
            CouponMove(
                coupon=change.coupon,
                state=change.coupon.state,
                at=change.at,
                order_id=change.after or change.before,
                reason=change.reason,
                noted_at=now,
            )
            for change in changes
        ],
        batch_size=1_000,
    )
