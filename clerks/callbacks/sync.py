"""Everything WeCom holds of a corp against everything we hold: callbacks may be lost, and nobody says so.

What is missing here is taken in. What is missing there goes only as long as it is little: when more than
WECOM_SYNC_BRAKE would vanish at once (a scope narrowed by mistake, a broken answer) nothing does, and headquarters is
told; a run started by hand may be forced. What the application does not get to see stays as it is in every run, and
is counted. How far the two were apart is the drift of the run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from clerks import corp as mirror
from clerks import friends
from clerks.callbacks import corps, people
from clerks.callbacks.people import Presence
from clerks.friends import Listed, Reading
from clerks.handover import leaving
from clerks.models import Friend, GroupChat, Notice, SyncRun
from clerks.outreach import notices
from clerks.readings import NOBODYS, listed_of
from retail import audit, jobs, org, privacy
from retail.jobs import Later, Work
from retail.models import BuyerKey, Post, StaffAccount
from retail.wecom.errors import Rejected
from retail.wecom.gateway import Gateway
from retail.wecom.models import App, apps_of

JOB = "wecom_sync"
AT_ONCE = 100  # members asked for in one question
LISTED = (Friend.State.FRIEND, Friend.State.LOST)  # whom WeCom lists with the clerk


@dataclass(slots=True)
class _Refused:
    """What was too much to believe, and so left as it was."""

    gone: int = 0
    unseen: int = 0


@transaction.atomic
def start(*, corp: str, by: Any, now: datetime, is_forced: bool = False, reason: str = "") -> SyncRun:
    """Write down that a corp is to be compared, with its job. `by`: None for the night's.

    `is_forced`: no brake, which somebody has to give a reason for. Raises ValueError without one.
    """
    if is_forced and not reason.strip():
        raise ValueError("To compare without the brake takes a reason.")
    is_first = not SyncRun.objects.filter(corp=corp, state=SyncRun.State.DONE).exists()
    run = SyncRun.objects.create(corp=corp, started_at=now, is_forced=is_forced, is_first=is_first)
    if by is not None or is_forced:
        after = {"corp": corp, "is_forced": is_forced}
        audit.record(by=by, action="wecom_sync.start", target=run, now=now, after=after, reason=reason)
    jobs.enqueue(work=[Work(JOB, {"run_id": run.pk}, f"sync:{corp[:40]}")], now=now)
    return run


def start_due(*, now: datetime) -> int:
    """At night, each corp once. Returns how many begin."""
    if timezone.localtime(now).hour != settings.WECOM_SYNC_HOUR:
        return 0
    lately = SyncRun.objects.filter(started_at__gt=now - timedelta(hours=12)).values("corp")
    corps_due = App.objects.active().exclude(corp_id__in=lately).values_list("corp_id", flat=True)
    return len([start(corp=corp, by=None, now=now) for corp in sorted(set(corps_due))])


def run(*, run_id: int, now: datetime) -> None:
    """A job: compare. What was done stays done where it is cut off, and is not drift when it goes on."""
    row = SyncRun.objects.get(pk=run_id)
    app = apps_of(corp=row.corp).first()
    if row.ended_at is not None:
        return
    if app is None:  # switched off since
        row.state, row.ended_at = SyncRun.State.STOPPED, now
        row.save(update_fields=["state", "ended_at"])
        return
    with _alone(row.corp, now):
        gateway, refused = Gateway(app), _Refused()
        departments = gateway.list_departments()
        present = _present(gateway, departments)
        _link(row.corp, present, now)  # first: whose friends these are
        _customers(row, gateway, refused, now)
        _lists(row, gateway, departments, refused, now)
        _chats(row, gateway, refused, now)
        _people(row, gateway, present, refused, now)
        _end(row, refused, now)


@contextmanager
def _alone(corp: str, now: datetime) -> Iterator[None]:
    """One at a time: this may take longer than a lease. Raises Later."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 2))", [f"sync {corp}"])
        if not cursor.fetchone()[0]:
            raise Later("being compared already", until=now + timedelta(minutes=1))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 2))", [f"sync {corp}"])


def _end(run: SyncRun, refused: _Refused, now: datetime) -> None:
    reasons = _reasons(refused)
    run.state = SyncRun.State.STOPPED if reasons else SyncRun.State.DONE
    run.ended_at = now
    run.save()
    if reasons:
        notices.tell_all(
            staff=notices.operators(now=now),
            kind=Notice.Kind.SYNC_STOPPED,
            title=_("企业微信核对已刹车"),
            text="".join(reasons),
            about=run,
            is_todo=True,
            effect=f"sync:{run.pk}",
            now=now,
        )


def _reasons(refused: _Refused) -> list[str]:
    """Why it was stopped, in sentences; none where it was not."""
    gone = _("有 %(count)s 条记录在企业微信里不见了，多得不像真的，先没有动。请检查应用的可见范围。")
    unseen = _(
        "有 %(count)s 条好友关系，它们的导购现在不在应用的客户联系范围里，看不到，先没有动。请检查客户联系的使用范围。"
    )
    told = ((gone, refused.gone), (unseen, refused.unseen))
    return [words % {"count": count} for words, count in told if count]


def _brakes(count: int, of: int, run: SyncRun) -> bool:
    """Whether so many of so many may not vanish."""
    return not run.is_forced and mirror.is_too_much(count, of=of)


def _lists(
    run: SyncRun, gateway: Gateway, departments: list[dict[str, Any]], refused: _Refused, now: datetime
) -> None:
    """Tags and departments."""
    has_brake = not run.is_forced
    parties = mirror.mirror_departments(corp=run.corp, told=departments, at=now, has_brake=has_brake)
    tags = mirror.mirror_tags(corp=run.corp, groups=gateway.corp_tags(), at=now, has_brake=has_brake)
    run.changed += tags.changed + tags.gone
    refused.gone += parties.refused + tags.refused


# ── Customers ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class _Customer:
    name: str = ""
    unionid: str = ""
    listed: list[Listed] = field(default_factory=list)


class _Held(NamedTuple):
    """What we hold of a relation."""

    state: str
    since: datetime | None
    tags: list[str]
    is_known: bool


def _customers(run: SyncRun, gateway: Gateway, refused: _Refused, now: datetime) -> None:
    """Settle every customer who is not as we hold them."""
    userids = gateway.follow_users()
    members = frozenset(userid.lower() for userid in userids)
    told = _told(gateway, userids, now)
    held = _held(run.corp, members)
    unseen = _unseen(run.corp, members, now)
    run.seen = sum(len(customer.listed) for customer in told.values())
    for external_userid, customer in told.items():
        if not _is_as_held(run.corp, external_userid, customer, held):
            _settle(run, external_userid, customer, now)
    run.unseen += unseen
    standing = unseen + sum(row.state in LISTED for row in held.values())
    if _brakes(unseen, standing, run):
        refused.unseen += unseen
    _vanish(run, held, told, refused, now)


def _told(gateway: Gateway, userids: Sequence[str], now: datetime) -> dict[str, _Customer]:
    """Every customer of these members, by external_userid."""
    told: dict[str, _Customer] = {}
    for start in range(0, len(userids), AT_ONCE):
        try:
            for page in gateway.pages(gateway.contacts_of, userids=userids[start : start + AT_ONCE]):
                for one in page.get("external_contact_list", []):
                    person = one["external_contact"]
                    customer = told.setdefault(person["external_userid"], _Customer())
                    customer.name, customer.unionid = person.get("name", ""), person.get("unionid") or ""
                    customer.listed.append(listed_of(one["follow_info"], at=now))
        except Rejected as error:
            if error.errcode not in NOBODYS:
                raise
    return told


_Place = tuple[str, int]
"""A member's userid in lower case, and a customer's key."""


def _held(corp: str, members: frozenset[str]) -> dict[_Place, _Held]:
    """Known is a relation of which we know the customer and, as far as their account is ours, the clerk."""
    ours = {userid.lower() for userid in StaffAccount._base_manager.filter(corp=corp).values_list("userid", flat=True)}
    rows = Friend._base_manager.filter(corp=corp)
    columns = rows.values_list("userid", "key", "state", "since", "tags", "member", "staff")
    return {
        (userid.lower(), key_id): _Held(
            state, since, tags, member_id is not None and (staff_id is not None or userid.lower() not in ours)
        )
        for userid, key_id, state, since, tags, member_id, staff_id in columns
        if userid.lower() in members
    }


def _unseen(corp: str, members: frozenset[str], now: datetime) -> int:
    """How many relations are those of people who work for us and of whom WeCom tells us nothing (any more).

    Whoever has left is not listed either, and is nobody's mistake: their customers wait for a successor.
    """
    working = Post.objects.at(now).values("staff")
    rows = Friend._base_manager.filter(corp=corp, state__in=LISTED, staff__in=working)
    return sum(userid.lower() not in members for userid in rows.values_list("userid", flat=True))


def _is_as_held(corp: str, external_userid: str, customer: _Customer, held: dict[_Place, _Held]) -> bool:
    key_id = _key_id(corp, external_userid)
    return all(_fits(one, held.get((one.userid.lower(), key_id))) for one in customer.listed) if key_id else False


def _key_id(corp: str, external_userid: str) -> int | None:
    print_ = privacy.fingerprint(friends.key_of(corp=corp, external_userid=external_userid))
    return BuyerKey.objects.filter(hmac=print_).values_list("pk", flat=True).first()


def _fits(one: Listed, row: _Held | None) -> bool:
    if row is None or not row.is_known or row.tags != list(one.tags):
        return False
    return row.state == Friend.State.FRIEND or (row.since is not None and one.added_at <= row.since)


def _settle(run: SyncRun, external_userid: str, customer: _Customer, now: datetime) -> None:
    reading = Reading(now, tuple(customer.listed), customer.name, customer.unionid, of=_named(customer))
    settled = friends.settle(corp=run.corp, external_userid=external_userid, reading=reading, now=now)
    run.found += settled.found
    run.changed += settled.changed


def _named(customer: _Customer) -> frozenset[str]:
    """Nobody vanishes yet: the reading speaks of those it lists."""
    return frozenset(one.userid.lower() for one in customer.listed)


def _vanish(
    run: SyncRun, held: dict[_Place, _Held], told: dict[str, _Customer], refused: _Refused, now: datetime
) -> None:
    """Relations that WeCom lists no more."""
    listed = {
        (one.userid.lower(), _key_id(run.corp, external_userid))
        for external_userid, customer in told.items()
        for one in customer.listed
    }
    standing = {place for place, row in held.items() if row.state in LISTED}
    gone = standing - listed
    if _brakes(len(gone), len(standing), run):
        refused.gone += len(gone)
        return
    for key_id in sorted({key_id for _userid, key_id in gone}):
        run.gone += friends.forget(
            corp=run.corp, key_id=key_id, userids=frozenset(userid for userid, one in gone if one == key_id), now=now
        )


# ── Chats ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _chats(run: SyncRun, gateway: Gateway, refused: _Refused, now: datetime) -> None:
    """Every chat there is, and those we hold that are not listed: each is asked for."""
    listed = {
        one["chat_id"] for page in gateway.pages(gateway.list_groupchats) for one in page.get("group_chat_list", [])
    }
    held = dict(
        GroupChat._base_manager.filter(corp=run.corp, dismissed_at=None).values_list("chat_id", "member_version")
    )
    gone = []
    for chat_id in sorted(listed | held.keys()):
        chat = corps.read_chat(gateway, corp_id=run.corp, chat_id=chat_id, at=now)
        if chat is None and chat_id in held:
            gone.append(chat_id)
        elif chat is not None:
            run.found += chat_id not in held
            run.changed += chat_id in held and held[chat_id] != chat.member_version
    if _brakes(len(gone), len(held), run):
        refused.gone += len(gone)
        return
    for chat_id in gone:
        mirror.unlist_chat(corp=run.corp, chat_id=chat_id, at=now)
    run.gone += len(gone)


# ── People ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _people(run: SyncRun, gateway: Gateway, present: Mapping[str, str], refused: _Refused, now: datetime) -> None:
    """Whose account is gone has left, each asked for once more; who is only out of sight has not."""
    accounts = list(_working(run.corp, now))
    missing = [account for account in accounts if account.userid.lower() not in present]
    if _brakes(len(missing), len(accounts), run):
        refused.gone += len(missing)
        return
    for account in missing:
        presence = people.look_for(gateway, userid=account.userid)
        run.unseen += presence is Presence.HIDDEN
        if presence is Presence.GONE:
            run.gone += leaving.leave(staff=account.staff, corp=run.corp, by=None, now=now)


def _present(gateway: Gateway, departments: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Everybody the application sees: userids, by themselves in lower case.

    It may see some branches only: those that hang below none of the others are asked for with all that is below them.
    """
    parents = {int(one["id"]): one.get("parentid") for one in departments}
    roots = sorted(id for id, parent in parents.items() if parent not in parents)
    told = (one for root in roots for one in gateway.list_users(department_id=root, fetch_child=True))
    return {one["userid"].lower(): one["userid"] for one in told if one.get("status") != people.LEFT}


def _link(corp: str, present: Mapping[str, str], now: datetime) -> None:
    """Those nobody told us of who are ours by their number."""
    known = StaffAccount._base_manager.filter(corp=corp).values_list("userid", flat=True)
    for userid in sorted(present.keys() - {one.lower() for one in known}):
        org.link_account(corp=corp, userid=present[userid], by=None, now=now)


def _working(corp: str, now: datetime) -> Iterable[StaffAccount]:
    """The accounts of those who hold a post now."""
    accounts: Any = StaffAccount._base_manager.filter(corp=corp, staff__posts__in=Post.objects.at(now))
    return accounts.select_related("staff__user").distinct()
