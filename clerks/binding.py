"""专属导购关系: who a member belongs to. At most one clerk per brand at any moment, with the history kept."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, F, Value
from django.db.models.functions import Greatest

from clerks.models import Binding
from members.models import Purchase
from members.moving import Moved, Way, give_back, take
from retail import audit, org
from retail.models import Brand, Order

Pair = tuple[int, int]
"""Brand id and member id: whose relation."""


def on_purchases(*, purchases: Mapping[int, Purchase], now: datetime) -> dict[int, Binding]:
    """What settled purchases (by order id) do to the relations, one after another; the binding as of each payment.

    A first POS sale of an unbound member binds to the serving clerk, from the moment of payment. A purchase in any
    channel prolongs the protection of the relation it falls into, unless the customer has deleted the clerk.
    """
    if not purchases:
        return {}
    relations = _relations({_pair(purchase) for purchase in purchases.values()})
    unbound = [one for one in purchases.values() if _in_force(relations[_pair(one)], one.order.paid_at) is None]
    clerks = _serving([purchase.order for purchase in unbound])
    if clerks:
        pairs = {_pair(purchase) for purchase in unbound if purchase.order_id in clerks}
        lock(pairs)
        relations |= _relations(pairs)  # somebody else may have bound them meanwhile
    bound: dict[int, Binding] = {}
    prolonged: set[int] = set()
    for order_id, purchase in purchases.items():
        known = relations[_pair(purchase)]
        binding = _in_force(known, purchase.order.paid_at)
        if binding is not None:
            if _prolong(binding, purchase.order):
                prolonged.add(id(binding))
        # Bound by a later sale that was settled before this one: that relation stays.
        elif order_id in clerks and all(one.ended_at for one in known):
            binding = _first_sale(purchase, clerks[order_id])
            known.append(binding)
        if binding is not None:
            bound[order_id] = binding
    _write([one for known in relations.values() for one in known], prolonged)
    return bound


def _pair(purchase: Purchase) -> Pair:
    return purchase.membership.brand_id, purchase.membership.member_id


def _relations(pairs: Collection[Pair]) -> dict[Pair, list[Binding]]:
    """All bindings there ever were of these, the oldest row first."""
    brands, members = zip(*pairs, strict=True)
    found: dict[Pair, list[Binding]] = {pair: [] for pair in pairs}
    for row in Binding.objects.filter(brand__in=set(brands), member__in=set(members)).order_by("pk"):
        if (pair := (row.brand_id, row.member_id)) in found:
            found[pair].append(row)
    return found


def _in_force(known: Iterable[Binding], moment: datetime) -> Binding | None:
    return next(
        (one for one in known if one.started_at <= moment and (one.ended_at is None or one.ended_at > moment)), None
    )


def _serving(orders: Iterable[Order]) -> dict[int, org.Held]:
    """Order id → who rang up the sale at the till, if that was somebody of ours at that time."""
    codes: dict[int, list[str]] = {}
    tills = {order.pk: order for order in orders if order.channel.kind == order.channel.Kind.POS}
    for order in tills.values():
        said = [order.serving_clerk, *(line.serving_clerk for line in order.all_lines)]
        if named := [code for code in dict.fromkeys(said) if code]:
            codes[order.pk] = named
    if not codes:
        return {}
    times = [tills[order_id].paid_at for order_id in codes]
    roster = org.roster(since=min(times), until=max(times), codes={code for named in codes.values() for code in named})
    serving = {}
    for order_id, named in codes.items():
        posts = (roster.person(at=tills[order_id].paid_at, code=code) for code in named)
        if post := next((post for post in posts if post), None):
            serving[order_id] = post
    return serving


def _first_sale(purchase: Purchase, clerk: org.Held) -> Binding:
    brand_id, member_id = _pair(purchase)
    order = purchase.order
    assert clerk.store_id is not None  # a roster's people hold posts in stores
    return Binding(
        brand_id=brand_id,
        member_id=member_id,
        staff_id=clerk.staff_id,
        store_id=clerk.store_id,
        source=Binding.Source.FIRST_SALE,
        order=order,
        started_at=order.paid_at,
        protected_until=order.paid_at + timedelta(days=order.brand.protection_days),
    )


def _prolong(binding: Binding, order: Order) -> bool:
    """Whether the protection now lasts longer. A day more or less changes nothing for anybody: one write a day."""
    until = order.paid_at + timedelta(days=order.brand.protection_days)
    if until - binding.protected_until <= timedelta(days=1) or binding.ended_at is not None:
        return False
    if binding.lost_at is not None and binding.lost_at <= order.paid_at:
        return False
    binding.protected_until = until
    return True


def _write(known: Iterable[Binding], prolonged: Collection[int]) -> None:
    """Insert the new ones; of the others write those (by id() of the object) whose protection lasts longer."""
    new = [binding for binding in known if binding.pk is None]
    longer = [binding for binding in known if binding.pk is not None and id(binding) in prolonged]
    Binding.objects.bulk_create(new)
    if longer:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE clerks_binding b SET protected_until = w.until"
                " FROM unnest(%s::bigint[], %s::timestamptz[]) AS w(id, until) WHERE b.id = w.id",
                [[binding.pk for binding in longer], [binding.protected_until for binding in longer]],
            )


# ── How many a clerk may have ────────────────────────────────────────────────────────────────────────────────────────
def room(*, brand: Brand, staff_ids: Collection[int], now: datetime) -> dict[int, int | None]:
    """How many more customers of the brand each of these clerks may have; None: as many as come.

    Two who come at the same moment may both be the last one: the cap is there so that customers are cared for.
    """
    if brand.customers_cap is None:
        return dict.fromkeys(staff_ids)
    rows = Binding._base_manager.filter(brand=brand, staff__in=staff_ids, started_at__lte=now, ended_at=None)
    held = dict(rows.values_list("staff").annotate(count=Count("pk")))
    return {staff_id: max(0, brand.customers_cap - held.get(staff_id, 0)) for staff_id in staff_ids}


# ── By hand, by handover, from the pool ──────────────────────────────────────────────────────────────────────────────
MOST = 1000  # moves in one transaction: each takes a lock, and PostgreSQL has a table of so many


@transaction.atomic
def transfer(
    *,
    to: Mapping[Pair, org.Held],
    source: str,
    end: str,
    by: Any,
    now: datetime,
    reason: str = "",
    only_from: Mapping[Pair, int | None] | None = None,
) -> dict[Pair, Binding]:
    """Give customers to clerks, whosever they are: what was in force ends (`end`), a new relation begins now.

    `to`: whose each becomes, and in which store; at most MOST at once. `only_from`: the clerk from whom they go (None:
    nobody's), as it was when that was decided; whoever is somebody else's by now stays theirs. Returns what began; a
    customer who has that clerk already is left out. Each change is a line of the journal. The caller refreshes the
    books (`clerks.book`).
    """
    if len(to) > MOST:
        raise ValueError(f"{len(to)} moves at once, {MOST} are the most")
    if not to:
        return {}
    lock(to)
    held = {_pair_of(row): row for row in _active(to)}
    going = {pair: clerk for pair, clerk in to.items() if _may_go(held.get(pair), pair, clerk, only_from)}
    ended = Binding._base_manager.filter(pk__in=[held[pair].pk for pair in going if pair in held])
    ended.update(ended_at=Greatest(F("started_at"), Value(now)), end_reason=end)
    days = dict(
        Brand._base_manager.filter(pk__in={brand_id for brand_id, _ in going}).values_list("pk", "protection_days")
    )
    began = Binding.objects.bulk_create(
        [
            Binding(
                brand_id=brand_id,
                member_id=member_id,
                staff_id=clerk.staff_id,
                store_id=clerk.store_id,
                source=source,
                by=by,
                reason=reason[:200],
                started_at=now,
                protected_until=now + timedelta(days=days[brand_id]),
            )
            for (brand_id, member_id), clerk in going.items()
        ]
    )
    _journal(began, held, by, reason, now)
    return {_pair_of(row): row for row in began}


def _may_go(held: Binding | None, pair: Pair, clerk: org.Held, only_from: Mapping[Pair, int | None] | None) -> bool:
    if clerk.store_id is None:
        return False
    staff_id = held.staff_id if held else None
    if only_from is not None and staff_id != only_from[pair]:
        return False
    return held is None or (held.staff_id, held.store_id) != (clerk.staff_id, clerk.store_id)


@transaction.atomic
def release(*, pairs: Collection[Pair], end: str, by: Any, now: datetime, reason: str = "") -> list[Binding]:
    """These customers are nobody's from now on: they are in the pool of the store. At most MOST at once."""
    if len(pairs) > MOST:
        raise ValueError(f"{len(pairs)} moves at once, {MOST} are the most")
    if not pairs:
        return []
    lock(pairs)
    rows = list(_active(pairs))
    for row in rows:
        row.ended_at, row.end_reason = max(now, row.started_at), end
    Binding.objects.bulk_update(rows, ["ended_at", "end_reason"], batch_size=MOST)
    acts = [audit.Act(row, {"staff": row.staff_id, "store": row.store_id}, {"end": str(end)}) for row in rows]
    audit.record_many(by=by, action="binding.change", acts=acts, now=now, reason=reason)
    return rows


def _active(pairs: Collection[Pair]) -> list[Binding]:
    brands, members = zip(*pairs, strict=True)
    rows = Binding._base_manager.filter(brand__in=set(brands), member__in=set(members), ended_at=None)
    return [row for row in rows if _pair_of(row) in pairs]


def _pair_of(row: Binding) -> Pair:
    return row.brand_id, row.member_id


def _journal(began: Iterable[Binding], held: Mapping[Pair, Binding], by: Any, reason: str, now: datetime) -> None:
    acts = []
    for row in began:
        was = held.get(_pair_of(row))
        before = {"staff": was.staff_id, "store": was.store_id} if was else None
        after = {"staff": row.staff_id, "store": row.store_id, "source": str(row.source)}
        acts.append(audit.Act(row, before, after))
    audit.record_many(by=by, action="binding.change", acts=acts, now=now, reason=reason)


def lock(pairs: Iterable[Pair]) -> None:
    """Nobody else changes these relations until commit. Sorted, so that lockers never deadlock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) AS k ORDER BY k",
            [sorted((brand_id << 40) + member_id for brand_id, member_id in pairs)],
        )


def bind_from_history(*, brand: Brand, since: datetime, now: datetime) -> tuple[int, list[int]]:
    """First load: bind every unbound member to the clerk of their highest spend at the till since then.

    Returns how many were bound, and the member ids with a tie between clerks, which a manager decides. Clerks who
    hold no post in a store now take nobody.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HIGHEST_SPEND, {"brand": brand.pk, "since": since, "now": now})
        rows = cursor.fetchall()
    # No locks, which a hundred thousand members would exhaust: where a till binds somebody meanwhile, that row stays.
    winners = [row for row in rows if not row[4]]
    bound = Binding.objects.bulk_create(
        [
            Binding(
                brand=brand,
                member_id=member_id,
                staff_id=staff_id,
                store_id=store_id,
                source=Binding.Source.HISTORY,
                started_at=now,
                protected_until=max(now, last_at + timedelta(days=brand.protection_days)),
            )
            for member_id, staff_id, store_id, last_at, _ in winners
        ],
        ignore_conflicts=True,
        batch_size=5000,
    )
    return len(bound), sorted({row[0] for row in rows if row[4]})


def bind_told(*, wanted: Mapping[Pair, org.Held], now: datetime) -> set[int]:
    """Somebody's list says whose customers these are: those who are nobody's become that; the members who did.

    The protection begins with the list, as it does for what history says.
    """
    if not wanted:
        return set()
    lock(wanted)
    bound = [pair for pair, known in _relations(wanted).items() if all(one.ended_at for one in known)]
    stores = {pair: store_id for pair in bound if (store_id := wanted[pair].store_id) is not None}
    days = dict(
        Brand._base_manager.filter(pk__in={brand_id for brand_id, _ in bound}).values_list("pk", "protection_days")
    )
    Binding.objects.bulk_create(
        [
            Binding(
                brand_id=brand_id,
                member_id=member_id,
                staff_id=wanted[brand_id, member_id].staff_id,
                store_id=store_id,
                source=Binding.Source.HISTORY,
                started_at=now,
                protected_until=now + timedelta(days=days[brand_id]),
            )
            for (brand_id, member_id), store_id in stores.items()
        ]
    )
    return {member_id for _, member_id in stores}


# One row per member: staff, store, last purchase, whether the first two clerks tie.
_HIGHEST_SPEND = """
WITH spend AS (
    SELECT m.member_id, s.id AS staff_id, sum(l.paid_fen) AS fen, max(p.paid_at) AS last_at
    FROM members_purchase p
    JOIN members_membership m ON m.id = p.membership_id
    JOIN retail_order o ON o.id = p.order_id
    JOIN retail_channel c ON c.id = o.channel_id AND c.kind = 'pos'
    JOIN retail_orderline l ON l.order_id = o.id
    JOIN retail_staff s ON s.code = coalesce(nullif(l.serving_clerk, ''), o.serving_clerk)
    WHERE m.brand_id = %(brand)s AND p.paid_at >= %(since)s AND p.paid_at < %(now)s
      AND NOT EXISTS (SELECT 1 FROM clerks_binding b
                      WHERE b.brand_id = m.brand_id AND b.member_id = m.member_id AND b.ended_at IS NULL)
    GROUP BY m.member_id, s.id
), placed AS (
    SELECT DISTINCT ON (spend.member_id, spend.staff_id) spend.*, post.store_id
    FROM spend JOIN retail_post post ON post.staff_id = spend.staff_id AND post.store_id IS NOT NULL
      AND post.starts_at <= %(now)s AND (post.ends_at IS NULL OR post.ends_at > %(now)s)
    ORDER BY spend.member_id, spend.staff_id, post.role, post.id
), ranked AS (
    SELECT *, rank() OVER w AS place, count(*) OVER (PARTITION BY member_id, fen) AS equals
    FROM placed WINDOW w AS (PARTITION BY member_id ORDER BY fen DESC)
)
SELECT DISTINCT ON (member_id) member_id, staff_id, store_id, last_at, equals > 1
FROM ranked WHERE place = 1 ORDER BY member_id, staff_id
"""


# ── Merging ──────────────────────────────────────────────────────────────────────────────────────────────────────────
_WAY = Way(Binding)


def join(*, keep: int, drop: int, now: datetime) -> list[Moved]:
    """Both members' relations are one member's from now on: of two in force one ends.

    What claims made gives way, since they are judged again together (clerks.rebinding); of others the one that was
    prolonged last stays.
    """
    brands = Binding._base_manager.filter(member__in=[keep, drop]).values_list("brand_id", flat=True).distinct()
    lock((brand_id, member_id) for brand_id in brands for member_id in (keep, drop))
    ended = []
    for some in _in_force_of(keep, drop).values():
        for loser in sorted(some, key=lambda row: (row.is_judged, -row.protected_until.timestamp(), row.pk))[1:]:
            ended.append(Moved(_WAY.table, loser.pk, {"ended_at": None}))
            loser.ended_at, loser.end_reason = max(now, loser.started_at), Binding.End.MERGED
            loser.save(update_fields=["ended_at", "end_reason"])
    return ended + take(_WAY, of=drop, to=keep)


def part(*, keep: int, drop: int, moved: Collection[Moved]) -> None:
    """Everything back where it came from, and in force as it was, unless somebody else has come since."""
    brands = Binding._base_manager.filter(member__in=[keep, drop]).values_list("brand_id", flat=True).distinct()
    lock((brand_id, member_id) for brand_id in brands for member_id in (keep, drop))
    ours = [one for one in moved if one.table == _WAY.table]
    give_back(_WAY, row_ids=[one.row_id for one in ours if "member_id" in one.before], of=keep, to=drop)
    ended = [one.row_id for one in ours if "ended_at" in one.before]
    for row in Binding._base_manager.filter(pk__in=ended, end_reason=Binding.End.MERGED).order_by("pk"):
        if not Binding._base_manager.filter(brand=row.brand_id, member=row.member_id, ended_at=None).exists():
            row.ended_at, row.end_reason = None, ""
            row.save(update_fields=["ended_at", "end_reason"])


def _in_force_of(*member_ids: int) -> dict[int, list[Binding]]:
    found: dict[int, list[Binding]] = {}
    for row in Binding._base_manager.filter(member__in=member_ids, ended_at=None).order_by("pk"):
        found.setdefault(row.brand_id, []).append(row)
    return found
