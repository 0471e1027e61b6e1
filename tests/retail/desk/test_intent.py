"""The page of models: what was learned, how good it was, and what did not come into force."""

import math
from datetime import timedelta

import pytest

from clerks.leads import drift
from clerks.leads.models import IntentModel, Score
from members.models import Member
from retail import scope
from tests.factories import NOW

pytestmark = pytest.mark.django_db
LIST = "/admin/leads/intentmodel/"
QUERIES = 13
TENTHS = [{"members": 100, "expected": 0.5, "came": 0.41}, {"members": 100, "expected": 0.0, "came": 0.0}]
FIGURES = {"members": 200, "bought": 41, "auc": 0.8123, "ap": 0.34, "lift": 4.62, "ece": 0.021}


def model(shop, **fields):
    told = {"features": ["orders", "overdue"], "weights": [0.25, -0.5], "means": [1.0, 1.0], "intercept": -2.0}
    metrics = {**FIGURES, "tenths": TENTHS, "rfm": FIGURES, "silent": {**FIGURES, "auc": None, "lift": None}}
    fields = {"metrics": metrics, **fields}
    with scope.within(scope.EVERYTHING):
        return IntentModel.objects.create(
            brand=shop.brand, kind="logistic", as_of=NOW.date(), horizon_days=30, middle_from=0.1, high_from=0.2,
            trained_at=NOW, **{**told, **fields},
        )  # fmt: skip


def test_headquarters_sees_whether_customers_are_still_those_it_learned_from(shop, sign_in):
    spread = {"borders": [0.1, 0.2], "parts": [0.4, 0.3, 0.3]}
    made = model(shop, active_from=NOW, metrics={**FIGURES, "tenths": TENTHS, "spread": spread})
    person = sign_in(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        members = Member.objects.bulk_create(Member(created_at=NOW) for _ in range(10))
        told = {
            "brand": shop.brand,
            "rank_basis": "logistic",
            "band": "low",
            "expected_fen": 1,
            "scored_on": NOW.date(),
        }
        for place, member in enumerate(members):
            Score.objects.create(member=member, version=made, score=(0.05, 0.15, 0.25)[place // 4], **told)
        assert drift.of(made).psi == pytest.approx(0.1 * math.log(4 / 3) - 0.1 * math.log(2 / 3))
    assert "没有走样" in person.get(f"{LIST}{made.pk}/change/").content.decode()
    with scope.within(scope.EVERYTHING):
        Score.objects.update(score=0.9)
    assert "变了很多" in person.get(f"{LIST}{made.pk}/change/").content.decode()
    assert "已经很不一样" in person.get(LIST).content.decode()


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_asks_the_same_however_long(shop, sign_in, count, django_assert_num_queries):
    for days in range(count):
        model(shop, active_from=NOW - timedelta(days=days + 1), active_until=NOW if days else None)
    person = sign_in(shop, "hq_ops")
    person.get(LIST)
    with django_assert_num_queries(QUERIES):
        page = person.get(LIST).content.decode()
    assert page.count("0.812") == count and "4.6 ×" in page and "在用" in page


def test_headquarters_reads_how_good_a_model_was_and_why_it_is_not_in_force(shop, sign_in):
    refused = model(shop, refusal="ece")
    person = sign_in(shop, "auditor")

    listed = person.get(LIST).content.decode()
    page = person.get(f"{LIST}{refused.pk}/change/").content.decode()

    assert "没有启用（概率不准），旧模型继续用" in listed
    assert "没有启用：概率不准" in page and "多久没买 ÷ 平均间隔" in page and "-0.500" in page
    assert "41.00%" in page or "41%" in page
    assert person.post(f"{LIST}{refused.pk}/change/", refusal="").status_code == 403
    assert sign_in(shop, "store_manager").get(LIST).status_code == 403
