"""积分: an append-only ledger of what members earn and use. The balance is the sum, kept by the database.

All verbs work as commission's ledger does: they state what the entries of an order or an adjustment *should* add up
to and post the difference to what is booked. So a repeat posts nothing, refunds may come in any order, a correction is
a difference, and what was earned and given back ends at nothing. An order earns by the rate of its first entry for
good; whole points line by line, so that a line that comes back takes exactly its own points with it.

Points that were used come off the lots that expire first. What has expired is a difference, too: `_EXPIRE` says what
should have by now, so that a refund of points that expired meanwhile never takes them twice.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Sum
from django.db.models.functions import Abs
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from members import by_hand, spending
from members.earning import Rate, Tariff
from members.models import Membership, PointsAdjustment, PointsEntry, Purchase
from members.spending import Back
from retail import approvals, audit, database, logs
from retail.models import Order

_Kind = PointsEntry.Kind
CHUNK = 5_000  # memberships in one transaction of the nightly work


# ── Orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def earn_many(*, orders: Sequence[Order], purchases: Mapping[int, Purchase], back: Back, now: datetime) -> int:
    """Post what orders earn and use, refunds known by now taken along; returns how many entries that took.

    By order id: purchases (nobody known = nothing to post). By line id: what came back. Orders that were corrected
    keep the rate they earned by.
    """
    bought = [order for order in orders if order.pk in purchases]
    if not bought:
        return 0
    again = [order.pk for order in bought if order.settled_version]
    books, owners = _books(again), _owners(again)
    tariff = Tariff({order.brand_id for order in bought})
    entries: list[_Entry] = []
    for order in bought:
        membership, book = purchases[order.pk].membership, books.get(order.pk, _EMPTY)
        rate = book.rate or tariff.rate(order=order, tier_id=membership.tier_id)
        entries += _differences(order, owners.get(order.pk, membership.pk), rate, book, back)
    return _write(entries, now)


@transaction.atomic
def take_back_many(*, orders: Sequence[Order], back: Back, now: datetime) -> int:
    """Post what the refunds of orders take back and give back. No rule is asked again."""
    if not orders:
        return 0
    owners = _owners([order.pk for order in orders])
    books = _books(list(owners))
    entries: list[_Entry] = []
    for order in orders:
        if (book := books.get(order.pk)) is not None:
            entries += _differences(order, owners[order.pk], book.rate, book, back)
    return _write(entries, now)


def _owners(order_ids: Sequence[int]) -> dict[int, int]:
    """Order → the membership it belongs to, locked: a merge that moves the order is over by now, or waits for us."""
    if not order_ids:
        return {}
    rows = Purchase._base_manager.filter(order__in=order_ids).values_list("order_id", "membership_id")
    owners: dict[int, int] = {}
    while (found := dict(rows.all())) != owners:
        owners = found
        _lock(sorted(set(owners.values())))
    return owners


@dataclass(slots=True)
class _Book:
    """What is booked for an order: the rate it earned by, and the sum of each kind."""

    rate: Rate | None = None
    sums: dict[str, int] = field(default_factory=lambda: defaultdict(int))


_EMPTY = _Book()


def _books(order_ids: Sequence[int]) -> dict[int, _Book]:
    books: dict[int, _Book] = defaultdict(_Book)
    if order_ids:
        with connection.cursor() as cursor:
            cursor.execute(_BOOKED, [list(order_ids)])
            for order_id, kind, points, *rate in cursor.fetchall():
                book = books[order_id]
                book.sums[kind] += points
                if book.rate is None and rate[0] is not None:
                    book.rate = Rate._make(rate)
    return books


# Order by order along its index: while a first load fills the ledger the planner would rather read the whole of it.
_BOOKED = """
SELECT entry.order_id, kind, points, rule_id, times_id, rate_points, rate_fen, expires_on
FROM unnest(%s::bigint[]) AS wanted(order_id)
CROSS JOIN LATERAL (SELECT * FROM members_pointsentry WHERE order_id = wanted.order_id OFFSET 0) AS entry
ORDER BY entry.id
"""


class _Entry(NamedTuple):
    """A row to be, in the order of _COLUMNS."""

    membership_id: int
    kind: str
    points: int
    at: datetime
    order_id: int | None = None
    adjustment_id: int | None = None
    rule_id: int | None = None
    times_id: int | None = None
    rate_points: int | None = None
    rate_fen: int | None = None
    expires_on: date | None = None


def _differences(order: Order, membership_id: int, rate: Rate | None, book: _Book, back: Back) -> Iterator[_Entry]:
    came_at = max((refund.refunded_at for refund in order.all_refunds), default=order.paid_at)
    for kind, target in _targets(order, rate, back):
        if points := target - book.sums.get(kind, 0):
            at = came_at if kind in (_Kind.BACK, _Kind.UNBURN) else order.paid_at
            lot = rate if rate and kind in (_Kind.EARN, _Kind.BACK) else ()
            yield _Entry(membership_id, kind, points, at, order.pk, None, *lot)


def _targets(order: Order, rate: Rate | None, back: Back) -> Iterator[tuple[str, int]]:
    """What the entries of an order should add up to, kind by kind."""
    if rate:
        earned = sum(rate.of(line.paid_fen) for line in order.all_lines)
        kept = earned
        if order.all_refunds:
            kept = sum(
                rate.of(spending.left(paid_fen=line.paid_fen, came=back.get(line.pk))) for line in order.all_lines
            )
        yield _Kind.EARN, earned
        yield _Kind.BACK, kept - earned
    yield _Kind.BURN, -order.points_used
    yield _Kind.UNBURN, _given_back(order, back)


def _given_back(order: Order, back: Back) -> int:
    """Of the points an order used, the share of what came back of its price; of its pieces where nothing was paid."""
    if not order.points_used or not order.all_refunds:
        return 0
    sold = [line for line in order.all_lines if line.paid_fen > 0]
    if sold:
        whole = sum(line.paid_fen for line in sold)
    else:
        sold = [line for line in order.all_lines if line.qty > 0 and not line.paid_fen]
        whole = sum(line.qty for line in sold)
    came = sum(back[line.pk].back for line in sold if line.pk in back)
    return order.points_used * came // whole if whole else 0


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
KIND = "points.adjust"
_ALONE_FOR = timedelta(days=30)
_ONE_PRESS = timedelta(seconds=10)


@transaction.atomic
def adjust(
    *, membership: Membership, points: int, reason: str, by: Any, now: datetime, expires_on: date | None = None
) -> PointsAdjustment | approvals.Approval:
    """Give points (good until that day, or for ever) or take some, and say why.

    What one person gives and takes of one member within 30 days beyond POINTS_ALONE waits for a second person; nobody
    (`by` None) is the operator of the server. Raises approvals.Refused.
    """
    _lock([membership.pk])
    row = Membership._base_manager.select_related("member", "brand").get(pk=membership.pk)
    wrong = _why_not(points, expires_on, now) or by_hand.objection(membership=row, reason=reason, by=by)
    if wrong:
        raise approvals.Refused(wrong)
    if by is not None and _is_second_press(row, points, reason, by, now):
        raise approvals.Refused(_("刚刚已经记过一次同样的。要再记一次，请等几秒。"))
    if by is None or _moved_alone(row, by, now) + abs(points) <= settings.POINTS_ALONE:
        return _book(row, points, reason, expires_on, by, None, now)
    whose = _("会员 %(number)s 的积分（%(brand)s）") % {"number": row.member_id, "brand": row.brand.name}
    told = {"points": points, "expires_on": expires_on.isoformat() if expires_on else None, "by": by.pk}
    return approvals.ask(
        kind=KIND,
        target=row,
        payload={**told, "reason": logs.struck(reason)},
        before={whose: str(row.points)},
        after={whose: _("%(balance)s（%(change)s）") % {"balance": row.points + points, "change": f"{points:+}"}},
        by=by,
        reason=reason,
        needs="members.add_pointsadjustment",
        now=now,
        brand_id=row.brand_id,
    )


def bring_along(*, membership: Membership, points: int, now: datetime) -> PointsAdjustment:
    """The balance somebody had elsewhere before they were told to us. Once each: `members.enrolment` sees to it."""
    _lock([membership.pk])
    return _book(membership, points, _("导入的期初积分"), None, None, None, now, is_opening=True)


def _is_second_press(membership: Membership, points: int, reason: str, by: Any, now: datetime) -> bool:
    """Who does just the same again so soon wondered whether it was done."""
    lately = PointsAdjustment._base_manager.filter(membership=membership, by=by, at__gt=now - _ONE_PRESS)
    return lately.filter(points=points, reason=logs.struck(reason)).exists()


def _moved_alone(membership: Membership, by: Any, now: datetime) -> int:
    """What somebody gave and took of a member lately without a second person, added up without signs."""
    alone = PointsAdjustment._base_manager.filter(membership=membership, by=by, approved_by=None)
    return alone.filter(at__gt=now - _ALONE_FOR).aggregate(sum=Sum(Abs("points")))["sum"] or 0


def _why_not(points: int, expires_on: date | None, now: datetime) -> str:
    if not points:
        return _("请填要补发或扣减的积分，不能是 0。")
    if abs(points) > MOST:
        return _("一次最多 %(most)s 分。") % {"most": MOST}
    if expires_on and (points < 0 or expires_on < timezone.localtime(now).date()):
        return _("有效期只能给补发的积分，而且不能早于今天。")
    return ""


MOST = 10_000_000


@approvals.kind(KIND, name=gettext_lazy("人工调整积分"), permission="members.decide_pointsadjustment")
def _adjust_as_agreed(*, target_id: str, payload: dict[str, Any], by: Any, now: datetime) -> None:
    row = Membership._base_manager.get(pk=target_id)
    asked_by = get_user_model()._base_manager.get(pk=payload["by"])
    day = date.fromisoformat(payload["expires_on"]) if payload["expires_on"] else None
    _book(row, payload["points"], payload["reason"], day, asked_by, by, now)


@transaction.atomic
def _book(
    membership: Membership,
    points: int,
    reason: str,
    expires_on: date | None,
    by: Any,
    approved_by: Any,
    now: datetime,
    *,
    is_opening: bool = False,
) -> PointsAdjustment:
    row = PointsAdjustment._base_manager.create(
        membership=membership,
        points=points,
        expires_on=expires_on,
        reason=logs.struck(reason),
        by=by,
        approved_by=approved_by,
        at=now,
        is_opening=is_opening,
    )
    kind = _Kind.ADJUST if points > 0 else _Kind.DEDUCT
    _write([_Entry(membership.pk, kind, points, now, adjustment_id=row.pk, expires_on=expires_on)], now)
    told = {"points": str(points), "expires_on": str(expires_on or "")}
    audit.record(by=by, action=KIND, target=membership, now=now, after=told, reason=reason)
    return row


# ── Merging ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def on_merge(*, membership_ids: Collection[int], now: datetime) -> int:
    """Let entries follow where their orders and adjustments went, after a merge as after its undoing.

    Give it all memberships that gained or lost a purchase or an adjustment. History is not touched: what stands at
    the wrong membership is taken off there and booked where it belongs; how many entries that took.
    """
    ids = sorted(membership_ids)
    _lock(ids)
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW, {"ids": ids, "now": now})
        moved = cursor.rowcount
    return moved + _expire(ids, now)


_FOLLOW = """
WITH booked AS (
    SELECT membership_id, kind, order_id, adjustment_id, rule_id, times_id, rate_points, rate_fen, expires_on,
        min(at) AS at, sum(points)::bigint AS points
    FROM members_pointsentry WHERE membership_id = ANY(%(ids)s::bigint[]) AND kind <> 'expire'
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 HAVING sum(points) <> 0
), astray AS (
    SELECT booked.*, coalesce(p.membership_id, a.membership_id) AS belongs
    FROM booked LEFT JOIN members_purchase p ON p.order_id = booked.order_id
    LEFT JOIN members_pointsadjustment a ON a.id = booked.adjustment_id
    WHERE coalesce(p.membership_id, a.membership_id) <> booked.membership_id
)
INSERT INTO members_pointsentry (membership_id, points, kind, order_id, adjustment_id, rule_id, times_id, rate_points,
    rate_fen, expires_on, at, created_at, is_moved)
SELECT leg.membership_id, leg.points, kind, order_id, adjustment_id, rule_id, times_id, rate_points, rate_fen,
    expires_on, at, %(now)s, true
FROM astray,
    LATERAL (VALUES (astray.membership_id, -astray.points), (belongs, astray.points)) AS leg(membership_id, points)
ORDER BY order_id, adjustment_id, leg.points
"""


# ── Expiry ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def expire(*, now: datetime, since: date | None = None) -> int:
    """Take what expired, of everybody with points whose last day is past; how many entries that took.

    `since`: leave out those whose points all expired before that day, which was done then.
    """
    today = timezone.localtime(now).date()
    lots = PointsEntry._base_manager.filter(expires_on__lt=today)
    if since:
        lots = lots.filter(expires_on__gte=since)
    ids = sorted(set(lots.values_list("membership", flat=True)))
    count = 0
    for start in range(0, len(ids), CHUNK):
        with transaction.atomic():
            _lock(ids[start : start + CHUNK])
            count += _expire(ids[start : start + CHUNK], now)
    return count


def _expire(membership_ids: Collection[int], now: datetime) -> int:
    with connection.cursor() as cursor:
        said: dict[str, Any] = {
            "ids": list(membership_ids),
            "now": now,
            "today": timezone.localtime(now).date(),
            "uses": _USES,
        }
        cursor.execute(_EXPIRE, said)
        return cursor.rowcount


_USES = [str(kind) for kind in PointsEntry.USES]
# Of all that was got with a last day up to some day, what was not used by its end is gone: the most that any such day
# leaves over. It depends on nothing but lots and uses, so that it does not matter when or how often it is asked. What
# was used counts from the order that used it, also where it was given back: it is as if it had never been used.
_EXPIRE = """
WITH account AS MATERIALIZED (
    SELECT membership_id, kind, points, expires_on, min(at) OVER (
        PARTITION BY membership_id, coalesce(order_id, -adjustment_id)) AS since
    FROM members_pointsentry WHERE membership_id = ANY(%(ids)s::bigint[])
), day AS (
    SELECT membership_id, expires_on AS day,
        sum(sum(points)) OVER (PARTITION BY membership_id ORDER BY expires_on) AS got
    FROM account WHERE expires_on < %(today)s AND kind <> 'expire' GROUP BY 1, 2
), over AS (
    SELECT day.membership_id, day.got + coalesce(sum(used.points), 0) AS points
    FROM day LEFT JOIN account used ON used.membership_id = day.membership_id AND used.kind = ANY(%(uses)s)
        AND used.since < (day.day + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'
    GROUP BY day.membership_id, day.day, day.got
), target AS (
    SELECT membership_id, -greatest(0, max(points)) AS points FROM over GROUP BY 1
    UNION ALL SELECT membership_id, -points FROM account WHERE kind = 'expire'
)
INSERT INTO members_pointsentry (membership_id, kind, points, at, created_at)
SELECT membership_id, 'expire', sum(points)::bigint, %(now)s, %(now)s
FROM target GROUP BY 1 HAVING sum(points) <> 0 ORDER BY 1
"""


# ── Looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Expiring(NamedTuple):
    """So many points are good until the end of that day."""

    on: date
    points: int


class Summary(NamedTuple):
    """`balance` may be below 0; `next`: what expires first, if anything does; `moves`: the latest first."""

    balance: int
    next: Expiring | None
    moves: list[PointsEntry]


def summary(*, membership: Membership, now: datetime, moves: int = 10) -> Summary:
    """What a page shows of somebody's points. Of the moves those that the scope shows."""
    today = timezone.localtime(now).date()
    rows = database.planned(_LOTS, {"id": membership.pk, "today": today, "uses": _USES})
    lots = [Expiring(day, points) for group, day, points in rows if group == "dated"]
    rest = sum(points for group, _, points in rows if group == "rest")
    balance = sum(points for _, _, points in rows)
    return Summary(balance, _next(lots, used=max(0, -rest)), _latest(membership, moves) if moves else [])


def _latest(membership: Membership, moves: int) -> list[PointsEntry]:
    latest = PointsEntry.objects.filter(membership=membership).select_related("order", "rule", "times", "adjustment")
    return list(latest.order_by("-at", "-pk")[:moves])


# Lots that are still good, by their last day; those that are good for ever; and the rest: past lots, uses, expiry.
_LOTS = """
SELECT CASE WHEN kind = 'expire' OR kind = ANY(%(uses)s::text[]) OR expires_on < %(today)s::date THEN 'rest'
    WHEN expires_on IS NULL THEN 'for ever' ELSE 'dated' END AS part,
    CASE WHEN expires_on >= %(today)s::date THEN expires_on END AS day, sum(points)::bigint
FROM members_pointsentry WHERE membership_id = %(id)s GROUP BY 1, 2 ORDER BY 2
"""


def _next(lots: Iterable[Expiring], *, used: int) -> Expiring | None:
    """What is left of the first lot that is not used up; what was used comes off the first ones."""
    for lot in lots:
        used -= lot.points
        if used < 0:
            return Expiring(lot.on, -used)
    return None


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
_COLUMNS = ", ".join((*_Entry._fields, "created_at"))


def _write(entries: Sequence[_Entry], now: datetime) -> int:
    """Append the entries, and what expires or comes back to life with them; the database adds up the balances."""
    if not entries:
        return 0
    _lock(sorted({entry.membership_id for entry in entries}))
    with connection.cursor() as cursor, cursor.copy(f"COPY members_pointsentry ({_COLUMNS}) FROM STDIN") as copy:
        for entry in entries:
            copy.write_row((*entry, now))
    today = timezone.localtime(now).date()
    past = sorted({entry.membership_id for entry in entries if _is_of_the_past(entry, today)})
    return len(entries) + (_expire(past, now) if past else 0)


def _is_of_the_past(entry: _Entry, today: date) -> bool:
    """Whether what has expired may be something else with this entry."""
    if entry.expires_on is not None:
        return entry.expires_on < today
    if entry.kind == _Kind.UNBURN:  # counts from the day the points were used
        return True
    return entry.kind in PointsEntry.USES and timezone.localtime(entry.at).date() < today


def _lock(membership_ids: Sequence[int]) -> None:
    """One after another: whoever writes entries of a membership does it alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM members_membership WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE",
            [list(membership_ids)],
        )
