"""Terms of pay and guarantees that contradict each other are refused where they are typed, in words."""

from commissions.models import Guarantee, PayTerms, Period
from retail import scope

USUAL = {
    "excess": "house", "min_payout_fen": "0", "leaver_debt": "house", "dispute_days": 15, "answer_days": 5,
    "between": "share", "max_fen": "600",
}  # fmt: skip


def told(page):
    return page.content.decode()


def test_a_share_is_at_most_all_and_no_guarantee_goes_beyond_the_most(shop, sign_in):
    finance = sign_in(shop, "hq_finance")
    with scope.within(scope.EVERYTHING):
        period = Period.objects.create(brand=shop.brand, starts_on="2026-10-01", ends_on="2026-11-01")
    terms = {"brand": shop.brand.pk, **USUAL}
    sure = {"brand": shop.brand.pk, "position": "clerk", "first_period": period.pk, "draw_until": 2, "recover_from": 3}

    page = finance.post("/admin/commissions/payterms/add/", **terms, between_ppm="250")
    assert "分成比例在百分之 0 到百分之 100 之间。" in told(page)
    finance.post("/admin/commissions/payterms/add/", **terms, between_ppm="25")
    page = finance.post("/admin/commissions/guarantee/add/", **sure, min_fen="800")
    assert "每人每期最多发 ¥600.00，保底不能比它多。" in told(page)
    finance.post("/admin/commissions/guarantee/add/", **sure, min_fen="500")

    with scope.within(scope.EVERYTHING):
        made = PayTerms.objects.get()
        assert (made.max_fen, made.between_ppm, Guarantee.objects.get().min_fen) == (600_00, 250_000, 500_00)
    page = finance.post(
        f"/admin/commissions/payterms/{made.pk}/change/", **terms | {"max_fen": "400"}, between_ppm="25"
    )
    assert "有一份保底是 ¥500.00（导购），最多发不能比它少。" in told(page)
