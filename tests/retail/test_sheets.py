"""Files for spreadsheets: text is never a formula, numbers are numbers, memory stays small."""

import csv
import io
import re
import tracemalloc
import zipfile
from datetime import datetime
from xml.etree import ElementTree

import pytest
from django.apps import apps
from django.db import models

from retail import sheets
from retail.sheets import Column
from tests.figures import figure

ROOMS = ("retail", "members", "commissions", "clerks", "leads")
TEXTS = [
    f"{model._meta.label}.{field.name}"
    for model in apps.get_models()
    if model._meta.app_label in ROOMS
    for field in model._meta.fields
    if isinstance(field, models.CharField | models.TextField)
]
PAYLOADS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\x00=1+1",
    " =cmd|'/c calc'!A1",
    "＝1+1",
    '=HYPERLINK("http://x.example","点我")',
    '"=1+1\r\n=2+2"\x0b\x1f￾',
]
AT = datetime.fromisoformat("2026-10-12T14:30:00+08:00")
COLUMNS = [
    Column("单号", "text", lambda row: row["id"]),
    Column("件数", "whole", lambda row: row["qty"]),
    Column("实付", "money", lambda row: row["fen"]),
    Column("时间", "moment", lambda row: row["at"]),
]
ROWS = [
    {"id": "00123", "qty": 3, "fen": 123456, "at": AT},
    {"id": "123456789012345678", "qty": -1, "fen": -5, "at": None},
    {"id": "", "qty": None, "fen": 0, "at": AT},
]


def as_csv(columns, rows):
    whole = b"".join(sheets.csv_parts(columns=columns, rows=rows)).decode()
    assert whole.startswith("\ufeff")
    return list(csv.reader(io.StringIO(whole[1:], newline="")))


def as_xlsx(columns, rows):
    """(kind, text) of each cell by row: kind is "s" for text, "n" for a number, "f" for a formula."""
    out = io.BytesIO()
    sheets.write_xlsx(out, columns=columns, rows=rows)
    with zipfile.ZipFile(out) as book:
        tree = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
        others = [name for name in book.namelist() if "external" in name.lower() or "hyperlink" in name.lower()]
    assert others == []
    name = re.compile(r"\{.*\}")
    found = []
    for row in tree.iter("{http://schemas.openxmlformats.org/spreadsheetml/2006/main}row"):
        cells = {}
        for cell in row:
            parts = {name.sub("", part.tag) for part in cell.iter()}
            kind = "f" if "f" in parts else "s" if cell.get("t") == "inlineStr" else cell.get("t", "n")
            cells[re.sub(r"\d", "", cell.get("r"))] = (kind, "".join(cell.itertext()))
        found.append(cells)
    return found


def test_no_text_becomes_a_formula():
    columns = [Column(name, "text", lambda row: row) for name in TEXTS]

    read = as_csv(columns, PAYLOADS)
    cells = [cell for row in as_xlsx(columns, PAYLOADS) for cell in row.values()]

    assert len(read) == len(PAYLOADS) + 1 and {len(row) for row in read} == {len(TEXTS)}
    dangerous = re.compile(r"[\s\ufeff]*[=+\-@\t\r＝＋－＠]")
    assert [cell for row in read for cell in row if dangerous.match(cell)] == []
    assert {kind for kind, _ in cells} == {"s"} and len(cells) == len(TEXTS) * (len(PAYLOADS) + 1)
    assert not [text for _, text in cells if "\x00" in text]
    figure("P21", f"{len(TEXTS)} text fields × {len(PAYLOADS)} payloads, CSV and XLSX: 0 formulas")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_an_escaped_cell_keeps_what_it_said(payload):
    said = sheets.escaped(payload)

    assert sheets.plain(payload) in said and "\x00" not in said and len(said) <= len(sheets.plain(payload)) + 1


@pytest.mark.parametrize("harmless", ["", "0", "1+1", "a=b", "门店 1", "100%", "'='"])
def test_harmless_text_stays_as_it_is(harmless):
    assert sheets.escaped(harmless) == harmless


def test_numbers_are_numbers_and_codes_are_text():
    head, first, second, third = as_xlsx(COLUMNS, ROWS)

    assert [text for _, text in head.values()] == ["单号", "件数", "实付", "时间"]
    assert first["A"] == ("s", "00123") and first["B"] == ("n", "3") and first["C"] == ("n", "1234.56")
    assert first["D"][0] == "n" and float(first["D"][1]) == pytest.approx(46307.604167, abs=1e-5)  # 14:30 there
    assert second["A"] == ("s", "123456789012345678") and second["C"] == ("n", "-0.05") and "D" not in second
    assert "B" not in third and third["C"] == ("n", "0")


def test_a_csv_says_the_same():
    assert as_csv(COLUMNS, ROWS)[1:] == [
        ["00123", "3", "1234.56", "2026-10-12 14:30:00"],
        ["123456789012345678", "-1", "-0.05", ""],
        ["", "", "0.00", "2026-10-12 14:30:00"],
    ]


def test_text_too_long_for_a_cell_is_cut():
    assert len(sheets.escaped("=" * 40_000)) == 32_767
    assert len(as_xlsx(COLUMNS[:1], [{"id": "长" * 40_000}])[1]["A"][1]) == 32_767


@pytest.mark.parametrize("write", ["csv", "xlsx"])
def test_memory_does_not_grow_with_the_rows(write, tmp_path):
    rows = ({"id": f"{n:010}", "qty": n, "fen": n, "at": AT} for n in range(20_000))
    tracemalloc.start()
    with open(tmp_path / "out", "wb") as out:
        if write == "csv":
            for part in sheets.csv_parts(columns=COLUMNS, rows=rows):
                out.write(part)
        else:
            assert sheets.write_xlsx(out, columns=COLUMNS, rows=rows) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 5_000_000
