"""What becomes of a lead: looked at, contacted, put off, turned down, claimed; won by a later order; over.

    new ─▶ viewed ─▶ contacted ─▶ won (by an order)   ─ nothing bought in a fortnight ─▶ lost
     └───────┴──────▶ won, too, but `is_natural`: nobody had contacted them
     ├─ turned down by the clerk ─▶ lost      ├─ its time is over ─▶ expired
     └─ nobody acted in time ─▶ the store's pool, to be claimed by somebody else

Stops, complaints and refunds withdraw it in every state before the end.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from clerks.leads import kinds, rules, sieve
from clerks.leads.models import Lead, LeadPolicy
from clerks.models import Friend
from clerks.outreach import contact
from members.models import Purchase
from retail import audit, org
from retail.models import Brand, Post, Staff

State = Lead.State


class Refused(Exception):
    """It cannot be done; the words are for whoever wanted to."""


# ── By a clerk ───────────────────────────────────────────────────────────────────────────────────────────────────────
def view(*, lead: Lead, now: datetime) -> None:
    Lead._base_manager.filter(pk=lead.pk, state=State.NEW).update(state=State.VIEWED, viewed_at=now)


@transaction.atomic
def touch(*, lead: Lead, by: Staff, now: datetime) -> Friend:
    """联系: all open leads on this customer are contacted by now, and the friend to open the chat with.

    Asked and written while nobody else contacts the same customer, so that of two only one gets through. Raises
    Refused.
    """
    contact.alone(lead.member_id)
    brand = lead.brand
    if not _open_of(lead).filter(staff=by).exists():
        raise Refused(_("这条线索已经结束了。"))
    asked: dict[str, Any] = {"member_id": lead.member_id, "corp": brand.corp, "purpose": purpose(lead), "by": by}
    if why := _stop(lead, now):
        raise Refused(str(sieve.WORDS[why]))
    friend = _friend(lead, by)
    if _open_of(lead).filter(pk=lead.pk, state=State.CONTACTED).exists():
        return friend  # back to a chat that was begun
    verdict = contact.may(**asked, now=now, limits=rules.limits(rules.of(brand)), is_theirs=True)
    if not verdict.ok:
        raise Refused(str(verdict.words))
    contact.touch(**asked, store_id=lead.store_id, effect=f"lead:{lead.pk}", now=now)
    theirs = _open_of(lead).filter(Q(staff=by) | Q(pk=lead.pk), state__in=Lead.WAITING)
    theirs.update(state=State.CONTACTED, contacted_at=now)
    return friend


def purpose(lead: Lead) -> str:
    is_service = kinds.KINDS[lead.kind].is_service
    return str(contact.Purpose.SERVICE if is_service else contact.Purpose.MARKETING)


def _open_of(lead: Lead) -> Any:
    """What is open on the customer of a lead and may be shown."""
    return Lead._base_manager.filter(brand=lead.brand_id, member=lead.member_id, arm=Lead.Arm.TREATED, closed_at=None)


def _stop(lead: Lead, now: datetime) -> str:
    asked = sieve.given(brand=lead.brand, policy=rules.of(lead.brand), now=now)
    asked |= {"member": lead.member_id, "service": kinds.KINDS[lead.kind].is_service}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sieve.STOP.format(member='%(member)s', service='%(service)s')}", asked)
        return cursor.fetchone()[0] or ""


def _friend(lead: Lead, by: Staff) -> Friend:
    states = (Friend.State.FRIEND, Friend.State.LOST)
    rows = Friend._base_manager.filter(staff=by, member=lead.member_id, corp=lead.brand.corp, state__in=states)
    found = sorted(rows.select_related("key"), key=lambda one: one.state != Friend.State.FRIEND)
    if not lead.brand.corp or not found:
        raise Refused(_("这位顾客还没有加您的企业微信好友。"))
    if found[0].state == Friend.State.LOST:
        raise Refused(_("这位顾客已经把您删除，消息发不过去了。"))
    return found[0]


def sent(*, member_id: int, by: Staff, now: datetime) -> int:
    """The words went out in the chat."""
    rows = Lead._base_manager.filter(member=member_id, staff=by, closed_at=None, sent_at=None)
    return rows.filter(state=State.CONTACTED).update(sent_at=now)


def replied(*, lead: Lead, now: datetime) -> None:
    """The clerk says that the customer answered: known to us by this word alone, so nothing is paid for it."""
    Lead._base_manager.filter(pk=lead.pk, replied_at=None, contacted_at__isnull=False).update(replied_at=now)


def put_off(*, lead: Lead, until: datetime) -> None:
    """稍后: it comes back then, or with the end of the day."""
    _open_of(lead).filter(staff=lead.staff_id, state__in=Lead.WAITING).update(later_until=until, state=State.VIEWED)


def turn_down(*, lead: Lead, refusal: str, now: datetime) -> None:
    """不合适: this one is lost. Raises Refused."""
    if refusal not in Lead.Refusal.values:
        raise Refused(_("请选一个原因。"))
    rows = _open_of(lead).filter(staff=lead.staff_id, state__in=Lead.WAITING)
    rows.update(state=State.LOST, refusal=refusal, closed_at=now)


@transaction.atomic
def claim(*, lead_id: int, post: Post, now: datetime) -> Lead:
    """认领: a lead of the store's pool becomes this clerk's. Raises Refused."""
    assert post.store is not None
    _alone(post.staff_id)
    lead = pool(post=post, now=now).select_for_update(of=("self",)).filter(pk=lead_id).first()
    if lead is None:
        raise Refused(_("这条线索已经有人跟进了。"))
    policy = rules.of(post.store.brand)
    if is_barred(lead=lead, staff_id=post.staff_id, policy=policy, now=now):
        raise Refused(_("这位顾客刚从您这里转出，%(days)s 天内请同事跟进。") % {"days": policy.barred_days})
    today = rules.midnight(rules.day_of(now))
    if Lead._base_manager.filter(staff=post.staff_id, claimed_at__gte=today).count() >= policy.claims_per_day:
        raise Refused(_("今天认领满 %(count)s 位了，先跟进手上的。") % {"count": policy.claims_per_day})
    Lead._base_manager.filter(pk=lead.pk).update(staff=post.staff_id, claimed_at=now, owned_at=now, later_until=None)
    audit.record(by=post.staff.user, action="lead.claim", target=lead, now=now)
    lead.staff_id = post.staff_id
    return lead


def pool(*, post: Post, now: datetime) -> Any:
    """What lies in the pool of a store and may be claimed, the highest first."""
    rows = Lead._base_manager.filter(store=post.store_id, staff=None, arm=Lead.Arm.TREATED)
    rows = rows.filter(closed_at=None, state__in=Lead.WAITING, expires_at__gt=now)
    return rows.order_by("rank", "-score", "pk")


def is_barred(*, lead: Lead, staff_id: int, policy: LeadPolicy, now: datetime) -> bool:
    """Whether they let it lie too lately to have it again, whoever had it since."""
    left_at = lead.let_lie.get(str(staff_id))
    return bool(left_at) and now < datetime.fromisoformat(left_at) + timedelta(days=policy.barred_days)


def _alone(staff_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('lead claims', %s))", [staff_id])


# ── By the facts ─────────────────────────────────────────────────────────────────────────────────────────────────────
_WON = """
UPDATE leads_lead l SET closed_at = %(now)s, order_id = w.order_id,
    is_natural = l.contacted_at IS NULL OR l.contacted_at > w.paid_at,
    state = CASE WHEN l.arm = 'withheld' THEN 'withheld' ELSE 'won' END
FROM (SELECT DISTINCT ON (m.brand_id, m.member_id) m.brand_id, m.member_id, u.order_id, u.paid_at
    FROM unnest(%(orders)s::bigint[], %(memberships)s::bigint[], %(times)s::timestamptz[])
        AS u(order_id, membership_id, paid_at) JOIN members_membership m ON m.id = u.membership_id
    ORDER BY m.brand_id, m.member_id, u.paid_at) w
WHERE l.brand_id = w.brand_id AND l.member_id = w.member_id AND l.closed_at IS NULL AND l.created_at <= w.paid_at
"""


def close_won(*, purchases: Mapping[int, Purchase], now: datetime) -> int:
    """Orders came in: what was open on their buyers is won, by whichever channel. One statement; how many."""
    if not purchases:
        return 0
    rows = list(purchases.values())
    asked: dict[str, Any] = {
        "now": now,
        "orders": [row.order_id for row in rows],
        "memberships": [row.membership_id for row in rows],
        "times": [row.paid_at for row in rows],
    }
    with connection.cursor() as cursor:
        cursor.execute(_WON, asked)
        return cursor.rowcount


_WITHDRAW = f"""
UPDATE leads_lead l SET closed_at = %(now)s, withdrawn_for = w.why,
    state = CASE WHEN l.arm = 'withheld' THEN 'withheld' ELSE 'withdrawn' END
FROM (
    SELECT o.id, CASE WHEN o.kind = ANY(%(off)s::text[]) AND o.contacted_at IS NULL THEN 'off'
        ELSE {sieve.STOP.format(member="o.member_id", service="(o.rank <= 2)")} END AS why
    FROM leads_lead o WHERE o.brand_id = %(brand)s AND o.closed_at IS NULL
        AND (%(members)s::bigint[] IS NULL OR o.member_id = ANY(%(members)s))
) w WHERE l.id = w.id AND w.why IS NOT NULL
"""


def withdraw(*, brand: Brand, now: datetime, member_ids: Collection[int] | None = None) -> int:
    """Take back what is open on those who are to be left alone now (of all members by default); how many.

    So is what nobody has acted on of a type that was switched off since.
    """
    policy = rules.of(brand)
    asked = sieve.given(brand=brand, policy=policy, now=now) | {"off": policy.off_kinds}
    with connection.cursor() as cursor:
        cursor.execute(_WITHDRAW, {**asked, "members": list(member_ids) if member_ids is not None else None})
        return cursor.rowcount


def end(*, brand: Brand, now: datetime) -> int:
    """What is over: contacted and nothing bought, never acted on, an order that was closed unpaid; how many."""
    rows = Lead._base_manager.filter(brand=brand, closed_at=None)
    lost = rows.filter(state=State.CONTACTED, contacted_at__lte=now - kinds.CONTACTED_LIVES)
    count = lost.update(state=State.LOST, closed_at=now)
    count += rows.filter(arm=Lead.Arm.WITHHELD, expires_at__lte=now).update(closed_at=now)
    merged = Q(member__merged_into__isnull=False)  # the kept member has an open one of the same type
    over = rows.filter(Q(expires_at__lte=now) | merged, state__in=Lead.WAITING)
    count += over.update(state=State.EXPIRED, closed_at=now)
    with connection.cursor() as cursor:
        cursor.execute(_CLOSED_UNPAID, {"brand": brand.pk, "now": now})
        return count + cursor.rowcount


_CLOSED_UNPAID = """
UPDATE leads_lead l SET state = 'expired', closed_at = %(now)s
WHERE l.brand_id = %(brand)s AND l.kind = 'unpaid' AND l.closed_at IS NULL AND l.state IN ('new', 'viewed')
    AND EXISTS (SELECT FROM members_event e WHERE e.kind = 'order_closed' AND e.member_id = l.member_id
        AND e.brand_id = l.brand_id AND e.at >= l.created_at - interval '1 day' AND e.at <= %(now)s
        AND l.source = 'unpaid:' || e.channel_id || ':' || e.outer_order_id)
"""
_MOVE_ON = """
UPDATE leads_lead l SET staff_id = NULL, left_staff_id = l.staff_id, left_at = %(now)s, state = 'new',
    later_until = NULL, let_lie = l.let_lie || jsonb_build_object(l.staff_id, %(now)s::timestamptz)
WHERE l.brand_id = %(brand)s AND l.closed_at IS NULL AND l.staff_id IS NOT NULL AND l.state IN ('new', 'viewed')
    AND (l.owned_at <= CASE WHEN l.rank <= 2 THEN %(service)s ELSE %(usual)s END::timestamptz
        OR NOT EXISTS (SELECT FROM retail_post p WHERE p.staff_id = l.staff_id AND p.starts_at <= %(now)s
            AND (p.ends_at IS NULL OR p.ends_at > %(now)s)))
"""


def move_on(*, brand: Brand, now: datetime) -> int:
    """What nobody acted on in time, or whose clerk has left, goes to the pool of its store; how many."""
    policy = rules.of(brand)
    within: dict[str, Any] = {
        # Two hours of the night are nobody's fault, and the pool would tell nobody of it before the morning.
        "service": rules.open_since(policy=policy, now=now, within=rules.act_within(policy=policy, is_service=True)),
        "usual": now - rules.act_within(policy=policy, is_service=False),
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_ON, {"brand": brand.pk, "now": now, **within})
        return cursor.rowcount


def hand_over(*, brand_id: int, member_ids: Collection[int], to: org.Held, now: datetime) -> int:
    """Open leads follow their customers to whoever takes over, with a day to act from now; how many.

    Also those held out follow, so that both arms stay alike.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE leads_lead SET left_staff_id = staff_id, left_at = %(now)s, staff_id = %(staff)s,"
            " let_lie = let_lie || CASE WHEN staff_id IS NULL THEN '{}' ELSE"
            " jsonb_build_object(staff_id, %(now)s::timestamptz) END,"
            " owned_at = %(now)s, later_until = NULL, store_id = coalesce(%(store)s, store_id)"
            " WHERE brand_id = %(brand)s AND member_id = ANY(%(members)s) AND closed_at IS NULL"
            " AND staff_id IS DISTINCT FROM %(staff)s",
            {
                "brand": brand_id,
                "members": list(member_ids),
                "staff": to.staff_id,
                "store": to.store_id,
                "now": now,
            },
        )
        return cursor.rowcount


def tend(*, brand: Brand, now: datetime) -> None:
    """Everything that time and facts do to what is open."""
    withdraw(brand=brand, now=now)
    end(brand=brand, now=now)
    move_on(brand=brand, now=now)
