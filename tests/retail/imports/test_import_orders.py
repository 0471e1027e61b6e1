"""A CSV file of orders: good rows once, bad rows beside it with their number and the reason."""

import re
import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from commissions.models import Entry
from retail.imports import feed
from retail.imports.orders import Orders
from retail.imports.table import TableError
from retail.models import Brand, Channel, Job, Order, OrderLine, OrderVersion, Product, Refund, Store
from tests.factories import NOW, World, world
from tests.retail.imports.files import COLUMNS, failures, lines_of, text_of


@pytest.fixture
def shop(everything) -> World:
    return world()


@pytest.fixture
def put(tmp_path: Path):
    def write(rows: list[dict[str, str]], *, encoding: str = "utf-8", columns: str = COLUMNS) -> Path:
        path = tmp_path / "orders.csv"
        path.write_bytes(text_of(rows, columns).encode(encoding))
        return path

    return write


def run(path: Path, **options: object) -> feed.Report:
    return feed.run(path=path, feed=Orders(now=NOW, **options), size=2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_rows_of_one_order_make_one_order_in_any_encoding(shop, put, encoding):
    path = put(lines_of(shop, "1", "1", "2", serving_clerk="小王"), encoding=encoding)

    assert run(path).outcomes == {"created": 1}

    order = Order.objects.get()
    assert (order.serving_clerk, order.paid_fen, order.lines.count()) == ("小王", 18000, 2)
    assert Job.objects.count() == 1


def test_the_same_file_again_changes_nothing(shop, put):
    path = put([*lines_of(shop, "1", "1", "2"), *lines_of(shop, "2")])
    run(path)

    assert run(path).outcomes == {"unchanged": 2}
    assert (Job.objects.count(), OrderVersion.objects.count()) == (2, 0)


def test_rows_that_come_back_later_belong_to_the_same_order(shop, put):
    rows = [*lines_of(shop, "1", "1"), *lines_of(shop, "2"), *lines_of(shop, "3"), *lines_of(shop, "1", "2")]

    assert run(put(rows)).outcomes == {"created": 3}
    assert Order.objects.get(outer_order_id="1").lines.count() == 2


def test_bad_rows_stand_beside_the_file_and_good_ones_are_kept(shop, put):
    first, second, third = lines_of(shop, "1", "1", "2", "3")
    bad = [
        {**lines_of(shop, "2")[0], "paid_at": "2026-10-12 14:30"},
        {**lines_of(shop, "3")[0], "store_code": "nowhere"},
        {**lines_of(shop, "4")[0], "buyer_phone": "1.38E+10"},
        {**lines_of(shop, "5")[0], "channel": "fax"},
    ]
    path = put([first, {**second, "qty": "two"}, {**third, "store_code": ""}, *bad])

    report = run(path)

    assert (report.rows, report.outcomes, report.failed) == (7, {"created": 1}, 6)
    said = failures(path)
    assert said[3].startswith("qty: Expected `int`, got 'two'")
    assert said[4] == "store_code: differs from row 2 of the same order"
    assert said[5].startswith("paid_at: ")
    assert said[6] == "store_code: unknown store 'nowhere'"
    assert said[7].startswith("buyer[0]: phone")
    assert said[8] == "channel: unknown channel 'fax'"


def test_a_corrected_file_of_failed_rows_completes_its_order(shop, put):
    good, bad = lines_of(shop, "1", "1", "2")
    path = put([good, {**bad, "sku": "=cmd|'/c calc'!A1"}])
    run(path)
    failed = path.with_name("orders.failed.csv")
    text = failed.read_text(encoding="utf-8-sig")
    assert "'=cmd" in text, "a spreadsheet must not run it"
    failed.write_text(text.replace("'=cmd|'/c calc'!A1", shop.product.sku), encoding="utf-8")

    assert run(failed).outcomes == {"corrected": 1}
    assert OrderLine.objects.count() == 2
    assert run(path).outcomes == {"unchanged": 1}


def test_unknown_and_missing_columns_are_named(shop, put):
    with pytest.raises(TableError, match="unknown columns: 'colour'"):
        run(put(lines_of(shop, "1", colour="red"), columns=COLUMNS + ",colour"))
    rows = [{key: value for key, value in row.items() if key != "qty"} for row in lines_of(shop, "1")]
    with pytest.raises(TableError, match="missing columns: qty"):
        run(put(rows, columns=COLUMNS.replace("qty,", "")))


class Killed(Orders):
    """Is stopped in its third batch."""

    taken = 0

    def take(self, channel, data):
        self.taken += 1
        if self.taken == 3:
            raise KeyboardInterrupt
        return super().take(channel, data)


def test_a_killed_import_goes_on_where_it_stopped(shop, put):
    rows = [row for n in range(1, 8) for row in lines_of(shop, str(n))]
    path = put([{**rows[0], "qty": "x"}, *rows[1:]])

    with pytest.raises(KeyboardInterrupt):
        feed.run(path=path, feed=Killed(now=NOW), size=2)
    assert Order.objects.count() == 3, "two batches, one row of them bad"

    report = run(path)

    assert (report.rows, report.outcomes, report.failed) == (7, {"created": 6}, 1)
    assert list(failures(path)) == [2]
    assert not path.with_name("orders.csv.progress.json").exists()


def test_a_killed_import_takes_scattered_rows_once(shop, put, capsys):
    heads = [row for n in range(1, 6) for row in lines_of(shop, str(n), "1")]
    tails = [row for n in range(1, 6) for row in lines_of(shop, str(n), "2")]
    path = put([*heads, {**tails[0], "qty": "x"}, *tails[1:], *lines_of(shop, "9")])

    with pytest.raises(KeyboardInterrupt):
        feed.run(path=path, feed=Killed(now=NOW), size=2)
    assert Order.objects.count() == 3, "the one whose rows stand together, and two scattered ones"

    report = run(path)

    assert (report.rows, report.outcomes, report.failed) == (11, {"created": 6}, 1)
    assert list(failures(path)) == [7]
    assert "11 of 11 rows" in capsys.readouterr().err


def test_the_very_same_row_twice_is_counted_and_does_no_harm(shop, put):
    (row,) = lines_of(shop, "1")

    report = run(put([row, row]))

    assert (report.rows, report.outcomes, report.failed) == (2, {"created": 1}, 0)


def test_the_progress_of_other_content_is_ignored(shop, put):
    path = put(lines_of(shop, "1"))
    path.with_name("orders.csv.progress.json").write_text('{"digest": "other", "tally": {"done": 99}}')
    assert run(path).outcomes == {"created": 1}


def test_settling_at_once_leaves_no_job(shop, put, capsys):
    shop.hire("A1")
    shop.plan({"id": "base", "calc": {"type": "rate", "ppm": 100_000}, "split": [{"role": "serve", "weight": 1}]})

    run(put(lines_of(shop, "1", serving_clerk="A1")), settle=True)

    assert sorted(Entry.objects.values_list("fen", flat=True)) == [-900, 900]
    assert Job.objects.count() == 0
    assert re.search(r"1 of 1 rows · [\d,]+ rows/s · 0 s left", capsys.readouterr().err)


def test_what_cannot_be_settled_is_left_to_the_workers_and_said(shop, put, capsys):
    (row,) = lines_of(shop, "1")
    run(put([row]))
    Order.objects.update(settled_version=7)  # of which there is no document
    Job.objects.all().delete()

    call_command("import_orders", put([{**row, "paid_fen": "8000"}]), settle=True)

    said = capsys.readouterr()
    assert "1 orders could not be settled; the workers will try again" in said.err
    assert "0 orders created, 1 corrected" in said.out
    assert Job.objects.get().kind == "settle_order"


def test_create_missing_makes_channel_store_and_product(shop, put):
    rows = lines_of(shop, "1", channel="tmall", store_code="N1", sku="N-1", qty="2", category="鞋")
    path = put(rows, columns=COLUMNS + ",category")

    call_command("import_orders", path, brand="NEW", create_missing=True)

    order = Order.objects.get()
    assert order.channel.kind == Channel.Kind.TMALL
    assert (order.brand, order.store.brand) == (Brand.objects.get(code="NEW"), Brand.objects.get(code="NEW"))
    product = Product.objects.get(sku="N-1")
    assert (product.category.code, product.tag_fen, product.brand.code) == ("鞋", 5000, "NEW")
    assert Store.objects.filter(code="N1").exists()


def test_the_command_says_the_sum_and_exits_with_one_for_failed_rows(shop, put, capsys):
    path = put([*lines_of(shop, "1"), {**lines_of(shop, "2")[0], "qty": ""}])

    with pytest.raises(SystemExit) as exit_:
        call_command("import_orders", path)

    assert exit_.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    beside = path.with_name("orders.failed.csv")
    assert last == (
        "2 rows read: 1 orders created, 0 corrected, 0 unchanged; 1 row failed, with reasons in"
        f" {beside} (correct them there and import that file)."
    )


def test_a_file_that_is_not_there_is_one_line(everything, tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_orders", tmp_path / "none.csv")


@pytest.mark.parametrize(
    "command", ["import_orders x.csv", "import_refunds x.csv", "import_complete_journey", "api_token till", "settle"]
)
def test_without_its_tables_a_command_says_what_to_run(everything, command):
    MigrationRecorder(connection).migration_qs.filter(app="clerks").delete()

    with pytest.raises(CommandError, match=r"run `manage\.py migrate` first"):
        call_command(*command.split())


def test_the_example_of_the_documentation_is_taken_whole(everything, tmp_path):
    path = shutil.copy(Path(settings.BASE_DIR) / "docs" / "examples" / "orders.csv", tmp_path)

    call_command("import_orders", path, brand="XL", create_missing=True, settle=True)

    assert Order.objects.count() == 3


def test_refunds_are_read_the_same_way(shop, put, tmp_path, capsys):
    run(put(lines_of(shop, "1")))
    path = tmp_path / "refunds.csv"
    path.write_text(
        "channel,outer_refund_id,outer_order_id,outer_line_id,refunded_at,fen,qty\n"
        f"{shop.pos.code},R1,1,1,2026-10-13T10:00:00+08:00,500,\n"
        f"{shop.pos.code},R2,9,1,2026-10-13T10:00:00+08:00,500,\n"
        f"{shop.pos.code},R3,1,1,2026-10-13T10:00:00+08:00,500,1\n"
    )

    with pytest.raises(SystemExit):
        call_command("import_refunds", path)

    assert dict(Refund.objects.values_list("outer_refund_id", "order__outer_order_id")) == {"R1": "1", "R2": None}
    assert "1 refunds created, 0 corrected, 0 unchanged, 1 parked; 1 row failed" in capsys.readouterr().out
