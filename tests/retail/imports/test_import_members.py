"""Lists of members in files: looked over, tried, taken once, and what was refused given back."""

import csv
import io
import stat
import zipfile
from datetime import timedelta

import pytest
import xlsxwriter
from django.core.management import CommandError, call_command
from django.utils import timezone

from clerks.models import Binding
from members.models import Consent, Identity, Member, MemberImport, Membership
from retail import jobs, privacy, retention, tasks
from retail.imports import members, workbook
from retail.models import BuyerKey, Job
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("everything")
HEAD = "手机号,姓名,出生日期,开卡时间,门店编码,导购工号,备注"


@pytest.fixture
def shop(db):
    shop = factories.world()
    shop.hire("D0001")
    return shop


def rows(shop, count=3):
    return [f"1540000{n:04},王{n},1986/5/4,2025-03-01 10:00,{shop.store.code},D0001,x" for n in range(count)]


def text(*lines, head=HEAD, encoding="utf-8"):
    return ("\n".join([head, *lines]) + "\n").encode(encoding)


def give_in(shop, content, name="会员.csv"):
    return members.give_in(name=name, content=content, brand=shop.brand, by=None, now=NOW)


def through(given, *steps):
    """Each step begun and its job run; how the import stands then."""
    for step in steps:
        if step == "check":
            members.check(given=given, now=NOW)
        else:
            members.start(given=given, by=None, now=NOW)
        jobs.run(ids=list(Job.objects.filter(state="due").values_list("pk", flat=True)), registry=tasks.REGISTRY)
        given = MemberImport.objects.get(pk=given.pk)
    return given


def sheet(*rows):
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        day = book.add_format({"num_format": "yyyy/m/d"})
        page = book.add_worksheet("会员")
        for place, row in enumerate(rows):
            for column, value in enumerate(row):
                style = day if place and rows[0][column] == "生日" else None
                page.write(place, column, value, style)
    return out.getvalue()


# ── The road ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_list_is_looked_over_tried_and_taken_once(shop):
    bad = f"abc,赵,1986/5/4,2025-03-01,{shop.store.code},,x"
    given = give_in(shop, text(*rows(shop), bad))
    seen = members.look(given, now=NOW)
    assert (seen.problems, seen.left_out) == ([], "备注")
    assert seen.columns == ["phone", "name", "birthday", "registered_at", "store_code", "clerk", ""]
    assert seen.rows[0][1] == ["154****0000", "王**", "1986****", "2025-03-01 10:00", shop.store.code, "D0001", "x**"]

    given = through(given, "check")
    assert (given.state, given.counts, given.done) == ("checked", {"new": 3, "bad": 1}, 4)
    assert not Member.objects.exists() and not BuyerKey.objects.exists()

    given = through(given, "start")
    assert (given.state, given.counts) == ("done", {"new": 3, "bad": 1})
    membership = Membership.objects.select_related("member").earliest("pk")
    assert (membership.member.name, str(membership.member.born_on)) == ("王0", "1986-05-04")
    assert membership.registered_at.isoformat().startswith("2025-03-01T02:00")
    assert Identity.objects.filter(source="import").count() == Binding.objects.count() == 3

    again = through(give_in(shop, text(*rows(shop), bad)), "check", "start")
    assert again.counts == {"known": 3, "bad": 1}
    changed = rows(shop, 1)[0].replace("王0", "王零")
    assert through(give_in(shop, text(changed)), "check").counts == {"changed": 1}


def test_refused_rows_come_back_with_reasons_and_can_be_given_in_again(shop):
    given = through(give_in(shop, text(f"=abc,赵,,2025-03-01,{shop.store.code},,x", *rows(shop))), "check", "start")
    content = members.take_away_refused(given=given, by=None, now=NOW)
    said = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert said[0] == [*HEAD.split(","), "failed_row", "failed_reason"]
    assert said[1][0] == "'=abc" and said[1][-2] == "2" and said[1][-1].startswith("没有这样的手机号：手机 11 位")
    again = give_in(shop, content.replace(b"'=abc", b"15400008888"))
    assert through(again, "check").counts == {"new": 1}


def test_all_that_is_wrong_with_a_row_is_said_at_once(shop):
    bad = f"1381234,{'长' * 65},1986/13/4,昨天,nowhere,,x"
    given = through(give_in(shop, text(bad, "1381234,甲,,2025-03-01,nowhere,nobody,x")), "check")
    reasons = [row.reason for row in members.refused_rows(given)]
    assert all(name in reasons[0] for name in ("称呼：太长了，最多 64 个字符", "生日：", "入会时间："))
    assert all(word in reasons[1] for word in ("没有这样的手机号", "没有这家门店", "工号 nobody"))
    assert members.look(given, now=NOW).rows[0][1][0] == "****34"  # not all of a short number


@pytest.mark.parametrize("content", [text(), b"\x00\x01\x02\x03" * 40])
def test_a_file_without_rows_is_refused(shop, content):
    with pytest.raises(members.Unfit):
        give_in(shop, content)


def test_a_workbook_is_read_as_it_is_seen(shop):
    content = sheet(
        ["手机", "姓名", "生日", "同意营销", "同意时间"],
        [15400001234, "王女士", 31536, "否", "2026-01-01"],
        ["15400001235", "李女士", 31537, "是", "2026-01-01 08:00:00"],
    )
    given = through(give_in(shop, content, "list.xlsx"), "check", "start")
    assert given.counts == {"new": 2}
    assert [str(one.born_on) for one in Member.objects.order_by("pk")] == ["1986-05-04", "1986-05-05"]
    assert list(Consent.objects.order_by("pk").values_list("purpose", "is_given")) == [
        ("marketing", False), ("marketing", True),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_lists_are_read_in_the_encodings_of_chinese_spreadsheets(shop, encoding):
    given = through(give_in(shop, text(*rows(shop), encoding=encoding)), "check", "start")
    assert given.counts == {"new": 3} and Member.objects.filter(name="王0").exists()


def test_columns_can_be_set_by_hand_and_what_was_tried_before_holds_no_more(shop):
    given = through(
        give_in(shop, text("15400001111,甲", head="号,谁")),
    )
    with pytest.raises(members.Unfit, match="没有一列能认出人"):
        members.check(given=given, now=NOW)
    given = members.map_columns(given=given, columns=["phone", "name"])
    given = through(given, "check")
    assert given.counts == {"new": 1}
    given = members.map_columns(given=given, columns=["phone", ""])
    assert (given.state, given.counts) == ("mapping", {})
    with pytest.raises(members.Unfit, match="现在不能"):
        members.start(given=given, by=None, now=NOW)


def test_who_is_two_members_is_a_conflict_and_nobody_is_merged(shop):
    head = "手机号,unionid"
    through(give_in(shop, text("15400001111,", "15400002222,o6-union-2", head=head)), "check", "start")
    given = through(give_in(shop, text("15400001111,o6-union-2", head=head)), "check", "start")
    assert given.counts == {"conflict": 1} and Member.objects.count() == 2


# ── Interrupted ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_killed_import_goes_on_behind_the_last_whole_batch(shop, monkeypatch):
    monkeypatch.setattr(members, "BATCH", 2)
    given = through(give_in(shop, text(*rows(shop, 5))), "check")
    members.start(given=given, by=None, now=NOW, is_here=True)

    def die(done):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        members.work(import_id=given.pk, now=lambda: NOW, progress=die)
    assert (MemberImport.objects.get().done, Member.objects.count()) == (2, 2)
    members.work(import_id=given.pk, now=lambda: NOW)
    given = MemberImport.objects.get()
    assert (given.state, given.done, given.counts, Member.objects.count()) == ("done", 5, {"new": 5}, 5)


def test_of_two_at_once_one_does_each_batch(shop, monkeypatch):
    monkeypatch.setattr(members, "BATCH", 2)
    given = through(give_in(shop, text(*rows(shop, 5))), "check")
    members.start(given=given, by=None, now=NOW, is_here=True)
    other = []

    def meanwhile(done):
        if not other:
            other.append(members.work(import_id=given.pk, now=lambda: NOW))

    members.work(import_id=given.pk, now=lambda: NOW, progress=meanwhile)
    given = MemberImport.objects.get()
    assert (given.state, given.counts) == ("done", {"new": 5}) and Member.objects.count() == 5


def test_a_file_cut_in_the_middle_says_so_and_its_last_row_is_refused(shop):
    given = give_in(shop, text(*rows(shop, 3))[:-25])
    assert given.is_cut
    given = through(given, "check")
    assert given.counts == {"new": 2, "bad": 1}


def test_a_file_whose_last_line_is_not_ended_loses_nobody(shop):
    """Hardly any editor ends it, and a row that is whole says all it has to."""
    given = give_in(shop, text(*rows(shop, 3)).rstrip(b"\n"))
    assert not given.is_cut
    assert through(given, "check", "start").counts == {"new": 3}


def test_what_is_wrong_with_a_row_is_said_beside_it_before_the_dry_run_and_after(shop):
    birthdays = ("1902-01-01", "2099-01-01", "一九八六", "1986-02-30", "１９８６-05-04")
    lines = [f"1540000{n:04},王{n},{day},,{shop.store.code},,1" for n, day in enumerate(birthdays)]
    lines += ["15400000009,王,,,13900001111,,1", "１５４００００１２３４,王,,,,,1,200"]
    given = give_in(shop, text(*lines, "15400000010,王,,,,,1.5", head=HEAD.replace("备注", "积分")))
    wanted = [
        "生日：要是最近 110 年里",
        "生日：要是最近 110 年里",
        "生日：日期要写成 1986-05-04 这样",
        "生日：没有这一天",
        "",
    ]
    wanted += ["没有这家门店：'139****1111'", "有 8 格，表头是 7 格", "积分：要写整数"]
    for look in (given, through(given, "check")):
        troubles = [trouble for *_row, trouble in members.look(look, now=NOW).rows]
        assert [said in trouble if said else not trouble for said, trouble in zip(wanted, troubles, strict=True)]
    assert [number for number, _why in members.why_refused(MemberImport.objects.get())] == [2, 3, 4, 5, 7, 8, 9]


# ── Bombs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def book(**parts):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in {
            "xl/workbook.xml": b'<workbook><sheets><sheet name="a" id="r"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": b'<worksheet><row><c t="str"><v>phone</v></c></row></worksheet>',
            **{key.replace("__", "/") + ".xml": value for key, value in parts.items()},
        }.items():
            made.writestr(name, content)
    return out.getvalue()


ROW = b'<row><c t="str"><v>15400001111</v></c></row>'
BOMBS = {
    "内容太多": book(xl__sharedStrings=b"<sst>" + b" " * 30_000_000 + b"</sst>"),
    "不该有的内容": book(xl__styles=b'<!DOCTYPE a [<!ENTITY b "ha">]><styleSheet>&b;</styleSheet>'),
    "最多 200 列": book(xl__worksheets__sheet1=b'<worksheet><row><c r="ZZZZ1"><v>1</v></c></row></worksheet>'),
    "文件坏了": book(xl__worksheets__sheet1=b"<worksheet><row>"),
    "没有工作表": book(xl___rels__workbook=b"<a/>").replace(b"worksheets", b"worksheetz"),
    "打不开": b"PK\x03\x04" + b"\0" * 300,
    "旧版 Excel": b"\xd0\xcf\x11\xe0" + b"\0" * 300,
    "是空的": b"",
    "UTF-16": "手机号\n154\n".encode("utf-16"),
}


@pytest.mark.parametrize("said", BOMBS)
def test_bombs_are_refused_in_words(shop, said):
    with pytest.raises(members.Unfit, match=said):
        give_in(shop, BOMBS[said], "x.xlsx")
    assert not MemberImport.objects.exists()


def test_too_many_rows_or_bytes_are_refused(shop, monkeypatch):
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)
    with pytest.raises(members.Unfit, match="最多 3 行"):
        give_in(shop, book(xl__worksheets__sheet1=b"<worksheet>" + ROW * 9 + b"</worksheet>"))
    monkeypatch.setattr(members, "MOST_BYTES", 20)
    with pytest.raises(members.Unfit, match="太大"):
        give_in(shop, text(*rows(shop)))


def test_a_list_of_nothing_but_faults_stops(shop, monkeypatch):
    monkeypatch.setattr(members, "MOST_REFUSED", 3)
    given = through(give_in(shop, text(*["abc,甲,,,,,"] * 5)), "check")
    assert given.state == "failed" and "超过 3 行" in given.trouble


# ── Kept and forgotten ───────────────────────────────────────────────────────────────────────────────────────────────
def test_the_file_is_sealed_and_goes_after_a_week(shop):
    given = through(give_in(shop, text("abc,王女士,,,,,", *rows(shop))), "check")
    kept = bytes(MemberImport.objects.get().content) + bytes(given.refused)
    assert "王女士".encode() not in kept and b"15400000001" not in kept
    retention.forget(now=NOW + timedelta(days=6))
    assert MemberImport.objects.get().content is not None
    retention.forget(now=NOW + timedelta(days=8))
    given = MemberImport.objects.get()
    assert (given.content, given.refused, given.counts) == (None, None, {"new": 3, "bad": 1})
    with pytest.raises(members.Unfit, match="已按期删除"):
        members.look(given, now=NOW)


def test_who_asked_to_be_forgotten_is_refused_and_stays_so(shop):
    through(give_in(shop, text(*rows(shop, 1))), "check", "start")
    privacy.erase(key_id=BuyerKey.objects.get().pk, by=None, reason="本人要求", now=timezone.now())
    given = through(give_in(shop, text(*rows(shop, 1))), "check", "start")
    assert given.counts == {"bad": 1} and not BuyerKey.objects.exclude(cipher=None).exists()


# ── The command ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_command_tries_then_takes_and_gives_back(shop, tmp_path, capsys):
    file = tmp_path / "list.csv"
    file.write_bytes(text(f"abc,赵,,2025-03-01,{shop.store.code},,x", *rows(shop)))
    call_command("import_members", str(file), brand=shop.brand.code, check=True)
    assert "Would be: 3 new, 0 changed, 0 known, 0 conflict, 1 bad" in capsys.readouterr().out
    assert not Member.objects.exists()
    call_command("import_members", str(file), brand=shop.brand.code)
    assert "Imported: 3 new" in capsys.readouterr().out
    left = tmp_path / "list.failed.csv"
    assert stat.S_IMODE(left.stat().st_mode) == 0o600 and "赵" in left.read_text()
    with pytest.raises(CommandError, match="no brand"):
        call_command("import_members", str(file), brand="nothing")


def test_an_import_takes_as_many_statements_as_one_batch(shop, django_assert_max_num_queries):
    given = through(give_in(shop, text(*rows(shop, 200))), "check")
    members.start(given=given, by=None, now=NOW, is_here=True)
    with django_assert_max_num_queries(51):
        members.work(import_id=given.pk, now=lambda: NOW)
    assert MemberImport.objects.get().counts == {"new": 200}
