"""Whatever is asked, SQL finds the members that plain Python finds."""

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from members import segments
from members.segments import grammar, kinds, query
from members.segments.fields import Choice, Choices, Codes, Whole, Window, Yuan
from retail import scope
from tests.factories import NOW
from tests.figures import figure
from tests.members.segments import town as towns
from tests.members.segments.oracle import Oracle

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

WINDOWS = st.one_of(
    st.sampled_from([1, 30, 60, 90, 180, 364, 365, 366]).map(lambda days: {"last": days, "unit": "day"}),
    st.sampled_from([1, 2, 6, 12]).map(lambda months: {"last": months, "unit": "month"}),
    st.sampled_from([{"from": "2026-08-13", "to": "2026-10-11"}, {"from": "2025-01-01", "to": "2026-10-12"}]),
)


def values(field, codes):
    if isinstance(field, Codes):
        return st.lists(st.sampled_from(codes[field.of]), min_size=1, max_size=2, unique=True)
    if isinstance(field, Choices):
        return st.lists(st.sampled_from(list(field.choices)), min_size=1, max_size=2, unique=True)
    if isinstance(field, Choice):
        return st.sampled_from(list(field.choices))
    if isinstance(field, Yuan):
        return st.sampled_from([0, 1, 9_999, 30_000, 80_000, 200_000])
    if isinstance(field, Window):
        return WINDOWS
    assert isinstance(field, Whole)
    return st.sampled_from([one for one in (0, 1, 2, 3, 7, 100, 250) if one >= field.low])


@st.composite
def conditions(draw, codes, of=None):
    kind = kinds.KINDS[draw(st.sampled_from(of or sorted(kinds.KINDS)))]
    said = {"kind": kind.code}
    for field in kind.fields:
        if field.is_asked(said) and (field.is_required or draw(st.booleans())):
            said[field.name] = draw(values(field, codes))
    return said


def documents(codes):
    def groups(inner):
        match = st.sampled_from(list(grammar.MATCHES))
        return st.fixed_dictionaries({"match": match, "of": st.lists(inner, min_size=1, max_size=3)})

    return groups(st.recursive(conditions(codes), groups, max_leaves=5))


def found(document, brand):
    known = segments.understand(condition=document, brand=brand)
    given = {"brand": brand, "names": known.names, "now": NOW}
    shown = query.values(known.tree, **given, ids=[1, 2])
    statement = query.members(known.tree, **given, rested_since=None)
    with connection.cursor() as cursor:
        cursor.execute(shown.sql, shown.params)
        cursor.execute(statement.sql, statement.params)
        return {pk for pk, _is_resting in cursor.fetchall()}


@pytest.fixture(scope="module")
def town(django_db_setup, django_db_blocker):
    """Made once; what was written is taken back."""
    with django_db_blocker.unblock(), transaction.atomic():
        with scope.within(scope.EVERYTHING):
            built = towns.build()
        yield built
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def oracle(town, django_db_blocker):
    with django_db_blocker.unblock(), scope.within(scope.EVERYTHING):
        return Oracle(town.shop.brand, NOW)


@pytest.mark.parametrize("code", sorted(kinds.KINDS))
def test_each_kind_finds_the_same_alone(town, oracle, code):
    """And says yes to some and no to others, or that would prove nothing."""
    outcomes = set()

    @settings(max_examples=25, database=None, deadline=None, derandomize=True)
    @given(said=conditions(town.codes, of=[code]))
    def check(said):
        wanted = oracle.fitting({"match": "all", "of": [said]})
        with scope.within(scope.EVERYTHING):
            assert found({"match": "all", "of": [said]}, town.shop.brand) == wanted
        outcomes.update(one.pk in wanted for one in oracle.memberships)

    check()
    assert outcomes == {True, False}


def test_sql_and_python_find_the_same(town, oracle, size):
    tried = []

    @settings(
        max_examples=2000 if size == "full" else 100, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(document=documents(town.codes))
    def check(document):
        wanted = oracle.fitting(document)
        with scope.within(scope.EVERYTHING):
            assert found(document, town.shop.brand) == wanted
        tried.append(len(wanted))

    check()
    whole = len(oracle.memberships)
    some = sum(0 < one < whole for one in tried)
    figure("segments", f"{len(tried)} conditions, {some} of them with some of {whole} members: SQL as Python")
