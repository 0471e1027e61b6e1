"""渠道活码: who stands behind a code now, and that WeCom knows it.

    shifts, leaves, caps ──on_duty──▶ wanted ──job contact_way──▶ WeCom ──▶ applied

Every minute `refresh` looks behind which codes others should stand now; a departure or a full day looks at once. A
code that could not be brought to what it should be says why (`trouble`), and is tried again after a while, each time a
longer one; at once when somebody else should stand there, or the code is saved. The picture of a code never changes.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zlib import crc32

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from clerks.models import ContactWay, FriendMove, Notice, Shift
from clerks.outreach import notices, welcome
from retail import audit, jobs
from retail.jobs import Work
from retail.models import Employment, Post, Staff, StaffAccount
from retail.wecom import health
from retail.wecom.errors import Misconfigured, Rejected, WeComError
from retail.wecom.gateway import Gateway
from retail.wecom.models import App, apps_of

PICTURE_AGAIN = timedelta(hours=1)  # after which a picture that did not come is asked for again
JOB = "contact_way"
SEVERAL, BY_QR = 2, 2  # WeCom's type and scene
GONE = 40058  # of a code that WeCom does not know (any more)
MOST = 100  # people behind one code
FIRST_TRY, LAST_TRY = timedelta(minutes=2), timedelta(hours=2)  # pauses between tries: doubled from one to the other
LISTED_EARLIER = timedelta(hours=1)  # so far WeCom's clock may be behind ours


def new_state_code() -> str:
    """What comes back with everybody who scans a code: nobody guesses it, nothing else has it."""
    return get_random_string(20, "abcdefghjkmnpqrstuvwxyz23456789")


@transaction.atomic
def save(*, way: ContactWay, by: Any, now: datetime) -> None:
    """Keep a new or changed code and let WeCom know."""
    is_new = way.pk is None
    way.state_code = way.state_code or new_state_code()
    way.save()
    if is_new:
        audit.record(by=by, action="add", target=way, now=now, after={"name": way.name})
    publish(ways=[way], now=now)


def publish(*, ways: Iterable[ContactWay], now: datetime) -> None:
    work = [Work(JOB, {"way_id": way.pk}, f"way:{way.pk}") for way in ways]
    if work:
        jobs.enqueue(work=work, now=now)


# ── Who is on duty ───────────────────────────────────────────────────────────────────────────────────────────────────
def on_duty(*, way: ContactWay, now: datetime) -> list[Staff]:
    """Who stands behind the code now: on shift, still with us, below the day's cap; else the spare; else nobody.

    Only those WeCom knows: nobody can be a friend of somebody without an account.
    """
    there = _on_shift(way, now)
    present = set(_accounts(way, _employed({*there, *([way.spare_id] if way.spare_id else [])}, now)))
    full = _full(way, now)
    found = [staff for pk, staff in sorted(there.items()) if pk in present and pk not in full]
    if not found and way.spare is not None and way.spare_id in present:
        found = [way.spare]
    return found[:MOST]


def _on_shift(way: ContactWay, now: datetime) -> dict[int, Staff]:
    local = timezone.localtime(now)
    shifts = Shift._base_manager.filter(way=way, weekdays__contains=str(local.isoweekday())).select_related("staff")
    return {one.staff_id: one.staff for one in shifts if welcome.is_within(local.time(), one.starts, one.ends)}


def _accounts(way: ContactWay, staff_ids: Iterable[int]) -> dict[int, str]:
    """Their userids in the corp of the code; who has none is left out."""
    rows = StaffAccount._base_manager.filter(corp=way.brand.corp, staff__in=list(staff_ids))
    return dict(rows.order_by("pk").values_list("staff", "userid"))


def _employed(staff_ids: set[int], now: datetime) -> set[int]:
    rows = Employment.objects.at(now).filter(staff__in=staff_ids, staff__posts__in=Post.objects.at(now))
    return set(rows.values_list("staff", flat=True))


def _full(way: ContactWay, now: datetime) -> set[int]:
    """Who has had enough new friends by this code today."""
    if not way.daily_cap:
        return set()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    moves = FriendMove._base_manager.filter(state_code=way.state_code, kind=FriendMove.Kind.ADDED, at__gte=midnight)
    added: dict[int, set[int]] = {}
    for staff_id, friend_id in moves.values_list("friend__staff", "friend"):
        added.setdefault(staff_id, set()).add(friend_id)
    return {staff_id for staff_id, friends in added.items() if len(friends) >= way.daily_cap}


def refresh(*, now: datetime, ways: Iterable[ContactWay] | None = None) -> int:
    """Let WeCom know of every code behind which others should stand now. Returns how many."""
    rows = ContactWay._base_manager.filter(is_active=True).select_related("brand", "spare") if ways is None else ways
    late = [way for way in rows if _is_late(way, _userids(way, now), now)]
    publish(ways=late, now=now)
    return len(late)


def _is_late(way: ContactWay, userids: list[str], now: datetime) -> bool:
    """What has not been tried yet is tried; what has and did not work, when its time has come."""
    if userids != way.wanted:
        return True
    is_done = userids == way.applied and not way.trouble
    if is_done:
        has_picture = way.qr_image is not None or not way.qr_code
        return not has_picture and (way.applied_at is None or now >= way.applied_at + PICTURE_AGAIN)
    return way.next_try_at is None or now >= way.next_try_at


def of_staff(*, staff_id: int) -> list[ContactWay]:
    rows = ContactWay._base_manager.filter(shifts__staff=staff_id) | ContactWay._base_manager.filter(spare=staff_id)
    return list(rows.select_related("brand", "spare").distinct())


def _userids(way: ContactWay, now: datetime) -> list[str]:
    return sorted(_accounts(way, [staff.pk for staff in on_duty(way=way, now=now)]).values())


# ── WeCom's side ─────────────────────────────────────────────────────────────────────────────────────────────────────
def apply(*, way_id: int, now: datetime) -> None:
    """A job: bring WeCom's side of a code to what it should be. Safe to run again at any point."""
    way = ContactWay._base_manager.select_related("brand", "spare").get(pk=way_id)
    app = apps_of(corp=way.brand.corp).first()
    userids = _userids(way, now) if way.is_active else []
    _begin(way, userids, now)
    if app is None:
        _trouble(way, _("品牌没有可用的企业微信应用。"), now)
    elif not way.is_active:
        _withdraw(way, Gateway(app))
    elif userids:
        _set(way, app, userids, now)
    else:
        _trouble(way, _why_nobody(way, now) + _who_still(way), now)


def _begin(way: ContactWay, userids: list[str], now: datetime) -> None:
    """Written down before WeCom is asked: until its time comes `refresh` does not ask for the same again."""
    way.tries = 0 if userids != way.wanted else min(way.tries, 30)
    way.wanted = userids
    way.next_try_at = now + min(LAST_TRY, FIRST_TRY * 2**way.tries)
    way.tries += 1
    way.save(update_fields=["wanted", "tries", "next_try_at"])


def _why_nobody(way: ContactWay, now: datetime) -> str:
    """Why nobody can stand behind the code now."""
    on_shift = _on_shift(way, now)
    meant = on_shift if way.spare is None else {**on_shift, way.spare.pk: way.spare}
    unknown = _employed(set(meant), now) - _accounts(way, meant).keys()
    if unknown:
        names = _("、").join(meant[pk].name for pk in sorted(unknown))
        return _("现在没有人可以接：%(names)s还没有关联企业微信账号。") % {"names": names[:60]}
    if not Shift._base_manager.filter(way=way).exists():
        return _("还没有人接：请排上班次。")
    if on_shift:
        return _("现在没有人可以接：在班的已经离职或加满，也没有能接的备用导购。")
    return _("现在没有人可以接：没有人在班，也没有备用导购。")


def _who_still(way: ContactWay) -> str:
    """WeCom keeps no code without anybody: who stood behind it last still does, which must not go unsaid."""
    if not (way.config_id and way.applied):
        return ""
    rows = StaffAccount._base_manager.filter(corp=way.brand.corp, userid__in=way.applied).select_related("staff")
    named = {row.userid: row.staff.name for row in rows}
    names = _("、").join(named.get(userid, userid) for userid in way.applied)
    return _("企业微信里扫码加到的仍是%(names)s。") % {"names": names[:60]}


def _set(way: ContactWay, app: App, userids: list[str], now: datetime) -> None:
    gateway = Gateway(app)
    shown = {"remark": way.name, "skip_verify": way.skip_verify, "state": way.state_code, "user": userids}
    try:
        if not way.config_id and not _adopt(way, gateway, now):
            made = gateway.add_contact_way(type=SEVERAL, scene=BY_QR, **shown)
            way.config_id, way.qr_code = made["config_id"], made.get("qr_code", "")
        else:
            gateway.update_contact_way(config_id=way.config_id, **shown)
    except (Rejected, Misconfigured) as error:
        words = health.ADVICE.get(error.errcode) or f"{error.errcode} {error.errmsg[:100]}"
        _trouble(way, _("企业微信没有接受：%(error)s") % {"error": words}, now)
        return
    way.applied, way.applied_at, way.began_at = userids, now, None
    _done(way, "config_id", "qr_code", "applied", "applied_at", "began_at")
    picture(way=way)  # a page a customer opens asks WeCom for nothing


def _done(way: ContactWay, *fields: str) -> None:
    """As it should be."""
    way.trouble, way.tries, way.next_try_at = "", 0, None
    way.save(update_fields=[*fields, "trouble", "tries", "next_try_at"])


def _adopt(way: ContactWay, gateway: Gateway, now: datetime) -> bool:
    """Whether WeCom has this code already: we were cut off after it was made and before we knew.

    WeCom lists codes without what is on them: only those made since we began, and that are no code of ours, are
    looked at one by one.
    """
    if way.began_at is None:
        way.began_at = now  # from now on it may exist
        way.save(update_fields=["began_at"])
        return False
    since = way.began_at - LISTED_EARLIER
    listed = [
        one["config_id"]
        for page in gateway.pages(gateway.list_contact_ways, start_time=int(since.timestamp()))
        for one in page.get("contact_way", [])
    ]
    known = set(ContactWay._base_manager.filter(config_id__in=listed).values_list("config_id", flat=True))
    for config_id in (one for one in listed if one not in known):
        found = gateway.get_contact_way(config_id=config_id)
        if found.get("state") == way.state_code:
            way.config_id, way.qr_code = config_id, found.get("qr_code", "")
            return True
    return False


def _withdraw(way: ContactWay, gateway: Gateway) -> None:
    if way.config_id:
        try:
            gateway.delete_contact_way(config_id=way.config_id)
        except Rejected as error:
            if error.errcode != GONE:
                raise
    way.config_id, way.qr_code, way.applied, way.wanted = "", "", [], []
    way.qr_image = way.applied_at = way.began_at = None
    _done(way, "config_id", "qr_code", "qr_image", "applied", "wanted", "applied_at", "began_at")


AGAIN = timedelta(days=7)  # after which somebody who is done with a trouble hears of the same again


def _trouble(way: ContactWay, words: str, now: datetime) -> None:
    """Show it on the code, and tell the manager: once, not each day that it lasts or comes back."""
    way.trouble = words[:200]
    way.save(update_fields=["trouble"])
    told = Notice._base_manager.filter(kind=Notice.Kind.CODE_TROUBLE, about_id=str(way.pk), text=words)
    told = told.filter(Q(done_at=None) | Q(created_at__gt=now - AGAIN))
    managers = notices.managers_of(store_id=way.store_id, now=now)
    known = set(told.filter(staff__in=managers).values_list("staff", flat=True))
    notices.tell_all(
        staff=[person for person in managers if person.pk not in known],
        kind=Notice.Kind.CODE_TROUBLE,
        title=_("活码“%(name)s”有问题") % {"name": way.name},
        text=words,
        about=way,
        is_todo=True,
        effect=f"way:{way.pk}:{crc32(words.encode())}:{timezone.localtime(now):%Y%m%d}",
        now=now,
    )


def picture(*, way: ContactWay) -> bytes | None:
    """The picture of a code, from WeCom once and from then on from here; None where there is none to have."""
    if way.qr_image is None and way.qr_code and (app := apps_of(corp=way.brand.corp).first()):
        try:
            way.qr_image = Gateway(app).picture(url=way.qr_code)
        except WeComError:
            return None
        way.save(update_fields=["qr_image"])
    return bytes(way.qr_image) if way.qr_image else None


# ── Statistics ───────────────────────────────────────────────────────────────────────────────────────────────────────
class Count(NamedTuple):
    """Of one code: customers who became friends by it, and those of them who are not any more."""

    added: int = 0
    lost: int = 0


def counts(*, ways: Iterable[ContactWay], since: datetime | None = None) -> dict[int, Count]:
    """Code → who came, since then, and how many of those have gone. One statement."""
    by_state = {way.state_code: way.pk for way in ways}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"codes": list(by_state), "since": since})
        return {by_state[code]: Count(added, lost) for code, added, lost in cursor.fetchall()}


_COUNTS = """
SELECT m.state_code, count(DISTINCT f.id), count(DISTINCT f.id) FILTER (WHERE f.state NOT IN ('friend', 'half'))
FROM clerks_friendmove m JOIN clerks_friend f ON f.id = m.friend_id
WHERE m.kind = 'added' AND m.state_code = ANY(%(codes)s::text[])
  AND (%(since)s::timestamptz IS NULL OR m.at >= %(since)s)
GROUP BY m.state_code
"""
