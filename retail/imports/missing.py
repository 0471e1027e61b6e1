"""Making what a first import names and nobody has entered yet: channels, brands, stores, products."""

from collections.abc import Iterable
from operator import itemgetter

from django.db import transaction

from retail import catalog, shapes
from retail.models import Brand, Channel, Store

UNSORTED = "未分类"  # the category of a product whose rows name none


@transaction.atomic
def create(*, orders: Iterable[shapes.Order], brand: Brand) -> None:
    """Make the codes that these orders name and we do not know: stores and unlabelled products under `brand`.

    Everything in the order of its code, so that two imports that make the same wait for each other, no more.
    """
    orders = list(orders)
    lines = [line for order in orders for line in order.lines]
    brands = _brands({line.brand for line in lines if line.brand}) | {brand.code: brand}
    _channels({order.channel for order in orders}, brand)
    codes = {code for order in orders for code in (order.store_code, order.fulfil_store_code) if code}
    known = set(Store.objects.filter(code__in=codes).values_list("code", flat=True))
    missing = [Store(code=code, name=code, brand=brand) for code in sorted(codes - known)]
    Store.objects.bulk_create(missing, ignore_conflicts=True)
    for code, maker in sorted(brands.items()):
        labelled = [line for line in lines if (line.brand or brand.code) == code]
        wanted = [(line.sku, line.category or UNSORTED, _piece_fen(line)) for line in labelled]
        catalog.create_missing(wanted=sorted(wanted, key=itemgetter(0)), brand=maker)


def _brands(codes: set[str]) -> dict[str, Brand]:
    known = {brand.code: brand for brand in Brand.objects.filter(code__in=codes)}
    missing = [Brand(code=code, name=code) for code in sorted(codes - set(known))]
    if not missing:
        return known
    Brand.objects.bulk_create(missing, ignore_conflicts=True)
    return {brand.code: brand for brand in Brand.objects.filter(code__in=codes)}


def _channels(codes: set[str], brand: Brand) -> None:
    """A channel named like one of the known kinds is of that kind."""
    known = set(Channel.objects.filter(code__in=codes).values_list("code", flat=True))
    missing = [
        Channel(code=code, name=code, kind=code if code in Channel.Kind.values else Channel.Kind.OTHER, brand=brand)
        for code in sorted(codes - known)
    ]
    Channel.objects.bulk_create(missing, ignore_conflicts=True)


def _piece_fen(line: shapes.Line) -> int | None:
    """The tag price of one piece, where the line says it."""
    fen = abs(line.tag_fen) // abs(line.qty) if line.qty else None
    return fen if fen is not None and fen * abs(line.qty) == abs(line.tag_fen) else None
