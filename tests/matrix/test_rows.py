"""Rows keep to their scope, and a limit that is taken away is noticed."""

from dataclasses import replace

import pytest

from retail import scope
from retail.models import Category
from tests.figures import figure
from tests.matrix import rows

pytestmark = pytest.mark.django_db


def mutations():
    """(model, what is taken away): each limit of each model, and its whole manager.

    Left out is what takes nothing away: a clerk is bound to a store, too, so where no store is admitted no clerk is;
    and kinds of goods have no limit at all.
    """
    for model in rows.scoped_models():
        paths = model.scope_paths
        for limit in ("brand", "store", "staff"):
            if getattr(paths, limit) is not scope.ANY and not (limit == "staff" and paths.store is None):
                yield model, limit
        if model is not Category:
            yield model, "objects"


def mutate(monkeypatch, model, limit):
    if limit == "objects":
        monkeypatch.setattr(model, "objects", model._base_manager)
    else:
        monkeypatch.setattr(model, "scope_paths", replace(model.scope_paths, **{limit: scope.ANY}))


def test_every_scope_shows_its_rows_of_every_model(worlds):
    assert set(rows.TABLE) == {model._meta.label for model in rows.scoped_models()}
    assert rows.wrong(worlds) == []


def test_outside_a_scope_no_model_answers(worlds):
    for model in rows.scoped_models():
        with pytest.raises(scope.OutsideScope):
            model.objects.exists()
    with scope.within(scope.NOTHING):
        assert [model for model in rows.scoped_models() if model.objects.exists()] == [Category]


def test_a_limit_taken_away_is_noticed(worlds, size):
    every = list(mutations())
    tried = every if size == "full" else every[::5]
    missed = []
    for model, limit in tried:
        with pytest.MonkeyPatch.context() as monkeypatch:
            mutate(monkeypatch, model, limit)
            if not rows.wrong(worlds, [model]):
                missed.append(f"{model._meta.label}.{limit}")
    caught = len(tried) - len(missed)
    figure("P3", f"scope mutations of models: {caught} of {len(tried)} caught ({len(every)} in all); missed {missed}")
    assert caught >= 0.98 * len(tried), missed
