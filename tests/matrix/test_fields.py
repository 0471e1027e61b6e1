"""P16: a form writes the fields it shows, for whoever may change them, and nothing else, whatever is sent along."""

from typing import Any

import pytest
from django.contrib import admin
from django.db import models, transaction
from django.urls import reverse

import retail.urls  # noqa: F401  registers every page
from retail import scope
from tests.figures import figure
from tests.forms import shown
from tests.matrix import cells


class Today:
    """Equal to every moment but the one that is sent below."""

    def __ne__(self, other: Any) -> bool:
        return bool(other.year == 2030)


# What follows from any edit, whatever was sent for it.
FOLLOWS: dict[str, Any] = {"commissions.PlanVersion.status": "draft", "clerks.Policy.policy_since": Today()}

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
ROLES = [role for role in cells.ROLES if role not in ("anonymous", "clerk", "ex_clerk")]


def values(row: models.Model) -> dict[str, Any]:
    """Every column and every many-to-many list of a row, as it is stored now."""
    with scope.within(scope.EVERYTHING):
        stored = type(row)._base_manager.get(pk=row.pk)
        columns = {field.name: getattr(stored, field.attname) for field in row._meta.concrete_fields}
        lists = {field.name: sorted(getattr(stored, field.name).values_list("pk")) for field in row._meta.many_to_many}
    return columns | lists


def another(field: models.Field, now: Any) -> dict[str, str]:
    """Form data that would give this field another value, were it in the form."""
    if isinstance(field, models.BooleanField):
        return {} if now else {field.name: "on"}
    if field.is_relation:
        other = field.related_model._base_manager.exclude(pk=now if not isinstance(now, list) else -1).first()
        return {field.name: str(other.pk)} if other else {}
    if isinstance(field, models.DateTimeField):
        return {f"{field.name}_0": "2030-01-01", f"{field.name}_1": "00:00:00", field.name: "2030-01-01 00:00"}
    if isinstance(field, models.IntegerField):
        return {field.name: "7" if now != 7 else "8"}
    if field.choices:
        return {field.name: next(str(value) for value, _ in field.choices if value != now)}
    return {field.name: "changed"}


def everything_else(row: models.Model, form: dict[str, Any]) -> dict[str, Any]:
    now, sent = values(row), {}
    for field in [*row._meta.concrete_fields, *row._meta.many_to_many]:
        if field.name not in form and f"{field.name}_0" not in form and not field.primary_key:
            sent |= another(field, now[field.name])
    return sent


def attempt(browser: cells.Caller, row: models.Model) -> tuple[int, set[str], set[str]]:
    """Send the whole form and every other field; how many those were, what the form shows, what changed."""
    opts = row._meta
    address = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
    page = browser.ask("GET", address)
    form = shown(page) if page.status_code == 200 and page.context["has_change_permission"] else {}
    fields = set(page.context["adminform"].form.fields) if form else set()
    before = values(row)
    with scope.within(scope.EVERYTHING):
        sent = everything_else(row, form)
    with transaction.atomic():
        browser.client.post(address, form | sent)
        after = values(row)
        transaction.set_rollback(True)
    changed = {name for name in before if before[name] != after[name]}
    return len(sent), fields, {name for name in changed if FOLLOWS.get(f"{opts.label}.{name}") != after[name]}


@pytest.mark.parametrize("role", ROLES)
def test_no_form_writes_what_it_does_not_show(worlds, role):
    tried, forbidden = 0, []
    browser = cells.Caller(worlds, role)
    for model in admin.site._registry:
        row = worlds.ours.rows.get(model)
        if row is None:
            continue
        sent, fields, changed = attempt(browser, row)
        tried += sent
        forbidden += [f"{model._meta.label}.{name}" for name in changed - fields]
    figure("P16", f"{role}: {tried} fields sent that no form shows: {len(forbidden)} written")
    assert tried > 100 and forbidden == []
