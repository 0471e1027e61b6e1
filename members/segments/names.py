"""What conditions name: stores, categories, tiers, tags … by their codes, within a brand."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import Model, Q, QuerySet

from members.models import CouponType, Tag, Tier
from retail.models import Brand, Category, Product, Staff, Store
from retail.scope import Scoped

PAGE = 20  # values shown at once while somebody types


class Table(NamedTuple):
    """A table whose rows conditions name: the column of their codes, and whose rows a brand has."""

    model: type[Scoped]
    column: str = "code"
    of_brand: Any = None  # brand → Q

    def rows(self, brand: Brand, *, is_scoped: bool) -> QuerySet[Any]:
        manager = self.model.objects if is_scoped else self.model._base_manager
        return manager.filter(self.of_brand(brand)) if self.of_brand else manager.all()


def _own(brand: Brand) -> Q:
    return Q(brand=brand)


def _companys(brand: Brand) -> Q:
    """A clerk's own words are for that clerk alone."""
    return (Q(brand=brand) | Q(brand=None)) & ~Q(kind=Tag.Kind.CLERK) & Q(is_active=True)


TABLES: dict[str, Table] = {
    "store": Table(Store, of_brand=_own),
    "category": Table(Category),
    "product": Table(Product, "sku", _own),
    "tier": Table(Tier, of_brand=_own),
    "coupon": Table(CouponType, of_brand=_own),
    "tag": Table(Tag, of_brand=_companys),
    "staff": Table(Staff),
}


class Names:
    """The rows that codes mean, of several tables. A code may mean several rows; one that is gone means none."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, list[tuple[int, str]]]] = defaultdict(dict)

    def ids(self, of: str, codes: Iterable[str]) -> list[int]:
        return sorted(pk for code in codes for pk, _name in self._rows[of].get(code, ()))

    def of(self, of: str, codes: Iterable[str]) -> list[str]:
        """Their names, in the order of the codes; a code that means nothing stands for itself."""
        return [next((name for _pk, name in self._rows[of].get(code, ())), code) for code in codes]

    def unknown(self, of: str, codes: Iterable[str]) -> list[str]:
        return [code for code in codes if code not in self._rows[of]]

    def pairs(self) -> dict[str, dict[str, str]]:
        """Table → code → name, for the page."""
        return {of: {code: rows[0][1] for code, rows in known.items()} for of, known in self._rows.items()}


def of_codes(wanted: Iterable[tuple[str, Iterable[str]]], *, brand: Brand, is_scoped: bool = False) -> Names:
    """The rows of some (table, codes): a query for each table that is named at all."""
    by_table: dict[str, set[str]] = defaultdict(set)
    for of, codes in wanted:
        by_table[of] |= set(codes)
    names = Names()
    for of, codes in by_table.items():
        table = TABLES[of]
        rows = table.rows(brand, is_scoped=is_scoped).filter(**{f"{table.column}__in": sorted(codes)})
        for code, pk, name in rows.order_by("pk").values_list(table.column, "pk", "name"):
            names._rows[of].setdefault(code, []).append((pk, name))
    return names


def search(*, of: str, term: str, brand: Brand) -> list[tuple[str, str]]:
    """(code, name) of those whose name or code holds a term, within the reader's scope; the first page of them."""
    table = TABLES.get(of)
    if table is None or "\x00" in term:
        return []
    rows = table.rows(brand, is_scoped=True)
    if term:
        rows = rows.filter(Q(name__icontains=term) | Q(**{f"{table.column}__icontains": term}))
    order = "rank" if table.model is Tier else table.column
    found = rows.order_by(order, "pk").values_list(table.column, "name")[:PAGE]
    return list(dict.fromkeys(found))


def model_of(of: str) -> type[Model]:
    return TABLES[of].model
