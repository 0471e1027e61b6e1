"""What a clerk and headquarters wait for: the list, searches in it, a portrait, a name among all members."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import QuerySet

from clerks import book, customers, portraits
from clerks.models import Customer
from members.models import Member, Membership, Tag
from retail import database
from retail.models import Post, Staff
from tests.bench.crowd import Crowd, crowd
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

TURNS = 100
PER_PAGE = 20


def lists(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    made, dice = crowd(shop, full=full), random.Random(7)
    yield _first_page(made, dice)
    yield _portrait(made, dice)
    yield from _searches(made)
    yield from _names(made)


def _post(staff: Staff) -> Post:
    return Post.objects.select_related("store__brand", "staff").get(staff=staff)


def _turns(peer: Way, ours: Way, ask: Callable[[Way], Any], *, count: int = TURNS) -> None:
    """Both in turns; the first ones, in which plans are made and pages are read from disk, are not counted."""
    for turn in range(-10, count):
        for way in (peer, ours):
            if turn < 0:
                ask(way)
                continue
            with way.turn():
                ask(way)


def _prepared(rows: QuerySet[Any]) -> tuple[str, tuple[Any, ...]]:
    statement, given = rows.query.sql_with_params()
    return statement, tuple(given)


# ── A clerk's own ────────────────────────────────────────────────────────────────────────────────────────────────────
def _first_page(made: Crowd, dice: random.Random) -> Verdict:
    """Of clerks of all sizes, against the row of one of their customers by its key; both as the product reads them."""
    clerks = [made.busiest, *dice.sample(made.quiet, 2), *dice.sample(made.usual, 7)]
    posts = [_post(staff) for staff in clerks]
    for post in posts:
        _assert_first_page(post)
    peer, ours = Way("one membership by its key"), Way("first page of a clerk's customers")
    keys = dice.sample(made.membership_ids, TURNS)

    def ask(way: Way) -> None:
        if way is ours:
            customers.page(post=dice.choice(posts), wanted=customers.Wanted(), limit=PER_PAGE, now=NOW)
        else:
            Membership.objects.get(pk=dice.choice(keys))

    _turns(peer, ours, ask)
    return Verdict(f"first page of a clerk's list among {made.size:,}, p95", ours.p95 / peer.p95, 4, [peer, ours])


def _assert_first_page(post: Post) -> None:
    whole = sorted(
        Customer.objects.filter(staff=post.staff_id),
        key=lambda row: (row.bought_at is not None, row.bought_at or NOW, row.pk),
        reverse=True,
    )
    shown = customers.page(post=post, wanted=customers.Wanted(), limit=PER_PAGE, now=NOW)
    assert [row.pk for row in shown.customers] == [row.pk for row in whole[:PER_PAGE]]


def _portrait(made: Crowd, dice: random.Random) -> Verdict:
    """With tier, points and coupons, of customers of one clerk; beside one membership by its key."""
    post = _post(dice.choice(made.usual))
    own = list(Customer.objects.filter(staff=post.staff_id).values_list("member_id", flat=True)[:50])
    memberships = {row.member_id: row for row in Membership.objects.filter(member__in=own).select_related("profile")}
    for member_id in own:
        seen = portraits.of_post(post=post, member_id=member_id, now=NOW).portrait
        row = memberships[member_id]
        assert seen is not None and (seen.fen, seen.points) == (row.profile.paid_fen, row.points)
        assert len(seen.latest) == min(5, row.purchases.count()) and len(seen.tags) == 6
    peer, ours = Way("one membership by its key"), Way("portrait")
    keys = dice.sample(made.membership_ids, TURNS)

    def ask(way: Way) -> None:
        if way is ours:
            seen = portraits.of_post(post=post, member_id=dice.choice(own), now=NOW).portrait
            assert seen is not None
            portraits.standing(seen, now=NOW)
        else:
            Membership.objects.get(pk=dice.choice(keys))

    _turns(peer, ours, ask)
    return Verdict(f"portrait of a customer among {made.size:,}, p95", ours.p95 / peer.p95, 5, [peer, ours])


# ── Searched for ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _searches(made: Crowd) -> Iterator[Verdict]:
    """In the book of the busiest clerk, by statements prepared once: from the sixth time on they run by a plan for
    anybody.
    """
    post = _post(made.busiest)
    own = list(Customer.objects.filter(staff=made.busiest).select_related("member").order_by("pk"))
    name, tag = own[7].member.name, Tag.objects.get(pk=own[7].tag_ids[0])
    reading, firsts = own[7].sought.split("\t")[1:3]
    bearers = {row.pk for row in own if tag.pk in row.tag_ids}
    wanted = {
        "name": (name[-2:], {row.pk for row in own if name[-2:] in row.member.name}),
        "pinyin": (reading, {row.pk for row in own if reading in row.sought}),
        "initials": (firsts, {row.pk for row in own if firsts in row.sought}),
        "tag": (tag.name, bearers),
    }
    for kind, (text, rows) in wanted.items():
        yield _search(kind, customers.named(post=post, text=text), rows, len(own))
    hashed = own[7].tails
    digits = next(
        four for n in range(10_000) if book.tail(staff_id=post.staff_id, digits=(four := f"{n:04}")) == hashed
    )
    same = {row.pk for row in own if row.tails == hashed}
    yield _search("end of a number", customers.with_tail(post=post, digits=digits), same, len(own))


def _search(kind: str, rows: QuerySet[Customer], wanted: set[int], count: int) -> Verdict:
    assert {row.pk for row in rows} == wanted and wanted
    statement, given = _prepared(customers.shown(rows))
    way = Way(f"{len(wanted):,} of {count:,} by {kind}")
    peer = Way("one membership by its key")

    def ask(one: Way) -> None:
        if one is way:
            database.planned(statement, given)
        else:
            database.planned("SELECT * FROM members_membership WHERE id = %s", (1,))

    _turns(peer, way, ask, count=40)
    return Verdict(f"a clerk's search by {kind}: p95 of 10 ms", way.p95 / 0.010, 1, [peer, way])


# ── All members ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _names(made: Crowd) -> Iterator[Verdict]:
    """The first fifty of the admin's list, by the statements it asks with."""
    for text in ("小丽", "雨桐", "欧阳", "王雨桐"):
        peer, ours = Way(f"name__icontains {text}"), Way(f"name__spelled {text}")
        plain, spelled = (Member.objects.filter(**{f"name__{how}": text}) for how in ("icontains", "spelled"))
        assert set(plain.values_list("pk", flat=True)) == set(spelled.values_list("pk", flat=True))
        count = spelled.count()
        asked = {id(way): _prepared(rows.order_by("-pk")[:50]) for way, rows in ((peer, plain), (ours, spelled))}
        _turns(peer, ours, lambda way, asked=asked: database.planned(*asked[id(way)]), count=12)
        yield Verdict(
            f"{count:,} of {made.size:,} members by name", peer.median / ours.median, 100, [peer, ours], is_floor=True
        )
