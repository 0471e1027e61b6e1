"""Who may see which rows: a value, and managers that refuse to answer without one.

A request, a job or a command runs inside exactly one `Scope`; `objects` of every scoped model reads it from a context
variable and narrows its rows. Outside a scope it raises `OutsideScope`: a forgotten check is an error in the first
test that touches it, never a leak. `retail.org.scope_of(post)` makes the scope of a person; `EVERYTHING` is that of
jobs, commands and headquarters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q


class OutsideScope(RuntimeError):
    """A scoped model was read where nobody said on whose behalf."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Limits that all hold at once; None in a field means "no limit of this kind".

    brand_ids, store_ids: the brands and stores whose rows are visible.
    store_brand_ids: the brands of those stores, whose rows of no store (products, tiers) are visible with them.
    staff_id: the clerk whose own rows are visible.
    """

    brand_ids: frozenset[int] | None = None
    store_ids: frozenset[int] | None = None
    staff_id: int | None = None
    store_brand_ids: frozenset[int] | None = None

    @property
    def is_everything(self) -> bool:
        return self.brand_ids is None and self.store_ids is None and self.staff_id is None

    def rows(self, paths: "Paths") -> Q:
        """The condition that keeps the rows of this scope on a model with these paths.

        A limit for which the model names no path admits nothing: what we cannot check we do not show.
        A clerk's own rows are found by `staff` alone, whichever store they were made in.
        """
        if self.staff_id is not None and paths.staff is not ANY:
            return Q(**{paths.staff: self.staff_id}) if paths.staff else Q(pk__in=[])
        # What hangs on a brand and on no store is seen from the stores of that brand.
        of_stores = self.store_brand_ids if paths.store is ANY and paths.brand else None
        limits = ((paths.brand, self.brand_ids), (paths.brand, of_stores), (paths.store, self.store_ids))
        condition = Q()
        for path, ids in limits:
            if ids is None or path is ANY:
                continue
            admitted = Q(**{f"{path}__in": ids}) if path else Q(pk__in=[])
            if path and path is paths.brand and paths.is_shared_without_brand:
                admitted |= Q(**{path: None})
            condition &= admitted
        return condition


EVERYTHING = Scope()
NOTHING = Scope(brand_ids=frozenset(), store_ids=frozenset())

# A path that says: rows of this model are open to every scope of that kind (a brand list is no secret).
ANY: Any = object()


@dataclass(frozen=True, slots=True)
class Paths:
    """How a model's rows hang on brand, store and clerk, as lookups ("order__store"); None = they do not.

    `is_shared_without_brand`: a row whose brand is null belongs to the whole group, and every brand sees it.
    """

    brand: Any = None
    store: Any = None
    staff: Any = None
    is_shared_without_brand: bool = False


_current: ContextVar[Scope | None] = ContextVar("scope", default=None)


def current() -> Scope:
    """The scope in force. Raises OutsideScope when there is none."""
    scope = _current.get()
    if scope is None:
        raise OutsideScope("No scope is in force: enter one with scope.within(...) before reading scoped rows.")
    return scope


@contextmanager
def within(scope: Scope) -> Iterator[Scope]:
    """Run a block on behalf of `scope`. Scopes never add up: the inner one replaces the outer until it ends."""
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)


class ScopedQuerySet(models.QuerySet):
    """Base of the QuerySets of scoped models, so that adjectives can be added to it."""


class _Refusal(models.Expression):
    """A condition that cannot be asked: whoever runs the query it stands in gets OutsideScope."""

    conditional = True
    output_field = models.BooleanField()

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        raise OutsideScope("No scope was in force: enter one with scope.within(...) before reading scoped rows.")


class ScopedManager(models.Manager):
    """`objects` of a scoped model: only the rows of the scope in force.

    Outside a scope a query can be written down (Django does so when it builds the class of a form), but not run.
    """

    def get_queryset(self) -> models.QuerySet:
        rows = super().get_queryset()
        scope = _current.get()
        if scope is None:
            return rows.filter(_Refusal())
        if scope.is_everything:
            return rows
        paths: Paths = self.model.scope_paths  # type: ignore[attr-defined]  # only Scoped models have this manager
        rows = rows.filter(scope.rows(paths))
        # A to-many path repeats a row once per match.
        return rows.distinct() if getattr(self.model, "scope_is_to_many", False) else rows


class Scoped(models.Model):
    """Base of every model whose rows belong to a brand, a store or a clerk. Subclasses state `scope_paths`."""

    scope_paths: ClassVar[Paths]
    objects = ScopedManager()

    class Meta:
        abstract = True
