"""公海: customers who are nobody's come to a clerk again. Who they are: `clerks.pooled`.

    handed out   a manager presses 平均分配, or the clock does in the morning: evenly over the clerks of the store
    claimed      a clerk takes one on the phone, within the brand's caps

Both end in `binding.transfer` for customers who still are nobody's, so of two who come at once one gets them. Whoever
had the customer last is barred for some days, from either way.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clerks import binding, book, even
from clerks.binding import Pair
from clerks.models import Binding, Customer, Notice, Pooled, PoolPolicy
from clerks.outreach import notices, wording
from retail import jobs, org
from retail.models import Brand, Post, Staff, Store

JOB = "pool_share"
MOST = 2_000  # handed out at once: what a page can wait for


class Refused(ValueError):
    """It cannot be done; the words are for whoever asked."""


def policy_of(*, brand: Brand) -> PoolPolicy:
    """The brand's rules, or the defaults."""
    policy = PoolPolicy._base_manager.filter(brand=brand).first() or PoolPolicy()
    policy.brand = brand
    return policy


def barred_until(*, row: Pooled, policy: PoolPolicy) -> datetime | None:
    """Until when whoever had this customer last cannot have them again."""
    return row.left_at + timedelta(days=policy.barred_days) if row.left_at else None


def _barred(row: Pooled, policy: PoolPolicy, now: datetime) -> int | None:
    """Who cannot have this customer now."""
    until = barred_until(row=row, policy=policy)
    return row.last_staff_id if until and now < until else None


# ── Handing out ──────────────────────────────────────────────────────────────────────────────────────────────────────
class Share(NamedTuple):
    """What one clerk of a store would get."""

    store: Store
    staff: Staff
    has: int
    gets: int
    gets_fen: int

    @property
    def will_have(self) -> int:
        return self.has + self.gets


class Plan(NamedTuple):
    """Who would get whom. `left`: for whom there is nobody; `rest`: how many more there are than go at once."""

    to: dict[Pair, org.Held]
    shares: list[Share]
    left: int
    rest: int

    @property
    def digest(self) -> str:
        """What was looked at: another plan is shown before it is carried out."""
        said = sorted((pair, clerk.staff_id, clerk.store_id) for pair, clerk in self.to.items())
        return hashlib.sha256(repr(said).encode()).hexdigest()[:32]


def plan(*, rows: QuerySet[Pooled], now: datetime) -> Plan:
    """Share these out over the clerks of their stores, MOST at most: of each store who spent most first."""
    total = rows.count()
    chosen = list(rows.select_related("brand", "store").order_by("store", "-paid_fen", "membership")[:MOST])
    by_store: dict[int, list[Pooled]] = defaultdict(list)
    for row in chosen:
        by_store[row.store_id].append(row)
    people = _People(by_store, now)
    to: dict[Pair, org.Held] = {}
    shares: list[Share] = []
    for some in by_store.values():
        given = _given(some, people, now)
        to |= given
        shares += people.shares(some[0].store, some, given)
    return Plan(to, shares, len(chosen) - len(to), total - len(chosen))


def _given(rows: Sequence[Pooled], people: "_People", now: datetime) -> dict[Pair, org.Held]:
    """Those of one store."""
    policy, store = policy_of(brand=rows[0].brand), rows[0].store
    loose = [even.Loose(row.membership_id, _barred(row, policy, now)) for row in rows]
    spread = even.spread(customers=loose, receivers=people.of(store, rows[0].brand, now))
    return {
        (row.brand_id, row.member_id): _held(spread[row.membership_id], store)
        for row in rows
        if row.membership_id in spread
    }


def _held(staff_id: int, store: Store) -> org.Held:
    return org.Held(staff_id, "", None, Post.Role.CLERK, store.pk, store.franchisee_id)


class _People:
    """The clerks of some stores with their books, which grow as one store after another is shared out."""

    def __init__(self, store_ids: Collection[int], now: datetime) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_CLERKS, {"stores": list(store_ids), "now": now})
            self._rows = cursor.fetchall()
        self._staff = Staff._base_manager.in_bulk([staff_id for _store, staff_id, _size, _days in self._rows])
        self._got: dict[int, int] = defaultdict(int)

    def of(self, store: Store, brand: Brand, now: datetime) -> list[even.Receiver]:
        here = [row[1:] for row in self._rows if row[0] == store.pk]
        room = binding.room(brand=brand, staff_ids=[staff_id for staff_id, _size, _days in here], now=now)
        return [
            even.Receiver(
                staff_id, size + self._got[staff_id], days or even.WEEK, self._left(room[staff_id], staff_id)
            )
            for staff_id, size, days in here
        ]

    def _left(self, room: int | None, staff_id: int) -> int | None:
        return None if room is None else max(0, room - self._got[staff_id])

    def shares(self, store: Store, rows: Iterable[Pooled], given: dict[Pair, org.Held]) -> Iterator[Share]:
        """What each clerk of the store gets, also who gets nobody."""
        fen: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            if clerk := given.get((row.brand_id, row.member_id)):
                fen[clerk.staff_id].append(row.paid_fen)
        for store_id, staff_id, size, _days in self._rows:
            if store_id == store.pk:
                gets = fen[staff_id]
                yield Share(store, self._staff[staff_id], size + self._got[staff_id], len(gets), sum(gets))
                self._got[staff_id] += len(gets)


# Who sells in these stores now; how many customers of the brand they have; on how many days of a week they stand
# behind a code of the brand (0: no shift says).
_CLERKS = """
SELECT place.store_id, place.staff_id, (
        SELECT count(*) FROM clerks_binding b
        WHERE b.staff_id = place.staff_id AND b.brand_id = place.brand_id AND b.ended_at IS NULL
    ) AS size, (
        SELECT count(DISTINCT day) FROM clerks_shift h JOIN clerks_contactway w ON w.id = h.way_id,
            unnest(string_to_array(h.weekdays, NULL)) AS day
        WHERE h.staff_id = place.staff_id AND w.brand_id = place.brand_id AND w.is_active
    ) AS days
FROM (
    SELECT DISTINCT p.store_id, p.staff_id, s.brand_id FROM retail_post p JOIN retail_store s ON s.id = p.store_id
    WHERE p.role = 'clerk' AND p.store_id = ANY(%(stores)s::bigint[])
        AND p.starts_at <= %(now)s AND (p.ends_at IS NULL OR p.ends_at > %(now)s)
        AND EXISTS (SELECT FROM retail_employment e WHERE e.staff_id = p.staff_id
            AND e.starts_at <= %(now)s AND (e.ends_at IS NULL OR e.ends_at > %(now)s))
) place ORDER BY 1, 2
"""


def hand_out(*, plan: Plan, by: Any, now: datetime) -> dict[int, int]:
    """Carry a plan out, and tell who got somebody: clerk → how many. Who found a clerk meanwhile stays there."""
    got: dict[int, int] = defaultdict(int)
    pairs = sorted(plan.to)
    for place in range(0, len(pairs), binding.MOST):
        some = {pair: plan.to[pair] for pair in pairs[place : place + binding.MOST]}
        with transaction.atomic():
            began = binding.transfer(
                to=some,
                source=Binding.Source.POOL,
                end=Binding.End.MANUAL,
                by=by,
                now=now,
                reason=_("从公海平均分配"),
                only_from=dict.fromkeys(some),
            )
            book.refresh(member_ids=[member_id for _brand, member_id in some], now=now)
            for row in began.values():
                got[row.staff_id] += 1
    _tell(got, now)
    return dict(got)


def _tell(got: dict[int, int], now: datetime) -> None:
    with wording.for_others():
        for staff in Staff._base_manager.filter(pk__in=got).order_by("pk"):
            title = ngettext("给您分了 %(count)s 位顾客", "给您分了 %(count)s 位顾客", got[staff.pk])
            notices.tell(
                staff=staff,
                kind=Notice.Kind.TOLD,
                title=title % {"count": got[staff.pk]},
                text=_("从公海分来的，现在是您的专属顾客。在“顾客”里按“新绑定”就能看到，早点联系。"),
                effect=f"pool:{now.isoformat()}",
                now=now,
            )


# ── By the clock ─────────────────────────────────────────────────────────────────────────────────────────────────────
def enqueue_daily(*, now: datetime) -> int:
    """A job for each store of the brands that share out by themselves, where somebody waits. Returns how many."""
    stores = set(_due(now).values_list("store", flat=True))
    work = [jobs.Work(JOB, {"store_id": store_id}, f"pool:{store_id}") for store_id in sorted(stores)]
    jobs.enqueue(work=work, now=now)
    return len(work)


def share_out(*, store_id: int, now: datetime) -> int:
    """The job: share out who has waited long enough in the pool of a store; how many found a clerk."""
    rows = _due(now).filter(store=store_id)
    return sum(hand_out(plan=plan(rows=rows, now=now), by=None, now=now).values())


def _due(now: datetime) -> QuerySet[Pooled]:
    """Who has been in the pool for as many days as their brand leaves them there."""
    waited = Q(pk__in=[])
    for policy in PoolPolicy._base_manager.filter(auto=PoolPolicy.Auto.DAILY):
        waited |= Q(brand=policy.brand_id, since__lte=now - timedelta(days=policy.auto_after_days))
    return Pooled._base_manager.filter(waited)


# ── Claimed on the phone ─────────────────────────────────────────────────────────────────────────────────────────────
class Found(NamedTuple):
    """A row of the clerk's page: when they bought last, in words, "" for never.

    `barred_until`: they were this clerk's until lately, and are not to be claimed before then.
    """

    row: Pooled
    bought: str
    barred_until: datetime | None


def page(*, post: Post, start: int, limit: int, now: datetime) -> list[Found]:
    """The pool of the clerk's store, who bought last first; one more than asked for where there are more."""
    policy = policy_of(brand=_store(post).brand)
    rows = Pooled._base_manager.filter(store=post.store_id).select_related("member", "membership__tier")
    ordered = rows.order_by(F("bought_at").desc(nulls_last=True), "-membership")
    return [_found(row, post, policy, now) for row in ordered[start : start + limit + 1]]


def _found(row: Pooled, post: Post, policy: PoolPolicy, now: datetime) -> Found:
    until = barred_until(row=row, policy=policy) if _barred(row, policy, now) == post.staff_id else None
    return Found(row, _ago((now - row.bought_at).days) if row.bought_at else "", until)


def _ago(days: int) -> str:
    if days < 1:
        return _("今天买过")
    if days < 60:
        return ngettext("%(count)s 天前买过", "%(count)s 天前买过", days) % {"count": days}
    if days < 730:
        months = days // 30
        return ngettext("%(count)s 个月前买过", "%(count)s 个月前买过", months) % {"count": months}
    years = days // 365
    return ngettext("%(count)s 年前买过", "%(count)s 年前买过", years) % {"count": years}


class Allowance(NamedTuple):
    """How many more a clerk may claim today. `why_not`: why nothing now, in words."""

    today: int
    policy: PoolPolicy
    why_not: str


def allowance(*, post: Post, now: datetime) -> Allowance:
    """By what was claimed today, what of it still waits to be contacted, and how full the clerk's book is."""
    policy = policy_of(brand=_store(post).brand)
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    mine = Binding._base_manager.filter(staff=post.staff_id, source=Binding.Source.CLAIM, brand=policy.brand_id)
    today = max(0, policy.claims_per_day - mine.filter(started_at__gte=midnight).count())
    waiting = _unattended(post, policy)
    room = binding.room(brand=policy.brand, staff_ids=[post.staff_id], now=now)[post.staff_id]
    return Allowance(today, policy, _why_nothing(policy, today, waiting, room))


def _unattended(post: Post, policy: PoolPolicy) -> int:
    """Own customers who were claimed, and neither contacted nor sold to since."""
    mine = Customer._base_manager.filter(staff=post.staff_id, brand=policy.brand_id)
    quiet = Q(contacted_at=None) | Q(contacted_at__lt=F("bound_at"))
    bought_nothing = Q(bought_at=None) | Q(bought_at__lt=F("bound_at"))
    return mine.filter(quiet, bought_nothing, binding__source=Binding.Source.CLAIM).count()


def _why_nothing(policy: PoolPolicy, today: int, waiting: int, room: int | None) -> str:
    if not policy.is_claimable:
        return _("品牌没有开放认领，公海里的顾客由店长分配。")
    if waiting >= policy.claims_open:
        return _("您认领的顾客里还有 %(count)s 位没有联系，先联系他们，再认领新的。") % {"count": waiting}
    if not today:
        return _("今天认领的 %(count)s 位已经用完，明天再来。") % {"count": policy.claims_per_day}
    if room == 0:
        return _("您名下的顾客已经满了，不能再认领。")
    return ""


def claim(*, post: Post, member_id: int, by: Any, now: datetime) -> Binding:
    """A customer of the pool of the clerk's store becomes theirs. Raises Refused."""
    with transaction.atomic():
        _one_by_one(post.staff_id)
        row = Pooled._base_manager.filter(store=post.store_id, member=member_id).first()
        if row is None:
            raise Refused(_taken())
        _check(row, post, now)
        pair = (row.brand_id, row.member_id)
        began = binding.transfer(
            to={pair: _held(post.staff_id, _store(post))},
            source=Binding.Source.CLAIM,
            end=Binding.End.MANUAL,
            by=by,
            now=now,
            reason=_("从公海认领"),
            only_from={pair: None},
        )
        book.refresh(member_ids=[member_id], now=now)
    if pair not in began:
        raise Refused(_taken())
    return began[pair]


def _check(row: Pooled, post: Post, now: datetime) -> None:
    may = allowance(post=post, now=now)
    if may.why_not:
        raise Refused(may.why_not)
    until = barred_until(row=row, policy=may.policy)
    if until is not None and _barred(row, may.policy, now) == post.staff_id:
        said = {"days": may.policy.barred_days, "day": f"{timezone.localtime(until):%m-%d}"}
        raise Refused(_("这位顾客之前就是您的，离开后 %(days)s 天内不能再要回，%(day)s 起可以。") % said)


def _taken() -> str:
    return _("慢了一步：这位顾客刚刚有了专属导购。看看下一位吧。")


def _one_by_one(staff_id: int) -> None:
    """Until commit nobody else claims in the name of this clerk: of two taps the second counts the first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('pool.claim', %s))", [staff_id])


def _store(post: Post) -> Store:
    assert post.store is not None  # the phone is for posts in stores
    return post.store
