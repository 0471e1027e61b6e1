"""The clerk's list of today: each customer once, the highest reason first, no more of them than one can talk to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from clerks.leads import kinds, rules, sieve
from clerks.leads.models import Lead
from clerks.models import Customer
from members.models import Member
from retail import privacy
from retail.models import Post


class Card(NamedTuple):
    """A customer to talk to, and why. `head`: their highest lead, whose buttons stand for all of theirs."""

    head: Lead
    name: str
    reasons: list[str]


class Board(NamedTuple):
    """`most`: how many customers the clerk is shown a day; `done`: who was contacted today, `beyond`: who waits."""

    cards: list[Card]
    most: int
    done: int
    beyond: int


def card(leads: Sequence[Lead], *, name: str, now: datetime) -> Card:
    """Of one customer: the reasons of all their leads, at most three, the highest first."""
    said = [words for lead in leads for words in kinds.sentences(lead, now=now)]
    return Card(leads[0], name, list(dict.fromkeys(said))[:3])


def ranked(leads: Sequence[Lead], *, most: int, now: datetime) -> list[list[Lead]]:
    """The leads by customer: highest type first, then score; what was put off comes last.

    Who waits for an answer is always shown; of all others at most `most` customers.
    """
    people: dict[int, list[Lead]] = {}
    for lead in sorted(leads, key=_place):
        people.setdefault(lead.member_id, []).append(lead)
    order = sorted(people.values(), key=lambda one: (_is_put_off(one[0], now), _place(one[0])))
    waiting = [one for one in order if kinds.KINDS[one[0].kind].is_service]
    others = [one for one in order if one not in waiting][: max(0, most)]
    return [one for one in order if one in waiting or one in others]


def _place(lead: Lead) -> tuple[int, float, datetime, int]:
    return lead.rank, -(lead.score or 0), lead.created_at, lead.pk or 0


def _is_put_off(lead: Lead, now: datetime) -> bool:
    return lead.later_until is not None and lead.later_until > now


# ── Of one clerk ─────────────────────────────────────────────────────────────────────────────────────────────────────
def board(*, post: Post, now: datetime) -> Board:
    """What stands on a clerk's phone now. Who is to be left alone since is left out at once."""
    assert post.store is not None
    brand, midnight = post.store.brand, rules.midnight(rules.day_of(now))
    policy = rules.of(brand)
    mine = Lead.objects.filter(staff=post.staff_id, brand=brand)
    reachable = Customer._base_manager.filter(staff=post.staff_id, brand=brand, is_friend=True, is_lost=False)
    most = rules.most(policy=policy, reachable=reachable.count())
    done = mine.filter(contacted_at__gte=midnight).values("member").distinct().count()
    open_now = list(mine.waiting(now).select_related("product").order_by("rank", "-score", "pk")[:200])
    left_alone = sieve.left_alone(brand=brand, leads=open_now, now=now) if open_now else set()
    leads = [lead for lead in open_now if lead.pk not in left_alone] if policy.is_on else []
    shown = ranked(leads, most=most - done, now=now)
    names = called({one[0].member_id for one in shown})
    cards = [card(one, name=names[one[0].member_id], now=now) for one in shown]
    return Board(cards, most, done, len({lead.member_id for lead in leads}) - len(cards))


def of_customer(*, post: Post, member_id: int, now: datetime) -> Card | None:
    """What the clerk has to do with one customer today, wherever they stand on the list."""
    leads = _waiting(post, member_id, now)
    return card(leads, name=called({member_id})[member_id], now=now) if leads else None


def of_lead(*, post: Post, lead: Lead, now: datetime) -> Card:
    """One lead with what else there is to do for its customer."""
    others = [one for one in _waiting(post, lead.member_id, now) if one.pk != lead.pk]
    return card([lead, *others], name=called({lead.member_id})[lead.member_id], now=now)


def _waiting(post: Post, member_id: int, now: datetime) -> list[Lead]:
    assert post.store is not None
    brand = post.store.brand
    mine = Lead.objects.filter(staff=post.staff_id, brand=brand, member=member_id).waiting(now)
    leads = list(mine.select_related("product").order_by("rank", "-score", "pk"))
    left_alone = sieve.left_alone(brand=brand, leads=leads, now=now) if leads else set()
    return [lead for lead in leads if lead.pk not in left_alone]


def called(member_ids: set[int]) -> Mapping[int, str]:
    """What customers are called; who gives ids may know it. One statement."""
    rows = Member._base_manager.filter(pk__in=member_ids).values_list("pk", "name")
    return {pk: privacy.without_numbers(name) for pk, name in rows}
