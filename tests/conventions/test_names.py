"""Nothing English stands on a Chinese page because somebody forgot to name it."""

import re
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import flatten
from django.db import models

import retail.urls  # noqa: F401  registers every page
from retail.desk import journal

OURS = {"retail", "wecom", "members", "commissions", "clerks", "leads"}
CJK = re.compile("[\u4e00-\u9fff]")
# Words that are the same in Chinese.
SAME = {"ID", "SKU", "AppID", "AgentId", "Secret", "Token", "EncodingAESKey"}
MODELS = [model for model in apps.get_models() if model._meta.app_label in OURS]


def is_named(name: object) -> bool:
    return bool(CJK.search(str(name))) or str(name) in SAME


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_model_has_a_chinese_name(model: type[models.Model]) -> None:
    assert is_named(model._meta.verbose_name) and is_named(model._meta.verbose_name_plural)


def shown_fields() -> Iterator[tuple[str, object, object]]:
    """(where, the page or inline, its model's field or its own method) of everything an admin page shows."""
    for page in admin.site._registry.values():
        for one in (page, *(inline(page.model, admin.site) for inline in page.inlines)):
            names = {*one.readonly_fields, *flatten(one.fields or ()), *getattr(one, "list_display", ())}
            for _title, options in getattr(one, "fieldsets", None) or ():
                names |= set(flatten(options["fields"]))
            names |= {item for item in getattr(one, "list_filter", ()) if isinstance(item, str)}
            for name in sorted(names - {"__str__"}):
                yield f"{type(one).__name__}.{name}", one, name


@pytest.mark.parametrize(("where", "page", "name"), [pytest.param(*row, id=row[0]) for row in shown_fields()])
def test_everything_a_page_shows_has_a_chinese_name(where: str, page: object, name: str) -> None:
    own = getattr(page, name, None)
    if own is not None and name != "media":  # which is the page's scripts, whatever a model calls so
        assert is_named(getattr(own, "short_description", name)), where
        return
    if typed := page.form.declared_fields.get(name):  # type: ignore[attr-defined]
        assert is_named(typed.label), where
        return
    field = page.model._meta  # type: ignore[attr-defined]
    for part in name.split("__"):
        found = field.get_field(part)
        field = found.related_model._meta if found.is_relation and found.related_model else field
    if page.model._meta.app_label in OURS:  # type: ignore[attr-defined]
        assert is_named(found.verbose_name), where


def test_the_journal_names_what_is_no_column() -> None:
    for name in journal._NAMES:
        assert is_named(journal._NAMES[name])
