"""Who is held out is drawn once, gets the same lead, is shown to nobody, and says what leads bring."""

import csv
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from clerks.leads import dealing, holdout, report
from clerks.leads.models import Holdout, Lead, LeadPolicy
from clerks.leads.report import Arm
from members.models import Member, Purchase
from retail.models import Order
from tests.clerks.leads.scene import NOON, Scene
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("everything")


def test_arms_are_fixed_for_the_quarter_and_drawn_anew_for_the_next(everything: None) -> None:
    scene = Scene.make(holdout_ppm=300_000)
    brand = scene.shop.brand
    one = holdout.of_quarter(brand=brand, day=NOON.date())
    LeadPolicy.objects.update(holdout_ppm=0)
    again = holdout.of_quarter(brand=brand, day=NOON.date().replace(month=12))
    other = holdout.of_quarter(brand=brand, day=NOON.date().replace(year=2027, month=1))
    assert (one, one.ppm, other.ppm) == (again, 300_000, 0) and one.salt != other.salt
    other.ppm = 300_000
    drawn = [{pk for pk in range(4000) if holdout.is_withheld(holdout=h, member_id=pk)} for h in (one, other)]
    assert all(1000 < len(some) < 1400 for some in drawn)
    assert 250 < len(drawn[0] & drawn[1]) < 470  # 9 %: as if they were drawn by themselves


def test_the_database_draws_the_same_and_answers_are_withheld_from_nobody(everything: None) -> None:
    scene = Scene.make(holdout_ppm=500_000)
    people = [scene.member() for _ in range(24)]
    for member in people:
        scene.did(member, "cart", hours_ago=5, product_id=scene.shop.product.pk)
        scene.did(member, "asked", hours_ago=3)
    scene.make_leads()
    drawn = Holdout.objects.get()
    arms = {row.member_id: row for row in Lead._base_manager.filter(kind="cart")}
    wanted = {one.pk for one in people if holdout.is_withheld(holdout=drawn, member_id=one.pk)}
    assert {pk for pk, row in arms.items() if row.arm == "withheld"} == wanted and 4 < len(wanted) < 20
    assert all((row.state == "withheld") == (pk in wanted) and row.staff_id for pk, row in arms.items())
    assert set(Lead.objects.filter(kind="cart").values_list("member", flat=True)) == set(arms) - wanted
    assert Lead.objects.filter(kind="asked").count() == 24

    dealing.end(brand=scene.shop.brand, now=NOON + timedelta(days=5))
    held = Lead._base_manager.filter(arm="withheld")
    assert held.filter(closed_at=None).count() == 0 and set(held.values_list("state", flat=True)) == {"withheld"}


def outcome(scene: Scene, *, arm: str, fen: int, days: float, member: Member | None = None) -> Member:
    """A lead of ten days ago, and what its customer bought so many days after it, net of what came back."""
    member = member or scene.member()
    at = NOW - timedelta(days=40)
    Lead._base_manager.create(
        brand=scene.shop.brand, member=member, kind="cart", rank=3, source=f"x{member.pk}:{days}", arm=arm,
        state="withheld" if arm == "withheld" else "new", store=scene.shop.store, created_at=at, expires_at=NOW,
    )  # fmt: skip
    if fen:
        made = Order.objects.create(
            channel=scene.shop.pos, brand=scene.shop.brand, outer_order_id=f"O{member.pk}-{days}",
            paid_fen=fen, tag_fen=fen, paid_at=at + timedelta(days=days), received_at=NOW,
        )  # fmt: skip
        membership = member.memberships.get()
        Purchase.objects.create(order=made, membership=membership, paid_at=made.paid_at, net_fen=fen, is_first=False)
    return member


def test_the_report_compares_all_who_were_drawn(everything: None) -> None:
    scene = Scene.make(holdout_ppm=500_000)
    outcome(scene, arm="treated", fen=1000, days=3)
    outcome(scene, arm="treated", fen=5000, days=10)
    outcome(scene, arm="treated", fen=0, days=1)
    outcome(scene, arm="withheld", fen=400, days=20)
    days = (NOW - timedelta(days=40)).date()
    table = {(one.kind, one.days): one for one in report.lines(
        brand=scene.shop.brand, first=days, last=days, now=NOW
    )}  # fmt: skip
    assert table["cart", 7].treated == Arm(3, 1, 1000, 1e6) and table["cart", 7].withheld == Arm(1, 0, 0, 0.0)
    assert table["all", 14].treated == Arm(3, 2, 6000, 26e6)
    assert table["cart", 30].withheld == Arm(1, 1, 400, 160_000.0)
    assert table["likely", 7].treated == Arm() and not table["all", 30].is_enough

    out = StringIO()
    call_command("lead_report", brand=scene.shop.brand.code, first=days, last=days, stdout=out)
    rows = list(csv.DictReader(StringIO(out.getvalue())))
    assert len(rows) == 3 * 10 and rows[0]["kind"] == "all" and rows[0]["treated"] == "3"
    assert rows[0]["fen_effect"] == "" and int(rows[0]["more_needed"]) > 100
    assert rows[-1]["treated_rate"] == "" and rows[0]["treated_rate"]  # of nobody there is no share


@given(st.integers(2, 60), st.integers(2, 60), st.integers(1, 500))
def test_an_interval_holds_its_effect_and_narrows_with_more(one: int, other: int, times: int) -> None:
    def line(factor: int) -> report.Line:
        treated = Arm(100 * factor, one * factor, one * 900 * factor, one * 810_000.0 * factor)
        withheld = Arm(100 * factor, other * factor, other * 900 * factor, other * 810_000.0 * factor)
        return report.Line("all", 7, treated, withheld, 0)

    few, many = line(1), line(1 + times)
    for effect in (few.rate, few.fen):
        assert effect.low <= effect.value <= effect.high
    assert many.fen.high - many.fen.low < few.fen.high - few.fen.low
    assert abs(many.fen.value - few.fen.value) < 1e-6 and few.fen.value == pytest.approx(9 * (one - other))
    needed = report.more_needed(treated=few.treated, withheld=few.withheld, holdout=0.1)
    assert report.more_needed(treated=many.treated, withheld=many.withheld, holdout=0.1) <= needed
