"""Reads of the catalogue, and the making of products a first import does not know yet."""

from collections.abc import Iterable

from retail.models import Brand, Category, Product


def products_by_sku(skus: Iterable[str]) -> dict[str, Product]:
    """SKU → product with its brand and category; unknown ones are left out. One statement."""
    rows = Product._base_manager.filter(sku__in=list(set(skus))).select_related("brand", "category")
    return {product.sku: product for product in rows}


def create_missing(*, wanted: Iterable[tuple[str, str, int | None]], brand: Brand) -> int:
    """Make the products of (sku, category code, tag_fen) that are not known. Returns how many were made."""
    by_sku = {sku: (category, tag_fen) for sku, category, tag_fen in wanted}
    for sku in products_by_sku(by_sku):
        del by_sku[sku]
    codes = {category for category, _ in by_sku.values()}
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
