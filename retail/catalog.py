"""Reads of the catalogue, and the making of products a first import does not know yet."""

from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from retail.models import Brand, Category, Product


class Sold(NamedTuple):
    """What an order line needs to know of its product."""

    id: int
    brand_code: str
    category_code: str


def products_by_sku(skus: Iterable[str]) -> dict[str, Sold]:
    """SKU → product; unknown ones are left out. One statement, and no model instances: a batch names hundreds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.sku, p.id, b.code, c.code FROM retail_product p JOIN retail_brand b ON b.id = p.brand_id"
            " JOIN retail_category c ON c.id = p.category_id WHERE p.sku = ANY(%s)",
            [list(set(skus))],
        )
        return {sku: Sold(*product) for sku, *product in cursor.fetchall()}


def create_missing(*, wanted: Iterable[tuple[str, str, int | None]], brand: Brand) -> int:
    """Make the products of (sku, category code, tag_fen) that are not known. Returns how many were made."""
    by_sku = {sku: (category, tag_fen) for sku, category, tag_fen in wanted}
    for sku in products_by_sku(by_sku):
        del by_sku[sku]
    codes = sorted({category for category, _ in by_sku.values()})
    Category._base_manager.bulk_create([Category(code=code, name=code) for code in codes], ignore_conflicts=True)
    categories = {category.code: category for category in Category._base_manager.filter(code__in=codes)}
    made = Product._base_manager.bulk_create(
        [
            Product(sku=sku, name=sku, brand=brand, category=categories[category], tag_fen=tag_fen)
            for sku, (category, tag_fen) in by_sku.items()
        ],
        ignore_conflicts=True,
    )
    return len(made)
