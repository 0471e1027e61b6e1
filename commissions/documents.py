"""A plan version as one JSON document, the public format of docs/commission.md: written out, read in, copied.

What a version is made of stands in `LISTS`, once: what is named there is exported, imported, copied and compared.
Rules and cases have a format of their own; of any other list a row is an object of its columns, with its parts inside.
Reading refuses a document as a whole and names each place that is wrong; nothing of it is kept.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils.translation import gettext as _

from commissions import engine, rule_words
from commissions.engine.document import Document
from commissions.models import ActionRate, Attainment, AttainmentStep, PlanCase, PlanVersion, Rule, Share
from commissions.models.plans import Role

SCHEMA = 1
WHOLE_PPM = 1_000_000
MOST_ROWS = 2_000  # of one list

Json = dict[str, Any]


class DocumentRefused(ValueError):
    """A document that cannot be a version. `messages`: a sentence for each place that is wrong, the place first."""

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = list(messages)
        super().__init__(_("；").join(self.messages))


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not saved yet, and its parts."""

    row: models.Model
    parts: tuple[models.Model, ...] = ()


@dataclass(frozen=True, slots=True)
class List:
    """One list of a version: its name in the document, whose rows they are, and how one is written and read."""

    name: str
    model: type[models.Model]
    write: Callable[[Any, str], Json]
    read: Callable[[Document, str], Row]
    part: type[models.Model] | None = None
    part_name: str = ""
    key: str = "code"

    def rows(self, version: PlanVersion) -> models.QuerySet:
        rows = self.model._default_manager.filter(version=version).order_by(self.key)
        return rows.prefetch_related(self.part_name) if self.part else rows

    def documents(self, version: PlanVersion) -> list[Json]:
        return [self.write(row, version.tz) for row in self.rows(version)]

    def save(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self.model._default_manager.bulk_create([one.row for one in rows])
        if self.part:
            self.part._default_manager.bulk_create([part for one in rows for part in one.parts])


@dataclass(frozen=True, slots=True)
class Content:
    """A document that was found good: the columns of a version, and the rows of its lists by name."""

    version: Json
    lists: dict[str, list[Row]]

    def save_under(self, version: PlanVersion) -> None:
        """Write every row, under a version that has none yet."""
        for each in LISTS:
            for one in self.lists[each.name]:
                one.row.version = version  # type: ignore[attr-defined]
            each.save(self.lists[each.name])


# ── Out ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def of_version(version: PlanVersion) -> Json:
    """The whole content of a version. The same content always makes the same document."""
    head = {"schema": SCHEMA, "tz": version.tz, "group_modes": version.group_modes, "note": version.note}
    return {**head, **{each.name: each.documents(version) for each in LISTS}}


def as_document(rule: Rule, tz: str) -> Json:
    """A stored rule in the public JSON format of the engine. What the shares leave over goes to `house`."""
    shares: list[Json] = [{"role": share.role, "weight": share.ppm} for share in rule.shares.all()]
    rest = WHOLE_PPM - sum(share["weight"] for share in shares)
    if shares and rest > 0:
        shares.append({"role": "house", "weight": rest})
    valid = {
        name: moment.astimezone(ZoneInfo(tz)).replace(tzinfo=None).isoformat()
        for name, moment in (("from", rule.valid_from), ("to", rule.valid_to))
        if moment
    }
    optional = {"cap_fen": rule.cap_fen, "floor_fen": rule.floor_fen, "split": shares or None, "valid": valid or None}
    return {
        "id": rule.code,
        "group": rule.group,
        "priority": rule.priority,
        "stop": rule.stop,
        "when": rule.when,
        "base": rule.base,
        "calc": rule.calc,
        "missing": rule.missing or "forfeit",
        "commissionable": rule.is_commissionable,
        "counts_for_attainment": rule.counts_for_attainment,
        **{name: value for name, value in optional.items() if value is not None},
    }


def compiled(version: PlanVersion, rules: Iterable[Rule]) -> engine.CompiledPlan:
    """The rules of a version, ready to price with. Raises engine.PlanError for what could not be meant."""
    documents = [as_document(rule, version.tz) for rule in rules]
    return engine.compile_plan(engine.parse_rules(documents), tz=version.tz, group_modes=version.group_modes)


def _rule_out(rule: Rule, tz: str) -> Json:
    return {**as_document(rule, tz), "name": rule.name}


def _case_out(case: PlanCase, tz: str) -> Json:
    titled = {"title": case.title} if case.title else {}
    return {"id": case.code, "kind": case.kind, **titled, "input": case.input, "expect": case.expect}


def columns(model: type[models.Model]) -> list[models.Field]:
    """The columns that are content: neither the row's number nor what it hangs on."""
    return [field for field in model._meta.concrete_fields if not field.primary_key and not field.is_relation]


def _plain(row: models.Model) -> Json:
    values = {field.name: getattr(row, field.name) for field in columns(type(row))}
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in values.items()
        if value is not None
    }


def _table_out(part_name: str = "") -> Callable[[Any, str], Json]:
    def write(row: models.Model, tz: str) -> Json:
        parts = {part_name: [_plain(part) for part in getattr(row, part_name).all()]} if part_name else {}
        return {**_plain(row), **parts}

    return write


# ── Once more ────────────────────────────────────────────────────────────────────────────────────────────────────────
def copy(version: PlanVersion, draft: PlanVersion) -> None:
    """Write the rows of every list as they are, good or not, under another version."""
    for each in LISTS:
        rows = []
        for row in each.rows(version):
            copied = _again(row, version=draft)
            parts = getattr(row, each.part_name).all() if each.part else ()
            rows.append(Row(copied, tuple(_again(part, **{_owner(part, row): copied}) for part in parts)))
        each.save(rows)


def _again(row: models.Model, **changed: Any) -> models.Model:
    kept = [field for field in row._meta.concrete_fields if not field.primary_key and field.name not in changed]
    return type(row)(**{field.attname: getattr(row, field.attname) for field in kept}, **changed)


def _owner(part: models.Model | type[models.Model], row: models.Model | type[models.Model]) -> str:
    """The name of the column by which a part hangs on its row."""
    model = row if isinstance(row, type) else type(row)
    return next(field.name for field in part._meta.concrete_fields if field.related_model is model)


# ── In ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def read(data: object) -> Content:
    """Read a document. Raises DocumentRefused with every place that is wrong."""
    document = Document(data)
    document.allow_only("schema", "tz", "group_modes", "note", *(each.name for each in LISTS))
    if document.integer("schema", default=SCHEMA) != SCHEMA:
        document.note("schema", f"must be one of {SCHEMA}")
    tz = document.text("tz", default="Asia/Shanghai")
    modes = document.child("group_modes")
    version: Json = {"tz": tz, "group_modes": {name: modes.text(name) for name in modes.names()}}
    version["note"] = document.text("note", default="")
    messages = _faults_of_frame(data, document, version)
    lists = {each.name: [] if messages else list(_rows(document, each, tz, messages)) for each in LISTS}
    messages = list(dict.fromkeys([*map(rule_words.fault, document.problems), *messages]))
    if messages:
        raise DocumentRefused(messages)
    return Content(version, lists)


def read_list(name: str, items: Sequence[object]) -> list[Any]:
    """Read rows of one list that have no parts. Raises DocumentRefused with every place that is wrong."""
    content = read({name: list(items)})
    return [one.row for one in content.lists[name]]


def _faults_of_frame(data: object, document: Document, version: Json) -> list[str]:
    """What is wrong around the lists: without a time zone no rule can be read."""
    if "\\u0000" in json.dumps(data):
        return [_("文件里有空字符（\\u0000），存不下。")]
    for each in LISTS:
        if each.name in document and len(document.items(each.name)) > MOST_ROWS:
            return [_said(each.name, _("最多 %(n)s 条") % {"n": MOST_ROWS})]
    try:
        engine.compile_plan([], tz=version["tz"], group_modes=version["group_modes"])
    except engine.PlanError as error:
        return [rule_words.fault(message) for message in error.messages]
    return []


def _rows(document: Document, each: List, tz: str, messages: list[str]) -> Iterator[Row]:
    codes: set[str] = set()
    for place, child in enumerate(document.children(each.name) if each.name in document else []):
        if not isinstance(document.items(each.name)[place], Mapping):
            continue  # has been noted
        at = f"{each.name}[{place}]"
        try:
            one = each.read(child, tz)
        except engine.PlanError as error:
            messages += [_below(at, message) for message in error.messages]
            continue
        messages += _refused_by_table(at, one.row)
        messages += _refused_parts(f"{at}.{each.part_name}", one.parts)
        code = getattr(one.row, "code", "")
        if code in codes:
            messages.append(_said(at, _("编码「%(code)s」用了两次") % {"code": code}))
        codes.add(code)
        yield one


def _below(place: str, message: str) -> str:
    """What the engine says of a rule, behind the place of the rule in the document."""
    path, words = rule_words.problem(message)
    return _said(f"{place}.{path}" if path else place, words)


def _said(place: str, words: str) -> str:
    return _("%(name)s：%(what)s") % {"name": place, "what": words}


def _refused_by_table(place: str, row: models.Model) -> list[str]:
    """What a form or the table would refuse: too long, not one of the choices, fields that do not go together."""
    try:
        row.full_clean(exclude=_owners(row), validate_unique=False)
    except ValidationError as error:
        return [
            _said(place if name == NON_FIELD_ERRORS else f"{place}.{name}", said)
            for name, all_said in error.message_dict.items()
            for said in all_said
        ]
    return []


def _refused_parts(place: str, parts: Sequence[models.Model]) -> list[str]:
    """What is wrong with the parts of a row, also beside each other: what a row may have once, it has once."""
    messages, seen = [], set()
    for number, part in enumerate(parts):
        at = f"{place}[{number}]"
        messages += _refused_by_table(at, part)
        for once in part._meta.total_unique_constraints:
            (name,) = set(once.fields) - set(_owners(part))
            if (name, getattr(part, name)) in seen:
                messages.append(_said(f"{at}.{name}", _("和前面一行相同")))
            seen.add((name, getattr(part, name)))
    return messages


def _owners(row: models.Model) -> list[str]:
    """What the row hangs on: not there yet while a document is read."""
    return [field.name for field in row._meta.concrete_fields if field.is_relation]


def _rule_in(document: Document, tz: str) -> Row:
    data = {name: document.value(name) for name in document.names()}
    parsed = engine.parse_rule(data)
    valid_from, valid_to = _aware(parsed.valid_from, tz), _aware(parsed.valid_to, tz)
    if valid_from and valid_to and valid_to <= valid_from:
        raise engine.PlanError(["valid.to: must be after valid.from"])
    if parsed.to_role is not None and parsed.to_role not in Role.values:
        raise engine.PlanError([f"missing.to_role: must be one of {', '.join(Role.values)}"])
    rule = Rule(
        code=parsed.id,
        name=document.text("name", default=parsed.id),
        group=parsed.group,
        priority=parsed.priority,
        stop=parsed.stop,
        valid_from=valid_from,
        valid_to=valid_to,
        when=data.get("when") or {},
        base=parsed.base,
        calc=data["calc"],
        cap_fen=parsed.cap_fen,
        floor_fen=parsed.floor_fen,
        missing=data.get("missing") or "forfeit",
        is_commissionable=parsed.commissionable,
        counts_for_attainment=parsed.counts_for_attainment,
    )
    return Row(rule, tuple(_shares_in(rule, parsed)) if "split" in document else ())


def _aware(moment: datetime | None, tz: str) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=ZoneInfo(tz))


def _shares_in(rule: Rule, parsed: engine.Rule) -> Iterator[Share]:
    """Weights as parts of a million. The house keeps what is left: it stands last, and has no row."""
    total = sum(share.weight for share in parsed.split)
    for place, share in enumerate(parsed.split):
        if share.role == engine.HOUSE and place == len(parsed.split) - 1:
            return
        if share.role not in Role.values:
            raise engine.PlanError([f"split[{place}].role: must be one of {', '.join(Role.values)}"])
        ppm, rest = divmod(share.weight * WHOLE_PPM, total) if total else (0, 1)
        if rest:
            raise engine.PlanError([f"split[{place}].weight: must come out even in parts of a million"])
        yield Share(rule=rule, role=share.role, ppm=ppm, place=place)


def _case_in(document: Document, tz: str) -> Row:
    document.allow_only("id", "kind", "title", "input", "expect")
    for name in ("input", "expect"):
        document.child(name)  # notes what is no object
    return Row(
        PlanCase(
            code=document.text("id"),
            title=document.text("title", default=""),
            kind=document.text("kind"),
            input=document.value("input"),
            expect=document.value("expect") or {},
        )
    )


def _table_in(
    model: type[models.Model], part: type[models.Model] | None = None, part_name: str = ""
) -> Callable[[Document, str], Row]:
    """How a row of plain columns is read, and its parts with it."""

    def read(document: Document, tz: str) -> Row:
        row = _from_columns(model, document, part_name)
        if part is None or part_name not in document:
            return Row(row)
        owner = {_owner(part, model): row}
        return Row(row, tuple(_from_columns(part, child, **owner) for child in document.children(part_name)))

    return read


def _from_columns(model: type[models.Model], document: Document, *parts: str, **owner: models.Model) -> models.Model:
    document.allow_only(*(field.name for field in columns(model)), *parts)
    return model(**{field.name: _value(document, field) for field in columns(model)}, **owner)


def _value(document: Document, field: models.Field) -> Any:
    """What stands at a column; its default where nothing does."""
    if field.name not in document:
        if not field.has_default() and not field.null:
            document.note(field.name, "is missing")
        return field.get_default()
    if isinstance(field, models.BooleanField):
        return document.flag(field.name)
    if isinstance(field, models.IntegerField):
        return document.integer(field.name)
    if isinstance(field, models.DateField):
        try:
            return date.fromisoformat(document.text(field.name))
        except ValueError:
            document.note(field.name, "must be a day like 2026-12-01")
            return None
    return document.value(field.name) if isinstance(field, models.JSONField) else document.text(field.name)


LISTS = (
    List("rules", Rule, _rule_out, _rule_in, Share, "shares"),
    List(
        "attainments",
        Attainment,
        _table_out("steps"),
        _table_in(Attainment, AttainmentStep, "steps"),
        AttainmentStep,
        "steps",
    ),
    List("actions", ActionRate, _table_out(), _table_in(ActionRate), key="type"),
    List("cases", PlanCase, _case_out, _case_in),
)
"""What a version is made of, in the order it is written."""
