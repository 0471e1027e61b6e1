"""会员资料: all that is held about one person, for that person: a file to read, and the same for a machine.

Nothing here lists what to look for: whatever table names a member, a membership or an order of theirs is told, so also
one that is made tomorrow. `LEFT_OUT` says what is not, and why (tests/retail/test_dossier.py).
"""

import json
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import IO, Any, NamedTuple

from django.apps import apps
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from members import erasure
from members.models import Member, Membership
from members.rights import access
from retail import exports, privacy
from retail.models import AuditRow, BuyerKey, ExportFile, Order
from retail.sheets import plain

# Tables that name a member and are not told.
LEFT_OUT = {
    "clerks.Customer": "a copy of the relation, for the clerk's list",
    "clerks.Pooled": "made of purchases and relations, which are told",
    "members.Doubt": "names somebody else, who may be another person",
    "clerks.Merge": "how rows of ours were put together; what they say is told",
    "commissions.ActionEvent": "what an employee is paid: theirs",
    "commissions.BuyerSnapshot": "copied for what employees are paid",
    "commissions.ClaimRow": "what an employee is paid: theirs",
    "commissions.CountMark": "a step of ours in counting",
    "commissions.CompanyLeg": "what companies owe each other",
    "commissions.Dispute": "between an employee and their manager",
    "commissions.Entry": "what an employee is paid: theirs",
    "retail.OrderVersion": "earlier words of a channel on the same order",
    "members.SegmentMember": "lists drawn for a day, from what is told here",
    "members.SegmentMove": "likewise",
    "members.Behind": "work that waits, for minutes",
}


class Section(NamedTuple):
    title: str
    rows: list[dict[str, str]]


# ── What is held ─────────────────────────────────────────────────────────────────────────────────────────────────────
def collect(*, member: Member) -> list[Section]:
    """Table by table, what says something of the person; tables that say nothing are left out."""
    whole = erasure.person(member)
    sections = [Section(_title(Member), [_told(row) for row in Member._base_manager.filter(pk__in=whole.member_ids)])]
    for model in told_models():
        rows = _about(model, whole).order_by("pk")
        related = [field.name for field in model._meta.fields if field.is_relation]
        if told := [_told(row) for row in rows.select_related(*related).iterator()]:
            sections.append(Section(_title(model), told))
    looks = AuditRow._base_manager.filter(
        action=privacy.UNMASK, target_type=Member._meta.label_lower, target_id__in=map(str, whole.member_ids)
    )
    if seen := [{str(_("时间")): _moment(row.at)} for row in looks.order_by("pk")]:
        sections.append(Section(str(_("谁看过完整号码")), seen))
    return sections


def told_models() -> list[type[models.Model]]:
    """The tables that name a member, a membership or an order, without those that are left out."""
    named = (model for model in apps.get_models() if ways(model) and model is not Member)
    return sorted((one for one in named if one._meta.label not in LEFT_OUT), key=lambda one: one._meta.label)


def ways(model: type[models.Model]) -> list[str]:
    """How a row of the table is somebody's, as look-ups of a member; none where it is nobody's."""
    if model._meta.label in _BY_WAY_OF:
        return [_BY_WAY_OF[model._meta.label]]
    targets = {one.name: one.remote_field.model for one in model._meta.concrete_fields if one.remote_field}
    direct = [name for name, target in targets.items() if target is Member]
    direct += [f"{name}__member" for name, target in targets.items() if target is Membership]
    return direct or [f"{name}__{_BUYER}" for name, target in targets.items() if target is Order]


_BUYER = "purchase__membership__member"
_BY_WAY_OF = {
    "retail.Order": _BUYER,
    "members.CouponMove": "coupon__membership__member",
    "clerks.Notice": "friend__member",
}
# Who is held out of leads stands on no page and in no file: whoever knew could not tell what leads bring.
_SHOWN = {"leads.Lead": Q(arm="treated")}
_OURS = ("buyer_keys", "cost_fen", "settled_version", "tag_ids")  # columns that tell a person nothing of themselves


def _about(model: type[models.Model], whole: erasure.Person) -> models.QuerySet:
    among = Q()
    for way in ways(model):
        among |= Q(**{f"{way}__in": whole.member_ids})
    return model._base_manager.filter(among & _SHOWN.get(model._meta.label, Q()))


def _told(row: models.Model) -> dict[str, str]:
    """A row in the words of the pages, without the numbers of our own rows."""
    said = {}
    for field in row._meta.concrete_fields:
        if field.primary_key or not field.editable or field.name in _OURS or isinstance(field, models.BinaryField):
            continue
        value = _word(row, field)
        if value:
            said[str(field.verbose_name)] = value
    return said


def _word(row: models.Model, field: Any) -> str:
    value = getattr(row, field.name)
    if value is None or value == "" or value == [] or value == {}:
        return ""
    if isinstance(value, BuyerKey):
        return f"{value.get_type_display()} {'' if value.is_erased else privacy.reveal(value)}".strip()
    if isinstance(value, Member):
        return _("会员 %(number)s") % {"number": value.pk}
    if isinstance(value, models.Model):
        return plain(value)
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(value, bool):
        return str(_("是") if value else _("否"))
    if field.name.endswith("_fen"):
        return f"¥{value / 100:.2f}"
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else plain(value)


def _moment(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}"


def _title(model: type[models.Model]) -> str:
    return str(model._meta.verbose_name)


# ── As a file ────────────────────────────────────────────────────────────────────────────────────────────────────────
def write(out: IO[bytes], row: ExportFile) -> None:
    """The file of an export: a text to read, member.json for a machine."""
    sections = collect(member=Member._base_manager.get(pk=row.ids[0]))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(f"{_('会员资料')}.txt", "\ufeff" + "".join(_readable(sections)))
        content = {section.title: section.rows for section in sections}
        made.writestr("member.json", json.dumps(content, ensure_ascii=False, indent=1))


def _readable(sections: Sequence[Section]) -> Iterator[str]:
    for section in sections:
        yield _("【%(title)s】") % {"title": section.title} + "\r\n"
        for row in section.rows:
            said = (_("%(name)s：%(value)s") % {"name": name, "value": value} for name, value in row.items())
            yield "".join(f"{line}\r\n" for line in said) + "\r\n"


exports.WRITERS[access.FORMAT] = write
