"""Targets of a period as they are copied out of a spreadsheet: a line each, a code and a sum in yuan."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from commissions.models import Period, Target
from retail import audit
from retail.models import Staff, Store, User

MOST = 20_000  # lines at once
_MOST_FEN = 10**13
_SHOWN = 20  # faults at once; who has more of them has pasted something else
# Commas and semicolons also as Chinese keyboards have them; the signs of the yuan, and its character.
_GAP = re.compile(r"\s*[,;\uff0c\uff1b\s]\s*")
_AROUND = re.compile(r"[,\uff0c\s\u00a5\uffe5\u5143]")


class TargetsRefused(ValueError):
    """Nothing was written; the messages name the lines."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__(" ".join(messages))
        self.messages = list(messages)


class Put(NamedTuple):
    """How many targets are new, how many were another sum before, how many stay as they were."""

    new: int
    changed: int
    same: int


class _Line(NamedTuple):
    number: int
    code: str
    fen: int


@transaction.atomic
def put(*, period: Period, text: str, by: User | None, now: datetime) -> Put:
    """Write the targets of people (by 工号) and stores (by 门店编码) of an open period; all of them or none.

    Those not named stay. Raises TargetsRefused.
    """
    period = Period.objects.select_for_update(of=("self",)).get(pk=period.pk)
    if period.status == Period.Status.CLOSED:
        raise TargetsRefused([_("这一期已经结了，目标不能再改。")])
    lines = _read(text)
    wanted = _whose(period, lines)
    known = {(row.staff_id, row.store_id): row for row in Target.objects.filter(period=period)}
    new = [Target(period=period, staff_id=key[0], store_id=key[1], goal_fen=line.fen)
           for key, line in wanted.items() if key not in known]  # fmt: skip
    changed = [(known[key], line) for key, line in wanted.items() if key in known and known[key].goal_fen != line.fen]
    before = {line.code: row.goal_fen for row, line in changed}
    for row, line in changed:
        row.goal_fen = line.fen
    Target.objects.bulk_create(new, batch_size=1_000)
    Target.objects.bulk_update([row for row, _line in changed], ["goal_fen"], batch_size=1_000)
    if new or changed:
        after = {line.code: line.fen for key, line in wanted.items() if key not in known or line.code in before}
        audit.record(by=by, action="target.put", target=period, now=now, before=before, after=after)
    return Put(len(new), len(changed), len(wanted) - len(new) - len(changed))


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _read(text: str) -> list[_Line]:
    rows = [(number, row.strip()) for number, row in enumerate(text.splitlines(), start=1) if row.strip()]
    if rows and not re.search(r"\d", rows[0][1]):
        rows = rows[1:]  # the names of the columns
    if not rows:
        raise TargetsRefused([_("没有内容：每行写工号或门店编码，再写目标金额。")])
    if len(rows) > MOST:
        raise TargetsRefused([_("一次最多 %(most)s 行，这里有 %(count)s 行。") % {"most": MOST, "count": len(rows)}])
    lines, faults = [], []
    for number, row in rows:
        code, fen = _split(row)
        if fen is None:
            faults.append(_("第 %(number)s 行“%(row)s”：要有编码和大于 0 的金额（元），中间隔开。")
                          % {"number": number, "row": row[:40]})  # fmt: skip
        else:
            lines.append(_Line(number, code, fen))
    twice = Counter(line.code for line in lines)
    faults += [_("第 %(number)s 行：%(code)s 出现了两次。") % {"number": line.number, "code": line.code}
               for line in lines if twice[line.code] > 1]  # fmt: skip
    _refuse(faults)
    return lines


def _split(row: str) -> tuple[str, int | None]:
    """The code, and the sum in fen, if it is one. The first gap parts them: the sum may have commas of its own."""
    code, *rest = re.split(r"\t", row, maxsplit=1) if "\t" in row else _GAP.split(row, maxsplit=1)
    said = _AROUND.sub("", rest[0]) if rest else ""
    try:
        fen = Decimal(said) * 100
    except InvalidOperation:
        return code.strip(), None
    is_sum = fen.is_finite() and fen == int(fen) and 0 < fen <= _MOST_FEN
    return code.strip(), int(fen) if is_sum else None


def _whose(period: Period, lines: Iterable[_Line]) -> dict[tuple[int | None, int | None], _Line]:
    """(staff, store), one of them None → the line that names it."""
    codes = {line.code for line in lines}
    of_brand = Staff.objects.filter(posts__store__brand=period.brand_id, code__in=codes)
    staff = dict(of_brand.values_list("code", "pk"))
    stores = dict(Store.objects.filter(brand=period.brand_id, code__in=codes).values_list("code", "pk"))
    found: dict[tuple[int | None, int | None], _Line] = {}
    faults = []
    for line in lines:
        said = {"number": line.number, "code": line.code}
        if line.code in staff and line.code in stores:
            faults.append(_("第 %(number)s 行：%(code)s 既是工号又是门店编码，请在单个目标里填。") % said)
        elif line.code in staff:
            found[staff[line.code], None] = line
        elif line.code in stores:
            found[None, stores[line.code]] = line
        else:
            faults.append(_("第 %(number)s 行：这个品牌没有工号或门店编码 %(code)s。") % said)
    _refuse(faults)
    return found


def _refuse(faults: Sequence[str]) -> None:
    if len(faults) > _SHOWN:
        more = _("还有 %(count)s 行有问题。") % {"count": len(faults) - _SHOWN}
        raise TargetsRefused([*faults[:_SHOWN], more])
    if faults:
        raise TargetsRefused(faults)
