"""A made-up brand whose customers buy at rhythms of their own until they leave, written into the tables at once.

Through the feed it would take minutes; how the feed fills these tables is proved elsewhere.
"""

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from members import profiles
from members.models import Member, Membership, Purchase
from retail.models import Order, OrderLine
from tests.factories import World, number, world

SHANGHAI = ZoneInfo("Asia/Shanghai")
BEGAN = date(2025, 1, 1)


@dataclass
class Log:
    shop: World
    memberships: list[Membership]
    buys: list[tuple[int, datetime, int]]  # place of the member, when, fen

    def bought(self, *, since: date, until: date) -> set[int]:
        """Memberships with an order in these days."""
        return {
            self.memberships[place].pk for place, at, _ in self.buys if since <= at.astimezone(SHANGHAI).date() < until
        }


def log(*, members: int, days: int, seed: int = 7) -> Log:
    dice, shop = random.Random(seed), world()
    buys = [(place, *one) for place in range(members) for one in _life(dice, days)]
    buys.sort(key=lambda one: one[1])
    made = Member.objects.bulk_create(Member(created_at=_at(0)) for _ in range(members))
    memberships = Membership.objects.bulk_create(
        Membership(brand=shop.brand, member=member, registered_at=_at(0)) for member in made
    )
    orders = Order.objects.bulk_create(_order(shop, at, fen) for _, at, fen in buys)
    OrderLine.objects.bulk_create(_line(shop, order) for order in orders)
    Purchase.objects.bulk_create(
        Purchase(order=order, membership=memberships[place], store=shop.store, paid_at=at, net_fen=fen, is_first=False)
        for order, (place, at, fen) in zip(orders, buys, strict=True)
    )
    return Log(shop, memberships, buys)


def _life(dice: random.Random, days: int) -> list[tuple[datetime, int]]:
    """From their first purchase on they come about every so often, until one day they do not."""
    day, gap = dice.random() * days * 0.7, dice.lognormvariate(3.3, 0.8)
    usual, found = dice.lognormvariate(9.5, 0.6), []
    while day < days:
        found.append((_at(day), round(usual * dice.uniform(0.5, 1.5))))
        if dice.random() < 0.25:
            break
        day += dice.expovariate(1 / gap)
    return found


def _at(day: float) -> datetime:
    return datetime(BEGAN.year, BEGAN.month, BEGAN.day, tzinfo=SHANGHAI) + timedelta(days=day)


def _order(shop: World, at: datetime, fen: int) -> Order:
    return Order(
        channel=shop.pos, outer_order_id=f"L{number()}", fingerprint=b"", brand=shop.brand, store=shop.store,
        paid_at=at, buyer_keys=[1], tag_fen=fen, paid_fen=fen, received_at=at, settled_at=at, settled_version=1,
    )  # fmt: skip


def _line(shop: World, order: Order) -> OrderLine:
    return OrderLine(
        order=order, outer_line_id="1", product=shop.product, brand_label=shop.brand.code, category_label="",
        qty=1, tag_fen=order.tag_fen, paid_fen=order.paid_fen,
    )  # fmt: skip


def rolled_up(log: Log, *, on: date) -> None:
    """The profiles as they stand on the morning of a day."""
    morning = datetime(on.year, on.month, on.day, 4, tzinfo=SHANGHAI)
    profiles.refresh(membership_ids=[row.pk for row in log.memberships], now=morning)
