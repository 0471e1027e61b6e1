"""The life of a run over history: asked for, worked out, looked at, posted. The work itself is in retail.runs.

A what-if ends when it is worked out. A recompute is worked out first, too: what it would post is on its page, and is
posted when somebody who may says so; above a limit, when a second person agrees.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commissions import plans, what_if
from commissions.models import Entry, PlanVersion, Rule, Run, RunFigure
from commissions.models.ledger import SHANGHAI, midnight
from commissions.models.plans import Role
from commissions.tried_tiers import Bonuses
from commissions.what_if import Change, Outcome
from retail import approvals, audit, jobs
from retail.models import Brand, Channel, Order, Refund, Store, User
from retail.templatetags.figures import yuan

JOB = "run"
POST = "run.post"
LONGEST = 366  # days


class RunRefused(ValueError):
    """This cannot be started or posted; the message is for the person at the screen."""


class Stopped(Exception):
    """Somebody cancelled the run that is at work."""


# ── Asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def try_on(*, version: PlanVersion, first: date, last: date, by: User | None, now: datetime) -> Run:
    """Ask for a version, a draft too, to be tried on the orders paid on these days. Raises RunRefused."""
    if wrong := plans.faults(version):
        raise RunRefused(" ".join(wrong))
    return _start(Run(kind=Run.Kind.WHAT_IF, brand=version.plan.brand, version=version), first, last, by, now)


@transaction.atomic
def preview(*, brand: Brand, first: date, last: date, by: User | None, now: datetime) -> Run:
    """Ask what judging these days again, by the versions that hold, would post. Raises RunRefused."""
    return _start(Run(kind=Run.Kind.RECOMPUTE, brand=brand), first, last, by, now)


def _start(run: Run, first: date, last: date, by: User | None, now: datetime) -> Run:
    if last < first:
        raise RunRefused(_("结束日不能早于开始日。"))
    if last > now.astimezone(SHANGHAI).date():
        raise RunRefused(_("只能选过去的日子。"))
    if (last - first).days >= LONGEST:
        raise RunRefused(_("一次最多 %(days)s 天。") % {"days": LONGEST})
    run.first_on, run.last_on, run.started_by, run.started_at = first, last, by, now
    run.save()
    after = {"first_on": first.isoformat(), "last_on": last.isoformat(), "version": str(run.version or "")}
    audit.record(by=by, action="run.start", target=run, now=now, after=after)
    _enqueue(run, now)
    return run


def _enqueue(run: Run, now: datetime) -> None:
    # One run of a brand at a time: each is as large as a month.
    jobs.enqueue(work=[jobs.Work(JOB, {"run_id": run.pk}, f"run:{run.brand_id}")], now=now)


@transaction.atomic
def cancel(*, run: Run, by: User, now: datetime) -> None:
    """Stop a run at its next batch. What a posting has posted stays. Raises RunRefused."""
    run = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if not run.is_at_work:
        raise RunRefused(_("这次已经结束，不用取消。"))
    was, run.state, run.ended_at = run.state, Run.State.CANCELLED, now
    if was == Run.State.POSTING:
        run.trouble = _("过账到一半取消了：已过的账不会撤回。再重算一次，会接着过剩下的。")
    run.save(update_fields=["state", "ended_at", "trouble"])
    audit.record(by=by, action="run.cancel", target=run, now=now, before={"state": was})


@transaction.atomic
def post(*, run: Run, by: User, reason: str, now: datetime) -> Run:
    """Let what the preview showed be posted, or, where that is much, put it before a second person.

    Raises RunRefused, also when other versions hold by now.
    """
    run = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if run.kind != Run.Kind.RECOMPUTE or run.state != Run.State.READY:
        raise RunRefused(_("只有算好的重算可以过账。"))
    if not run.changed:
        raise RunRefused(_("没有要过的账。"))
    if _plans_of(run) != run.facts["plans"]:
        raise RunRefused(_("算好以后方案变了，请重新算一次再过账。"))
    if run.result["moved_fen"] > settings.RECOMPUTE_ALONE_FEN:
        return _ask(run, by, reason, now)
    _begin_posting(run, by, now)
    return run


def _ask(run: Run, by: User, reason: str, now: datetime) -> Run:
    if not reason.strip():
        raise RunRefused(_("变动合计 ¥%(fen)s，要另一个人同意：请写明原因。") % {"fen": yuan(run.result["moved_fen"])})
    orders = _("%(count)s 笔订单") % {"count": f"{len(run.changed):,}"}
    said = _("%(orders)s，多给 ¥%(more)s，收回 ¥%(less)s")
    amounts = {"orders": orders, "more": yuan(run.result["more_fen"]), "less": yuan(run.result["less_fen"])}
    approvals.ask(
        kind=POST, target=run, payload={}, by=by, reason=reason, now=now,
        after={str(run): said % amounts}, brand_id=run.brand_id,
    )  # fmt: skip
    return run


def _begin_posting(run: Run, by: User, now: datetime) -> None:
    run.state, run.posted_by, run.ended_at = Run.State.POSTING, by, None
    run.save(update_fields=["state", "posted_by", "ended_at"])
    audit.record(by=by, action=POST, target=run, now=now, after={"moved_fen": run.result["moved_fen"]})
    _enqueue(run, now)


@approvals.kind(POST, name=gettext_lazy("重算过账"), permission="commissions.decide_run")
def _agreed(*, target_id: str, payload: dict[str, Any], by: User, now: datetime) -> None:
    run = Run.objects.select_for_update(of=("self",)).get(pk=target_id)
    if run.state != Run.State.READY or _plans_of(run) != run.facts["plans"]:
        raise approvals.Refused(_("算好以后方案变了，请重新算一次再过账。"))
    _begin_posting(run, by, now)


def is_outdated(run: Run) -> bool:
    """Whether the rules it was worked out by are others by now: a draft that was edited, a version put in force."""
    return bool(run.facts) and run.state == Run.State.READY and _plans_of(run) != run.facts["plans"]


def is_asked(run: Run) -> bool:
    """Whether it waits for a second person."""
    approval = approvals.Approval._base_manager
    return approval.filter(kind=POST, target_id=str(run.pk), state=approvals.Approval.State.WAITING).exists()


# ── What it is worked out from ───────────────────────────────────────────────────────────────────────────────────────
def orders_of(run: Run) -> QuerySet[Order]:
    """The orders of its days, through the scope in force."""
    until = midnight(run.last_on + timedelta(days=1))
    return Order.objects.filter(brand=run.brand_id, paid_at__gte=midnight(run.first_on), paid_at__lt=until)


def facts_of(run: Run) -> dict[str, Any]:
    """The rules, and counts that change with every order, correction and refund that is settled."""
    orders = orders_of(run).filter(settled_at__isnull=False)
    sold = orders.aggregate(orders=Count("pk"), versions=Sum("settled_version", default=0))
    refunds = Refund.objects.filter(order__in=orders, settled_at__isnull=False)
    back = refunds.aggregate(refunds=Count("pk"), refund_versions=Sum("version", default=0))
    return {"plans": _plans_of(run), **sold, **back}


def digest(facts: dict[str, Any], run: Run) -> str:
    days = [run.first_on.isoformat(), run.last_on.isoformat()]
    return hashlib.sha256(json.dumps([run.brand_id, *days, facts], sort_keys=True).encode()).hexdigest()


def _plans_of(run: Run) -> list[list[Any]]:
    """What judges these days: the content of the version tried, or of all that hold, and from when to when."""
    if run.version is not None:
        return [[run.version_id, run.version.content_hash or plans.content_hash(run.version)]]
    first, until = midnight(run.first_on), midnight(run.last_on + timedelta(days=1))
    held = PlanVersion.objects.filter(plan__brand=run.brand_id, status__in=("active", "retired"), starts_at__lt=until)
    rows = held.exclude(ends_at__lte=first).order_by("starts_at", "pk")
    return [
        [pk, content, str(starts_at), str(ends_at or "")]
        for pk, content, starts_at, ends_at in rows.values_list("pk", "content_hash", "starts_at", "ends_at")
    ]


# ── At work ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Progress:
    """Told the lines done and in all: holds on to the job, keeps both on the run, and stops when it was cancelled."""

    EVERY = 1.0  # seconds

    def __init__(self, run: Run) -> None:
        self._run, self._noted = run, 0.0

    def __call__(self, done: int, total: int) -> None:
        """Raises Stopped, and jobs.Lost."""
        if done < total and time.monotonic() - self._noted < self.EVERY:
            return
        self._noted = time.monotonic()
        jobs.renew()
        row = Run.objects.filter(pk=self._run.pk, state=self._run.state)
        if not row.update(done=done, total=total, noted_at=Now()):
            raise Stopped


def begin(*, run: Run, state: str, now: datetime) -> None:
    """Take this step up, again when a worker died over it. Raises Stopped when it was cancelled before."""
    step = {"state": state, "began_at": now, "noted_at": None, "done": 0, "total": 0, "trouble": ""}
    if not Run.objects.filter(pk=run.pk, state=run.state).update(**step):
        raise Stopped
    run.state = state


def note(*, run: Run, trouble: str) -> None:
    """Say on the page of a run at work what is the matter with it."""
    Run.objects.filter(pk=run.pk, state__in=Run.AT_WORK).update(trouble=trouble[:300])


def fail(*, run: Run, trouble: str, now: datetime) -> None:
    Run.objects.filter(pk=run.pk, state__in=Run.AT_WORK).update(
        state=Run.State.FAILED, trouble=trouble[:300], ended_at=now
    )


@transaction.atomic
def keep(*, run: Run, outcome: Outcome, bonuses: Bonuses | None = None, facts: dict[str, Any], now: datetime) -> None:
    """Write down what was found; bonuses: of a try. Raises Stopped when it was cancelled meanwhile."""
    row = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if row.state != Run.State.RUNNING:
        raise Stopped
    RunFigure.objects.bulk_create(_figures(row, outcome), batch_size=1_000)
    row.facts, row.input_hash = facts, digest(facts, row)
    row.result, row.state, row.ended_at = _result(row, outcome, now), Run.State.READY, now
    if bonuses is not None and bonuses.periods:
        _keep_bonuses(row, bonuses)
    if row.kind == Run.Kind.RECOMPUTE:
        row.changed = sorted(outcome.changed)
    row.save()


def _keep_bonuses(run: Run, bonuses: Bonuses) -> None:
    """Beside the commissions, in no sum of theirs: they are paid when a period is closed."""
    rows = (
        RunFigure(run=run, by=RunFigure.By.BONUS, staff_id=staff_id, old_fen=old_fen, new_fen=new_fen)
        for staff_id, (old_fen, new_fen) in sorted(bonuses.people.items())
    )
    RunFigure.objects.bulk_create(rows, batch_size=1_000)
    sums = {"old_fen": bonuses.old_fen, "new_fen": bonuses.new_fen}
    run.result["bonuses"] = {**sums, "periods": list(bonuses.periods)}


def _result(run: Run, outcome: Outcome, now: datetime) -> dict[str, Any]:
    people, whole = outcome.by("staff_id").values(), outcome.whole()
    moves = [change.new_fen - change.old_fen for change in people]
    days = (run.last_on - run.first_on).days + 1
    today = now.astimezone(SHANGHAI).date()
    found = what_if.forecast(brand_id=run.brand_id, whole=whole, lines=outcome.lines, days=days, today=today)
    return {
        "orders": outcome.orders,
        "lines": outcome.lines,
        "changed": len(outcome.changed),
        "old_fen": whole.old_fen,
        "new_fen": whole.new_fen,
        "moved_fen": outcome.moved_fen,
        "more_fen": sum(fen for fen in moves if fen > 0),
        "less_fen": -sum(fen for fen in moves if fen < 0),
        "winners": sum(fen > 0 for fen in moves),
        "losers": sum(fen < 0 for fen in moves),
        "same": sum(fen == 0 for fen in moves),
        "forecast": {**found._asdict(), "month": found.month.isoformat()},
    }


def _figures(run: Run, outcome: Outcome) -> Iterator[RunFigure]:
    names: dict[str, dict[Any, str]] = {
        "role": {role.value: str(role.label) for role in Role},
        "channel_id": dict(Channel.objects.values_list("pk", "name")),
        "store_id": dict(Store.objects.values_list("pk", "name")) | {None: _("不在门店")},
    }
    for staff_id, change in outcome.by("staff_id").items():
        yield RunFigure(run=run, by=RunFigure.By.PERSON, staff_id=staff_id, **change._asdict())
    for by, part in _PARTS.items():
        for key, change in outcome.by(part).items():
            name = names.get(part, {}).get(key) or str(key) or _("没有品牌标记")
            yield RunFigure(run=run, by=by, name=name, **change._asdict())
    of_rules = Rule.objects.filter(version__plan__brand=run.brand_id, code__in=outcome.rules).order_by("pk")
    called = dict(of_rules.values_list("code", "name"))  # in the last version that has it
    if run.version is not None:
        called |= dict(run.version.rules.values_list("code", "name"))
    for code, figures in outcome.rules.items():
        name = f"{called.get(code, code)} ({code})"
        yield RunFigure(run=run, by=RunFigure.By.RULE, name=name[:128], **Change(*figures)._asdict())


_PARTS = {
    RunFigure.By.ROLE: "role",
    RunFigure.By.LABEL: "label",
    RunFigure.By.CHANNEL: "channel_id",
    RunFigure.By.STORE: "store_id",
}


def still_to_post(run: Run) -> list[int]:
    """The orders of the preview for which this run has posted nothing yet."""
    posted = Entry.objects.filter(order__pk__among=run.changed, run=run.pk).values_list("order_id", flat=True)
    return sorted(set(run.changed) - set(posted))


class Posted(NamedTuple):
    entries: int
    more_fen: int
    less_fen: int


def posted_by(run: Run) -> Posted:
    """What a run has posted to people, each person's sum counted."""
    rows = Entry.objects.of_staff().filter(order__pk__among=run.changed, run=run.pk).values_list("staff").order_by()
    sums = [(count, fen) for _staff, count, fen in rows.annotate(count=Count("pk"), fen=Sum("fen"))]
    more, less = sum(fen for _, fen in sums if fen > 0), -sum(fen for _, fen in sums if fen < 0)
    return Posted(sum(count for count, _ in sums), more, less)


@transaction.atomic
def end_posting(*, run: Run, failed: list[int], facts: dict[str, Any], now: datetime) -> None:
    """Write down what was posted, and whether that is what the preview showed."""
    row = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if row.state != Run.State.POSTING:
        raise Stopped
    row.result["posted"] = posted_by(row)._asdict()
    row.state, row.ended_at = Run.State.POSTED, now
    said = [_("有 %(count)s 笔订单没有算成，见日志。") % {"count": len(failed)}] if failed else []
    if facts != row.facts:
        said.append(_("预览以后，这些天的订单或退款有变动，过的账以过账时的为准，可能与预览不同。"))
    row.trouble = "".join(said)[:300]
    row.save()
    audit.record(by=row.posted_by, action="run.posted", target=row, now=now, after=row.result["posted"])
