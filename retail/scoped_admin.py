"""The only ModelAdmin base: rows through the scope, choices through the scope, strict look-ups, nothing deleted."""

from typing import Any

from django.contrib.admin.options import BaseModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, StackedInline, TabularInline

from retail import audit
from django.utils import timezone


class _Narrow(BaseModelAdmin):
    """What holds for pages and inlines alike. The scope of the request narrows `objects` of every scoped model."""

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return self.model._default_manager.all()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs.setdefault("queryset", db_field.remote_field.model._default_manager.all())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs.setdefault("queryset", db_field.remote_field.model._default_manager.all())
        return super().formfield_for_manytomany(db_field, request, **kwargs)


class ScopedAdmin(_Narrow, ModelAdmin):
    """Base of every page of the admin.

    Look-ups in the URL are limited to `list_filter` and `lookups`; rows are never deleted; every change leaves an
    audit row. Set `is_read_only` for facts and money.
    """

    is_read_only = False
    lookups: tuple[str, ...] = ()
    show_full_result_count = False
    list_per_page = 50

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter of this page uses: a free look-up can spell out a hidden value letter by letter."""
        return lookup in self._allowed_lookups()

    def _allowed_lookups(self) -> set[str]:
        allowed = set(self.lookups)
        for item in self.list_filter:
            name = item if isinstance(item, str) else item[0] if isinstance(item, tuple) else None
            if name:
                allowed |= {name, f"{name}__exact", f"{name}__id__exact", f"{name}__isnull"}
                allowed |= {f"{name}__gte", f"{name}__lt", f"{name}__lte", f"{name}__gt"}
        if self.date_hierarchy:
            name = self.date_hierarchy
            allowed |= {f"{name}__{part}" for part in ("year", "month", "day", "gte", "lt")}
        return allowed

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not self.is_read_only and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not self.is_read_only and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        audit.record(
            by=request.user,
            action="change" if change else "add",
            target=obj,
            now=timezone.now(),
            before={name: str(form.initial.get(name)) for name in form.changed_data} if change else None,
            after={name: str(form.cleaned_data.get(name)) for name in form.changed_data},
        )


class ScopedTabularInline(_Narrow, TabularInline):
    extra = 0


class ScopedStackedInline(_Narrow, StackedInline):
    extra = 0
