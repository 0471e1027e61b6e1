"""Targets pasted out of a spreadsheet: all of them or none, and what is wrong is said by line."""

import pytest

from commissions import closing, targets
from commissions.models import Period, Target
from retail.models import AuditRow
from tests import factories
from tests.factories import NOW, World, world


@pytest.fixture
def shop(everything) -> World:
    shop = world()
    for code in ("A1", "A2"):
        shop.hire(code)
    return shop


@pytest.fixture
def period(shop: World) -> Period:
    return Period.objects.create(brand=shop.brand, starts_on="2026-10-01", ends_on="2026-11-01")


def put(period: Period, text: str) -> targets.Put:
    return targets.put(period=period, text=text, by=None, now=NOW)


def goals(period: Period) -> dict[str, int]:
    rows = Target.objects.filter(period=period).select_related("staff", "store")
    return {(row.staff or row.store).code: row.goal_fen for row in rows}


def test_two_columns_are_written_and_written_again(shop, period):
    by = factories.user()
    text = f"工号\t目标\nA1\t80,000\n{shop.store.code}\t¥1,200,000.50\n"
    assert targets.put(period=period, text=text, by=by, now=NOW) == (2, 0, 0)
    assert goals(period) == {"A1": 80_000_00, shop.store.code: 1_200_000_50}

    assert put(period, f"A1 90000\nA2，70000元\n\n{shop.store.code},1200000.50") == (1, 1, 1)
    assert goals(period) == {"A1": 90_000_00, "A2": 70_000_00, shop.store.code: 1_200_000_50}
    first, second = AuditRow.objects.filter(action="target.put").order_by("pk")
    assert (first.by, first.before) == (by, {})
    assert (second.before, second.after) == ({"A1": 80_000_00}, {"A1": 90_000_00, "A2": 70_000_00})


@pytest.mark.parametrize(
    "row", ["A1", "A1\t", "A1\t零", "A1\t0", "A1\t-5", "A1\t1.005", "A1\tNaN", "A1\t1e99", "ZZ\t5", "A2\t7"]
)
def test_a_wrong_line_is_named_and_nothing_is_written(period, row):
    with pytest.raises(targets.TargetsRefused) as refused:
        put(period, f"A2\t100\n{row}")
    assert "第 2 行" in refused.value.messages[-1]
    assert goals(period) == {}


def test_codes_of_another_brand_are_unknown(period):
    other = world()
    with pytest.raises(targets.TargetsRefused, match=other.store.code):
        put(period, f"{other.store.code} 100")


def test_the_first_faults_are_said_and_the_rest_counted(period):
    with pytest.raises(targets.TargetsRefused) as refused:
        put(period, "\n".join(f"X{n} 5" for n in range(50)))
    assert len(refused.value.messages) == 21 and "30" in refused.value.messages[-1]


def test_a_closed_period_keeps_its_targets(period):
    put(period, "A1 100")
    closing.close(period=period, by=None, now=NOW.replace(month=11))
    with pytest.raises(targets.TargetsRefused, match="已经结了"):
        put(period, "A1 200")
    assert goals(period) == {"A1": 100_00}
