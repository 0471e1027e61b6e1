"""What conditions of rules can name: the stores, categories, tiers … there are, found by name or code.

Conditions keep codes. A room above us that has something to name offers it here (`offer`), as rules cannot know it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.db.models import Model, Q, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from retail.models import Brand, Category, Channel, Order, Product, Store, StoreGroup

PAGE = 20  # values shown at once while somebody types
_RECENT = 5_000  # orders in which live events are looked for


class Value(NamedTuple):
    code: str
    name: str

    @property
    def label(self) -> str:
        if self.name == self.code:
            return self.code
        return _("%(name)s（%(code)s）") % {"name": self.name, "code": self.code}


FIXED: dict[str, dict[str, Any]] = {
    "channel": dict(Channel.Kind.choices),
    "ownership": {"direct": gettext_lazy("直营"), "franchise": gettext_lazy("加盟")},
    "member": {"new": gettext_lazy("新客"), "existing": gettext_lazy("老客")},
}
"""Conditions with few values that never change: code → words."""

FREE = ("live_event", "material")
"""Conditions whose values may be written before there is anything of that name."""


_ALL = Q()


class _Table(NamedTuple):
    """A table whose rows a condition names, and the column of their codes."""

    model: type[Model]
    column: str = "code"
    among: Q = _ALL

    def rows_of(self, codes: set[str]) -> Any:
        if self.column == "pk":  # a number is asked for as one
            codes = {code for code in codes if code.isascii() and code.isdecimal() and len(code) < 19}
        return self.model._base_manager.filter(**{f"{self.column}__in": codes})


_TABLES: dict[str, _Table] = {
    "store": _Table(Store),
    "store_group": _Table(StoreGroup),
    "brand": _Table(Brand),
    "category": _Table(Category),
    "product": _Table(Product, "sku"),
}


def offer(condition: str, model: type[Model], *, column: str = "code", among: Q = _ALL) -> None:
    """Let a condition name the rows of a table that has a `name` and this column of codes; those `among` are shown."""
    _TABLES[condition] = _Table(model, column, among)


def named(wanted: Mapping[str, Iterable[Any]], **among: Any) -> dict[str, str]:
    """Code → name of what conditions name (condition → codes), as far as there is such a row. A query per table.

    among: where only some of the rows are meant, of one brand.
    """
    found: dict[str, str] = {}
    for condition, codes in wanted.items():
        table = _TABLES.get(condition)
        texts = {str(code) for code in codes}
        if table and texts:
            rows = table.rows_of(texts).filter(**among)
            found |= {str(code): name for code, name in rows.values_list(table.column, "name")}
    return found


def search(condition: str, term: str, *, page: int = 1) -> tuple[list[Value], bool]:
    """A page of the values whose name or code holds a term, and whether there are more. Within the reader's scope."""
    if "\x00" in term or page < 1:
        return [], False
    found: Any = _live_events(term) if condition == "live_event" else _rows(condition, term)
    start = (page - 1) * PAGE
    some = list(found[start : start + PAGE + 1])
    return [Value(*one) for one in some[:PAGE]], len(some) > PAGE


def _rows(condition: str, term: str) -> Any:
    table = _TABLES.get(condition)
    if table is None:
        return []
    said = Q(name__icontains=term) | Q(**{f"{table.column}__icontains": term})
    rows = table.model._default_manager.filter(table.among, said).order_by(table.column)
    return rows.values_list(Cast(table.column, TextField()), "name").distinct()


def _live_events(term: str) -> list[tuple[str, str]]:
    """The events of recent orders: they have no table of their own."""
    recent = Order.objects.order_by("-paid_at", "-pk").values_list("live_event", flat=True)[:_RECENT]
    return [(event, event) for event in sorted(set(recent)) if event and term.lower() in event.lower()]
