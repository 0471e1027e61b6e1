"""What the columns of a list of members are called, and a row of it as the feed's own shape.

People name columns as they please: each of ours has the headings it is known by, Chinese and English (headings.txt).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from retail import privacy, shapes
from retail.imports import cells

SHANGHAI = ZoneInfo("Asia/Shanghai")


class Column(NamedTuple):
    name: str
    title: str | Promise


COLUMNS = (
    Column("phone", _("手机号")),
    Column("unionid", _("微信 unionid")),
    Column("external_userid", _("企业微信客户")),
    Column("card", _("会员卡号")),
    Column("channel_id", _("渠道买家号")),
    Column("channel", _("渠道编码")),
    Column("name", _("称呼")),
    Column("birthday", _("生日")),
    Column("registered_at", _("入会时间")),
    Column("store_code", _("门店编码")),
    Column("clerk", _("导购工号")),
    Column("tier", _("会员等级")),
    Column("points", _("积分")),
    Column("tags", _("标签")),
    Column("consent_marketing", _("同意营销联系")),
    Column("consent_profiling", _("同意个性化推荐")),
    Column("consent_at", _("同意时间")),
    Column("consent_text", _("条款版本")),
)
NAMES = tuple(column.name for column in COLUMNS)
TITLES = {column.name: column.title for column in COLUMNS}
KEYS = NAMES[:5]
_FREE = ("name", "tags")  # words, kept as they were typed
_CONSENTS = {"consent_marketing": "marketing", "consent_profiling": "profiling"}


def _words() -> dict[str, list[str]]:
    """headings.txt: by which headings each column is known, and what stands for yes and no."""
    lines = (Path(__file__).parent / "headings.txt").read_text(encoding="utf-8").splitlines()
    return {name: words.split() for name, _colon, words in (line.partition(": ") for line in lines)}


def _bare(heading: str) -> str:
    return re.sub(r"[\W_]", "", heading).lower()


_WORDS = _words()
_YES, _NO = _WORDS["yes"], _WORDS["no"]
_BY_HEADING = {_bare(heading): name for name in NAMES for heading in _WORDS[name]}


def guess(header: Sequence[str]) -> list[str]:
    """Of each column of a file which of ours it is; "" for one that is none, or was there before."""
    found: list[str] = []
    for heading in header:
        name = _BY_HEADING.get(_bare(heading), "")
        found.append("" if name in found else name)
    return found


def problems(columns: Sequence[str]) -> list[str]:
    """Why a file cannot be read by these columns, in words."""
    named = [name for name in columns if name]
    said: list[object] = []
    if not set(named) & set(KEYS):
        said.append(_("没有一列能认出人：手机号、unionid、企业微信客户、会员卡号、渠道买家号至少要有一列。"))
    if "channel_id" in named and "channel" not in named:
        said.append(_("有渠道买家号，还要有渠道编码一列。"))
    if set(named) & set(_CONSENTS) and not {"consent_at", "registered_at"} & set(named):
        said.append(_("有同意一列，还要有同意时间或入会时间。"))
    twice = sorted({name for name in named if named.count(name) > 1})
    said += [_("“%(name)s”对应了两列，请只留一列。") % {"name": TITLES[name]} for name in twice]
    return [str(one) for one in said]


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
class BadRow(ValueError):
    """A row that cannot be read; each of its `faults` begins with the name of a column."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def member(given: dict[str, str]) -> shapes.Member:
    """A row, by our names, as the feed would have told it. Raises BadRow."""
    faults: list[str] = []
    # Numbers and codes may be typed in the wide letters of a Chinese keyboard.
    given = {
        name: said if name in _FREE else unicodedata.normalize("NFKC", said).strip() for name, said in given.items()
    }
    content: dict[str, Any] = {
        name: given[name] for name in ("channel", "name", "store_code", "clerk", "tier") if given.get(name)
    }
    content["buyer"] = [{"type": kind, "value": given[kind]} for kind in KEYS if given.get(kind)]
    if not content["buyer"]:
        raise BadRow(["phone: nothing in this row says who it is"])
    for name, read in (("birthday", _day), ("registered_at", _moment), ("points", _whole)):
        if given.get(name):
            with _noted(faults):
                content[name] = read(name, given[name])
    if given.get("tags"):
        content["tags"] = [tag for tag in re.split(r"\s*[|,;\uff0c\uff1b\u3001]\s*", given["tags"]) if tag]
    with _noted(faults):
        content["consents"] = list(_consents(given, content.get("registered_at", "")))
    return _typed(content, faults)


@contextmanager
def _noted(faults: list[str]) -> Iterator[None]:
    try:
        yield
    except cells.BadCell as bad:
        faults.append(str(bad))


def _typed(content: dict[str, Any], faults: list[str]) -> shapes.Member:
    """One mistake is found at a time: what is wrong is left out, and the rest looked at again."""
    while True:
        try:
            row = cells.typed(content, shapes.Member)
        except cells.BadCell as bad:
            faults.append(str(bad))
            if content.pop(str(bad).partition(":")[0], None) is not None:
                continue
        else:
            if not faults:
                return row
        raise BadRow(faults)


def _consents(given: dict[str, str], registered_at: str) -> Iterable[dict[str, Any]]:
    at = _moment("consent_at", given["consent_at"]) if given.get("consent_at") else registered_at
    for name, purpose in _CONSENTS.items():
        said = given.get(name, "").lower()
        if not said:
            continue
        if said not in [*_YES, *_NO]:
            raise cells.BadCell(f"{name}: must be yes or no, got {said!r}")
        if not at:
            raise cells.BadCell("consent_at: is empty")
        word = {"purpose": purpose, "is_given": said in _YES, "at": at}
        yield word | ({"text_version": given["consent_text"]} if given.get("consent_text") else {})


# 1986-5-4, 1986/05/04, 19860504, with Chinese words between, and perhaps a time behind it.
_DAY = re.compile(r"(\d{4})(?:(\d\d)(\d\d)|\D(\d{1,2})\D(\d{1,2}))(?:\D{1,2}(\d{1,2}:.*))?\D?")


def _whole(name: str, said: str) -> str:
    if not re.fullmatch(r"-?\d{1,18}", said):
        raise cells.BadCell(f"{name}: must be a whole number, got {said!r}")
    return said


def _day(name: str, said: str) -> str:
    """A day however it is written; a time behind it is left out."""
    try:
        return _parts(said)[0].isoformat()
    except ValueError:
        wrong = "is a day that no month has" if _DAY.fullmatch(said) else "must be a day like 1986-05-04"
        raise cells.BadCell(f"{name}: {wrong}, got {said!r}") from None


def _moment(name: str, said: str) -> str:
    """A moment; one without an offset, or a mere day, is of the clock on the wall in Shanghai."""
    try:
        day, time = _parts(said)
        moment = datetime.fromisoformat(f"{day}T{time.rjust(5, '0') if time[1:2] == ':' else time or '00:00'}")
    except ValueError:
        raise cells.BadCell(f"{name}: must be a moment like 2025-03-01 14:30, got {said!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).isoformat()


def _parts(said: str) -> tuple[date, str]:
    """Day and time; raises ValueError."""
    found = _DAY.fullmatch(said)
    if found is None:
        raise ValueError(said)
    year, *parts, time = found.groups()
    month, day = (int(part) for part in parts if part)
    return date(int(year), month, day), time or ""


# ── Shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def masked(name: str, said: str) -> str:
    """A cell as it may be seen while the columns are looked over; of a column that is none of ours its beginning."""
    if not said:
        return ""
    if name in KEYS:
        return privacy.mask(name, said)
    if name == "birthday":
        return f"{said[:4]}****"
    if name in ("name", ""):
        return f"{said[:1]}**"
    return privacy.without_numbers(said) if name not in ("registered_at", "consent_at", "points") else said
