"""What lies in one basket: goods of the season, at the discounts of the channel, at times a gift or an exchange."""

from datetime import datetime
from itertools import accumulate
from random import Random
from typing import NamedTuple

from retail.demo.goods import KIND_OF, Shelf
from retail.models import Channel, Product
from retail.shapes import Line, Refund

POS = Channel.Kind.POS
_LINES = list(range(1, 8)), list(accumulate((38, 31, 16, 8, 4, 2, 1)))
# Share of the tag price paid, in basis points, and how often.
_SHOP_PRICES = [10000, 9500, 9000, 8800, 8000, 7000, 5000], list(accumulate((24, 14, 16, 20, 13, 8, 5)))
_WEB_PRICES = [10000, 9500, 8800, 8500, 7500, 6500, 5000], list(accumulate((8, 14, 22, 20, 18, 11, 7)))


class Item(NamedTuple):
    product: Product
    line: Line


def fill(rng: Random, shelf: Shelf, *, kind: str, at: datetime) -> list[Item]:
    """The lines of one order."""
    in_shop = kind == POS
    number = rng.choices(_LINES[0], cum_weights=_LINES[1])[0]
    prices = _SHOP_PRICES if in_shop else _WEB_PRICES
    bp = rng.choices(prices[0], cum_weights=prices[1])[0]
    picked = dict.fromkeys(rng.choices(shelf.products, cum_weights=shelf.steps[at.month], k=number))
    items = [_item(rng, product, place, bp) for place, product in enumerate(picked, start=1)]
    if rng.random() < 0.03:
        items.append(_gift(rng, shelf, len(items) + 1))
    if in_shop and rng.random() < 0.008:
        items.append(_brought_back(rng, shelf, len(items) + 1, bp))
    return items


def _item(rng: Random, product: Product, place: int, bp: int) -> Item:
    draw = rng.random()
    qty = 1 if draw < 0.9 else 2 if draw < 0.98 else 3
    return Item(product, line(product, place, qty=qty, bp=bp))


def line(product: Product, place: int, *, qty: int, bp: int = 10000, is_gift: bool = False) -> Line:
    """A line at a share of the tag price, in whole jiao as the tills round."""
    tag_fen = (product.tag_fen or 0) * qty
    return Line(
        outer_line_id=str(place),
        sku=product.sku,
        qty=qty,
        tag_fen=tag_fen,
        paid_fen=0 if is_gift else tag_fen * bp // 100_000 * 10,
        cost_fen=(product.tag_fen or 0) * KIND_OF[product.category.code].cost_ppm // 1_000_000,
        is_gift=is_gift,
    )


def _gift(rng: Random, shelf: Shelf, place: int) -> Item:
    """The cheapest of a handful."""
    product = min(rng.sample(shelf.products, min(12, len(shelf.products))), key=lambda one: one.tag_fen)
    return Item(product, line(product, place, qty=1, is_gift=True))


def _brought_back(rng: Random, shelf: Shelf, place: int, bp: int) -> Item:
    """The other half of an exchange: a piece of an earlier purchase, taken back against this one."""
    product = rng.choice(shelf.products)
    return Item(product, line(product, place, qty=-1, bp=bp))


def amount(rng: Random, line: Line) -> dict[str, int]:
    """How much comes back of a line, said in one of the three ways of the feed: mostly all of it."""
    draw = rng.random()
    if draw < 0.15:
        return {"qty": line.qty}
    if draw < 0.25:
        return {"fen": line.paid_fen // 2}
    if draw < 0.32:
        return {"cumulative_fen": line.paid_fen}
    return {"fen": line.paid_fen}


def give_back(*, channel: str, order: str, line: str, at: datetime, **amount: int) -> Refund:
    """A refund of one line, named by the channel's code, the order's number and the line's."""
    return Refund(
        channel=channel,
        outer_refund_id=f"R{order}-{line}",
        outer_order_id=order,
        outer_line_id=line,
        refunded_at=at,
        **amount,
    )
