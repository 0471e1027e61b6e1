"""A few sales that happen in every demo, so that the clerks behind its doors have something to show."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from retail import shapes
from retail.demo import logins, seasons
from retail.demo.customers import Customer
from retail.demo.shopping import Market, Sale
from retail.models import Channel, Staff, Store

KINDS = Channel.Kind


class _Scene(NamedTuple):
    """What happens: `days` ago, at a part of the day, at the till or online; `by` whom the customer comes."""

    days: int
    part: float
    kind: str
    by: str = ""  # "link": the clerk's; "self": the clerk buys
    refund: str = ""  # "half" or "all" of the first line, the next morning


_SCENES = [
    _Scene(9, 0.3, KINDS.POS),
    _Scene(8, 0.4, KINDS.POS),
    _Scene(8, 0.8, KINDS.MINI_PROGRAM, "link"),
    _Scene(7, 0.6, KINDS.POS),
    _Scene(6, 0.5, KINDS.VIDEO_LIVE, "link"),
    _Scene(5, 0.2, KINDS.POS),
    _Scene(5, 0.9, KINDS.POS, "self"),
    _Scene(4, 0.7, KINDS.MINI_PROGRAM),
    _Scene(3, 0.5, KINDS.POS, refund="all"),
    _Scene(2, 0.5, KINDS.POS, refund="half"),
    _Scene(2, 0.9, KINDS.MINI_PROGRAM, "link"),
    _Scene(1, 0.3, KINDS.POS),
    _Scene(1, 0.8, KINDS.MINI_PROGRAM),
    _Scene(0, 0.45, KINDS.POS),
    _Scene(0, 0.65, KINDS.MINI_PROGRAM),
    _Scene(0, 0.85, KINDS.MINI_PROGRAM, "link"),
]


def tell(market: Market) -> list[Sale]:
    """The sales of the clerks behind the doors, oldest first."""
    sales: list[Sale] = []
    for login in (logins.CLERK, logins.FRANCHISE_CLERK):
        sales += _of_clerk(market, market.people.by_login[login.username])
    return sorted(sales, key=lambda sale: sale.data.paid_at)


def _of_clerk(market: Market, clerk: Staff) -> Iterator[Sale]:
    store = next(post.store for post in market.people.posts if post.staff == clerk)
    groups = _groups(market, clerk, store)
    for place, scene in enumerate(_SCENES):
        group = groups[scene.by] or groups[""]
        yield _play(market, scene, clerk, store, group[place % len(group)])


def _groups(market: Market, clerk: Staff, store: Store) -> dict[str, list[Customer]]:
    """Who comes by which way: six customers who belong to the clerk from now on, six others, the clerk."""
    pool = market.customers.pools[store.pk].customers
    known = [
        customer
        for customer in pool
        if customer.phone and customer.unionid and not customer.staff
        and seasons.midnight(market.now) - customer.registered_at > timedelta(days=30)
    ]  # fmt: skip
    for customer in known[:6]:
        customer.registered_by, customer.is_regular = clerk, True
    # A link is best followed by somebody else's customer: then it shows who gets what.
    others = [customer for customer in known[6:] if customer.registered_by != clerk]
    return {"": known[:6], "link": others[:6], "self": [one for one in pool if one.staff == clerk]}


def _play(market: Market, scene: _Scene, clerk: Staff, store: Store, customer: Customer) -> Sale:
    channel = next(one for one in market.shops.channels if one.brand_id == store.brand_id and one.kind == scene.kind)
    sale = market.ring_up(
        channel,
        _moment(scene, market.now),
        customer=customer,
        store=store if scene.kind == KINDS.POS else None,
        served_by=clerk if scene.kind == KINDS.POS else None,
        shared_by=clerk if scene.by == "link" else None,
    )
    sale.refund = _refund(sale, scene)
    return sale


def _moment(scene: _Scene, now: datetime) -> datetime:
    midnight = seasons.midnight(now)
    if scene.days == 0:
        return midnight + (now - midnight) * scene.part
    return midnight - timedelta(days=scene.days) + timedelta(hours=10 + 11 * scene.part)


def _refund(sale: Sale, scene: _Scene) -> shapes.Refund | None:
    if not scene.refund:
        return None
    line = sale.data.lines[0]
    at = (sale.data.paid_at + timedelta(days=1)).replace(hour=10, minute=20)
    return sale.give_back(line, at, fen=line.paid_fen if scene.refund == "all" else line.paid_fen // 2)
