"""求助: a clerk asks upwards about a customer, and a clock runs until somebody answers.

    ask ──▶ store ──▶ region ──▶ hq        raised by whoever has it, or by the clock after HELP_ESCALATE_HOURS
              │ take, answer │             reminded of after HELP_REMIND_MINUTES, then after twice as long, and so on
              ▼              ▼
            answered · withdrawn           the clerk hears the answer

The clock runs in the hours in which shops are open: what was asked late in the evening waits until the morning.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from clerks.models import HelpRequest, Notice
from clerks.outreach import notices, wording
from retail import audit, org, scope
from retail.models import Post, Staff, Store, User

LONGEST, LONGEST_ANSWER = 200, 500
# Of lists: who waits longest first, then what is settled, the latest first.
BY_WAITING = (F("closed_at").desc(nulls_first=True), "asked_at", "pk")
HOURS = (9, 21)  # of Shanghai, in which somebody can be expected to answer
Level, Outcome = HelpRequest.Level, HelpRequest.Outcome
LEVELS = (Level.STORE, Level.REGION, Level.HQ)
# Whose word counts at which level, besides that of whoever stands higher.
ANSWERS: dict[str, tuple[str, ...]] = {
    Level.STORE: (Post.Role.STORE_MANAGER, Post.Role.REGION_MANAGER, Post.Role.FRANCHISE_OWNER, Post.Role.HQ_OPS),
    Level.REGION: (Post.Role.REGION_MANAGER, Post.Role.FRANCHISE_OWNER, Post.Role.HQ_OPS),
    Level.HQ: (Post.Role.HQ_OPS,),
}


class Refused(Exception):
    """It cannot be done; the message says why in words for whoever asked."""


# ── The clerk's side ─────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def ask(*, staff: Staff, store: Store, member_id: int, kind: str, text: str, now: datetime) -> HelpRequest:
    """The caller has made sure that the clerk may see this customer. Raises Refused."""
    said = _clean(text, LONGEST)
    if kind not in HelpRequest.Kind.values:
        raise Refused(_("请选一下是什么事。"))
    Staff._base_manager.select_for_update(of=("self",)).get(pk=staff.pk)  # two taps are one request
    if HelpRequest._base_manager.filter(staff=staff, member=member_id, closed_at=None).exists():
        raise Refused(_("这位顾客的求助还没有答复，不用再提一次。"))
    request = HelpRequest._base_manager.create(
        brand_id=store.brand_id, member_id=member_id, staff=staff, store=store, kind=kind, text=said, asked_at=now,
        level=Level.STORE, raised_at=now,
    )  # fmt: skip
    _reach(request, now)
    return request


@transaction.atomic
def withdraw(*, request: HelpRequest, staff: Staff, now: datetime) -> None:
    """Settled meanwhile, says who asked. Raises Refused."""
    row = _held(request)
    if row.staff_id != staff.pk:
        raise Refused(_("只有提出求助的人可以收回。"))
    _close(row, Outcome.WITHDRAWN, now)


@transaction.atomic
def hand_over(*, brand_id: int, member_ids: Collection[int], to: org.Held, now: datetime) -> int:
    """The customers have another clerk, who is to hear the answers. How many requests that moved."""
    open_ones = HelpRequest._base_manager.filter(closed_at=None, brand=brand_id, member__in=member_ids)
    return open_ones.exclude(staff=to.staff_id).update(staff=to.staff_id)


# ── Those who are asked ──────────────────────────────────────────────────────────────────────────────────────────────
def may_answer(*, request: HelpRequest, post: Post) -> bool:
    """Of a request in the scope of that post. Nobody answers themselves."""
    return request.is_open and post.role in ANSWERS[request.level] and post.staff_id != request.staff_id


def may_hand_on(*, request: HelpRequest, post: Post) -> bool:
    return may_answer(request=request, post=post) and request.level != Level.HQ


def answers(*, post: Post) -> bool:
    """Whether anybody may ask the holder of this post for help."""
    return any(post.role in roles for roles in ANSWERS.values())


def for_post(*, post: Post) -> QuerySet[HelpRequest]:
    """What waits in the scope in force for somebody in this post, or for those above and so is theirs to know.

    Headquarters see all of it in the admin; to them comes here what got that far.
    """
    if not answers(post=post):
        return HelpRequest.objects.none()
    rows = HelpRequest.objects.open().exclude(staff=post.staff_id)
    return rows.filter(level=Level.HQ) if post.role in org.HEADQUARTERS else rows


def waiting_for(*, post: Post) -> int:
    """How many of them are for this very post to answer."""
    levels = [level for level, roles in ANSWERS.items() if post.role == roles[0]]
    return for_post(post=post).filter(level__in=levels).count() if levels else 0


@transaction.atomic
def take(*, request: HelpRequest, post: Post, by: User, now: datetime) -> HelpRequest:
    """我来处理: the clerk hears that somebody is at it, and the clock begins anew for them. Raises Refused."""
    row = _mine(request, post)
    row.taken_by, row.taken_at, row.reminders = post.staff, now, 0
    row.save(update_fields=["taken_by", "taken_at", "reminders"])
    audit.record(by=by, action="help.take", target=row, now=now)
    with wording.for_others():
        said = _("%(who)s 正在处理您的求助") % {"who": post.staff.name}
        _tell(row, [row.staff], said, row.text, f"taken:{post.staff_id}", now)
    return row


@transaction.atomic
def answer(*, request: HelpRequest, text: str, post: Post, by: User, now: datetime) -> HelpRequest:
    """Raises Refused."""
    row = _mine(request, post)
    row.answer, row.answered_by = _clean(text, LONGEST_ANSWER), post.staff
    row.save(update_fields=["answer", "answered_by"])
    _close(row, Outcome.ANSWERED, now)
    audit.record(by=by, action="help.answer", target=row, now=now)
    with wording.for_others():
        _tell(row, [row.staff], _("您的求助有答复了"), row.answer, "answered", now)
    return row


@transaction.atomic
def hand_on(*, request: HelpRequest, text: str, post: Post, by: User, now: datetime) -> HelpRequest:
    """To the level above, with a word of one's own. Raises Refused."""
    row = _mine(request, post)
    if row.level == Level.HQ:
        raise Refused(_("已经到总部了，没有更上一级。"))
    row.word = " ".join(text.replace("\x00", "").split())[:LONGEST]
    before = row.level
    _raise(row, now)
    audit.record(
        by=by, action="help.hand_on", target=row, now=now, before={"level": before}, after={"level": row.level}
    )
    return row


# ── The clock ────────────────────────────────────────────────────────────────────────────────────────────────────────
def tend(*, now: datetime) -> int:
    """Remind of what waits too long, and raise what waits longer still. How many; none while shops are closed."""
    if not HOURS[0] <= timezone.localtime(now).hour < HOURS[1]:
        return 0
    open_ones = HelpRequest._base_manager.filter(closed_at=None).order_by("asked_at")
    return sum(_tend_one(row.pk, now) for row in open_ones if _is_late(row, now))


def _waits(row: HelpRequest, now: datetime) -> timedelta:
    return waited_open(since=row.taken_at or row.raised_at, until=now)


def _is_late(row: HelpRequest, now: datetime) -> bool:
    return _is_to_be_raised(row, now) or _is_to_be_reminded_of(row, now)


def _is_to_be_raised(row: HelpRequest, now: datetime) -> bool:
    return row.level != Level.HQ and _waits(row, now) >= timedelta(hours=settings.HELP_ESCALATE_HOURS)


def _is_to_be_reminded_of(row: HelpRequest, now: datetime) -> bool:
    return _waits(row, now) >= timedelta(minutes=settings.HELP_REMIND_MINUTES) * 2**row.reminders


@transaction.atomic
def _tend_one(pk: int, now: datetime) -> bool:
    free = HelpRequest._base_manager.select_for_update(of=("self",), skip_locked=True)
    row = free.filter(pk=pk, closed_at=None).select_related("staff", "store", "taken_by").first()
    if row is None or not _is_late(row, now):
        return False
    if _is_to_be_raised(row, now):
        row.word = ""
        _raise(row, now)
        return True
    row.reminders += 1
    row.save(update_fields=["reminders"])
    people = [row.taken_by] if row.taken_by is not None else _answering(row, now)[1]
    step = f"{row.level}:{row.taken_by_id or ''}:again:{row.reminders}"
    with wording.for_others():
        _tell(row, people, _("%(who)s 的求助还在等您") % {"who": row.staff.name}, row.text, step, now)
    return True


def waited_open(*, since: datetime, until: datetime) -> timedelta:
    """How much of the time between two moments fell into the hours in which shops are open."""
    since, until = timezone.localtime(since), timezone.localtime(until)
    whole, day = timedelta(), since.date()
    while day <= until.date():
        opens, closes = (datetime.combine(day, time(hour), since.tzinfo) for hour in HOURS)
        whole += max(timedelta(), min(until, closes) - max(since, opens))
        day += timedelta(days=1)
    return whole


# ── Figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Figures(NamedTuple):
    """What waits now and for how long at most; of what was answered since, the median wait, and how many."""

    waiting: int
    oldest: timedelta | None
    answered: int
    median: timedelta | None
    raised: int


class OfStore(NamedTuple):
    store_id: int
    store: str
    waiting: int
    oldest: timedelta | None
    answered: int
    median: timedelta | None


_FIGURES = """
SELECT {of} count(*) FILTER (WHERE closed_at IS NULL), max(%(now)s - asked_at) FILTER (WHERE closed_at IS NULL),
    count(*) FILTER (WHERE {answered}),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY closed_at - asked_at) FILTER (WHERE {answered})
    {more}
FROM clerks_helprequest h {join}
WHERE (closed_at IS NULL OR closed_at >= %(since)s)
    AND (%(stores)s::bigint[] IS NULL OR store_id = ANY(%(stores)s::bigint[]))
"""
_ANSWERED = "outcome = 'answered' AND closed_at >= %(since)s"


def figures(*, since: datetime, now: datetime) -> Figures:
    """Of the stores in the scope in force. One statement."""
    more = ", count(*) FILTER (WHERE level <> 'store')"
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES.format(of="", join="", more=more, answered=_ANSWERED), _asked(since, now))
        return Figures(*cursor.fetchone())


def by_store(*, since: datetime, now: datetime, limit: int) -> list[OfStore]:
    """Stores where somebody waits longest first. One statement."""
    asked = _FIGURES.format(
        of="s.id, s.name,", join="JOIN retail_store s ON s.id = store_id", more="", answered=_ANSWERED
    )
    with connection.cursor() as cursor:
        ending = " GROUP BY s.id, s.name ORDER BY 4 DESC NULLS LAST, 6 DESC NULLS LAST, s.id LIMIT %(limit)s"
        cursor.execute(asked + ending, _asked(since, now) | {"limit": limit})
        return [OfStore(*row) for row in cursor.fetchall()]


def _asked(since: datetime, now: datetime) -> dict[str, Any]:
    stores = scope.current().store_ids
    return {"since": since, "now": now, "stores": None if stores is None else sorted(stores)}


# ── Whose it is ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _reach(row: HelpRequest, now: datetime) -> None:
    """It came to a level: the people there hear of it. Where there is nobody it goes on to the next."""
    row.level, people = _answering(row, now)
    row.raised_at, row.reminders, row.taken_by, row.taken_at = now, 0, None, None
    row.save(update_fields=["level", "raised_at", "reminders", "taken_by", "taken_at", "word"])
    with wording.for_others():
        title = _("%(who)s 请您帮忙：%(kind)s") % {"who": row.staff.name, "kind": row.get_kind_display()}
        _tell(row, people, title, f"{row.text}\n{row.word}".strip(), row.level, now)


def _raise(row: HelpRequest, now: datetime) -> None:
    row.level = LEVELS[LEVELS.index(Level(row.level)) + 1]
    _reach(row, now)
    with wording.for_others():
        title = _("您的求助交给%(level)s了") % {"level": row.get_level_display()}
        _tell(row, [row.staff], title, row.text, f"raised:{row.level}", now)


def _answering(row: HelpRequest, now: datetime) -> tuple[str, list[Staff]]:
    """The first level from the row's own upwards at which there is somebody else than who asked, and who that is."""
    for level in LEVELS[LEVELS.index(Level(row.level)) :]:
        people = [one for one in _people(level, row.store, now) if one.pk != row.staff_id]
        if people:
            return level, people
    return Level.HQ, []


def _people(level: str, store: Store, now: datetime) -> list[Staff]:
    if level == Level.HQ:
        return notices.operators(now=now)
    role = Post.Role.STORE_MANAGER if level == Level.STORE else Post.Role.REGION_MANAGER
    held = org.roster(since=now, until=now, store_ids=[store.pk]).managers(store_id=store.pk, at=now)
    found = {one.staff_id for one in held if one.role == role}
    if not found and level == Level.REGION and store.franchisee_id is not None:
        owners = Post.objects.at(now).filter(role=Post.Role.FRANCHISE_OWNER, franchisee=store.franchisee_id)
        found = set(owners.values_list("staff", flat=True))
    return list(Staff._base_manager.filter(pk__in=found).order_by("pk"))


def _tell(row: HelpRequest, people: Iterable[Staff], title: str, text: str, step: str, now: datetime) -> None:
    with scope.within(scope.EVERYTHING):
        effect = f"help:{row.pk}:{step}"
        notices.tell_all(
            staff=people, kind=Notice.Kind.HELP, title=title, text=text, effect=effect, about=row, now=now
        )


def _close(row: HelpRequest, outcome: str, now: datetime) -> None:
    row.outcome, row.closed_at = outcome, now
    row.save(update_fields=["outcome", "closed_at"])
    asked = Notice._base_manager.filter(about_type=row._meta.label_lower, about_id=str(row.pk), read_at=None)
    for notice in asked.exclude(staff=row.staff_id):
        notices.read(notice=notice, now=now)  # nobody need look any more


def _held(request: HelpRequest) -> HelpRequest:
    """Raises Refused where it is settled."""
    rows = HelpRequest._base_manager.select_for_update(of=("self",)).select_related("staff", "store")
    row = rows.get(pk=request.pk)
    if not row.is_open:
        raise Refused(_("这件求助已经了结了。"))
    return row


def _mine(request: HelpRequest, post: Post) -> HelpRequest:
    row = _held(request)
    if not may_answer(request=row, post=post):
        raise Refused(_("这件求助现在不归您处理。"))
    return row


def _clean(text: str, most: int) -> str:
    said = " ".join(text.replace("\x00", "").split())
    if not said:
        raise Refused(_("请先写几个字。"))
    if len(said) > most:
        raise Refused(_("最多写 %(count)s 个字。") % {"count": most})
    return said
