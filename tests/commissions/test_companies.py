"""Each company pays its own people; whoever took the money of a sale makes it good, and all of them together owe 0."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from commissions import closing
from commissions.models import CompanyAccount, CompanyLeg, Entry, PayTerms, Period
from retail import scope, shapes
from tests.factories import NOW, franchisee, number, world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everything")]

RULE = {
    "id": "both",
    "calc": {"type": "rate", "ppm": 100_000},
    "split": [{"role": "serve", "weight": 6}, {"role": "bound", "weight": 4}],
}
NOVEMBER, DECEMBER = (datetime.fromisoformat(f"2026-{month}-03T09:00:00+08:00") for month in (11, 12))


@pytest.fixture
def shop():
    """The brand's own store with li; a franchisee's with wang. Whoever sells first to a buyer is bound to them."""
    made = world()
    made.hire("li")
    made.company = franchisee()
    made.theirs = made.another_store(franchisee=made.company)
    made.hire("wang", store=made.theirs)
    made.plan(RULE)
    return made


def sell(shop, clerk, buyer, *, fen=100_00, at=NOW):
    store = shop.theirs if clerk == "wang" else shop.store
    row = shop.order(
        lines=[{"paid_fen": fen}], serving_clerk=clerk, store_code=store.code, paid_at=at,
        buyer=(shapes.Buyer("phone", buyer),),
    )  # fmt: skip
    shop.settle(row, now=at)
    return row


@pytest.fixture
def crossed(shop):
    """A customer of wang's, who then buys 100 yuan from li: 6 to li by the brand, 4 to wang by the franchisee."""
    phone = f"138{number():08}"
    sell(shop, "wang", phone, fen=50_00, at=NOW - timedelta(hours=1))
    return sell(shop, "li", phone)


def close(shop, first="2026-10-01", now=NOVEMBER):
    return closing.close(period=Period.objects.get(brand=shop.brand, starts_on=first), by=None, now=now)


def between(period):
    """(company, other, kind, fen) of all its legs."""
    rows = CompanyLeg.objects.filter(account__period=period)
    return sorted(rows.values_list("account__company", "other", "kind", "fen"), key=str)


def test_whoever_took_the_money_makes_the_commission_good(shop, crossed):
    period = close(shop)

    company = shop.company.pk
    assert between(period) == sorted([(company, None, "recharge", 4_00), (None, company, "recharge", -4_00)], key=str)
    own, theirs = CompanyAccount.objects.filter(period=period).order_by("-company")
    assert {own.company, theirs.company} == {None, shop.company}
    sums = CompanyAccount.objects.filter(period=period).aggregate(Sum("between_fen"), Sum("net_fen"))
    booked = Entry.objects.of_staff().filter(period_booked=period).aggregate(sum=Sum("fen"))["sum"]
    assert sums == {"between_fen__sum": 0, "net_fen__sum": booked}
    # What a company bears in the end is what its own sales cost.
    account = CompanyAccount.objects.get(period=period, company=shop.company)
    assert account.net_fen - account.between_fen == 5_00


def test_a_late_refund_takes_the_same_part_back_in_its_own_period(shop, crossed):
    close(shop)
    PayTerms.objects.create(brand=shop.brand, between="nothing")  # what was agreed first holds for an order

    shop.refund(crossed, fen=25_00, now=NOVEMBER)
    late = close(shop, "2026-11-01", DECEMBER)

    assert (shop.company.pk, None, "recharge", -1_00) in between(late)
    assert CompanyAccount.objects.filter(period=late).aggregate(sum=Sum("between_fen"))["sum"] == 0


def test_a_share_of_the_net_sale_goes_to_the_company_of_the_bound_clerk(shop, crossed):
    terms = PayTerms.objects.create(brand=shop.brand, between="share", between_ppm=50_000)
    shop.refund(crossed, fen=20_01)
    assert (shop.company.pk, None, "share", 4_00) in between(close(shop))

    terms.between_ppm = 90_000
    terms.save()
    shop.refund(crossed, fen=79_99, now=NOVEMBER)
    late = close(shop, "2026-11-01", DECEMBER)

    assert (shop.company.pk, None, "share", -4_00) in between(late)


def test_each_company_sees_its_own_account_only(shop, crossed):
    period = close(shop)
    stores = frozenset({shop.theirs.pk})
    with scope.within(scope.Scope(store_ids=stores, store_brand_ids=frozenset({shop.brand.pk}))):
        assert [row.company for row in CompanyAccount.objects.filter(period=period)] == [shop.company]
        assert {row.account.company for row in CompanyLeg.objects.filter(account__period=period)} == {shop.company}


def test_legs_that_do_not_add_up_are_refused(shop, crossed):
    period = close(shop)
    leg = CompanyLeg.objects.filter(account__period=period).first()
    other = shop.settle(shop.order(serving_clerk="li"))[0]
    with pytest.raises(IntegrityError), transaction.atomic():
        CompanyLeg.objects.create(account=leg.account, order_id=other, kind="recharge", fen=1, made_at=NOVEMBER)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE commissions_companyleg SET fen = 0")
