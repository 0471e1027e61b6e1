"""Customers who are nobody's: their read model made anew, a page of it, a plan; and the relations of a whole brand."""

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import F, Sum

from clerks import pool, pooled
from clerks.models import Pooled
from members import profiles
from members.models import Membership, Purchase
from retail.desk import relations
from retail.models import Post
from tests.bench.crowd import Crowd, crowd
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

PAGES, TIMES = 100, 5


def pools(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    made = crowd(shop, full=full)
    Membership.objects.filter(pooled=None, registered_store=None).update(registered_store=made.stores[0])
    yield _made_anew(made)
    yield _page(made)
    yield _plan(made)
    yield _relations(made)


def _made_anew(made: Crowd) -> Verdict:
    """Against rolling up as many memberships: both read what somebody bought."""
    peer, ours = Way("profiles of as many memberships"), Way("all pools")
    with ours.turn():
        ours.units = pooled.refresh_all(now=NOW)
    for _ in range(2):
        with ours.turn():
            pooled.refresh_all(now=NOW)
    ids = list(Pooled._base_manager.values_list("pk", flat=True))
    ours.units = peer.units = len(ids)
    for _ in range(3):
        with peer.turn():
            profiles.refresh(membership_ids=ids, now=NOW)
    assert list(pooled.otherwise(now=NOW)) == []
    return Verdict(f"{len(ids):,} of {made.size:,} in pools, made anew", ours.median / peer.median, 1.5, [peer, ours])


def _page(made: Crowd) -> Verdict:
    dice, posts = random.Random(3), _posts(made)
    peer, ours = Way("one membership by its key"), Way("first page of a pool")
    keys = dice.sample(made.membership_ids, PAGES)
    _in_turns(peer, lambda: Membership.objects.get(pk=dice.choice(keys)))
    _in_turns(ours, lambda: pool.page(post=dice.choice(posts), start=0, limit=20, now=NOW))
    return Verdict(f"first page of a store's pool among {made.size:,}, p95", ours.p95 / peer.p95, 8, [peer, ours])


def _posts(made: Crowd) -> list[Post]:
    held = Post.objects.filter(staff__in=made.usual[:10]).select_related("store__brand", "staff")
    return list(held)


def _plan(made: Crowd) -> Verdict:
    """As many as go at once, against reading those rows."""
    rows = Pooled.objects.order_by("pk")[: pool.MOST].values("pk")
    chosen = Pooled.objects.filter(pk__in=list(rows.values_list("pk", flat=True)))
    peer, ours = Way("their rows", units=pool.MOST), Way("a plan", units=pool.MOST)
    _in_turns(peer, lambda: list(chosen.select_related("brand", "store")), times=TIMES)
    _in_turns(ours, lambda: pool.plan(rows=chosen, now=NOW), times=TIMES)
    return Verdict(f"{pool.MOST:,} customers shared out on paper", ours.median / peer.median, 4, [peer, ours])


def _relations(made: Crowd) -> Verdict:
    """Against the sales of the same days by store, which is the least such a page has to add up."""
    first = NOW - timedelta(days=90)
    sums = Purchase.objects.filter(paid_at__gte=first).values("store").annotate(fen=Sum("net_fen")).order_by(F("fen"))
    peer, ours = Way("sales of 90 days by store"), Way("relations of 90 days by store")
    _in_turns(peer, lambda: list(sums.all()), times=TIMES)
    asked = relations.Asked(90)
    _in_turns(ours, lambda: relations.report(asked=asked, level="store", now=NOW), times=TIMES)
    return Verdict(f"relations of {made.size:,} members", ours.median / peer.median, 20, [peer, ours])


def _in_turns(way: Way, ask: Callable[[], Any], *, times: int = PAGES) -> None:
    for turn in range(-2, times):
        if turn < 0:
            ask()
            continue
        with way.turn():
            ask()
