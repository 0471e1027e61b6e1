"""分享成交: whose link is behind an order, and which orders a link brought.

    the order names a link's code ─────┐
    else the last link its buyer       ├─▶ `behind` ──▶ the claim of role share (clerks.attribution) ──▶ `note`
    opened within the brand's window ──┘

A code that is nobody's link may be a clerk's own (`Staff.share_code`); an opening counts only where the order names no
code at all. Whoever opened a link and becomes known later than the order was settled changes nothing any more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from clerks.materials.models import Share, ShareSale
from commissions.claims import Claim
from commissions.models.plans import Role
from members.models import Purchase
from retail import org
from retail.models import Order

_BY = {ShareSale.Way.CODE: "share_link", ShareSale.Way.OPENING: "opening"}  # what the claim says of it


@dataclass(frozen=True, slots=True)
class Behind:
    """The link behind an order: whose it is, and how we know."""

    share_id: int
    staff_id: int
    way: str
    opened_at: datetime | None
    material_id: int

    @property
    def evidence(self) -> dict[str, object]:
        """As the claim keeps it; `_sale` reads it again, and rules are judged on the material."""
        said: dict[str, object] = {"by": _BY[ShareSale.Way(self.way)], "share": self.share_id}
        said["material"] = self.material_id
        return said | {"opened_at": self.opened_at.isoformat()} if self.opened_at else said


def behind(*, orders: Sequence[Order], purchases: Mapping[int, Purchase]) -> dict[int, Behind]:
    """Order id → the link of the order's brand that brought it. One statement, none where no order could have one.

    purchases: who bought, by order; the buyer's openings are asked for where the order names no code.
    """
    asked = [
        (order.pk, order.share_code, order.brand_id, _buyer(purchases.get(order.pk)), _since(order), order.paid_at)
        for order in orders
        if order.share_code or order.pk in purchases
    ]
    if not asked:
        return {}
    columns = list(map(list, zip(*asked, strict=True)))
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, [*columns, min(columns[4]), max(columns[5])])
        return {order_id: Behind(*found) for order_id, *found in cursor.fetchall()}


def _buyer(purchase: Purchase | None) -> int | None:
    return purchase.membership.member_id if purchase else None


def _since(order: Order) -> datetime:
    return order.paid_at - timedelta(days=order.brand.share_window_days)


# The bounds of all orders are named once more so that only the months in question are planned for.
_BEHIND = """
SELECT w.order_id, found.* FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[],
    %s::timestamptz[]) AS w(order_id, code, brand_id, member_id, since, paid_at), LATERAL (
    (SELECT s.id, s.staff_id, 'code', NULL::timestamptz, s.material_id FROM materials_share s
     WHERE s.code = w.code AND s.brand_id = w.brand_id
       AND NOT EXISTS (SELECT FROM retail_staff p WHERE p.share_code = w.code))
    UNION ALL
    (SELECT s.id, s.staff_id, 'opening', o.at, s.material_id FROM materials_opening o
     JOIN materials_share s ON s.id = o.share_id AND s.brand_id = w.brand_id
     WHERE w.code = '' AND o.member_id = w.member_id AND o.at BETWEEN w.since AND w.paid_at
       AND o.at BETWEEN %s AND %s
     ORDER BY o.at DESC, o.id DESC LIMIT 1)
) found
"""


def clerk(*, code: str, brand_id: int, at: datetime) -> org.Held | None:
    """Whom a code names that somebody came with: a clerk by their own, or the clerk of a link of the brand."""
    found = org.roster(since=at, until=at, share_codes=[code]).person(at=at, share_code=code)
    if found is not None:
        return found
    staff_id = Share._base_manager.filter(code=code, brand=brand_id).values_list("staff", flat=True).first()
    return org.roster(since=at, until=at, staff_ids=[staff_id]).person(at=at, staff_id=staff_id) if staff_id else None


# ── What a link sold ─────────────────────────────────────────────────────────────────────────────────────────────────
def note(*, orders: Sequence[Order], claims: Mapping[int, Iterable[Claim]], kept: Sequence[Order]) -> None:
    """Keep which link brought these orders, as their claims say; an order claimed anew may have lost its link.

    kept: orders that were corrected and keep their claims; their time may be another. A statement for each of the
    three, and none for what does not occur.
    """
    sales = [sale for order in orders if (sale := _sale(order, claims[order.pk]))]
    sold = {sale.order_id for sale in sales}
    if lost := [order.pk for order in orders if order.settled_version and order.pk not in sold]:
        ShareSale._base_manager.filter(order__in=lost).delete()
    if sales:
        ShareSale._base_manager.bulk_create(
            sales,
            update_conflicts=True,
            unique_fields=["order"],
            update_fields=["share", "way", "opened_at", "paid_at"],
        )
    if kept:
        with connection.cursor() as cursor:
            cursor.execute(_REDATE, [[order.pk for order in kept]])


_REDATE = """
UPDATE materials_sharesale s SET paid_at = o.paid_at FROM retail_order o
WHERE o.id = s.order_id AND s.order_id = ANY(%s) AND s.paid_at <> o.paid_at
"""


def _sale(order: Order, claims: Iterable[Claim]) -> ShareSale | None:
    said = next((one.evidence for one in claims if one.role == Role.SHARE and "share" in one.evidence), None)
    if said is None:
        return None
    opened_at = datetime.fromisoformat(said["opened_at"]) if "opened_at" in said else None
    way = ShareSale.Way.OPENING if opened_at else ShareSale.Way.CODE
    return ShareSale(order=order, share_id=said["share"], way=way, opened_at=opened_at, paid_at=order.paid_at)
