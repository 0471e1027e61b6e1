"""Plans and their versions: which rules hold at a moment, in the form the engine takes.

A version is written, tested, approved by a second person, activated from a minute on, and retired by its successor.
Once approved its content never changes; editing means `copy` to a new version.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Model, Q
from django.utils.translation import gettext as _

from commissions import engine
from commissions.models import ActionRate, PlanVersion, Rule
from retail import audit
from retail.models import User

WHOLE_PPM = 1_000_000


class PlanRefused(ValueError):
    """A version cannot take this step; the message is for the person at the screen."""


class Rate(NamedTuple):
    """What a version pays for one type of action; `budget_from`: the day its budget counts from, None for ever."""

    id: int
    rule: engine.actions.ActionRate
    budget_from: date | None


class Compiled(NamedTuple):
    """A version ready to price with. `rule_ids`: rule code → id of its row; `names`: rule code → its name.

    `actions`: type → what it pays.
    """

    version_id: int
    plan: engine.CompiledPlan
    rule_ids: dict[str, int]
    names: dict[str, str]
    actions: dict[str, Rate]


class _Version(NamedTuple):
    brand_id: int
    id: int
    content_hash: str
    starts_at: datetime
    ends_at: datetime | None


class Timetable:
    """Which version of which brand held when, over a span of time. Answers from memory."""

    def __init__(self, versions: Iterable[_Version]) -> None:
        self._versions: dict[int, list[_Version]] = defaultdict(list)
        for version in versions:
            self._versions[version.brand_id].append(version)

    def at(self, *, brand_id: int, moment: datetime) -> Compiled | None:
        """The compiled version that holds for payments of that moment, or None."""
        for version in self._versions.get(brand_id, ()):
            if version.starts_at <= moment and (version.ends_at is None or version.ends_at > moment):
                return compiled(version.id, version.content_hash)
        return None


def timetable(*, brand_ids: Iterable[int], since: datetime, until: datetime) -> Timetable:
    """The versions in force at any moment of that span, its end included. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.brand_id, v.id, v.content_hash, v.starts_at, v.ends_at"
            " FROM commissions_planversion v JOIN commissions_plan p ON p.id = v.plan_id"
            " WHERE p.brand_id = ANY(%s::bigint[]) AND v.status IN ('active', 'retired')"
            " AND v.starts_at <= %s AND (v.ends_at IS NULL OR v.ends_at > %s)",
            [list(brand_ids), until, since],
        )
        return Timetable(_Version(*row) for row in cursor.fetchall())


def hold(*, brand_ids: Iterable[int]) -> None:
    """Let no version of these brands be put in force before our commit: what is judged now is judged by what holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtext('plan'), b::int) FROM unnest(%s::bigint[]) AS b ORDER BY b",
            [sorted(set(brand_ids))],
        )


def at(*, brand_id: int, moment: datetime) -> Compiled | None:
    """The compiled version that holds for payments of that moment, or None."""
    return timetable(brand_ids=[brand_id], since=moment, until=moment).at(brand_id=brand_id, moment=moment)


def of_version(version_id: int) -> Compiled:
    """The compiled form of a version that was in force at some time."""
    return compiled(version_id, PlanVersion.objects.values_list("content_hash", flat=True).get(pk=version_id))


@lru_cache(maxsize=64)
def compiled(version_id: int, content_hash: str) -> Compiled:
    """Compile a version. `content_hash` is there for the cache: what is approved never changes, nor does this."""
    version = PlanVersion.objects.get(pk=version_id)
    rows = list(version.rules.prefetch_related("shares"))
    plan = engine.compile_plan(
        [engine.parse_rule(as_document(row, version.tz)) for row in rows],
        tz=version.tz,
        group_modes=version.group_modes,
    )
    rates = {row.type: Rate(row.pk, _parsed_rate(row), row.budget_from) for row in version.action_rates.all()}
    return Compiled(version_id, plan, {row.code: row.pk for row in rows}, {row.code: row.name for row in rows}, rates)


def as_document(rule: Rule, tz: str) -> dict[str, Any]:
    """A stored rule in the public JSON format of the engine. What the shares leave over goes to `house`."""
    shares: list[dict[str, Any]] = [{"role": share.role, "weight": share.ppm} for share in rule.shares.all()]
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


def action_document(rate: ActionRate) -> dict[str, Any]:
    """A stored rate in the public JSON format of the engine, as it stands under `actions: {type: …}` of a version."""
    names = ("fen", "once_per", "daily_cap", "min_inactive_days", "budget_fen", "void_days")
    return {name: value for name in names if (value := getattr(rate, name)) not in (None, "")}


def _parsed_rate(rate: ActionRate) -> engine.actions.ActionRate:
    document = engine.Document(action_document(rate), path=rate.type)
    parsed = engine.actions.parse_rate(document)
    document.check()
    return parsed


def faults(version: PlanVersion) -> list[str]:
    """What keeps this version from being used, one sentence each; empty when nothing does."""
    found, rules = [], []
    for rule in version.rules.prefetch_related("shares"):
        total = sum(share.ppm for share in rule.shares.all())
        if total > WHOLE_PPM:
            found.append(_("规则 %(rule)s 的分成合计超过 100%%。") % {"rule": rule.code})
        try:
            rules.append(engine.parse_rule(as_document(rule, version.tz)))
        except engine.PlanError as error:
            found.append(_("规则 %(rule)s：%(error)s") % {"rule": rule.code, "error": error})
    for rate in version.action_rates.all():
        try:
            _parsed_rate(rate)
        except engine.DocumentError as error:
            found.append(str(error))
    if not version.rules.exists() and not version.action_rates.exists():
        found.append(_("这个版本还没有规则。"))
    try:
        engine.compile_plan(rules, tz=version.tz, group_modes=version.group_modes)
    except engine.PlanError as error:
        found.append(str(error))
    return found


def content_hash(version: PlanVersion) -> str:
    """SHA-256 over everything that pricing reads."""
    rules = [as_document(rule, version.tz) for rule in version.rules.order_by("code").prefetch_related("shares")]
    steps = [
        [row.code, row.level, row.role, row.mode, list(row.steps.values_list("from_fen", "ppm", "fixed_fen"))]
        for row in version.attainments.order_by("code")
    ]
    rates = {
        row.type: {**action_document(row), "budget_from": row.budget_from and row.budget_from.isoformat()}
        for row in version.action_rates.all()
    }
    # A version without rates keeps the hash it had before there were any.
    parts = [version.tz, version.group_modes, rules, steps, *([rates] if rates else [])]
    content = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


@transaction.atomic
def approve(*, version: PlanVersion, by: User | None, now: datetime) -> None:
    """Seal the content. Raises PlanRefused when the version has faults or the approver wrote it."""
    version = PlanVersion.objects.select_for_update(of=("self",)).get(pk=version.pk)
    if version.status not in (PlanVersion.Status.DRAFT, PlanVersion.Status.TESTED):
        raise PlanRefused(_("只有草稿或已试算的版本可以批准。"))
    if wrong := faults(version):
        raise PlanRefused(" ".join(wrong))
    if by is not None and version.written_by_id == by.pk:
        raise PlanRefused(_("批准人不能是编写人。"))
    version.content_hash = content_hash(version)
    version.status, version.approved_by, version.approved_at = PlanVersion.Status.APPROVED, by, now
    version.save()
    audit.record(by=by, action="plan.approve", target=version, now=now, after={"content_hash": version.content_hash})


@transaction.atomic
def activate(*, version: PlanVersion, starts_at: datetime, by: User | None, now: datetime, reason: str = "") -> None:
    """Put an approved version in force from `starts_at` up to the next one still to come; the one in force then ends.

    In the past it is a correction, and needs a reason: the version takes the place of all that held since. What is
    settled stays as it is until it is judged again (`intake.recompute`).
    """
    with connection.cursor() as cursor:  # waits for the batches in flight, see `hold`
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('plan'), %s)", [version.plan.brand_id])
    version = PlanVersion.objects.select_for_update(of=("self",)).get(pk=version.pk)
    if version.status != PlanVersion.Status.APPROVED:
        raise PlanRefused(_("只有已批准的版本可以生效。"))
    reason = reason.strip()
    others = PlanVersion.objects.select_for_update(of=("self",)).filter(plan=version.plan, status__in=_IN_FORCE)
    if starts_at < now and others.exists() and not reason:
        raise PlanRefused(_("生效时间早于现在，是更正：请写明原因。"))
    to_come = others.filter(starts_at__gt=max(now, starts_at)).order_by("starts_at").first()
    if starts_at > now and others.filter(starts_at=starts_at).exists():
        raise PlanRefused(_("这一刻已经排定了另一个版本。"))
    version.ends_at = to_come.starts_at if to_come else None
    for other in others.filter(Q(ends_at=None) | Q(ends_at__gt=starts_at), starts_at__lte=max(now, starts_at)):
        # One that began later held for nothing: its time is empty.
        other.status, other.ends_at = PlanVersion.Status.RETIRED, max(starts_at, cast(datetime, other.starts_at))
        other.save()
    version.status, version.starts_at = PlanVersion.Status.ACTIVE, starts_at
    version.save()
    after = {"starts_at": starts_at.isoformat(), **({"reason": reason} if reason else {})}
    audit.record(by=by, action="plan.activate", target=version, now=now, after=after)


_IN_FORCE = (PlanVersion.Status.ACTIVE, PlanVersion.Status.RETIRED)


@transaction.atomic
def copy(*, version: PlanVersion, by: User | None, now: datetime) -> PlanVersion:
    """A new draft with the same content: the way to change an approved version."""
    numbers = PlanVersion.objects.filter(plan=version.plan).values_list("number", flat=True)
    draft = PlanVersion.objects.create(
        plan=version.plan,
        number=max(numbers) + 1,
        tz=version.tz,
        group_modes=version.group_modes,
        note=version.note,
        written_by=by,
    )
    for rule in version.rules.prefetch_related("shares"):
        _copy_row(rule, parts=list(rule.shares.all()), part_field="rule", version=draft)
    for attainment in version.attainments.prefetch_related("steps"):
        _copy_row(attainment, parts=list(attainment.steps.all()), part_field="attainment", version=draft)
    for rate in version.action_rates.all():
        _copy_row(rate, parts=[], part_field="", version=draft)
    audit.record(by=by, action="plan.copy", target=draft, now=now, before={"version": version.number})
    return draft


def _copy_row(row: Model, *, parts: list[Model], part_field: str, version: PlanVersion) -> None:
    """Save the row and its parts once more, under another version."""
    for copied, owner, name in [(row, version, "version"), *((part, row, part_field) for part in parts)]:
        copied.pk = None
        copied._state.adding = True
        setattr(copied, name, owner)
        copied.save()
