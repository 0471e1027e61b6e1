"""What two versions do not have in common, row by row and field by field, in words."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commissions import documents, rule_words
from commissions.models import PlanVersion, Rule
from retail.templatetags.figures import percent, yuan


class Change(NamedTuple):
    """One thing that is not as it was."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that is new (`before` empty), gone (`after` empty), or other in some of its fields."""

    name: str
    code: str
    before: str
    after: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """The differences in one list of the versions."""

    title: str
    added: tuple[RowChange, ...]
    removed: tuple[RowChange, ...]
    changed: tuple[RowChange, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    head: tuple[Change, ...]
    sections: tuple[Section, ...]

    def __bool__(self) -> bool:
        return bool(self.head or self.sections)


class _Said(NamedTuple):
    """A field as it is compared, and in words."""

    value: Any
    words: str


_Fields = dict[str, _Said]
_Teller = Callable[[Any, Mapping[str, str]], tuple[str, _Fields]]
"""From a row and the names of what it names: the whole of it in a sentence, and its fields by label."""


def between(old: PlanVersion, new: PlanVersion) -> Differences:
    """What has to change in `old` to make it `new`. A row is known by its code."""
    sections = (_section(each, list(each.rows(old)), list(each.rows(new))) for each in documents.LISTS)
    return Differences(
        tuple(_changes(_head(old), _head(new))),
        tuple(one for one in sections if one.added or one.removed or one.changed),
    )


def _head(version: PlanVersion) -> _Fields:
    modes = {group: str(rule_words.MODES.get(mode, mode)) for group, mode in sorted(version.group_modes.items())}
    said = _("；").join(_("%(name)s：%(what)s") % {"name": group, "what": mode} for group, mode in modes.items())
    return {
        _("规则组方式"): _Said(version.group_modes, said),
        _("时区"): _Said(version.tz, version.tz),
        _("说明"): _Said(version.note, version.note),
    }


def _section(each: documents.List, old: list[Any], new: list[Any]) -> Section:
    names = rule_words.names(*(row.when for row in (*old, *new) if isinstance(row, Rule)))
    tell = _TELLERS.get(each.name, _tell_columns)
    before, after = {row.code: row for row in old}, {row.code: row for row in new}
    changed = [_row_change(before[code], after[code], tell, names) for code in before if code in after]
    return Section(
        str(each.model._meta.verbose_name_plural),
        tuple(RowChange(str(row), code, "", tell(row, names)[0]) for code, row in after.items() if code not in before),
        tuple(RowChange(str(row), code, tell(row, names)[0], "") for code, row in before.items() if code not in after),
        tuple(one for one in changed if one.changes),
    )


def _row_change(old: Any, new: Any, tell: _Teller, names: Mapping[str, str]) -> RowChange:
    (before, fields), (after, fields_now) = tell(old, names), tell(new, names)
    return RowChange(str(new), new.code, before, after, tuple(_changes(fields, fields_now)))


def _changes(old: _Fields, new: _Fields) -> Iterable[Change]:
    for label, now in new.items():
        if old[label].value != now.value:
            yield Change(label, old[label].words or _("没有"), now.words or _("没有"))


# ── How rows are told ────────────────────────────────────────────────────────────────────────────────────────────────
def _tell_rule(rule: Rule, names: Mapping[str, str]) -> tuple[str, _Fields]:
    shares = list(rule.shares.all())
    split = [(share.role, share.ppm) for share in shares]
    moments = (rule.valid_from, rule.valid_to)
    fields = {
        _("名称"): _Said(rule.name, rule.name),
        _("条件"): _Said(rule.when, rule_words.conditions(rule.when, names)),
        _("有效期"): _Said(moments, rule_words.validity(rule) or _("不限")),
        _("规则组"): _Said(rule.group, rule.group),
        _("优先级"): _Said(rule.priority, str(rule.priority)),
        _("命中后停止"): _yes(rule.stop),
        _("算法"): _Said((rule.base, rule.calc, rule.floor_fen, rule.cap_fen), rule_words.calculation(rule)),
        _("计佣"): _yes(rule.is_commissionable),
        _("计入业绩"): _yes(rule.counts_for_attainment),
        _("分给"): _Said(split, rule_words.split(shares)),
        _("缺人时"): _Said(rule.missing, rule_words.missing(rule.missing)),
    }
    return rule_words.sentence(rule, shares, names), fields


def _yes(value: bool) -> _Said:
    return _Said(value, str(_YES[value]))


_YES = {True: gettext_lazy("是"), False: gettext_lazy("否")}


def _tell_case(case: Any, names: Mapping[str, str]) -> tuple[str, _Fields]:
    fields = {
        _("类型"): _Said(case.kind, case.get_kind_display()),
        _("说明"): _Said(case.title, case.title),
        _("输入"): _Said(case.input, _("有改动")),
        _("应得"): _Said(case.expect, json.dumps(case.expect, ensure_ascii=False)),
    }
    return case.get_kind_display(), fields


def _tell_columns(row: models.Model, names: Mapping[str, str]) -> tuple[str, _Fields]:
    """A row of plain columns by their names, its parts one after another."""
    each = next(one for one in documents.LISTS if one.model is type(row))
    fields = {
        _label(field): _Said(getattr(row, field.name), _words(row, field)) for field in documents.columns(type(row))
    }
    if each.part:
        parts = list(getattr(row, each.part_name).all())
        told = [_("，").join(_part_words(part)) for part in parts]
        values = [[getattr(part, field.name) for field in documents.columns(each.part)] for part in parts]
        fields[str(each.part._meta.verbose_name)] = _Said(values, _("；").join(told))
    return _("；").join(f"{label} {said.words}" for label, said in fields.items() if said.words), fields


def _part_words(part: models.Model) -> list[str]:
    """What a part says: nothing of a column that is empty, and of a flag only when it is up."""
    values = [(field, getattr(part, field.name)) for field in documents.columns(type(part))]
    return [
        _label(field) if value is True else f"{_label(field)} {_words(part, field)}"
        for field, value in values
        if value not in (None, "") and value is not False
    ]


def _label(field: models.Field) -> str:
    """The name of a column without the unit it is kept in: 起点（分） → 起点."""
    return re.sub(r"\W+\w+\W$", "", str(field.verbose_name))


def _words(row: models.Model, field: models.Field) -> str:
    value = getattr(row, field.name)
    if value is None or value == "":
        return ""
    if field.choices:
        return str(getattr(row, f"get_{field.name}_display")())
    if isinstance(value, bool):
        return str(_YES[value])
    if field.name == "fen" or field.name.endswith("_fen"):
        return f"¥{yuan(value)}"
    if field.name == "ppm" or field.name.endswith("_ppm"):
        return percent(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


_TELLERS: dict[str, _Teller] = {"rules": _tell_rule, "cases": _tell_case}
