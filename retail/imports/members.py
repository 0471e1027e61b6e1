"""会员导入: a list of members in a file, looked over before anything of it is taken.

    give_in ──▶ mapping ──check──▶ a dry run, every row of it ──start──▶ taken, a batch at a time

A file is kept as CSV, sealed, until a week after. A batch, how far it came, and the rows that were refused are written
in one transaction: whatever moment the work is killed at, the next worker goes on behind the last whole batch, and of
two at once the second stops where it sees the other's. A dry run does just what the import does, and takes it back.
"""

import csv
import hashlib
import io
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _

from members.models import MemberImport
from retail import audit, faults, intake, jobs, privacy, shapes, told
from retail.imports import member_rows, table, workbook
from retail.imports.table import Row, Table, TableError
from retail.models import Brand
from retail.orders import Taken

log = logging.getLogger(__name__)

JOB = "import_members"
MOST_BYTES = 20 * 1024 * 1024
MOST_ROWS = workbook.MOST_ROWS
MOST_REFUSED = 5_000  # then the columns are wrong, not the rows
BATCH = 500
SHOWN = 20
SOURCE = "import"
_State = MemberImport.State
_QUOTED = re.compile(r"'[^']*'")
_FIELD = re.compile(r"[\w.\[\]]+")
_CONFLICTS = ("belongs to several members", "is known by another unionid")


class Unfit(ValueError):
    """This file or these columns will not do; the words are for the person."""


# ── Given in ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def give_in(*, name: str, content: bytes, brand: Brand, by: Any, now: datetime) -> MemberImport:
    """Keep a file and guess its columns. Raises Unfit."""
    if len(content) > MOST_BYTES:
        raise Unfit(_("文件太大，最多 %(size)s MB，请分成几个。") % {"size": MOST_BYTES // 1024 // 1024})
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = _as_csv(Path(folder), name, content)
            found = _table(source)
            total = sum(1 for _row in found.rows())
            if total > MOST_ROWS:
                raise TableError(f"has more than {MOST_ROWS:,} rows: give it in several files")
            if not total:
                raise Unfit(_("文件里没有会员：表头下面一行也没有。"))
            row = MemberImport(brand=brand, name=Path(name).name[:128], asked_by=by, made_at=now)
            row.digest = _digest(content)
            row.columns, row.total, row.is_cut = member_rows.guess(_heading(found)), total, found.is_cut
            row.content = privacy.sealed_in(row, "content", source.read_bytes())
    except TableError as error:
        raise Unfit(_unreadable(error)) from None
    row.save()
    after = {"rows": total, "file": row.digest}
    audit.record(by=by, action="members.give_in", target=row, now=now, after=after)
    return row


def _unreadable(error: TableError) -> str:
    return _("这个文件读不了：%(why)s") % {"why": faults.told(str(error))[1]}


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _as_csv(folder: Path, name: str, content: bytes) -> Path:
    """The file as CSV: what begins like a zip is a workbook, whatever it is called."""
    given, target = folder / "given", folder / "rows.csv"
    given.write_bytes(content)
    if not content.startswith(b"PK"):
        if content.startswith(b"\xd0\xcf\x11\xe0"):
            raise TableError("is an old Excel file (.xls): save it as .xlsx or CSV UTF-8")
        return given
    workbook.to_csv(given, target)
    return target


def _heading(found: Table) -> list[str]:
    return [name for name in found.header if name not in table.NOTES]


def _table(source: Path) -> Table:
    """With the columns it has, whatever they are called."""
    return Table(source, columns=_first_row(source), required=(), may_end_openly=True)


def _first_row(source: Path) -> list[str]:
    header = Table.header_of(source)
    if not any(header):
        raise TableError("is empty: the first row has to name the columns")
    return [name for name in header if name not in table.NOTES]


@contextmanager
def _opened(given: MemberImport) -> Iterator[Table]:
    """Its rows, out of the seal for as long as the block lasts. Raises Unfit when its week is over."""
    if given.content is None:
        raise Unfit(_("文件已按期删除，请重新上传。"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "rows.csv"
        source.write_bytes(privacy.opened(given, "content"))
        yield _table(source)


# ── Looked over ──────────────────────────────────────────────────────────────────────────────────────────────────────
class Seen(NamedTuple):
    """What a page shows before anything is taken: headings, the first rows masked with what is wrong, and what is."""

    header: list[str]
    columns: list[str]
    rows: list[tuple[int, list[str], str]]
    problems: list[str]
    left_out: str


def look(given: MemberImport, *, now: datetime) -> Seen:
    """The first rows by the columns as they are set. Raises Unfit."""
    with _opened(given) as found:
        header, first = _heading(found), list(islice(found.rows(), SHOWN))
    troubles = _troubles(given, first, now)
    rows = [(row.number, _masked(given.columns, row), said) for row, said in zip(first, troubles, strict=True)]
    left_out = [heading for heading, name in zip(header, given.columns, strict=True) if heading and not name]
    return Seen(header, given.columns, rows, member_rows.problems(given.columns), _("、").join(left_out))


def _masked(columns: Sequence[str], row: Row) -> list[str]:
    return [member_rows.masked(name, said) for name, said in zip(columns, row.cells, strict=True)]


def _troubles(given: MemberImport, rows: Sequence[Row], now: datetime) -> list[str]:
    """What is wrong with each row, without what stands in it: as the dry run found it, or, before one, as far as can
    be told without trying.
    """
    if given.state == _State.CHECKED:
        found = dict(why_refused(given))
        return [found.get(row.number, "") for row in rows]
    read = [_read(given.columns, row) for row in rows]
    good = [one for one in read if isinstance(one, shapes.Member)]
    wrong = iter(told.member_faults(channel=None, brand=given.brand, data=good, now=now))
    said = [one if isinstance(one, list) else [f"{it.field}: {it.message}" for it in next(wrong)] for one in read]
    return [_shown(some) for some in said]


def _shown(said: Sequence[str]) -> str:
    """Faults in words for a page: what stood in the row is left out, and numbers in what a fault quotes are masked."""
    bare = (one.partition(", got ")[0] for one in said)
    return _in_words(*(_QUOTED.sub(lambda quoted: privacy.without_numbers(quoted[0]), one) for one in bare))


def _read(columns: Sequence[str], row: Row) -> shapes.Member | list[str]:
    """The row as the feed would tell it, or everything that is wrong with it."""
    if row.fault:
        return [row.fault]
    try:
        return member_rows.member({name: said for name, said in zip(columns, row.cells, strict=True) if name and said})
    except member_rows.BadRow as bad:
        return bad.faults


@transaction.atomic
def map_columns(*, given: MemberImport, columns: Sequence[str]) -> MemberImport:
    """Which of ours each column is. Whatever a dry run found by others holds no more. Raises Unfit."""
    row = _locked(given)
    if row.state not in (_State.MAPPING, _State.CHECKED):
        raise Unfit(_("已经开始了，不能再改。"))
    if len(columns) != len(row.columns) or any(name and name not in member_rows.NAMES for name in columns):
        raise Unfit(_("列对不上，请刷新页面再试。"))
    if list(columns) != row.columns:
        row.columns, row.state, row.counts, row.refused = list(columns), _State.MAPPING, {}, None
        row.save(update_fields=["columns", "state", "counts", "refused"])
    return row


# ── Begun ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def check(*, given: MemberImport, now: datetime, is_here: bool = False) -> MemberImport:
    """Try every row and take nothing, in a job unless the caller does it `is_here`. Raises Unfit."""
    return _begin(given, _State.CHECKING, (_State.MAPPING, _State.CHECKED), now, is_here)


@transaction.atomic
def start(*, given: MemberImport, by: Any, now: datetime, is_here: bool = False) -> MemberImport:
    """Take the rows that a dry run found good. Raises Unfit."""
    row = _begin(given, _State.RUNNING, (_State.CHECKED,), now, is_here)
    audit.record(by=by, action="members.import", target=row, now=now, after={"rows": row.total, "file": row.digest})
    return row


def _begin(given: MemberImport, state: str, after: tuple[str, ...], now: datetime, is_here: bool) -> MemberImport:
    row = _locked(given)
    if row.state not in after:
        raise Unfit(_("现在不能做这一步，请刷新页面看看。"))
    if problems := member_rows.problems(row.columns):
        raise Unfit(problems[0])
    row.state, row.done, row.counts, row.refused, row.trouble = state, 0, {}, None, ""
    row.started_at = row.noted_at = now
    row.save()
    if not is_here:
        jobs.enqueue(work=[jobs.Work(JOB, {"import_id": row.pk}, f"{JOB}:{row.pk}")], now=now)
    return row


def unfinished(*, content: bytes, brand: Brand) -> MemberImport | None:
    """The same file of the same brand that was given in before and is amid its work."""
    at_work = (_State.CHECKING, _State.RUNNING)
    rows = MemberImport._base_manager.filter(brand=brand, digest=_digest(content), state__in=at_work)
    return rows.order_by("-pk").first()


def _locked(given: MemberImport) -> MemberImport:
    return MemberImport._base_manager.select_for_update(of=("self",)).select_related("brand").get(pk=given.pk)


# ── Done ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
class TakenOver(Exception):
    """Somebody else does this work by now."""


class _Refused(NamedTuple):
    """A row that was not taken, and why; `shown`: the same without what stands in it."""

    number: int
    cells: tuple[str, ...]
    reason: str
    shown: str = ""


def work(
    *, import_id: int, now: Callable[[], datetime], progress: Callable[[int], object] = lambda done: None
) -> None:
    """A job: the dry run or the import the row waits for, from where it was left. `now` is asked for each batch."""
    given = MemberImport._base_manager.get(pk=import_id)
    if not given.is_at_work:
        return
    try:
        with _opened(given) as found:
            rows = islice(found.rows(), given.done, None)
            while given.is_at_work and (batch := list(islice(rows, BATCH))):
                given = _take(given, batch, now())
                progress(given.done)
        _end(given, now())
    except TakenOver:
        log.warning("%s is worked on elsewhere, too: left to that.", given.pk)
    except Unfit as trouble:
        _fail(given, str(trouble), now())
    except TableError as error:
        _fail(given, _unreadable(error), now())
    except Exception:
        said = _("出错了，过一会儿会自动再试。")
        MemberImport._base_manager.filter(pk=given.pk).update(trouble=said)
        raise


@transaction.atomic
def _take(given: MemberImport, batch: Sequence[Row], now: datetime) -> MemberImport:
    """One batch, and how far that is. Somebody else who does the same work meanwhile waits here, and sees it done."""
    row = _locked(given)
    if row.state != given.state or row.done != given.done:
        raise TakenOver
    read = [_read(row.columns, one) for one in batch]
    good = [one for one in read if isinstance(one, shapes.Member)]
    with transaction.atomic():
        taken = iter(intake.take_members(channel=None, brand=row.brand, data=good, now=now, source=SOURCE))
        if row.state == _State.CHECKING:
            transaction.set_rollback(True)
    refused = []
    for one, said in zip(batch, read, strict=True):
        status, wrong = ("bad", said) if isinstance(said, list) else _outcome(next(taken))
        row.counts[status] = row.counts.get(status, 0) + 1
        if wrong:
            refused.append(_Refused(one.number, one.cells, _in_words(*wrong), _shown(wrong)))
    row.done, row.noted_at = row.done + len(batch), now
    if refused:
        _add(row, refused)
    row.save(update_fields=["done", "counts", "refused", "noted_at"])
    return row


def _outcome(taken: Taken) -> tuple[str, list[str]]:
    """Under what a row is counted, and why it was not taken."""
    if taken.status != "rejected":
        return {"created": "new", "corrected": "changed"}.get(taken.status, "known"), []
    is_conflict = any(fault.message.startswith(_CONFLICTS) for fault in taken.faults)
    return "conflict" if is_conflict else "bad", [f"{fault.field}: {fault.message}" for fault in taken.faults]


def _in_words(*faults: str) -> str:
    return _("；").join(map(_one_in_words, faults))


def _one_in_words(said: str) -> str:
    """ "store_code: unknown store 'X'" as people read it, the column by its name."""
    name, colon, message = said.partition(": ")
    if name.startswith("buyer"):
        return faults.told(message)[1]
    if not colon or not _FIELD.fullmatch(name):
        return faults.told(said)[1]
    title = member_rows.TITLES.get(name, name)
    return _("%(name)s：%(value)s") % {"name": title, "value": faults.told(message)[1]}


def _add(row: MemberImport, refused: Sequence[_Refused]) -> None:
    """Raises Unfit when there are so many that something else is wrong."""
    every = [*refused_rows(row), *refused]
    if len(every) > MOST_REFUSED:
        raise Unfit(_("超过 %(most)s 行有问题，请检查列是否对应正确。") % {"most": MOST_REFUSED})
    row.refused = privacy.sealed_in(row, "refused", msgspec.json.encode(every))


@transaction.atomic
def _end(given: MemberImport, now: datetime) -> None:
    row = _locked(given)
    ended = {_State.CHECKING: _State.CHECKED, _State.RUNNING: _State.DONE}.get(_State(row.state))
    if ended is not None:
        row.state, row.ended_at, row.trouble = ended, now, ""
        row.save(update_fields=["state", "ended_at", "trouble"])


@transaction.atomic
def _fail(given: MemberImport, trouble: str, now: datetime) -> None:
    row = _locked(given)
    row.state, row.trouble, row.ended_at = _State.FAILED, trouble[:300], now
    row.save(update_fields=["state", "trouble", "ended_at"])


# ── What was refused ─────────────────────────────────────────────────────────────────────────────────────────────────
def refused_rows(given: MemberImport) -> list[_Refused]:
    """The rows that were not taken, as they came, each with its number and the reason."""
    return msgspec.json.decode(privacy.opened(given, "refused") or b"[]", type=list[_Refused])


def why_refused(given: MemberImport) -> list[tuple[int, str]]:
    """Their numbers and reasons alone."""
    return [(row.number, row.shown) for row in refused_rows(given)]


def refused_file(given: MemberImport) -> bytes:
    """They as a CSV that can be corrected and given in itself."""
    scratch = io.StringIO(newline="")
    scratch.write("\ufeff")  # without it spreadsheets take UTF-8 for something else
    write = csv.writer(scratch).writerow
    with _opened(given) as found:
        write([*map(table.escaped, _heading(found)), *table.NOTES])
    for row in refused_rows(given):
        write([*map(table.escaped, row.cells), row.number, table.escaped(row.reason)])
    return scratch.getvalue().encode()


@transaction.atomic
def take_away_refused(*, given: MemberImport, by: Any, now: datetime) -> bytes:
    """The same for a person: that they took it is written down. Raises Unfit."""
    if given.refused is None:
        raise Unfit(_("没有未导入的行，或者已按期删除。"))
    content = refused_file(given)
    audit.record(by=by, action="members.refused", target=given, now=now, after={"rows": len(refused_rows(given))})
    return content


def forget(*, before: datetime) -> int:
    """Delete the contents of files given in before then; what became of them stays."""
    old = MemberImport._base_manager.filter(made_at__lt=before, content__isnull=False)
    return old.update(content=None, refused=None)


def forget_all() -> int:
    """Somebody wants to be forgotten who may stand in any of them: all that are not at work go; how many."""
    idle = MemberImport._base_manager.filter(content__isnull=False)
    return idle.update(content=None, refused=None)
