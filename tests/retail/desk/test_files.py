"""P12: long lists take two persons, lie sealed, die within a day, and are the asker's alone."""

import csv
import io
import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import connection
from django.utils import timezone

from retail import approvals, database, exports, jobs, logins, privacy, retention, scope, tasks
from retail.approvals import Approval
from retail.models import AuditRow, ExportFile, Job, Order, Post
from tests.factories import franchisee, world
from tests.figures import figure
from tests.logins import logged_in

LIST, FILES = "/admin/retail/order/", "/admin/retail/exportfile/"
WHY = "和商场核对"


@pytest.fixture
def sales(shop, monkeypatch) -> list[Order]:
    """Three orders, where two are the most for one person."""
    monkeypatch.setattr(exports, "MOST_ALONE", 2)
    with scope.within(scope.EVERYTHING):
        shop.take(*(shop.order() for _ in range(3)))
        return list(Order.objects.order_by("pk"))


def wanted(person, orders, kind="export_csv", **more):
    return person.client.post(LIST, {"action": kind, "_selected_action": [order.pk for order in orders], **more})


def asked(person, orders, **more) -> ExportFile:
    assert wanted(person, orders, reason=WHY, **more)["Location"] == FILES
    return ExportFile._base_manager.latest("pk")


def agree(person, row: ExportFile) -> int:
    path = f"/admin/retail/approval/{row.approval_id}/agree/"
    return person.client.post(path, {"_form_submitted": "True"}).status_code


def work() -> None:
    ids = list(Job.objects.pending().filter(kind=exports.MAKE).values_list("pk", flat=True))
    assert jobs.run(ids=ids, registry=tasks.REGISTRY) == len(ids)


def download(person, row: ExportFile):
    return person.client.post(f"{FILES}{row.pk}/download/")


def acts(*names: str) -> list[AuditRow]:
    return list(AuditRow._base_manager.filter(action__in=names).order_by("pk"))


def test_a_long_list_waits_for_a_second_person_and_is_downloaded_by_the_asker_alone(shop, sales, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")

    page = wanted(ops, sales).content.decode()
    assert "要另一个人同意" in page and not ExportFile._base_manager.exists()
    hidden = re.findall(r'type="hidden" name="(_selected_action|action)" value="(\w+)"', page)
    assert len(hidden) == 4
    row = asked(ops, sales)
    assert download(ops, row).status_code == 302 and acts("export.download") == []
    assert agree(ops, row) == 403, "who asked does not decide"
    said = finance.get(f"/admin/retail/approval/{row.approval_id}/change/").content.decode()
    assert "订单 3 行（CSV）" in said and WHY in said
    assert agree(finance, row) == 200
    work()

    row.refresh_from_db()
    assert bytes(sales[0].outer_order_id, "ascii") not in bytes(row.sealed)
    shown = ops.get(f"{FILES}{row.pk}/change/").content.decode()
    assert f"{FILES}{row.pk}/download/" in shown and "可以下载" in shown
    answers = [download(ops, row) for _ in range(2)]
    lines = list(csv.reader(io.StringIO(b"".join(answers[0].streaming_content).decode()[1:])))
    assert [line[0] for line in lines[1:]] == [order.outer_order_id for order in sorted(sales, key=_as_listed)]
    assert "attachment" in answers[0]["Content-Disposition"]
    others = [download(finance, row).status_code, finance.get(f"{FILES}{row.pk}/change/").status_code]
    assert others == [404, 404] and row.approval.title == "大批导出"
    journal = [(one.action, one.by) for one in acts("approval.ask", "approval.approve", "export", "export.download")]
    assert journal == [
        ("approval.ask", ops.user),
        ("approval.approve", finance.user),
        *[("export.download", ops.user)] * 2,
    ]
    figure("P12", "an export above the limit: two persons, sealed, 1 row each for ask, approval and 2 downloads")


def _as_listed(order: Order):
    return (-order.paid_at.timestamp(), -order.pk)


def test_a_file_is_dead_after_a_day(shop, sales, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    row = asked(ops, sales)
    agree(finance, row)
    work()

    with time_machine.travel(timezone.now() + timedelta(hours=24, minutes=1), tick=True):
        row.refresh_from_db()
        assert row.state_at(timezone.now()) == "gone"
        with pytest.raises(exports.Refused):
            exports.open_file(row=row, by=ops.user, now=timezone.now())
        assert retention.forget(now=timezone.now())["exported files"] == 1
    row.refresh_from_db()
    assert row.sealed is None


def test_a_refusal_says_why_and_no_file_is_made(shop, sales, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    row = asked(ops, sales)
    path = f"/admin/retail/approval/{row.approval_id}/refuse/"

    assert "answer" in finance.client.post(path, {"_form_submitted": "True"}).content.decode()
    finance.client.post(path, {"_form_submitted": "True", "answer": "太多了"})

    assert "太多了" in ops.get(f"{FILES}{row.pk}/change/").content.decode()
    row = ExportFile._base_manager.select_related("approval").get()
    assert row.state_at(timezone.now()) == "refused" and acts("approval.refuse")[0].reason == "太多了"


@pytest.mark.parametrize("end", ["account", "post"])
def test_who_has_left_meanwhile_gets_no_file(shop, sales, sign_in, end):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    row = asked(ops, sales)
    agree(finance, row)
    if end == "account":
        ops.user.is_active = False
        ops.user.save()
    else:
        ops.staff.posts.update(ends_at=timezone.now())
    work()

    row.refresh_from_db()
    assert row.sealed is None and row.state_at(timezone.now()) == "gone"


def test_the_page_of_an_approval_says_what_became_of_it(shop, sales, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    row = asked(ops, sales)
    path = f"/admin/retail/approval/{row.approval_id}/change/"
    before = finance.get(path).content.decode()
    for words in ("每行有", "单号、渠道、品牌", f"{ops.staff}（", "desk-button", f"{row.approval_id}/agree/"):
        assert words in before
    assert "agree/" not in ops.get(path).content.decode()

    agree(finance, row)
    running = finance.get(path).content.decode()
    Job.objects.filter(kind=exports.MAKE).update(state="dead", last_error="Traceback\nOSError: disk full")
    failed = finance.get(path).content.decode()
    Job.objects.filter(kind=exports.MAKE).update(state="due", last_error="")
    work()

    assert "正在执行" in running and "执行失败：OSError: disk full" in failed
    assert "已完成" in finance.get(path).content.decode() and "agree/" not in failed


def test_who_may_no_longer_export_gets_nothing(shop, sales, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    row, other = asked(ops, sales), asked(ops, sales, kind="export_xlsx")
    agree(finance, row)
    work()
    Permission.objects.get(codename="export_order").group_set.clear()

    assert download(ops, row).status_code == 302 and acts("export.download") == []
    agree(finance, other)
    assert not Job.objects.pending().filter(kind=exports.MAKE).exists()
    other = ExportFile._base_manager.select_related("approval").get(pk=other.pk)
    assert other.approval.state == "lapsed" and "权限" in other.approval.answer
    assert [one.target_id for one in acts("approval.lapse")] == [str(other.approval_id)]


def test_the_same_is_not_asked_for_twice_while_it_waits(shop, sales, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    first = asked(ops, sales)
    again = wanted(ops, sales, reason=WHY)
    assert "已经提交过" in again.content.decode() and ExportFile._base_manager.count() == 1
    agree(finance, first)
    assert asked(ops, sales) != first


def test_an_empty_list_says_whether_anything_was_looked_for(shop, sign_in):
    ops = sign_in(shop, "hq_ops")

    nothing, sought = ops.get(FILES).content.decode(), ops.get("/admin/retail/approval/?state__exact=refused")

    assert "这里还没有内容" in nothing and "换个条件" not in nothing
    assert "换个条件试试" in sought.content.decode()


def test_a_day_has_a_sum_for_one_person(shop, sales, sign_in, settings):
    settings.EXPORT_ROWS_PER_DAY = 5
    ops, other = sign_in(shop, "hq_ops"), sign_in(shop, "hq_ops")

    answers = ["Content-Disposition" in wanted(ops, sales[:2]).headers for _ in range(3)]

    assert answers == [True, True, False]
    assert "Content-Disposition" in wanted(ops, sales[:1]).headers, "up to the sum"
    assert "Content-Disposition" in wanted(other, sales[:2]).headers
    with time_machine.travel(timezone.now() + timedelta(days=1), tick=True), scope.within(scope.EVERYTHING):
        assert exports.taken_today(by=ops.user, now=timezone.now()) == 0


def test_without_a_purpose_nobody_is_asked(shop, sales, sign_in):
    ops = sign_in(shop, "hq_ops")

    page = wanted(ops, sales, reason=" ").content.decode()

    assert "用来做什么" in page and not Approval._base_manager.exists() and not ExportFile._base_manager.exists()


def test_too_many_are_too_many_for_two(shop, sales, sign_in, monkeypatch):
    monkeypatch.setattr(exports, "MOST", 2)

    page = wanted(sign_in(shop, "hq_ops"), sales, reason=WHY).content.decode()

    assert "最多导出 2 行" in page and not ExportFile._base_manager.exists()


@pytest.mark.django_db(transaction=True)
def test_the_database_shows_a_request_only_its_own_files(shop, sales, sign_in, everything):
    ops, other = sign_in(shop, "hq_ops"), sign_in(shop, "hq_ops")
    asked(ops, sales)

    def seen(**published) -> int:
        with database.published(scope.EVERYTHING, **published):
            return ExportFile._base_manager.count()

    with logged_in(logins.WEB):
        assert [seen(), seen(person=other.user.pk), seen(person=ops.user.pk)] == [0, 0, 1]
        assert ExportFile._base_manager.count() == 0
    with logged_in(logins.JOB):
        assert ExportFile._base_manager.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_whole_way_as_the_logins_of_production(shop, sales, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    with logged_in(logins.WEB):
        assert wanted(ops, sales, reason=WHY).status_code == 302
    row = ExportFile._base_manager.get()
    with logged_in(logins.WEB):
        assert agree(finance, row) == 200
    with logged_in(logins.JOB):
        work()
    with logged_in(logins.WEB):
        assert download(ops, row).status_code == 200
        assert download(finance, row).status_code == 404
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM retail_exportfile WHERE sealed IS NOT NULL")
        assert cursor.fetchone() == (1,)


def test_what_expires_undecided_is_in_the_journal(shop, sales, sign_in, everything):
    row = asked(sign_in(shop, "hq_ops"), sales)
    later = timezone.now() + timedelta(days=8)

    assert (approvals.expire(now=later), approvals.expire(now=later)) == (1, 0)

    assert [(one.by, one.target_id) for one in acts("approval.expire")] == [(None, str(row.approval_id))]
    row = ExportFile._base_manager.select_related("approval").get()
    assert row.state_at(later) == "gone"


def test_a_file_holds_what_the_asker_sees_by_then_and_nothing_else(shop, sales, sign_in, everything):
    """Rows chosen as headquarters, by somebody who has gone to one store before the job ran."""
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    elsewhere = world()
    elsewhere.take(elsewhere.order())
    theirs = Order.objects.latest("pk")
    row = asked(ops, [*sales, theirs])
    agree(finance, row)
    Post._base_manager.filter(pk=row.post_id).update(role="store_manager", store=shop.store)
    work()

    row.refresh_from_db()
    written = privacy.opened(row, "sealed").decode()
    assert all(order.outer_order_id in written for order in sales) and theirs.outer_order_id not in written


def test_a_franchise_owner_finds_their_own_files(shop, sign_in, everything):
    company = franchisee()
    type(shop.store)._base_manager.filter(pk=shop.store.pk).update(franchisee=company)
    owner, ops = sign_in(shop, "franchise_owner", franchisee=company), sign_in(shop, "hq_ops")
    files = [
        ExportFile.objects.create(
            model="commissions.statement", format="csv", ids=[], count=0, reason=f"给{one.user.pk}号",
            asked_by=one.user, asked_at=timezone.now(), post=one.staff.posts.get(),
        )
        for one in (owner, ops)
    ]  # fmt: skip

    page = owner.client.get(FILES).content.decode()

    assert files[0].reason in page and files[1].reason not in page
    assert "导出文件" in owner.client.get("/admin/").content.decode()
    assert [owner.get(f"{FILES}{file.pk}/change/").status_code for file in files] == [200, 404]
