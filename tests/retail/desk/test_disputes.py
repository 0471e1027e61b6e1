"""Disputes, payrolls and the accounts of companies in the admin: who may, and what is in the files."""

import csv
import io
from datetime import datetime, timedelta

import pytest
import time_machine

from clerks.outreach import disputes as doubts
from commissions import closing, plans
from commissions.models import CompanyAccount, Dispute, Entry, PayCycle, Period, PlanVersion, Statement
from retail import exports, scope, shapes
from retail.approvals import Approval
from retail.models import AuditRow, ExportFile, Order
from tests.factories import NOW, franchisee, number

NOVEMBER = datetime.fromisoformat("2026-11-03T09:00:00+08:00")
RULE = {
    "id": "both",
    "calc": {"type": "rate", "ppm": 100_000},
    "split": [{"role": "serve", "weight": 5}, {"role": "bound", "weight": 4}, {"role": "manager", "weight": 1}],
}


@pytest.fixture(autouse=True)
def november():
    with time_machine.travel(NOVEMBER, tick=False):
        yield


@pytest.fixture
def sold(shop):
    """A store of a company beside the brand's own; its customer buys from ours."""
    with scope.within(scope.EVERYTHING):
        shop.plan(RULE)
        (shop.clerk,) = shop.staff
        shop.company = franchisee()
        shop.theirs = shop.another_store(franchisee=shop.company)
        shop.seller = f"=F{number()}"  # a code that a spreadsheet would run
        shop.hire(shop.seller, store=shop.theirs)
        phone = (shapes.Buyer("phone", f"139{number():08}"),)
        early = NOW - timedelta(hours=1)
        shop.settle(shop.order(serving_clerk=shop.seller, store_code=shop.theirs.code, buyer=phone, paid_at=early))
        (pk,) = shop.settle(shop.order(serving_clerk=shop.clerk, buyer=phone))
        return Order.objects.get(pk=pk)


def close(shop):
    with scope.within(scope.EVERYTHING):
        period = Period.objects.get(brand=shop.brand, starts_on="2026-10-01")
        return closing.close(period=period, by=None, now=NOVEMBER)


def press(person, case, button, **given):
    return person.post(f"/admin/commissions/dispute/{case.pk}/{button}/", _form_submitted="True", **given)


@pytest.fixture
def case(shop, sold, sign_in):
    with scope.within(scope.EVERYTHING):
        line = sold.lines.get()
        given = {"order_id": sold.pk, "line_id": line.pk, "reason": "少算了一件的", "now": NOVEMBER}
        return doubts.open_line(staff=shop.staff[shop.clerk], by=None, **given)


def test_one_page_has_all_an_answer_needs(shop, sold, case, sign_in, django_assert_max_num_queries):
    manager = sign_in(shop, "store_manager")
    manager.get("/admin/")
    with django_assert_max_num_queries(62):
        page = manager.get(f"/admin/commissions/dispute/{case.pk}/change/").content.decode()
    for said in (
        "少算了一件的",
        "顾客的专属导购",
        "付款时",
        "业绩归因",
        "付款时是会员的专属导购",
        "佣金池",
        "已经记的账",
    ):
        assert said in page
    assert shop.seller not in page  # a colleague of another company's
    assert "少算了" in manager.get("/admin/commissions/dispute/").content.decode()
    assert "少算了" not in manager.get("/admin/commissions/dispute/", state="overdue").content.decode()
    with time_machine.travel(NOVEMBER + timedelta(days=6), tick=False):
        finance = sign_in(shop, "hq_finance")
        assert "少算了" in finance.get("/admin/commissions/dispute/", state="overdue").content.decode()
        whole = finance.get(f"/admin/commissions/dispute/{case.pk}/change/").content.decode()
    assert "的专属顾客" in whole and "门店首单" in whole  # what the relation rests on
    assert "的专属顾客" not in page


def test_whoever_writes_the_plan_makes_a_case_of_the_order_in_doubt(shop, sold, case, sign_in):
    with scope.within(scope.EVERYTHING):
        held = PlanVersion.objects.get(plan__brand=shop.brand)
        draft = plans.copy(version=held, by=None, now=NOVEMBER)
    to_case = f"/admin/commissions/planversion/{draft.pk}/case-of-order/?order={sold.outer_order_id}"
    page = f"/admin/commissions/dispute/{case.pk}/change/"
    writer = sign_in(shop, "hq_ops")
    assert to_case in writer.get(page).content.decode()
    assert sold.outer_order_id in writer.get(to_case).content.decode()
    assert to_case not in sign_in(shop, "store_manager").get(page).content.decode()


def test_a_manager_explains_and_proposes_and_finance_agrees(shop, case, sign_in):
    manager, finance = sign_in(shop, "store_manager"), sign_in(shop, "hq_finance")
    press(manager, case, "propose", fen="2.50", text="确实少算了")
    with scope.within(scope.EVERYTHING):
        asked = Approval.objects.get()
        assert (asked.before, set(asked.after)) == ({}, {"对什么", "谁", "疑问", "调整"})
        approval = Approval.objects.get()
        assert (approval.kind, approval.asked_by) == ("dispute.adjust", manager.user)
    press(manager, case, "explain", text="改主意了，没有错")  # while it waits nothing else is said
    finance.post(f"/admin/retail/approval/{approval.pk}/agree/", _form_submitted="True")
    with scope.within(scope.EVERYTHING):
        assert Entry.objects.of_staff().get(kind="adjust").fen == 2_50
        assert Dispute.objects.get().outcome == "adjusted"
        assert set(AuditRow.objects.values_list("action", flat=True)) >= {"dispute.open", "dispute.close"}


def test_whoever_has_a_part_in_it_or_stands_elsewhere_cannot_answer(shop, sold, case, sign_in):
    with scope.within(scope.EVERYTHING):
        elsewhere = shop.another_store()
    stranger = sign_in(shop, "store_manager", store=elsewhere)
    company = sign_in(shop, "franchise_owner", franchisee=shop.company)
    for person in (stranger, company):
        assert person.get(f"/admin/commissions/dispute/{case.pk}/change/").status_code == 404
        assert press(person, case, "explain", text="没有问题的").status_code in (302, 403, 404)
    with scope.within(scope.EVERYTHING):
        party = sign_in(shop, "store_manager")
        shop.settle(shop.order(serving_clerk=shop.clerk, paid_at=NOVEMBER), now=NOVEMBER)
        mine = Order.objects.latest("pk")
        given = {"order_id": mine.pk, "line_id": mine.lines.get().pk, "reason": "店长也有份的", "now": NOVEMBER}
        other = doubts.open_line(staff=shop.staff[shop.clerk], by=None, **given)
    assert "您自己也有份" in party.get(f"/admin/commissions/dispute/{other.pk}/change/").content.decode()
    assert press(party, other, "explain", text="没有问题的").status_code == 403
    with scope.within(scope.EVERYTHING):
        assert not Dispute.objects.exclude(closed_at=None).exists()


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def rows_of(answer):
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


def account(shop, company):
    with scope.within(scope.EVERYTHING):
        return CompanyAccount.objects.get(company=company, period__brand=shop.brand)


def download(person, account, file):
    return person.post(f"/admin/commissions/companyaccount/{account.pk}/{file}/", format="csv")


def test_the_payroll_of_a_company_adds_up_and_runs_no_formula(shop, sold, sign_in):
    period = close(shop)
    finance = sign_in(shop, "hq_finance")
    page = finance.get(f"/admin/commissions/companyaccount/{account(shop, shop.company).pk}/change/")
    assert "应收" in page.content.decode() and "¥4.00" in page.content.decode()

    *people, total = rows_of(download(finance, account(shop, shop.company), "payroll"))

    with scope.within(scope.EVERYTHING):
        owed = {row.staff.code: row for row in Statement.objects.filter(period=period, payer=shop.company)}
        assert [row["工号"] for row in people] == [f"'{shop.seller}"] and set(owed) == {shop.seller}
        assert (people[0]["佣金"], people[0]["应发"]) == ("13.00", "13.00")
        assert (total["工号"], total["佣金"], total["应发"]) == ("合计", "13.00", "13.00")
        assert AuditRow.objects.filter(action="export", by=finance.user).count() == 1
    (order, legs) = rows_of(download(finance, account(shop, shop.company), "orders"))
    assert (order["单号"], order["对方公司"], order["应收（负数是应付）"]) == (
        sold.outer_order_id,
        shop.brand.name,
        "4.00",
    )
    assert legs["应收（负数是应付）"] == "4.00"


def test_a_franchisee_takes_its_own_files_and_nobody_else_s(shop, sold, sign_in):
    period = close(shop)
    owner = sign_in(shop, "franchise_owner", franchisee=shop.company)
    other = sign_in(shop, "franchise_owner", franchisee=_another(shop))
    manager = sign_in(shop, "store_manager", store=shop.theirs)
    own, brands = account(shop, shop.company), account(shop, None)

    assert rows_of(download(owner, own, "payroll"))[0]["姓名"]
    for file in ("payroll", "orders"):
        assert download(owner, own, file).status_code == 200
        assert download(owner, brands, file).status_code == 404
        assert download(other, own, file).status_code == 404
        assert download(manager, own, file).status_code == 403
    with scope.within(scope.EVERYTHING):  # a statement of before the store became the franchisee's
        old = Statement.objects.filter(period=period, payer=None).first()
        Statement.objects.create(period=period, staff=shop.staff[shop.seller], store=shop.theirs, net_fen=0, pay_fen=0,
                                 made_at=NOVEMBER)  # fmt: skip
    assert old is not None
    listed = owner.get("/admin/commissions/statement/").content.decode()
    assert listed.count('class="field-person') <= 1 or shop.brand.name not in listed


def _another(shop):
    with scope.within(scope.EVERYTHING):
        company = franchisee()
        shop.another_store(franchisee=company)
        return company


def test_a_long_payroll_takes_two_persons(shop, sold, sign_in, monkeypatch):
    close(shop)
    monkeypatch.setattr(exports, "MOST_ALONE", 0)
    finance = sign_in(shop, "hq_finance")
    own = account(shop, shop.company)

    assert "要另一个人同意" in download(finance, own, "payroll").content.decode()
    answer = finance.post(
        f"/admin/commissions/companyaccount/{own.pk}/payroll/", format="csv", reason="发十月工资"
    )  # fmt: skip

    assert answer.status_code == 302
    with scope.within(scope.EVERYTHING):
        assert ExportFile._base_manager.filter(model="commissions.statement", count=1).exists()


def test_finance_changes_the_pay_cycle_for_the_future_only(shop, sold, sign_in):
    finance = sign_in(shop, "hq_finance")
    with scope.within(scope.EVERYTHING):
        free = Period.objects.filter(brand=shop.brand).order_by("-ends_on").first().ends_on
    page = "/admin/commissions/paycycle/add/"
    past = finance.post(page, brand=shop.brand.pk, since=free - timedelta(days=1), days="26")
    assert "以前的结算期已经有了" in past.content.decode()
    assert finance.post(page, brand=shop.brand.pk, since=free, days="26,11").status_code == 302
    with scope.within(scope.EVERYTHING):
        assert PayCycle.objects.get().days == [11, 26]
