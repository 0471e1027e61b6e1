"""专属导购关系: who a member belongs to. At most one clerk per brand at any moment, with the history kept."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Count, F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from clerks import policies
from clerks.models import Binding, Rival, Tie, Touch, TurnedAway
from clerks.policies import Rulebook, Sign
from members.models import Purchase
from members.moving import Moved, Way, give_back, take
from retail import audit, org
from retail.models import Brand, Order, Store

Pair = tuple[int, int]
"""Brand id and member id: whose relation."""


def on_purchases(*, purchases: Mapping[int, Purchase], now: datetime) -> dict[int, Binding]:
    """What settled purchases (by order id) do to the relations, one after another; the binding as of each payment.

    A first POS sale of an unbound member binds to the serving clerk, from the moment of payment, unless they have as
    many customers as the brand allows. A purchase in any channel prolongs the protection of the relation it falls
    into, where the brand counts purchases and the customer has not deleted the clerk.
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
    rules = policies.rulebooks(purchase.order.brand for purchase in purchases.values())
    desks = _Desks(clerks, purchases, now)
    bound: dict[int, Binding] = {}
    prolonged: set[int] = set()
    for order_id, purchase in purchases.items():
        known = relations[_pair(purchase)]
        binding = _in_force(known, purchase.order.paid_at)
        if binding is not None:
            if _prolong(binding, purchase.order.paid_at, Sign.PURCHASE, rules[binding.brand_id]):
                prolonged.add(id(binding))
        # Bound by a later sale that was settled before this one: that relation stays.
        elif order_id in clerks and all(one.ended_at for one in known) and desks.has_room(order_id):
            binding = _first_sale(purchase, clerks[order_id])
            known.append(binding)
        if binding is not None:
            bound[order_id] = binding
    turn_away(desks.turned_away)
    _write([one for known in relations.values() for one in known], prolonged)
    return bound


class _Desks:
    """How many customers the clerks of a batch of first sales may still take, and who found them full."""

    def __init__(self, clerks: Mapping[int, org.Held], purchases: Mapping[int, Purchase], now: datetime) -> None:
        self._clerks, self._purchases = clerks, purchases
        self.turned_away: list[TurnedAway] = []
        brands = {one.order.brand_id: one.order.brand for one in purchases.values()}
        self._capped = {pk for pk, brand in brands.items() if brand.customers_cap is not None}
        staff = {held.staff_id for held in clerks.values()}
        self._room = {pk: room(brand=brands[pk], staff_ids=staff, now=now) for pk in self._capped if staff}
        # Settled before, and turned away then: what is told once more changes nothing.
        before = TurnedAway._base_manager.filter(brand__in=self._capped, staff__in=staff) if self._room else ()
        self._before = {(row.brand_id, row.member_id, row.staff_id, row.at) for row in before}

    def has_room(self, order_id: int) -> bool:
        """Whether the clerk may have this buyer; then there is one place less."""
        purchase, clerk = self._purchases[order_id], self._clerks[order_id]
        brand_id, member_id = _pair(purchase)
        if brand_id not in self._capped:
            return True
        at, places = purchase.order.paid_at, self._room[brand_id]
        if (brand_id, member_id, clerk.staff_id, at) in self._before:
            return False
        if places[clerk.staff_id] == 0:
            self.turned_away.append(_away(brand_id, member_id, clerk, Binding.Source.FIRST_SALE, at))
            return False
        places[clerk.staff_id] = (places[clerk.staff_id] or 0) - 1
        return True


def _away(brand_id: int, member_id: int, clerk: org.Held, source: str, at: datetime) -> TurnedAway:
    return TurnedAway(
        brand_id=brand_id, member_id=member_id, staff_id=clerk.staff_id, store_id=_desk(clerk), source=source, at=at
    )


def turn_away(rows: Collection[TurnedAway]) -> None:
    """Keep who would have become whose customer, had there been room; the clerk is told later (`clerks.outreach`)."""
    if rows:
        TurnedAway._base_manager.bulk_create(rows, ignore_conflicts=True)


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


def _desk(clerk: org.Held) -> int:
    """The store of somebody who works in one."""
    assert clerk.store_id is not None  # a roster's people hold posts in stores
    return clerk.store_id


def _first_sale(purchase: Purchase, clerk: org.Held) -> Binding:
    brand_id, member_id = _pair(purchase)
    order = purchase.order
    return Binding(
        brand_id=brand_id,
        member_id=member_id,
        staff_id=clerk.staff_id,
        store_id=_desk(clerk),
        source=Binding.Source.FIRST_SALE,
        order=order,
        started_at=order.paid_at,
        protected_until=order.paid_at + timedelta(days=order.brand.protection_days),
    )


def _prolong(binding: Binding, at: datetime, sign: Sign, rules: Rulebook) -> bool:
    """Whether the protection now lasts longer. A day more or less changes nothing for anybody: one write a day."""
    until = at + rules.today.protection
    if until - binding.protected_until <= timedelta(days=1) or binding.ended_at is not None:
        return False
    if sign not in rules.at(at).counts or (binding.lost_at is not None and binding.lost_at <= at):
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


# ── By a clerk's code at registration, by a clerk's link ─────────────────────────────────────────────────────────────
@transaction.atomic
def on_registration(
    *, brand: Brand, member_id: int, clerk: org.Held, share_code: str, at: datetime, now: datetime
) -> Binding | None:
    """Somebody who never was anybody's customer registered by a clerk's code: from then on they are that clerk's."""
    return _claim(brand, member_id, clerk, Binding.Source.REGISTRATION, share_code, at, now)


@transaction.atomic
def claim_by_link(
    *, brand: Brand, member_id: int, staff_id: int, link: str, at: datetime, now: datetime
) -> Binding | None:
    """A member opened what a clerk had sent: nobody's customer becomes that clerk's, of others it prolongs the
    protection where the brand counts it. `link` is its number; of one link and day only the first opening is kept.

    Returns the relation that began. The clerk must have held a post in a store of the brand at that moment. The
    caller refreshes the books (`clerks.book`).
    """
    clerk = org.roster(since=at, until=at, staff_ids=[staff_id]).person(at=at, staff_id=staff_id)
    if clerk is None or not _is_of(brand, clerk):
        return None
    effect = f"opened:{link}:{member_id}:{timezone.localtime(at):%Y%m%d}"[:64]
    said = {"corp": brand.corp, "member_id": member_id, "staff_id": staff_id, "store_id": clerk.store_id, "at": at}
    Touch._base_manager.get_or_create(effect=effect, defaults={**said, "purpose": Touch.Purpose.OPENED})
    return _claim(brand, member_id, clerk, Binding.Source.MATERIAL, link, at, now)


def _claim(
    brand: Brand, member_id: int, clerk: org.Held, source: str, code: str, at: datetime, now: datetime
) -> Binding | None:
    """To whom they come as nobody's customer they belong; who is somebody's gave that clerk a sign of life.

    Told late, it takes nobody away from whoever has had them since.
    """
    lock([(brand.pk, member_id)])
    known = _relations([(brand.pk, member_id)])[brand.pk, member_id]
    held = _in_force(known, at)
    if held is not None:
        if source == Binding.Source.MATERIAL and _prolong(held, at, Sign.MATERIAL, policies.rulebook(brand)):
            held.save(update_fields=["protected_until"])
        return None
    if source == Binding.Source.MATERIAL and (later := _told_late(known, clerk, at)):
        later.started_at = at
        later.save(update_fields=["started_at"])
        return None
    if any(one.ended_at is None or one.started_at > at for one in known) or not _is_of(brand, clerk):
        return None
    if room(brand=brand, staff_ids=[clerk.staff_id], now=now)[clerk.staff_id] == 0:
        turn_away([_away(brand.pk, member_id, clerk, source, at)])
        return None
    return Binding.objects.create(
        brand=brand,
        member_id=member_id,
        staff_id=clerk.staff_id,
        store_id=_desk(clerk),
        source=source,
        came_by=code[:64],
        started_at=at,
        protected_until=at + timedelta(days=brand.protection_days),
    )


def _told_late(known: Sequence[Binding], clerk: org.Held, at: datetime) -> Binding | None:
    """The first relation there ever was, if a later opening of what the same clerk had sent began it."""
    if len(known) != 1 or known[0].source != Binding.Source.MATERIAL or known[0].staff_id != clerk.staff_id:
        return None
    return known[0] if known[0].started_at > at and known[0].ended_at is None else None


def _is_of(brand: Brand, clerk: org.Held) -> bool:
    return clerk.store_id is not None and Store._base_manager.filter(pk=clerk.store_id, brand=brand).exists()


# ── How many a clerk may have ────────────────────────────────────────────────────────────────────────────────────────
def room(*, brand: Brand, staff_ids: Collection[int], now: datetime) -> dict[int, int | None]:
    """How many more customers of the brand each of these clerks may have; None: as many as come.

    Two who come at the same moment may both be the last one: the cap is there so that customers are cared for.
    """
    if brand.customers_cap is None:
        return dict.fromkeys(staff_ids)
    held = held_by(brand=brand, staff_ids=staff_ids)
    return {staff_id: max(0, brand.customers_cap - held.get(staff_id, 0)) for staff_id in staff_ids}


def held_by(*, brand: Brand, staff_ids: Collection[int]) -> dict[int, int]:
    """How many customers of the brand each of these clerks has; who has none is left out."""
    rows = Binding._base_manager.filter(brand=brand, staff__in=staff_ids, ended_at=None)
    return dict(rows.values_list("staff").annotate(count=Count("pk")))


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
    _end([held[pair].pk for pair in going if pair in held], end, by, reason, now)
    days = dict(
        Brand._base_manager.filter(pk__in={brand_id for brand_id, _ in going}).values_list("pk", "protection_days")
    )
    began = Binding.objects.bulk_create(
        [
            Binding(
                brand_id=brand_id,
                member_id=member_id,
                staff_id=clerk.staff_id,
                store_id=_desk(clerk),
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
    _end([row.pk for row in rows], end, by, reason, now)
    acts = [audit.Act(row, {"staff": row.staff_id, "store": row.store_id}, {"end": str(end)}) for row in rows]
    audit.record_many(by=by, action="binding.change", acts=acts, now=now, reason=reason)
    return rows


def _end(keys: Collection[int], end: str, by: Any, reason: str, now: datetime) -> None:
    Binding._base_manager.filter(pk__in=keys).update(
        ended_at=Greatest(F("started_at"), Value(now)), end_reason=end, ended_by=by, ended_why=reason[:200]
    )


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


class _Seller(NamedTuple):
    """Who sold a member the most. `rivals`: how many sold them as much, this one among them."""

    member_id: int
    staff_id: int
    store_id: int
    last_at: datetime
    fen: int
    rivals: int


@transaction.atomic
def bind_from_history(*, brand: Brand, since: datetime, now: datetime) -> tuple[int, list[int]]:
    """First load: bind every unbound member to the clerk of their highest spend at the till since then.

    Returns how many were bound, and the member ids with a tie between clerks, kept for a manager to decide
    (`clerks.ties`). Clerks who hold no post in a store now take nobody; the cap does not ask how it came about.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HIGHEST_SPEND, {"brand": brand.pk, "since": since, "now": now})
        sellers = [_Seller(*row) for row in cursor.fetchall()]
    # No locks, which a hundred thousand members would exhaust: where a till binds somebody meanwhile, that row stays.
    bound = Binding.objects.bulk_create(
        [
            Binding(
                brand=brand,
                member_id=one.member_id,
                staff_id=one.staff_id,
                store_id=one.store_id,
                source=Binding.Source.HISTORY,
                started_at=now,
                protected_until=max(now, one.last_at + timedelta(days=brand.protection_days)),
            )
            for one in sellers
            if one.rivals == 1
        ],
        ignore_conflicts=True,
        batch_size=5000,
    )
    tied = [one for one in sellers if one.rivals > 1]
    _keep_ties(brand, tied, now)
    return len(bound), sorted({one.member_id for one in tied})


def _keep_ties(brand: Brand, tied: Sequence[_Seller], now: datetime) -> None:
    """Each stays on the list until it is decided; found once more it says what was bought by now."""
    members = {one.member_id for one in tied}
    Tie._base_manager.bulk_create(
        [Tie(brand=brand, member_id=member_id, made_at=now) for member_id in sorted(members)],
        ignore_conflicts=True,
        batch_size=5000,
    )
    open_ties = Tie._base_manager.filter(brand=brand, member__in=members, decided_at=None)
    ties = dict(open_ties.values_list("member", "pk"))
    Rival._base_manager.bulk_create(
        [Rival(tie_id=ties[one.member_id], staff_id=one.staff_id, store_id=one.store_id, fen=one.fen) for one in tied],
        update_conflicts=True,
        unique_fields=["tie", "staff"],
        update_fields=["store", "fen"],
        batch_size=5000,
    )


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


# One row per member and clerk of the highest spend; several of a member tie.
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
SELECT member_id, staff_id, store_id, last_at, fen, equals FROM ranked WHERE place = 1 ORDER BY member_id, staff_id
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
