"""What another policy would have done: the claims of the last months judged by it, and nothing written.

Only members whom more than one clerk has claimed can have another clerk by other rules; they are judged by the judge
that judges them in earnest (`rebinding.judged`), once by the policies as they were and once as they would have been.
The cap is counted on the relations as they began and ended: whoever came when a clerk was full would be nobody's.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from clerks import friends, policies, rebinding
from clerks.models import Binding, Touch, TurnedAway
from clerks.policies import Rulebook, Rules, Sign
from clerks.rebinding import Activity, Bond, Facts, Made
from members.models import Member, Purchase
from retail.models import Brand, Staff, Store

CHUNK = 5_000
SAMPLE = 20
Place = tuple[int, int]
"""Clerk and store."""


class Moved(NamedTuple):
    """A member who would have another clerk, or none. `at`: when that other relation would have begun."""

    member_id: int
    was: Place | None
    would: Place | None
    at: datetime | None


class Line(NamedTuple):
    """A clerk or a store: how many customers they would have more, and how many less."""

    name: str
    gained: int
    lost: int

    @property
    def net(self) -> int:
        return self.gained - self.lost


class Example(NamedTuple):
    member: Member
    was: str
    would: str
    at: datetime | None


class Outcome(NamedTuple):
    """`looked`: members several clerks have claimed in that time; `bound`: all who have a clerk now."""

    bound: int
    looked: int
    changed: int
    full: int
    clerks: list[Line]
    stores: list[Line]
    sample: list[Example]


def look(*, brand: Brand, rules: Rules, cap: int | None, since: datetime, now: datetime) -> Outcome:
    """What the policy would have done, had it held since then."""
    actual = policies.rulebook(brand)
    wanted = actual.changed(rules, since=since)
    contested = _contested(brand, since)
    is_lifted = cap is None and brand.customers_cap is not None
    moved = {one.member_id: one for one in _moved(brand, contested, actual, wanted, is_lifted=is_lifted)}
    full = 0
    if cap is not None and cap != brand.customers_cap:
        for one in _turned_away(brand, cap, since):
            full += 1
            moved.setdefault(one.member_id, one)
    bound = Binding._base_manager.filter(brand=brand, ended_at=None).count()
    return _outcome(bound, len(contested), full, moved.values())


# ── The rules ────────────────────────────────────────────────────────────────────────────────────────────────────────
# Hashed and grouped once: asked row by row for each member's relations it took half of all the time.
_CONTESTED = """
SELECT member_id FROM (
    SELECT f.member_id, f.staff_id, m.at >= %(since)s AS is_late, false AS is_bound
    FROM clerks_friend f JOIN clerks_friendmove m ON m.friend_id = f.id AND m.kind = 'added'
    WHERE f.corp = %(corp)s AND f.member_id IS NOT NULL AND f.staff_id IS NOT NULL
    UNION ALL
    SELECT b.member_id, b.staff_id, false, true FROM clerks_binding b WHERE b.brand_id = %(brand)s
) hands
GROUP BY 1 HAVING bool_or(is_late) AND bool_or(is_bound) AND count(DISTINCT staff_id) > 1
ORDER BY 1
"""


def _contested(brand: Brand, since: datetime) -> list[int]:
    """Who was claimed since then and has had to do with more than one clerk."""
    with connection.cursor() as cursor:
        cursor.execute(_CONTESTED, {"brand": brand.pk, "corp": brand.corp, "since": since})
        return [member_id for (member_id,) in cursor.fetchall()]


def _moved(
    brand: Brand, member_ids: Collection[int], actual: Rulebook, wanted: Rulebook, *, is_lifted: bool
) -> Iterator[Moved]:
    ids = list(member_ids)
    for start in range(0, len(ids), CHUNK):
        for member_id, facts in _facts(brand, ids[start : start + CHUNK], is_lifted=is_lifted).items():
            was = _holder(rebinding.judged(facts, actual)[1])
            would = _holder(rebinding.judged(facts, wanted)[1])
            if (was and was.staff_id) != (would and would.staff_id):
                yield Moved(member_id, _place(was), _place(would), would.started_at if would else None)


def _holder(bonds: Iterable[Bond]) -> Bond | None:
    """Whose customer they are in the end."""
    return next((bond for bond in bonds if bond.ended_at is None), None)


def _place(one: Bond | None) -> Place | None:
    return (one.staff_id, one.store_id) if one else None


def _facts(brand: Brand, member_ids: list[int], *, is_lifted: bool) -> dict[int, Facts]:
    """What is known of these members, in six statements. `is_lifted`: as if nobody had been turned away."""
    rows: dict[int, list[Binding]] = {member_id: [] for member_id in member_ids}
    for row in Binding._base_manager.filter(brand=brand, member__in=member_ids).order_by("pk"):
        rows[row.member_id].append(row)
    heard = friends.heard_of(brand=brand, made={member_id: _made(some) for member_id, some in rows.items()})
    signs = _signs(brand, member_ids)
    away = set() if is_lifted else _away(brand, member_ids)
    return {
        member_id: Facts(
            rows[member_id],
            [one for one in said.claims if (member_id, *rebinding.seat(one.staff_id, one.at)) not in away],
            signs[member_id],
            said.losses,
        )
        for member_id, said in heard.items()
    }


def _made(rows: Iterable[Binding]) -> Made:
    return {rebinding.seat(row.staff_id, row.started_at): row.store_id for row in rows if row.is_judged}


def _signs(brand: Brand, member_ids: Collection[int]) -> Mapping[int, list[Activity]]:
    signs: defaultdict[int, list[Activity]] = defaultdict(list)
    bought = Purchase._base_manager.filter(membership__brand=brand, membership__member__in=member_ids)
    for member_id, at in bought.values_list("membership__member", "paid_at"):
        signs[member_id].append(Activity(at, Sign.PURCHASE))
    heard = Touch._base_manager.filter(member__in=member_ids, store__brand=brand, purpose__in=rebinding.SIGNS)
    for member_id, at, purpose in heard.values_list("member", "at", "purpose"):
        signs[member_id].append(Activity(at, rebinding.SIGNS[Touch.Purpose(purpose)]))
    return signs


def _away(brand: Brand, member_ids: Collection[int]) -> set[tuple[int, int, datetime]]:
    rows = TurnedAway._base_manager.filter(brand=brand, member__in=member_ids)
    return {(row.member_id, *rebinding.seat(row.staff_id, row.at)) for row in rows}


# ── The cap ──────────────────────────────────────────────────────────────────────────────────────────────────────────
CAPPED = (
    Binding.Source.CONTACT_CODE,
    Binding.Source.FIRST_SALE,
    Binding.Source.REGISTRATION,
    Binding.Source.MATERIAL,
    Binding.Source.CLAIM,
    Binding.Source.POOL,
)
_CAME_AND_WENT = """
SELECT staff_id, at, step, id, member_id, store_id, may, is_active FROM (
    SELECT id, staff_id, store_id, member_id, started_at AS at, 1 AS step, ended_at IS NULL AS is_active,
        source = ANY(%(capped)s) AND started_at >= %(since)s AS may
    FROM clerks_binding WHERE brand_id = %(brand)s AND ended_at IS DISTINCT FROM started_at
    UNION ALL
    SELECT id, staff_id, store_id, member_id, ended_at, -1, false, false
    FROM clerks_binding WHERE brand_id = %(brand)s AND ended_at > started_at
) happened ORDER BY staff_id, at, step, id
"""


def _turned_away(brand: Brand, cap: int, since: datetime) -> Iterator[Moved]:
    """Customers of today who came when their clerk would have been full. One pass over all that came and went."""
    clerk, held, away = 0, 0, set()
    with connection.cursor() as cursor:
        cursor.execute(_CAME_AND_WENT, {"brand": brand.pk, "since": since, "capped": [str(one) for one in CAPPED]})
        for staff_id, _at, step, pk, member_id, store_id, may, is_active in cursor:
            if staff_id != clerk:
                clerk, held = staff_id, 0
            if step > 0 and may and held >= cap:
                away.add(pk)
                if is_active:
                    yield Moved(member_id, (staff_id, store_id), None, None)
            elif pk not in away:
                held += step


# ── Told ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _outcome(bound: int, looked: int, full: int, moved: Collection[Moved]) -> Outcome:
    staff_ids = {place[0] for one in moved for place in (one.was, one.would) if place}
    store_ids = {place[1] for one in moved for place in (one.was, one.would) if place}
    clerks = {row.pk: str(row) for row in Staff._base_manager.filter(pk__in=staff_ids)}
    stores = dict(Store._base_manager.filter(pk__in=store_ids).values_list("pk", "name"))
    some = sorted(moved, key=lambda one: -one.member_id)[:SAMPLE]
    members = Member._base_manager.in_bulk([one.member_id for one in some])
    return Outcome(
        bound,
        looked,
        len(moved),
        full,
        _lines(moved, 0, clerks),
        _lines(moved, 1, stores),
        [Example(members[one.member_id], _name(one.was, clerks), _name(one.would, clerks), one.at) for one in some],
    )


def _name(place: Place | None, clerks: Mapping[int, str]) -> str:
    return clerks[place[0]] if place else ""


def _lines(moved: Iterable[Moved], part: int, names: Mapping[int, str]) -> list[Line]:
    """Who would gain and who would lose, those for whom it changes most first."""
    gained, lost = Counter[int](), Counter[int]()
    for one in moved:
        was, would = one.was and one.was[part], one.would and one.would[part]
        if was != would:
            gained.update([would] if would else [])
            lost.update([was] if was else [])
    lines = [Line(names[pk], gained[pk], lost[pk]) for pk in {*gained, *lost}]
    return sorted(lines, key=lambda line: (-(line.gained + line.lost), line.name))
