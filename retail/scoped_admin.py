"""The only ModelAdmin base: rows through the scope, choices through the scope, strict look-ups, nothing deleted.

Besides: money is written and typed in yuan, rates in percent, long tables are not counted, every change is journalled.
"""

import copy
import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.filters import ListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.widgets import AutocompleteMixin, RelatedFieldWidgetWrapper
from django.core.exceptions import SuspiciousOperation
from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from retail import audit, privacy, scope
from retail.templatetags.figures import percent, yuan


def visible(model: type[models.Model]) -> QuerySet:
    """The rows of a model in the scope in force. A model that belongs to nobody is for those who see everything."""
    rows = model._default_manager.all()
    if issubclass(model, scope.Scoped) or scope.current().is_everything:
        return rows
    return rows.filter(scope.current().rows(model.scope_paths)) if _has_paths(model) else rows.none()


def _has_paths(model: type[models.Model]) -> bool:
    """Whether it is known how rows hang on brand, store and clerk: of scoped models, and of posts."""
    return hasattr(model, "scope_paths")


def link(page: str, pk: int, text: object) -> SafeString:
    """A text that leads to the page of a row."""
    return format_html('<a class="text-link" href="{}">{}</a>', reverse(f"admin:{page}", args=[pk]), text)


class Confirm(BaseDialogForm):
    """A dialog with nothing to fill in: it only asks whether it is meant."""


# ── Figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def as_yuan(fen: int | None) -> SafeString | str:
    """¥1,234.56 or -¥0.05, in figures of one width."""
    if fen is None:
        return "–"
    return format_html('<span class="figure">{}¥{}</span>', "-" if fen < 0 else "", yuan(abs(fen)))


def as_percent(ppm: int | None) -> SafeString | str:
    return "–" if ppm is None else format_html('<span class="figure">{}</span>', percent(ppm))


class Badge(tuple):
    """(key, words): a coloured label in lists (`display(label={key: colour})`), plain words on pages."""

    __slots__ = ()

    def __new__(cls, key: str, words: object) -> "Badge":
        return super().__new__(cls, (key, words))

    def __str__(self) -> str:
        return str(self[1])


def moment(field: str, description: object) -> Callable[..., Any]:
    """A narrow column for a point in time: 2026-11-22 07:22, sortable."""

    @display(description=description, ordering=field)
    def column(_self: Any, row: models.Model) -> SafeString | str:
        at = getattr(row, field)
        return format_html('<span class="figure">{}</span>', f"{timezone.localtime(at):%Y-%m-%d %H:%M}") if at else "–"

    return column


def money(field: str, description: object) -> Callable[..., Any]:
    """A column or read-only field that shows an amount in fen as yuan, sortable."""

    @display(description=description, ordering=field)
    def column(_self: Any, row: models.Model) -> SafeString | str:
        return as_yuan(getattr(row, field))

    return column


def rate(field: str, description: object) -> Callable[..., Any]:
    """A column or read-only field that shows a rate in ppm as percent, sortable."""

    @display(description=description, ordering=field)
    def column(_self: Any, row: models.Model) -> SafeString | str:
        return as_percent(getattr(row, field))

    return column


class ScaledField(forms.DecimalField):
    """A whole number kept as is and typed with decimals: `factor` of the kept unit make one of the typed."""

    factor: int

    def prepare_value(self, value: Any) -> Any:
        return f"{Decimal(value) / self.factor:f}" if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        typed = super().clean(value)
        return None if typed is None else int(typed * self.factor)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.to_python(self.prepare_value(initial)), data)


class YuanField(ScaledField):
    """Fen, typed as yuan with two decimals."""

    factor = 100

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"decimal_places": 2, "max_digits": 14, "widget": UnfoldAdminTextInputWidget, **kwargs})


class PercentField(ScaledField):
    """Parts per million, typed as percent with four decimals."""

    factor = 10_000

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"decimal_places": 4, "max_digits": 7, "widget": UnfoldAdminTextInputWidget, **kwargs})


def _label(field: models.Field, unit: str) -> str:
    """The field's name with the unit it is typed in, instead of the one it is kept in."""
    name = re.sub(r"\W+\w+\W$", "", str(field.verbose_name))
    return _("%(name)s（%(unit)s）") % {"name": name, "unit": unit}


class _NumbersOnly(AutocompleteMixin):
    """Shows a refused form again even where what was sent as a choice is no number."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        numbers = [one for one in value if not one or (str(one).isdecimal() and len(str(one)) < 19)]
        return super().optgroups(name, numbers, attr)


@cache
def _tolerant_class(widget: type) -> type:
    return type(f"Tolerant{widget.__name__}", (_NumbersOnly, widget), {})


class StrictJSON(json.JSONDecoder):
    """What Python's reader gives up on (depth, digits) or lets through (NaN) is not JSON to a form."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, parse_constant=self._refuse)

    def decode(self, text: str, *args: Any) -> Any:
        try:
            return super().decode(text, *args)
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError(str(error), text, 0) from None

    def _refuse(self, name: str) -> None:
        raise ValueError(f"{name} is no JSON")


def _tolerant(field: Any) -> Any:
    if field is not None and isinstance(field.widget, AutocompleteMixin):
        field.widget.__class__ = _tolerant_class(type(field.widget))
    return field


# ── Rows and choices ─────────────────────────────────────────────────────────────────────────────────────────────────
class _Narrow(BaseModelAdmin):
    """What holds for pages and inlines alike. The scope of the request narrows `objects` of every scoped model."""

    is_read_only = False

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return self._ordered(visible(self.model), request)

    def _ordered(self, rows: QuerySet, request: HttpRequest) -> QuerySet:
        ordering = self.get_ordering(request)
        return rows.order_by(*ordering) if ordering else rows

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs.setdefault("queryset", visible(db_field.remote_field.model))
        return _tolerant(super().formfield_for_foreignkey(db_field, request, **kwargs))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs.setdefault("queryset", visible(db_field.remote_field.model))
        return _tolerant(super().formfield_for_manytomany(db_field, request, **kwargs))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """By the naming rule of the house: `fen` and `…_fen` are typed in yuan, `ppm` in percent."""
        common = {"required": not db_field.blank, "help_text": db_field.help_text}
        if db_field.name == "fen" or db_field.name.endswith("_fen"):
            return YuanField(label=_label(db_field, _("元")), initial=db_field.get_default(), **common)
        if db_field.name == "ppm" or db_field.name.endswith("_ppm"):
            return PercentField(label=_label(db_field, "%"), min_value=0, **common)
        if isinstance(db_field, models.URLField):
            kwargs["assume_scheme"] = "https"
        formfield = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(formfield, forms.JSONField):
            formfield.decoder = StrictJSON
        if formfield and isinstance(formfield.widget, RelatedFieldWidgetWrapper):
            # Rows of other tables are made on their own pages, by those who may.
            formfield.widget.can_add_related = formfield.widget.can_change_related = False
            formfield.widget.can_delete_related = formfield.widget.can_view_related = False
        return formfield

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return not self.is_read_only and super().has_add_permission(request, *args)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not self.is_read_only and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class EstimatedPaginator(Paginator):
    """Counts short results and trusts the planner about long ones: counting a million rows outlasts the page."""

    EXACT_BELOW = 20_000

    @cached_property
    def count(self) -> int:
        plan = self.object_list.order_by().explain(format="json")
        if not plan:  # Django knows without asking that nothing can match
            return 0
        rows = json.loads(plan)[0]["Plan"]["Plan Rows"]
        return super().count if rows < self.EXACT_BELOW else rows


class ScopedAdmin(_Narrow, ModelAdmin):
    """Base of every page of the admin.

    Look-ups in the URL are limited to `list_filter` and `lookups`; rows are never deleted; every change leaves an
    audit row. Set `is_read_only` for facts and money, `is_everyday` where a slip hurts nobody.
    """

    # Whether what is posted here is nothing to be afraid of. Everywhere else it takes fresh proof (retail.gate).
    is_everyday = False
    lookups: tuple[str, ...] = ()
    # Of the `search_fields`, the names that customers have given themselves.
    buyer_names: tuple[str, ...] = ()
    change_form_before_template = "admin/faults.html"  # what is wrong, before one has to look for it further down
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    # Names of form fields whose values never reach the journal.
    secrets: tuple[str, ...] = ("password", "password1", "password2", "phone")

    # Look-ups
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter of this page uses: a free look-up can spell out a hidden value letter by letter."""
        return lookup in self._allowed_lookups()

    def _allowed_lookups(self) -> set[str]:
        allowed = set(self.lookups)
        for item in self.list_filter:
            if isinstance(item, type) and issubclass(item, ListFilter):
                allowed.add(item.parameter_name)
            else:
                allowed |= self._lookups_of(item[0] if isinstance(item, tuple) else item)
        return allowed

    def _lookups_of(self, name: str) -> set[str]:
        field = self.model._meta.get_field(name)
        if isinstance(field, models.DateField):
            return {f"{name}__gte", f"{name}__lt", f"{name}__isnull"}
        if field.is_relation:
            return {f"{name}__id__exact", f"{name}__isnull"}
        return {f"{name}__exact", f"{name}__isnull"}

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        if "\x00" in search_term:  # PostgreSQL has no such character
            return queryset.none(), False
        fields = self.get_search_fields(request)
        if privacy.has_number(search_term) and set(fields) & set(self.buyer_names):
            # Some give their number for a name. It is shown masked, and must not be spelled out by searching.
            rest = tuple(field for field in fields if field not in self.buyer_names)
            if not rest:
                return queryset.none(), False
            page = copy.copy(self)
            page.search_fields = rest
            return page.get_search_results(request, queryset, search_term)
        return super().get_search_results(request, queryset, search_term)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME) if request.method == "POST" else []
        if not all(one.isascii() and one.isdecimal() and len(one) < 19 for one in chosen):
            raise SuspiciousOperation("A chosen row is no number.")
        return super().changelist_view(request, extra_context)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        """A row of another scope is not there: 404, not a friendly redirect that confirms the page exists."""
        raise Http404

    # The journal
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self._journal(request, "change" if change else "add", obj, form)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        for part in formset.forms:
            if part.has_changed() and part.instance.pk and part.instance not in formset.deleted_objects:
                self._journal(request, "change" if part.initial.get("id") else "add", part.instance, part)
        for deleted in formset.deleted_objects:
            gone = {"row": str(deleted)}
            audit.record(by=request.user, action="delete", target=form.instance, now=timezone.now(), before=gone)

    def _journal(self, request: HttpRequest, action: str, target: models.Model, form: Any) -> None:
        names = [name for name in form.changed_data if name != "DELETE"]
        if action == "change" and not names:  # a page saved as it was is no act
            return
        audit.record(
            by=request.user,
            action=action,
            target=target,
            now=timezone.now(),
            before={name: self._before(name, form) for name in names} if action == "change" else None,
            after={name: self._plain(name, form.cleaned_data.get(name)) for name in names},
        )

    def _before(self, name: str, form: Any) -> str:
        """A form remembers chosen rows by number; the journal calls them by name, before as after."""
        value, field = form.initial.get(name), form.fields.get(name)
        if isinstance(field, forms.ModelMultipleChoiceField):
            return self._plain(name, value or [])
        if isinstance(field, forms.ModelChoiceField) and value is not None:
            value = field.queryset.model._base_manager.filter(pk=getattr(value, "pk", value)).first() or value
        return self._plain(name, value)

    def _plain(self, name: str, value: Any) -> str:
        if isinstance(value, QuerySet | list | tuple):
            value = str(_("、")).join(sorted(map(str, value)))
        return "****" if name in self.secrets and value else str(value)

    def log_addition(self, *args: Any) -> None:
        """Django's own log is not kept: there is one journal, and it cannot be edited."""

    log_change = log_deletions = log_addition  # type: ignore[assignment]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The journal of this row."""
        # To who may not read the journal there is none, like a row of another scope.
        if not request.user.has_perm("retail.view_auditrow") or self.get_object(request, object_id) is None:
            raise Http404
        query = urlencode({"target_type": self.model._meta.label_lower, "target_id": object_id})
        return HttpResponseRedirect(f"{reverse('admin:retail_auditrow_changelist')}?{query}")


class DecidingAdmin(ScopedAdmin):
    """Pages whose buttons are one call of a verb each; what a verb refuses is told in its own words."""

    refusals: tuple[type[Exception], ...] = ()

    def row(self, request: HttpRequest, object_id: Any) -> Any:
        return self.get_object(request, str(object_id)) if object_id else None

    def attempt(
        self, request: HttpRequest, object_id: Any, verb: Callable[[Any], str | tuple[str, models.Model]]
    ) -> HttpResponse:
        """Call the verb with the row and say how it went; then to that row, or to the one the verb gives as well.

        Dialogs need HTMX's redirect.
        """
        row = self.row(request, object_id)
        if row is None:
            raise Http404
        shown: models.Model = row
        try:
            done = verb(row)
            said, shown = done if isinstance(done, tuple) else (done, row)
            messages.success(request, said)
        except self.refusals as refusal:
            messages.error(request, str(refusal))
        page = f"admin:{shown._meta.app_label}_{shown._meta.model_name}_change"
        return HttpResponse(headers={"HX-Redirect": reverse(page, args=[shown.pk])})


class _Inline(_Narrow):
    extra = 0
    hide_title = True

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        # Rows without a scope of their own follow the page they hang on, which was fetched through the scope.
        rows = visible(self.model) if _has_paths(self.model) else self.model._default_manager.all()
        if not self.has_view_or_change_permission(request):
            return rows.none()
        related = [name for name in self._foreign_keys() if name != self.fk_name]
        return self._ordered(rows.select_related(*related) if related else rows, request)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Who says that a thousand million rows follow gets no page of two thousand empty ones."""
        if not self.is_read_only:
            kwargs = {"max_num": 100, "absolute_max": 200, **kwargs}
        return super().get_formset(request, obj, **kwargs)

    def _foreign_keys(self) -> list[str]:
        shown = set(self.fields or ()) | set(self.readonly_fields)
        return [f.name for f in self.model._meta.fields if f.is_relation and f.name in shown]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        # Rendering a select for a field nobody may change would read all its choices.
        return self.fields if self.is_read_only and self.fields else super().get_readonly_fields(request, obj)


class ScopedTabularInline(_Inline, TabularInline):
    pass


class ScopedStackedInline(_Inline, StackedInline):
    pass
