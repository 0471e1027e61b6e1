"""公告: one text to many, who of them has read it, and reminders to those who have not.

    draft ──submit──▶ waiting ──job broadcast, at its time──▶ sent ──remind──▶ the unread hear it again
      ▲──────cancel──────┘

Whoever writes one sees first whom it reaches. It goes out with a few statements for each thousand people: their
notices are written together, and one message in WeCom's app serves up to a thousand of them.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from clerks.models import Broadcast, Notice
from clerks.outreach import notices, wording
from retail import audit, jobs, scope
from retail.models import Employment, Post, StaffAccount, Store, User
from retail.wecom import outbox
from retail.wecom.models import App, Call

JOB = "broadcast"
AT_ONCE = 1000  # people whom one message of WeCom may name
MOST_A_DAY = 3  # times somebody is reminded of one broadcast
PAUSE = timedelta(minutes=30)  # between two times; WeCom drops the same words within it as well
OF_STORES = (Post.Role.CLERK, Post.Role.STORE_MANAGER)
ABOVE_STORES = (Post.Role.REGION_MANAGER, Post.Role.FRANCHISE_OWNER)
State = Broadcast.State


class Refused(Exception):
    """It cannot be done; the message says why in words for whoever asked."""


# ── Whom it reaches ──────────────────────────────────────────────────────────────────────────────────────────────────
def roles_offered() -> tuple[str, ...]:
    """Whom somebody may write to: who sees some stores, to the people in them."""
    return (*OF_STORES, *ABOVE_STORES) if scope.current().is_everything else OF_STORES


@transaction.atomic
def aim(*, broadcast: Broadcast, brands: Iterable[Any], regions: Iterable[Any], stores: Iterable[Any]) -> None:
    """Fix the stores: those of the brands that lie in the regions, as far as the writer sees them, and those named.

    With nothing chosen all the writer sees.
    """
    brand_ids, region_ids = [one.pk for one in brands], [one.pk for one in regions]
    named = [one.pk for one in stores]
    rows = Store.objects.filter(is_open=True)
    by_place = rows.filter(brand__in=brand_ids) if brand_ids else rows
    by_place = by_place.filter(region__in=region_ids) if region_ids else by_place
    if named and not brand_ids and not region_ids:
        by_place = rows.none()
    found = set(by_place.values_list("pk", flat=True)) | set(rows.filter(pk__in=named).values_list("pk", flat=True))
    chosen = Broadcast.stores.through.objects  # of no scope: what was aimed at before goes, also where it is not seen
    chosen.filter(broadcast=broadcast).exclude(store__in=found).delete()
    chosen.bulk_create((chosen.model(broadcast=broadcast, store_id=pk) for pk in found), ignore_conflicts=True)
    broadcast.asked = {"brands": brand_ids, "regions": region_ids, "stores": named}
    broadcast.save(update_fields=["asked"])


def receivers(*, broadcast: Broadcast, now: datetime) -> QuerySet[Post]:
    """One post of everybody whom it reaches now: that in a store first."""
    chosen = Broadcast.stores.through.objects.filter(broadcast=broadcast)
    stores = Store._base_manager.filter(pk__in=chosen.values("store"))
    places = (
        Q(role__in=OF_STORES, store__in=stores)
        | Q(role=Post.Role.REGION_MANAGER, region__in=stores.values("region"))
        | Q(role=Post.Role.FRANCHISE_OWNER, franchisee__in=stores.values("franchisee"))
    )
    posts = Post.objects.at(now).filter(places, role__in=broadcast.roles)
    posts = posts.filter(staff__in=Employment.objects.at(now).values("staff"))
    return posts.order_by("staff_id", F("store_id").asc(nulls_last=True), "pk").distinct("staff_id")


class Reach(NamedTuple):
    """Whom a draft would reach: how many people, in which stores, and who of them has no account in WeCom."""

    people: int
    stores: list[tuple[str, int]]
    elsewhere: int
    unheard: list[str]


def reach(*, broadcast: Broadcast, now: datetime) -> Reach:
    posts = list(receivers(broadcast=broadcast, now=now).select_related("staff", "store"))
    channels = _Channels({post.staff_id for post in posts})
    counts = Counter(post.store.name for post in posts if post.store is not None)
    return Reach(
        people=len(posts),
        stores=sorted(counts.items()),
        elsewhere=sum(post.store is None for post in posts),
        unheard=[str(post.staff) for post in posts if not channels.reach(post.staff_id)],
    )


# ── Out it goes ──────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def submit(*, broadcast: Broadcast, by: User, now: datetime) -> Broadcast:
    """Send it, at once or at its time. Raises Refused."""
    row = _held(broadcast)
    if row.state != State.DRAFT:
        raise Refused(_("这条公告已经发出或在等发送。"))
    if row.send_at is not None and row.send_at <= now:
        raise Refused(_("定的时间已经过了，请改一个时间，或者清空时间马上发。"))
    people = receivers(broadcast=row, now=now).count()
    if not people:
        raise Refused(_("这些门店现在没有要收的人。"))
    row.state = State.WAITING
    row.save(update_fields=["state"])
    jobs.enqueue(work=[jobs.Work(JOB, {"broadcast_id": row.pk})], now=now, due_at=row.send_at)
    audit.record(by=by, action="broadcast.submit", target=row, now=now, after={"people": people})
    return row


@transaction.atomic
def cancel(*, broadcast: Broadcast, by: User, now: datetime) -> None:
    """A draft again. Raises Refused where it has gone out."""
    row = _held(broadcast)
    if row.state != State.WAITING:
        raise Refused(_("这条公告已经发出，收不回来了。"))
    row.state = State.DRAFT
    row.save(update_fields=["state"])
    audit.record(by=by, action="broadcast.cancel", target=row, now=now)


@transaction.atomic
def send(*, broadcast_id: int, now: datetime) -> None:
    """The job: write everybody's notice and put the messages out. One that was called back, or put off, stays."""
    row = Broadcast._base_manager.select_for_update(of=("self",)).get(pk=broadcast_id)
    if row.state != State.WAITING or (row.send_at is not None and row.send_at > now):
        return
    written = Notice._base_manager.bulk_create(_notices(row, now), batch_size=AT_ONCE)
    with wording.for_others():
        _put_out(row, written, title=row.title, key=f"broadcast:{row.pk}", now=now)
    row.state, row.sent_at, row.told = State.SENT, now, len(written)
    row.save(update_fields=["state", "sent_at", "told"])


def _notices(row: Broadcast, now: datetime) -> Iterator[Notice]:
    for post in receivers(broadcast=row, now=now):
        yield Notice(
            staff_id=post.staff_id,
            store_id=post.store_id,
            broadcast=row,
            kind=Notice.Kind.BROADCAST,
            title=row.title,
            effect=f"broadcast:{row.pk}:{post.staff_id}",
            created_at=now,
        )


def _put_out(row: Broadcast, told: Sequence[Notice], *, title: str, key: str, now: datetime) -> int:
    """Messages that lead each to their own notice; to how many people."""
    if not settings.SITE_URL:
        return 0
    channels, count = _Channels({notice.staff_id for notice in told}), 0
    url = settings.SITE_URL.rstrip("/") + notices.BROADCAST_PATH.format(row.pk)
    card = notices.plain_card(title=title, text=row.text, url=url)
    for app, reached in channels.by_app(told):
        for start in range(0, len(reached), AT_ONCE):
            some = reached[start : start + AT_ONCE]
            body = {"touser": "|".join(userid for userid, _notice in some), "agentid": app.agent_id, **card}
            body |= {"enable_duplicate_check": 1, "duplicate_check_interval": int(PAUSE.total_seconds())}
            ends, name = now + notices.STALE, f"{key}:{app.pk}:{start}"
            call = outbox.put(app=app, path="message/send", body=body, key=name, now=now, good_until=ends)
            Notice._base_manager.filter(pk__in=[notice.pk for _userid, notice in some]).update(call=call)
            count += len(some)
    return count


class _Channels:
    """Through which application, and as whom, each of some people hears from us. Two statements."""

    def __init__(self, staff_ids: Collection[int]) -> None:
        apps = {app.corp_id: app for app in App.objects.active().order_by("-pk")}  # the first of a corp's
        accounts = StaffAccount._base_manager.filter(staff__in=staff_ids, corp__in=apps).order_by("-pk")
        self._of = {account.staff_id: (apps[account.corp], account.userid) for account in accounts}

    def reach(self, staff_id: int) -> bool:
        return staff_id in self._of

    def by_app(self, told: Iterable[Notice]) -> Iterator[tuple[App, list[tuple[str, Notice]]]]:
        """The userids and notices of those who can be reached, application by application."""
        found: dict[int, list[tuple[str, Notice]]] = defaultdict(list)
        apps: dict[int, App] = {}
        for notice in told:
            if notice.staff_id in self._of:
                app, userid = self._of[notice.staff_id]
                apps[app.pk] = app
                found[app.pk].append((userid, notice))
        return ((apps[pk], people) for pk, people in found.items())


# ── Who has read it ──────────────────────────────────────────────────────────────────────────────────────────────────
class Row(NamedTuple):
    """A store, or all above stores (`store_id` None): how many were told, have read it, and have not."""

    store_id: int | None
    store: str
    told: int
    read: int
    unread: int

    @property
    def percent(self) -> int:
        return 100 * self.read // self.told if self.told else 0


def by_store(*, broadcast: Broadcast) -> list[Row]:
    """Of the stores in the scope in force; where most have not read it first. One statement."""
    rows = Notice.objects.filter(broadcast=broadcast).values("store", "store__name")
    counted = rows.annotate(told=Count("pk"), read=Count("pk", filter=Q(read_at__isnull=False)))
    found = [
        Row(one["store"], one["store__name"] or "", one["told"], one["read"], one["told"] - one["read"])
        for one in counted
    ]
    return sorted(found, key=lambda row: (-row.unread, row.store, row.store_id or 0))


def whole(rows: Iterable[Row]) -> Row:
    rows = list(rows)
    return Row(None, "", sum(row.told for row in rows), sum(row.read for row in rows), sum(row.unread for row in rows))


def people(*, broadcast: Broadcast, store_id: int | None) -> QuerySet[Notice]:
    """Who was told there: who has not read it first."""
    rows = Notice.objects.filter(broadcast=broadcast, store=store_id).select_related("staff")
    return rows.order_by(F("read_at").desc(nulls_first=True), "staff__name", "pk")


class Delivery(NamedTuple):
    """What became of the messages in WeCom, counted in people; and who is not reached by them."""

    sent: int
    waiting: int
    failed: int
    without: int
    missed: list[str]

    @property
    def is_silent(self) -> bool:
        """Whether no message was put out at all: WeCom was not connected."""
        return not (self.sent or self.waiting or self.failed)


_PENDING = (Call.State.WAITING, Call.State.SENDING)


def delivery(*, broadcast: Broadcast) -> Delivery:
    """In the scope in force. Three statements."""
    told = Notice.objects.filter(broadcast=broadcast)
    states = Counter(dict(told.values_list("call__state").annotate(count=Count("pk")).order_by()))
    calls = Call.objects.filter(pk__in=told.values("call"))
    missed = {one for answer in calls.values_list("answer", flat=True) for one in answer.get(outbox.MISSED, ())}
    lost = Q(call=None) | Q(call__state=Call.State.FAILED) | Q(staff__in=_missed(broadcast, missed))
    waiting = sum(states[state] for state in _PENDING)
    known = states[Call.State.SENT] + waiting + states[None]
    names = told.filter(lost).select_related("staff").order_by("staff__name", "pk")
    return Delivery(
        sent=states[Call.State.SENT],
        waiting=waiting,
        failed=sum(states.values()) - known,
        without=states[None],
        missed=[str(notice.staff) for notice in names[:100]],
    )


def _missed(broadcast: Broadcast, missed: Collection[str]) -> list[int]:
    """Which of those who were told stand behind these stand-ins of the outbox."""
    if not missed:
        return []
    accounts = StaffAccount._base_manager.filter(staff__in=Notice.objects.filter(broadcast=broadcast).values("staff"))
    return [staff for staff, userid in accounts.values_list("staff", "userid") if outbox.stand_in(userid) in missed]


# ── Once more ────────────────────────────────────────────────────────────────────────────────────────────────────────
class Reminded(NamedTuple):
    """How many heard it again; how many unread ones are left in peace, because they just did or did often enough."""

    people: int
    spared: int


@transaction.atomic
def remind(*, broadcast: Broadcast, by: User, now: datetime) -> Reminded:
    """Tell those in the scope in force who have not read it and still work here. Raises Refused."""
    if broadcast.state != State.SENT:
        raise Refused(_("这条公告还没有发出。"))
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    unread = Notice.objects.filter(broadcast=broadcast, read_at=None)
    unread = unread.filter(staff__in=Employment.objects.at(now).values("staff"))
    rows = list(unread.select_for_update(of=("self",)).order_by("pk"))
    due = [row for row in rows if _may_hear_again(row, midnight, now)]
    again = When(reminded_at__gte=midnight, then=F("reminded") + 1)
    Notice._base_manager.filter(pk__in=[row.pk for row in due]).update(
        reminded=Case(again, default=Value(1)), reminded_at=now
    )
    with wording.for_others():
        title = _("还没看：%(title)s") % {"title": broadcast.title}
        _put_out(broadcast, due, title=title, key=f"broadcast:{broadcast.pk}:{now:%Y%m%d%H%M%S%f}", now=now)
    if due:
        audit.record(by=by, action="broadcast.remind", target=broadcast, now=now, after={"people": len(due)})
    return Reminded(len(due), len(rows) - len(due))


def _may_hear_again(notice: Notice, midnight: datetime, now: datetime) -> bool:
    if notice.reminded_at is None:
        return notice.created_at <= now - PAUSE
    return notice.reminded_at <= now - PAUSE and (notice.reminded < MOST_A_DAY or notice.reminded_at < midnight)


def _held(broadcast: Broadcast) -> Broadcast:
    return Broadcast._base_manager.select_for_update(of=("self",)).get(pk=broadcast.pk)
