"""Files as they should not be: cut, damaged, twice, at once, killed. The good rows once, the bad ones with reasons."""

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from retail import scope
from retail.imports import feed
from retail.imports.orders import Orders
from retail.imports.scattered import Scattered
from retail.models import Order, OrderLine, OrderVersion
from retail.orders import Taken
from tests.factories import NOW, World, world
from tests.retail.imports.files import COLUMNS, failures, lines_of, text_of


class Said(NamedTuple):
    last: str
    code: int


def import_(path: Path, **options: object) -> Said:
    """Run the command; its last line and the status it ends with."""
    out = io.StringIO()
    try:
        call_command("import_orders", path, stdout=out, **options)
    except SystemExit as exit_:
        return Said(out.getvalue().splitlines()[-1], exit_.code)
    return Said(out.getvalue().splitlines()[-1], 0)


@pytest.fixture
def shop(everything) -> World:
    return world()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


def counts() -> tuple[int, int, int]:
    return Order.objects.count(), OrderLine.objects.count(), OrderVersion.objects.count()


# ── Cut off ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def content_of(shop: World) -> bytes:
    """Five orders of one row each; the category before the last cell is quoted and goes over two lines."""
    rows = [lines_of(shop, str(n), serving_clerk="小王", category='鞋,\n"帆布"')[0] for n in range(1, 6)]
    columns = COLUMNS.replace("paid_fen", "category,paid_fen")
    return text_of(rows, columns).encode()


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("小".encode(), "ends here without a line break"),
        ("帆".encode(), "ends inside a quoted cell that begins in this row"),
        (b"10000,", "ends here without a line break"),
        (b"9000\r", "ends here without a line break"),
    ],
    ids=["amid a character", "amid a quoted cell", "amid a row", "amid the last figure"],
)
def test_the_row_at_which_a_file_is_cut_is_not_taken(shop, path, at, reason):
    whole = content_of(shop)
    path.write_bytes(whole[: whole.rindex(at) + 1])

    said = import_(path)

    assert said.code == 1
    assert said.last.startswith("5 rows read: 4 orders created, 0 corrected, 0 unchanged; 1 row failed, with reasons")
    assert "the file is CUT OFF in its last row: fetch it again" in said.last
    assert reason in failures(path)[6]
    assert sorted(set(Order.objects.values_list("outer_order_id", "paid_fen"))) == [
        (str(n), 9000) for n in range(1, 5)
    ]

    path.write_bytes(whole)
    assert import_(path).last == "5 rows read: 1 orders created, 0 corrected, 4 unchanged; 0 rows failed."
    assert counts() == (5, 5, 0)


def test_a_file_cut_after_a_line_break_inside_a_quoted_cell(shop, path):
    rows = [lines_of(shop, str(n), category='鞋\n"帆布"')[0] for n in (1, 2)]
    whole = text_of(rows, COLUMNS + ",category").encode()
    path.write_bytes(whole[: whole.rindex("鞋\n".encode()) + 4])

    assert "CUT OFF" in import_(path).last
    assert list(failures(path)) == [3]
    assert counts() == (1, 1, 0)


# ── Encodings ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("encoding", "note"), [("utf-8-sig", ""), ("gb18030", "; read as GB18030")])
def test_encodings_of_spreadsheets_are_read(shop, path, encoding, note):
    path.write_bytes(text_of(lines_of(shop, "1", serving_clerk="小王")).encode(encoding))

    assert import_(path).last == f"1 row read: 1 orders created, 0 corrected, 0 unchanged; 0 rows failed{note}."
    assert Order.objects.get().lines.get().serving_clerk == "小王"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "shift-jis", "random"])
def test_other_encodings_are_refused_and_nothing_is_taken(shop, path, encoding):
    text = text_of([row for n in range(40) for row in lines_of(shop, str(n), serving_clerk="é ü ß")])
    if encoding == "random":
        path.write_bytes(random.Random(1).randbytes(5000))
    elif encoding == "shift-jis":
        path.write_bytes(text.replace("é ü ß", "ポ ー ｱ 王").encode(encoding))
    else:
        path.write_bytes(text.encode(encoding))

    said = "is UTF-16" if encoding.startswith("utf-16") else "neither UTF-8 nor GB18030"
    with pytest.raises(CommandError, match=rf"orders\.csv: {said}; save it as CSV UTF-8\.$"):
        import_(path)

    assert counts() == (0, 0, 0)
    assert [entry.name for entry in path.parent.iterdir()] == ["orders.csv"]


@pytest.mark.parametrize(("encoding", "clerk"), [("utf-8", "小王"), ("gb18030", "小王"), ("utf-8", "A1")])
def test_a_row_with_damaged_bytes_fails_and_the_others_are_read_right(shop, path, encoding, clerk):
    """小王 in UTF-8 can be read as three other characters of GB18030."""
    rows = [row for n in range(1, 41) for row in lines_of(shop, str(n), serving_clerk=clerk)]
    lines = text_of(rows).encode(encoding).splitlines(keepends=True)
    lines[7] = lines[7].replace(b",1,", b",\xff\xfe,", 1)
    path.write_bytes(b"".join(lines))

    assert "40 rows read: 39 orders created" in import_(path).last
    assert failures(path) == {8: f"holds bytes that are not {encoding.upper()}"}
    assert set(OrderLine.objects.values_list("serving_clerk", flat=True)) == {clerk}


def test_nul_bytes_fail_their_row(shop, path):
    path.write_text(
        text_of([*lines_of(shop, "1"), *lines_of(shop, "2", serving_clerk="A\x001"), *lines_of(shop, "3")])
    )

    assert "3 rows read: 2 orders created" in import_(path).last
    assert failures(path)[3].startswith("serving_clerk: ")


# ── Bad rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────
WRONG = {
    "qty": "two",
    "paid_at": "45321.5",
    "sku": "ghost",
    "store_code": "nowhere",
    "buyer_phone": "1.38E+10",
    "paid_fen": "90,00",
    "channel": "fax",
    "outer_order_id": "",
    "tag_fen": "10000000000000",
    "outer_line_id": "x" * 65,
}


def test_one_bad_row_in_a_hundred(shop, path):
    """2 000 rows, 20 of them bad, half of these beside a good one; corrected where they stand they make it whole."""
    good = [row for n in range(800) for row in lines_of(shop, str(n), "1", "2")]
    good += [row for n in range(800, 1200) for row in lines_of(shop, str(n))]
    places = [*range(37, 1600, 160), *range(1601, 2000, 40)]
    spoiled = dict(zip(places, [*WRONG.items(), *WRONG.items()], strict=True))
    path.write_text(text_of([row | dict([spoiled[n]]) if n in spoiled else row for n, row in enumerate(good)]))

    said = import_(path)

    failed = path.with_name("orders.failed.csv")
    assert said == (
        "2,000 rows read: 1,190 orders created, 0 corrected, 0 unchanged; 20 rows failed, with reasons in"
        f" {failed} (correct them there and import that file).",
        1,
    )
    reasons = failures(path)
    assert {row: reasons[row].partition(":")[0].partition("[")[0] for row in reasons} == {
        place + 2: column.replace("buyer_phone", "buyer") for place, (column, _) in spoiled.items()
    }
    assert counts() == (1190, 1980, 0)

    header = failed.read_text(encoding="utf-8-sig").splitlines()[0]
    failed.write_text(text_of([good[row - 2] | {"failed_row": str(row)} for row in reasons], header))
    assert import_(failed) == ("20 rows read: 10 orders created, 10 corrected, 0 unchanged; 0 rows failed.", 0)
    assert counts() == (1200, 2000, 10)
    assert set(OrderLine.objects.values_list("paid_fen", flat=True)) == {9000}
    assert import_(path).last.startswith("2,000 rows read: 0 orders created, 0 corrected, 1,190 unchanged; 20 rows")


def test_a_quotation_mark_that_is_missing_is_named(shop, path):
    lines = text_of([row for n in range(1, 7) for row in lines_of(shop, str(n), serving_clerk="A1")]).splitlines(True)
    lines[2] = lines[2].replace("A1", '"A1')
    lines[4] = lines[4].replace(",138", ',"138')
    path.write_text("".join(lines))

    assert "4 rows read: 3 orders created" in import_(path).last
    assert failures(path)[3].endswith("over several lines: is a quotation mark missing?")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty: the first row has to name the columns"),
        ("\n\n", "is empty: the first row has to name the columns"),
        (COLUMNS.replace("qty", "amount") + "\n", "unknown columns: 'amount'; known are "),
        (COLUMNS.replace("qty,", "") + "\n", "missing columns: qty"),
        (COLUMNS + ",qty\n", "columns that appear twice: qty"),
        (COLUMNS.replace(",", ";") + "\n", "unknown columns: 'channel;"),
    ],
)
def test_a_file_that_is_no_table_of_orders_is_refused_in_one_line(everything, path, content, said):
    path.write_text(content)

    with pytest.raises(CommandError, match=r"^[^\n]*$") as error:
        import_(path)

    assert str(error.value).startswith(f"{path}: {said}")


def test_a_header_alone_is_nothing(everything, path):
    path.write_text(COLUMNS + "\n")

    assert import_(path) == ("0 rows read: 0 orders created, 0 corrected, 0 unchanged; 0 rows failed.", 0)


# ── Twice, at once, killed ───────────────────────────────────────────────────────────────────────────────────────────
def test_the_same_file_twice(shop, path):
    path.write_text(text_of([*lines_of(shop, "1", "1", "2"), *lines_of(shop, "2")]))
    import_(path)

    assert import_(path).last == "3 rows read: 0 orders created, 0 corrected, 2 unchanged; 0 rows failed."
    assert counts() == (2, 3, 0)


def start(path: Path) -> subprocess.Popen[str]:
    """The command in a process of its own, on the database of the test."""
    given = os.environ | {"DATABASE_URL": f"postgresql:///{connection.settings_dict['NAME']}"}
    command = [sys.executable, "manage.py", "import_orders", str(path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=given, cwd=settings.BASE_DIR, stdout=pipe, stderr=pipe, text=True)


def many(shop: World, count: int) -> str:
    """Orders of two rows, the tenth row and every thousandth after it bad."""
    rows = [row for n in range(count // 2) for row in lines_of(shop, str(n), "1", "2")]
    return text_of([{**row, "qty": "x"} if n % 1000 == 9 else row for n, row in enumerate(rows)])


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_of_a_file_and_of_its_copy(path):
    with scope.within(scope.EVERYTHING):
        path.write_text(many(world(), 6000))
        copy = Path(shutil.copy(path, path.with_name("copy.csv")))
        processes = [start(path), start(copy), start(path), start(copy)]
        ends = [process.communicate(timeout=120) for process in processes]

        assert counts() == (3000, 5994, 0)
    lasts = [(out or err).splitlines()[-1] for out, err in ends]
    done = [last for last in lasts if last.startswith("6,000 rows read: ")]
    refused = [last for last in lasts if last.endswith(".csv: is being imported by another process.")]
    assert len(done) + len(refused) == 4 and len(done) >= 2, lasts
    assert sum(int(last.split("read: ")[1].split(" ")[0].replace(",", "")) for last in done) == 3000
    assert all("6 rows failed, with reasons in" in last for last in done)
    assert {process.returncode for process in processes} == {1}
    assert sorted(failures(path)) == sorted(failures(copy)) == [11 + 1000 * n for n in range(6)]


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_an_import_killed_in_the_middle_goes_on(path):
    with scope.within(scope.EVERYTHING):
        path.write_text(many(world(), 20_000))
        process = start(path)
        while not Order.objects.exists() or not path.with_name("orders.csv.progress.json").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert 0 < Order.objects.count() < 10_000

        said = import_(path)

        assert counts() == (10_000, 19_980, 0)
    assert "20,000 rows read: " in said.last and "; 20 rows failed" in said.last
    assert "an earlier start had done the first " in said.last
    assert sorted(failures(path)) == [11 + 1000 * n for n in range(20)]
    assert not path.with_name("orders.csv.progress.json").exists()


@pytest.fixture
def interrupted(shop, path) -> Path:
    """An import of three rows, the first one bad, killed before the third; the file of failed rows."""
    path.write_text(text_of([{**lines_of(shop, "1")[0], "qty": "x"}, *lines_of(shop, "2"), *lines_of(shop, "3")]))

    class Killed(Orders):
        def take(self, channel, data):
            if data[0].outer_order_id == "3":
                raise KeyboardInterrupt
            return super().take(channel, data)

    with pytest.raises(KeyboardInterrupt):
        feed.run(path=path, feed=Killed(now=NOW), size=2)
    return path.with_name("orders.failed.csv")


def test_a_bad_row_written_just_before_the_kill_is_not_written_twice(interrupted, path):
    """Killed after the failed rows of a batch were written, and before it was noted to be through."""
    written = interrupted.read_text(encoding="utf-8-sig").splitlines()[1]
    with interrupted.open("a") as file:
        file.write(written.replace(",2,", ",4,") + "\n")

    assert "3 rows read: 2 orders created, 0 corrected, 0 unchanged; 1 row failed" in import_(path).last
    assert list(failures(path)) == [2]


def test_an_interrupted_import_whose_failed_rows_are_gone_says_so(interrupted, path):
    interrupted.unlink()

    with pytest.raises(CommandError, match=r"orders\.failed\.csv is not as it was left; give --restart"):
        import_(path)
    assert "1 orders created, 0 corrected, 1 unchanged; 1 row failed" in import_(path, restart=True).last


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────
class Reading(Orders):
    """Everything of an import but the database."""

    def take(self, channel, data):
        return [Taken("unchanged", 1) for _ in data]


def peak_of(path: Path, shop: World, rows: int, *, is_scattered: bool = False) -> int:
    """Bytes at the highest point of an import of so many rows; scattered: no two rows of an order stand together."""
    header, line = text_of(lines_of(shop, "ORDER", "LINE", buyer_phone="13800000000")).splitlines()
    with path.open("w") as file:
        file.write(header + "\n")
        for place in range(rows):
            number = place % (rows // 2) if is_scattered else place // 2
            file.write(line.replace("ORDER", str(number)).replace("LINE", str(place)) + "\n")
    tracemalloc.start()
    report = feed.run(path=path, feed=Reading(now=NOW))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (report.rows, report.outcomes) == (rows, {"unchanged": rows // 2})
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("is_scattered", [False, True])
def test_memory_does_not_grow_with_the_file(shop, path, monkeypatch, size, is_scattered):
    monkeypatch.setattr(feed, "PART", 2500)
    factor = 10 if size == "full" else 3
    small = peak_of(path, shop, 5_000, is_scattered=is_scattered)
    large = peak_of(path, shop, 5_000 * factor, is_scattered=is_scattered)

    assert large < small * 1.3


def test_scattered_orders_of_several_parts_are_each_taken_once(shop, path, monkeypatch):
    monkeypatch.setattr(feed, "PART", 3)
    rows = [row for line in "12" for n in range(10) for row in lines_of(shop, str(n), line)]
    path.write_text(text_of(rows))

    report = feed.run(path=path, feed=Orders(now=NOW), size=4)

    assert (report.rows, report.outcomes, report.failed) == (20, {"created": 10}, 0)
    assert counts() == (10, 20, 0)


def test_a_key_takes_eight_bytes():
    tracemalloc.start()
    scattered = Scattered(("pos", str(n % 50_000)) for n in range(50_010))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (scattered.rows, scattered.groups) == (50_010, 20)
    assert peak < 50_000 * 12
    assert [n for n in range(300) if scattered.part(("pos", str(n)), 1) is not None] == list(range(10))
