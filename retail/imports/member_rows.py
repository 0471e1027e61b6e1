"""What the columns of a list of members are called, and a row of it as the feed's own shape.

People name columns as they please: each of ours has the headings it is known by, Chinese and English.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
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
    headings: str  # by which it is known, separated by blanks


COLUMNS = (
    Column("phone", _("手机号"), "手机 手机号 手机号码 电话 联系电话 会员手机 mobile phone tel buyer_phone"),
    Column("unionid", _("微信 unionid"), "unionid 微信unionid buyer_unionid"),
    Column("external_userid", _("企业微信客户"), "external_userid 外部联系人 企业微信客户 buyer_external_userid"),
    Column("card", _("会员卡号"), "会员卡号 卡号 会员号 会员编号 card card_no member_no buyer_card"),
    Column("channel_id", _("渠道买家号"), "渠道买家号 买家号 买家id channel_id buyer_id buyer_channel_id"),
    Column("channel", _("渠道编码"), "渠道 渠道编码 channel"),
    Column("name", _("称呼"), "姓名 称呼 名字 会员姓名 顾客姓名 name full_name member_name"),
    Column("birthday", _("生日"), "生日 出生日期 出生年月日 birthday birth_date date_of_birth dob"),
    Column(
        "registered_at",
        _("入会时间"),
        "入会时间 入会日期 注册时间 注册日期 开卡时间 开卡日期 registered_at register_time join_date created_at",
    ),
    Column("store_code", _("门店编码"), "门店 门店编码 门店代码 门店编号 入会门店 开卡门店 store store_code"),
    Column("clerk", _("导购工号"), "导购 导购工号 工号 专属导购 导购编号 clerk clerk_code staff_code"),
    Column("tier", _("会员等级"), "等级 会员等级 等级编码 会员级别 tier level"),
    Column("points", _("积分"), "积分 积分余额 可用积分 当前积分 points balance"),
    Column("tags", _("标签"), "标签 会员标签 tags"),
    Column("consent_marketing", _("同意营销联系"), "同意营销 同意营销联系 接收营销 consent_marketing"),
    Column("consent_profiling", _("同意个性化推荐"), "同意个性化 同意个性化推荐 consent_profiling"),
    Column("consent_at", _("同意时间"), "同意时间 授权时间 consent_at"),
    Column("consent_text", _("条款版本"), "条款版本 协议版本 consent_text text_version"),
)
NAMES = tuple(column.name for column in COLUMNS)
TITLES = {column.name: column.title for column in COLUMNS}
KEYS = NAMES[:5]
_CONSENTS = {"consent_marketing": "marketing", "consent_profiling": "profiling"}
_NOISE = re.compile(r"[\s_\-.()（）*:：]")
_BY_HEADING = {
    _NOISE.sub("", heading).lower(): column.name for column in COLUMNS for heading in column.headings.split(" ")
}
_YES, _NO = {"是", "同意", "y", "yes", "true", "1"}, {"否", "不同意", "n", "no", "false", "0"}


def guess(header: Sequence[str]) -> list[str]:
    """Of each column of a file which of ours it is; "" for one that is none, or was there before."""
    found: list[str] = []
    for heading in header:
        name = _BY_HEADING.get(_NOISE.sub("", heading).lower(), "")
        found.append("" if name in found else name)
    return found


def problems(columns: Sequence[str]) -> list[str]:
    """Why a file cannot be read by these columns, in words."""
    named = [name for name in columns if name]
    said = []
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
def member(given: dict[str, str]) -> shapes.Member:
    """A row, by our names, as the feed would have told it. Raises cells.BadCell, which names the column."""
    content: dict[str, Any] = {
        name: given[name] for name in ("channel", "name", "store_code", "clerk", "tier", "points") if given.get(name)
    }
    content["buyer"] = [{"type": kind, "value": given[kind]} for kind in KEYS if given.get(kind)]
    if not content["buyer"]:
        raise cells.BadCell("phone: nothing in this row says who it is")
    if given.get("birthday"):
        content["birthday"] = _day("birthday", given["birthday"])
    if given.get("registered_at"):
        content["registered_at"] = _moment("registered_at", given["registered_at"])
    if given.get("tags"):
        content["tags"] = [tag for tag in re.split(r"\s*[|,，;；、]\s*", given["tags"]) if tag]
    content["consents"] = list(_consents(given, content.get("registered_at", "")))
    return cells.typed(content, shapes.Member)


def _consents(given: dict[str, str], registered_at: str) -> Iterable[dict[str, Any]]:
    at = _moment("consent_at", given["consent_at"]) if given.get("consent_at") else registered_at
    for name, purpose in _CONSENTS.items():
        said = given.get(name, "").lower()
        if not said:
            continue
        if said not in _YES | _NO:
            raise cells.BadCell(f"{name}: must be 是 or 否, got {said!r}")
        if not at:
            raise cells.BadCell("consent_at: is empty")
        word = {"purpose": purpose, "is_given": said in _YES, "at": at}
        yield word | ({"text_version": given["consent_text"]} if given.get("consent_text") else {})


_DAY = re.compile(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?")


def _day(name: str, said: str) -> str:
    """A day however it is written: 1986-5-4, 1986/05/04, 19860504, 1986年5月4日; with a time, the time is left out."""
    found = _DAY.match(said)
    try:
        if found is None or (len(said) > len(found[0]) and said[len(found[0])] not in " T"):
            raise ValueError
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        raise cells.BadCell(f"{name}: must be a day like 1986-05-04, got {said!r}") from None


def _moment(name: str, said: str) -> str:
    """A moment; one without an offset, or a mere day, is of the clock on the wall in Shanghai."""
    day = _day(name, said)
    found = _DAY.match(said)
    rest = said[len(found[0]) :].strip(" T") if found else ""
    try:
        moment = datetime.fromisoformat(f"{day}T{rest}" if rest else f"{day}T00:00:00")
    except ValueError:
        raise cells.BadCell(f"{name}: must be a moment like 2025-03-01 14:30, got {said!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).isoformat()


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
