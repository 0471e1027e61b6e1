"""Plans and their versions: which rules hold at a moment, in the form the engine takes.

A version is written, tried on its own cases, approved by a second person, activated from a minute on, and retired by
its successor or by hand. Once approved its content never changes; editing means `copy` to a new version.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

from django.db import connection, models, transaction
from django.db.models import Max, Q
from django.utils.translation import gettext as _

from commissions import cases, documents, engine, ladders, rule_words
from commissions.documents import WHOLE_PPM, as_document
from commissions.models import ActionRate, Attainment, AttainmentStep, Plan, PlanCase, PlanVersion, Rule, Share
from retail import audit
from retail.models import AuditRow, User


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


class Judge(Protocol):
    """Says by which version a payment of a brand is judged."""

    def at(self, *, brand_id: int, moment: datetime) -> Compiled | None: ...


class Always:
    """One version, whatever it says of when it holds: for trying it on the past."""

    def __init__(self, version: Compiled) -> None:
        self._version = version

    def at(self, *, brand_id: int, moment: datetime) -> Compiled:
        return self._version


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


class Activation(NamedTuple):
    """That a version was put in force: when somebody did, from when on it holds, and why (of a correction)."""

    version_id: int
    at: datetime
    starts_at: datetime
    reason: str


def activations(*, brand_id: int) -> list[Activation]:
    """Every time a version of a brand was put in force, as the journal has it, the latest last. Two statements."""
    ids = [str(pk) for pk in PlanVersion._base_manager.filter(plan__brand=brand_id).values_list("pk", flat=True)]
    acts = AuditRow._base_manager.filter(action="plan.activate", target_type=PlanVersion._meta.label_lower)
    rows = acts.filter(target_id__in=ids).order_by("at", "pk").values_list("target_id", "at", "after")
    return [
        Activation(int(target_id), at, datetime.fromisoformat(said["starts_at"]), said.get("reason", ""))
        for target_id, at, said in ((target_id, at, after or {}) for target_id, at, after in rows)
    ]


def as_known(acts: Sequence[Activation], *, moment: datetime, at: datetime) -> Activation | None:
    """By what a payment of a moment was judged, as things stood at another."""
    known = [one for one in acts if one.at <= at]
    for place, one in reversed([*enumerate(known)]):
        # What was to come when it was put in force ends it.
        to_come = (other.starts_at for other in known[:place] if other.starts_at > max(one.at, one.starts_at))
        ends_at = min(to_come, default=None)
        if one.starts_at <= moment and (ends_at is None or moment < ends_at):
            return one
    return None


def as_it_stands(version: PlanVersion) -> Compiled:
    """The compiled form of any version, a draft as it is at this moment. Raises engine.PlanError for a faulty one."""
    return compiled(version.pk, version.content_hash or content_hash(version))


@lru_cache(maxsize=64)
def compiled(version_id: int, content_hash: str) -> Compiled:
    """Compile a version. `content_hash` is there for the cache: what is approved never changes, nor does this."""
    version = PlanVersion.objects.get(pk=version_id)
    rows = list(version.rules.prefetch_related("shares"))
    plan = documents.compiled(version, rows)
    rates = {row.type: Rate(row.pk, _parsed_rate(row), row.budget_from) for row in version.action_rates.all()}
    return Compiled(version_id, plan, {row.code: row.pk for row in rows}, {row.code: row.name for row in rows}, rates)


def action_document(rate: ActionRate) -> dict[str, Any]:
    """A stored rate in the public JSON format of the engine."""
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
    rows = list(version.rules.prefetch_related("shares"))
    for rule in rows:
        total = sum(share.ppm for share in rule.shares.all())
        if total > WHOLE_PPM:
            found.append(_("规则 %(rule)s 的分成合计超过 100%%。") % {"rule": rule.code})
        try:
            rules.append(engine.parse_rule(as_document(rule, version.tz)))
        except engine.PlanError as error:
            said = _("；").join(map(rule_words.fault, error.messages))
            found.append(_("规则 %(rule)s：%(error)s") % {"rule": rule.code, "error": said})
    rates = list(version.action_rates.all())
    for rate in rates:
        try:
            _parsed_rate(rate)
        except engine.DocumentError as error:
            found.append(str(error))
    if not rows and not rates:
        found.append(_("这个版本还没有规则。"))
    try:
        engine.compile_plan(rules, tz=version.tz, group_modes=version.group_modes)
    except engine.PlanError as error:
        found += map(rule_words.fault, error.messages)
    for attainment in version.attainments.prefetch_related("steps"):
        found += ladders.faults(attainment)
    return found


def content_hash(version: PlanVersion) -> str:
    """SHA-256 over everything that pricing reads."""
    rules = [as_document(rule, version.tz) for rule in version.rules.order_by("code").prefetch_related("shares")]
    steps = [ladders.as_content(row) for row in version.attainments.order_by("code").prefetch_related("steps")]
    rates = {
        row.type: {**action_document(row), "budget_from": row.budget_from and row.budget_from.isoformat()}
        for row in version.action_rates.all()
    }
    # A version without rates keeps the hash it had before there were any.
    parts = [version.tz, version.group_modes, rules, steps, *([rates] if rates else [])]
    content = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


# ── The life of a version ────────────────────────────────────────────────────────────────────────────────────────────
def _held(version: PlanVersion) -> PlanVersion:
    """The version as it is, ours until we commit."""
    return PlanVersion.objects.select_for_update(of=("self",)).get(pk=version.pk)


@transaction.atomic
def open_for_editing(*, version: PlanVersion) -> PlanVersion:
    """To be called before anything of a version changes: what was tried has to be tried again. Raises PlanRefused."""
    version = _held(version)
    if version.status in PlanVersion.SEALED:
        raise PlanRefused(_("这个版本已经封存，复制为新草稿再改。"))
    if version.status == PlanVersion.Status.TESTED:
        version.status = PlanVersion.Status.DRAFT
        version.save(update_fields=["status"])
    return version


@transaction.atomic
def remove(*, row: Rule | Attainment | PlanCase, by: User | None, now: datetime) -> None:
    """Take a rule, an attainment or a case out of a draft."""
    open_for_editing(version=row.version)
    audit.record(by=by, action="delete", target=row.version, now=now, before={"row": str(row)})
    row.delete()


@transaction.atomic
def try_out(*, version: PlanVersion, by: User | None, now: datetime) -> int:
    """Run the version's own cases: it is tested once all of them pass. How many there were. Raises PlanRefused."""
    version = _held(version)
    if version.status not in _OPEN:
        raise PlanRefused(_("只有草稿可以试算。"))
    count = _prove(version)
    version.status = PlanVersion.Status.TESTED
    version.save(update_fields=["status"])
    audit.record(by=by, action="plan.test", target=version, now=now, after={"cases": count})
    return count


def _prove(version: PlanVersion) -> int:
    """How many cases it carries; all have passed, else PlanRefused says what is wrong."""
    if wrong := faults(version):
        raise PlanRefused(" ".join(wrong))
    judged = cases.judge(version)
    if failed := [case for case, verdict in judged if not verdict.ok]:
        named = _("、").join(str(case) for case in failed[:5])
        raise PlanRefused(_("%(count)s 个用例没有通过：%(cases)s。") % {"count": len(failed), "cases": named})
    return len(judged)


@transaction.atomic
def approve(*, version: PlanVersion, by: User | None, now: datetime) -> None:
    """Seal the content. Its cases are run once more, here: the engine may have changed since they were.

    Raises PlanRefused when the version has faults, a case fails, or the approver wrote it.
    """
    version = _held(version)
    if version.status not in _OPEN:
        raise PlanRefused(_("只有草稿或已试算的版本可以批准。"))
    count = _prove(version)
    if by is not None and (version.written_by_id == by.pk or _has_edited(version, by)):
        raise PlanRefused(_("批准人不能是编写人，也不能是改过它的人。"))
    version.content_hash = content_hash(version)
    version.status, version.approved_by, version.approved_at = PlanVersion.Status.APPROVED, by, now
    version.save()
    after = {"content_hash": version.content_hash, "cases": count}
    audit.record(by=by, action="plan.approve", target=version, now=now, after=after)


def _has_edited(version: PlanVersion, by: User) -> bool:
    """Whether the journal knows of anything in it that this person wrote, changed or took out."""
    parts: dict[str, list[int]] = {PlanVersion._meta.label_lower: [version.pk]}
    for model, path in _PARTS.items():
        rows = model._base_manager.filter(**{path: version})
        parts[model._meta.label_lower] = list(rows.values_list("pk", flat=True))
    about = Q()
    for label, ids in parts.items():
        about |= Q(target_type=label, target_id__in=[str(pk) for pk in ids])
    return AuditRow._base_manager.filter(about, by=by, action__in=_EDITS).exists()


_PARTS: dict[type[models.Model], str] = {
    **dict.fromkeys((Rule, Attainment, PlanCase, ActionRate), "version"),
    Share: "rule__version",
    AttainmentStep: "attainment__version",
}
_EDITS = ("add", "change", "delete", "plan.import", "plan.cases", "plan.copy")


@transaction.atomic
def activate(*, version: PlanVersion, starts_at: datetime, by: User | None, now: datetime, reason: str = "") -> None:
    """Put an approved version in force from `starts_at` up to the next one still to come; the one in force then ends.

    In the past it is a correction, and needs a reason: the version takes the place of all that held since. What is
    settled stays as it is until it is judged again (`intake.recompute`).
    """
    _wait_for_batches(version)
    version = _held(version)
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


@transaction.atomic
def retire(*, version: PlanVersion, ends_at: datetime, by: User | None, now: datetime, reason: str = "") -> None:
    """End a version at a moment to come without a successor: what is paid after it earns nobody anything.

    One that has not begun yet is called off. Raises PlanRefused for a moment in the past: that is a correction.
    """
    _wait_for_batches(version)
    version = _held(version)
    if version.status != PlanVersion.Status.ACTIVE:
        raise PlanRefused(_("只有生效的版本可以停用。"))
    if not reason.strip():
        raise PlanRefused(_("请写明停用的原因。"))
    if ends_at < now:
        raise PlanRefused(_("停用时间不能早于现在；要更正过去，请排定一个更正版本。"))
    if version.ends_at is not None and version.ends_at <= ends_at:
        raise PlanRefused(_("它到那时已经被下一个版本取代。"))
    version.status, version.ends_at = PlanVersion.Status.RETIRED, max(ends_at, cast(datetime, version.starts_at))
    version.save()
    after = {"ends_at": version.ends_at.isoformat()}
    audit.record(by=by, action="plan.retire", target=version, now=now, after=after, reason=reason.strip())


def _wait_for_batches(version: PlanVersion) -> None:
    """For those in flight to commit (see `hold`), and keep the next ones out until we have."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('plan'), %s)", [version.plan.brand_id])


_OPEN = (PlanVersion.Status.DRAFT, PlanVersion.Status.TESTED)
_IN_FORCE = (PlanVersion.Status.ACTIVE, PlanVersion.Status.RETIRED)


# ── New drafts ───────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def copy(*, version: PlanVersion, by: User | None, now: datetime) -> PlanVersion:
    """A new draft with the same content: the way to change an approved version."""
    same = {"tz": version.tz, "group_modes": version.group_modes, "note": version.note}
    draft = new_draft(plan=version.plan, by=by, **same)
    documents.copy(version, draft)
    audit.record(by=by, action="plan.copy", target=draft, now=now, before={"version": version.number})
    return draft


@transaction.atomic
def take_in(*, plan: Plan, data: object, by: User | None, now: datetime) -> PlanVersion:
    """A new draft from a document of the public format. Raises documents.DocumentRefused; nothing is written then."""
    content = documents.read(data)
    draft = new_draft(plan=plan, by=by, **content.version)
    content.save_under(draft)
    counts = {name: len(rows) for name, rows in content.lists.items()}
    audit.record(by=by, action="plan.import", target=draft, now=now, after=counts)
    return draft


@transaction.atomic
def new_draft(*, plan: Plan, by: User | None, **content: Any) -> PlanVersion:
    """An empty draft with the next number of its plan."""
    Plan.objects.select_for_update(of=("self",)).get(pk=plan.pk)  # two at once get two numbers
    newest = PlanVersion.objects.filter(plan=plan).aggregate(newest=Max("number"))["newest"]
    return PlanVersion.objects.create(plan=plan, number=(newest or 0) + 1, written_by=by, **content)
