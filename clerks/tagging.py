"""企业标签的双向同步: tags that WeCom knows, too, on members who are friends of ours there.

    a person here   put, take_off ──▶ members.tags, and a wish ──job──▶ outbox: mark_tag ──▶ settle ┐
    WeCom           a reading of the friend ──▶ Friend.tags ──────────────────────────▶ read ◀──────┘

Only a person's edit is ever sent; `read` makes the members' tags what Friend.tags say, and sends nothing but what was
put on before they were friends. So an echo changes nothing, and there is no loop. What both sides changed at once ends
as WeCom's last word: a reading overrules everything but a wish it is too old to know of, and where it says otherwise
than that WeCom is asked once more, half a minute later.

A member may be the friend of several of ours: a tag is on them while any of these relations has it. Who is nobody's
friend any more keeps what they had; should they be again, WeCom is told of it.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from clerks.models import Friend, TagWish
from members import profiles, tags
from members.models import Tag
from retail import jobs, privacy
from retail.jobs import Work
from retail.models import Staff
from retail.wecom import outbox
from retail.wecom.models import Call, apps_of

PATH = "externalcontact/mark_tag"
SEND, TOLD, LOOK = "tags_send", "tags_told", "tags_look"  # kinds of jobs
LAG = timedelta(seconds=30)  # a reading may be that much behind what was written
outbox.FOLLOWED[PATH] = TOLD


# ── What people do here ──────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def put(*, tag: Tag, member_ids: Collection[int], staff: Staff | None, now: datetime) -> list[int]:
    """Put a tag on members, in WeCom too where it knows the tag and them; see `members.tags.put`. Raises its Refused.

    It is said of one relation each: the clerk's own, else the latest.
    """
    changed = tags.put(tag=tag, member_ids=member_ids, staff=staff, now=now)
    if tag.corp_tag_id and changed:
        _wish(_rows(_BEST, tag=tag.pk, members=changed, staff=staff.pk if staff else 0), is_on=True, now=now)
    return changed


@transaction.atomic
def take_off(*, tag: Tag, member_ids: Collection[int], staff: Staff | None, now: datetime) -> list[int]:
    """Take a tag off members, in WeCom too: there from every relation that has it. Raises `members.tags.Refused`."""
    changed = tags.take_off(tag=tag, member_ids=member_ids, staff=staff, now=now)
    if tag.corp_tag_id:
        _wish(_rows(_MARKED, tag=tag.pk, members=list(member_ids)), is_on=False, now=now)
    return changed


_BEST = """
SELECT DISTINCT ON (f.member_id) f.id, t.id FROM clerks_friend f JOIN members_tag t ON t.corp = f.corp
WHERE t.id = %(tag)s AND f.member_id = ANY(%(members)s::bigint[]) AND f.state = 'friend'
ORDER BY f.member_id, (f.staff_id = %(staff)s) DESC NULLS LAST, f.since DESC NULLS LAST, f.id
"""
_MARKED = """
SELECT f.id, t.id FROM clerks_friend f JOIN members_tag t ON t.corp = f.corp
WHERE t.id = %(tag)s AND f.member_id = ANY(%(members)s::bigint[]) AND f.state IN ('friend', 'lost') AND (
    t.corp_tag_id = ANY(f.tags)
    OR EXISTS (SELECT FROM clerks_tagwish w WHERE w.friend_id = f.id AND w.tag_id = t.id AND w.done_at IS NULL))
ORDER BY f.id
"""


def _wish(places: Collection[tuple[int, ...]], *, is_on: bool, now: datetime) -> None:
    """What is to be on these friends (friend, tag), or off; the latest wish for each that is not being sent counts."""
    friends, words = [place[0] for place in places], [place[1] for place in places]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO clerks_tagwish (friend_id, tag_id, is_on, created_at)"
            " SELECT f, t, %s, %s FROM unnest(%s::bigint[], %s::bigint[]) AS place(f, t) ORDER BY f, t"
            " ON CONFLICT (friend_id, tag_id) WHERE call_id IS NULL DO UPDATE SET is_on = excluded.is_on",
            [is_on, now, friends, words],
        )
    _ring(set(friends), now)


def _ring(friend_ids: Iterable[int], now: datetime) -> None:
    jobs.enqueue(work=[Work(SEND, {"friend_id": pk}, f"tags:{pk}") for pk in sorted(friend_ids)], now=now)


# ── On its way to WeCom ──────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def send(*, friend_id: int, now: datetime) -> Call | None:
    """A job: say what is wished for a friend, in one call; one at a time, so that WeCom hears them in their order."""
    friend = Friend._base_manager.select_for_update(of=("self",)).select_related("key").get(pk=friend_id)
    wishes = TagWish._base_manager.filter(friend=friend, done_at=None)
    app = apps_of(corp=friend.corp).first()
    waiting = list(wishes.filter(call=None).select_related("tag").order_by("pk"))
    if not waiting or wishes.filter(call__isnull=False).exists() or app is None or friend.key.cipher is None:
        return None
    body = {
        "userid": friend.userid,
        "external_userid": privacy.reveal(friend.key),
        "add_tag": [wish.tag.corp_tag_id for wish in waiting if wish.is_on],
        "remove_tag": [wish.tag.corp_tag_id for wish in waiting if not wish.is_on],
    }
    said = {name: value for name, value in body.items() if value}
    call = outbox.put(app=app, path=PATH, body=said, key=f"tags:{friend.pk}:{waiting[-1].pk}", now=now)
    TagWish._base_manager.filter(pk__in=[wish.pk for wish in waiting]).update(call=call)
    return call


def stop(*, staff: Staff) -> int:
    """Somebody left: nothing is said in WeCom in their name any more. The members keep their tags. How many wishes."""
    theirs = TagWish._base_manager.filter(friend__staff=staff, done_at=None)
    calls = theirs.filter(call__state=Call.State.WAITING, call__attempts=0).values_list("call", flat=True)
    for call_id in set(calls):
        outbox.drop(call_id=call_id, reason=_("这位导购已经离职。"))
    dropped = theirs.filter(call__state=Call.State.DROPPED) | theirs.filter(call=None)
    return TagWish._base_manager.filter(pk__in=dropped.values("pk")).delete()[0]


@transaction.atomic
def settle(*, call: Call, now: datetime) -> None:
    """The outcome of a call is known: what WeCom took is on the friend now.

    Where WeCom said no what was put on here comes off again, unless they are friends no more: then nobody says so.
    To be called alone with the customer (`friends.alone`), after a reading where it said no.
    """
    wishes = list(TagWish._base_manager.filter(call=call, done_at=None).select_related("tag").order_by("pk"))
    if not wishes:
        return
    friend = Friend._base_manager.select_for_update(of=("self",)).get(pk=wishes[0].friend_id)
    if call.state == Call.State.SENT:
        on = {wish.tag.corp_tag_id for wish in wishes if wish.is_on}
        off = {wish.tag.corp_tag_id for wish in wishes if not wish.is_on}
        if friend.read_at is not None and call.sent_at is not None and friend.read_at >= call.sent_at:
            _look_later([(friend.pk, wishes[-1].pk)], now)  # that reading may know of an edit there after ours
        friend.tags = sorted({*friend.tags, *on} - off)
        friend.save(update_fields=["tags"])
        TagWish._base_manager.filter(call=call).update(done_at=now)
    else:
        TagWish._base_manager.filter(call=call).delete()
        if friend.member_id and friend.state == Friend.State.FRIEND:
            for wish in wishes:
                if wish.is_on and wish.tag.is_active:
                    tags.take_off(tag=wish.tag, member_ids=[friend.member_id], staff=None, now=now)
    if friend.member_id:
        read(member_ids=[friend.member_id], now=now)
    _ring([friend.pk], now)


def trust(*, friend_id: int, wish_id: int) -> None:
    """The next reading knows of all that was done up to this wish."""
    TagWish._base_manager.filter(friend=friend_id, pk__lte=wish_id, done_at__isnull=False).delete()


def forget(*, before: datetime) -> int:
    """Wishes that were done long ago: every reading knows of them by now."""
    return TagWish._base_manager.filter(done_at__lt=before).delete()[0]


# ── What WeCom says ──────────────────────────────────────────────────────────────────────────────────────────────────
# `said`: which tags are on which members by all their relations, with the wishes no reading can know of yet.
_SAID = f"""
WITH live AS MATERIALIZED (
    SELECT id, member_id, corp, staff_id, since, tags, read_at FROM clerks_friend
    WHERE member_id = ANY(%(members)s::bigint[]) AND state IN ('friend', 'lost') AND read_at IS NOT NULL
), wished AS MATERIALIZED (
    SELECT DISTINCT ON (w.friend_id, w.tag_id) live.member_id, w.id, w.friend_id, w.tag_id, w.is_on,
        w.done_at IS NOT NULL AS is_done
    FROM clerks_tagwish w JOIN live ON live.id = w.friend_id
    WHERE w.done_at IS NULL OR live.read_at < w.done_at + interval '{LAG.seconds} seconds'
    ORDER BY w.friend_id, w.tag_id, w.id DESC
), said AS MATERIALIZED (
    SELECT DISTINCT ON (live.member_id, t.id) live.member_id, t.id AS tag_id, t.brand_id, live.staff_id
    FROM live CROSS JOIN unnest(live.tags) AS named
    JOIN members_tag t ON t.corp = live.corp AND t.corp_tag_id = named AND t.is_active
    WHERE NOT EXISTS (SELECT FROM wished w WHERE w.friend_id = live.id AND w.tag_id = t.id AND NOT w.is_on)
    ORDER BY live.member_id, t.id, live.since, live.id
), held AS MATERIALIZED (
    SELECT m.id, m.member_id, m.tag_id, m.in_wecom FROM members_membertag m JOIN members_tag t ON t.id = m.tag_id
    WHERE m.member_id = ANY(%(members)s::bigint[]) AND m.until IS NULL AND t.corp_tag_id <> ''
        AND EXISTS (SELECT FROM live WHERE live.member_id = m.member_id AND live.corp = t.corp)
), unsaid AS (
    SELECT h.* FROM held h
    WHERE NOT EXISTS (SELECT FROM said s WHERE s.member_id = h.member_id AND s.tag_id = h.tag_id)
        AND NOT EXISTS (SELECT FROM wished w WHERE w.member_id = h.member_id AND w.tag_id = h.tag_id)
)
"""
_KNOWN_THERE = f"""
{_SAID}
UPDATE members_membertag m SET in_wecom = true FROM held h JOIN said s USING (member_id, tag_id)
WHERE m.id = h.id AND NOT h.in_wecom
"""
_GONE_THERE = f"""
{_SAID}
UPDATE members_membertag m SET until = %(now)s FROM unsaid u WHERE m.id = u.id AND u.in_wecom RETURNING m.member_id
"""
_NOBODYS = """
UPDATE members_membertag m SET in_wecom = false FROM members_tag t
WHERE m.tag_id = t.id AND m.member_id = ANY(%(members)s::bigint[]) AND m.until IS NULL AND m.in_wecom AND NOT EXISTS (
    SELECT FROM clerks_friend f WHERE f.member_id = m.member_id AND f.corp = t.corp AND f.state IN ('friend', 'lost'))
"""
_NEW_THERE = f"""
{_SAID}
INSERT INTO members_membertag (member_id, brand_id, tag_id, source, staff_id, why, in_wecom, since)
SELECT s.member_id, s.brand_id, s.tag_id, 'wecom', s.staff_id, '{{}}', true, %(now)s FROM said s
WHERE NOT EXISTS (SELECT FROM held h WHERE h.member_id = s.member_id AND h.tag_id = s.tag_id)
    AND (s.brand_id IS NULL OR EXISTS (
        SELECT FROM members_membership b WHERE b.member_id = s.member_id AND b.brand_id = s.brand_id))
ORDER BY 1, 3 ON CONFLICT DO NOTHING RETURNING member_id
"""
# Put on here while nobody was their friend, or before WeCom was asked at all.
_NEVER_TOLD = f"""
{_SAID}
SELECT DISTINCT ON (u.member_id, u.tag_id) live.id, u.tag_id FROM unsaid u
JOIN members_tag t ON t.id = u.tag_id JOIN live ON live.member_id = u.member_id AND live.corp = t.corp
WHERE NOT u.in_wecom ORDER BY u.member_id, u.tag_id, live.since DESC, live.id
"""


# Wishes that were done, and a reading that may be too old for them says otherwise: it is asked for anew.
_CONTRADICTED = f"""
{_SAID}
SELECT w.friend_id, max(w.id) FROM wished w JOIN live ON live.id = w.friend_id JOIN members_tag t ON t.id = w.tag_id
WHERE w.is_done AND w.is_on <> (t.corp_tag_id = ANY(live.tags)) GROUP BY 1
"""


@transaction.atomic
def read(*, member_ids: Collection[int], now: datetime) -> int:
    """Make the members' tags what WeCom last said of their friendships; on how many members that changed anything."""
    given: dict[str, Any] = {"members": list(member_ids), "now": now}
    _run(_NOBODYS, **given)
    _run(_KNOWN_THERE, **given)
    changed = {member_id for (member_id,) in [*_rows(_GONE_THERE, **given), *_rows(_NEW_THERE, **given)]}
    if changed:
        profiles.retag(member_ids=sorted(changed), now=now)
    if places := _rows(_NEVER_TOLD, **given):
        _wish(places, is_on=True, now=now)
    _look_later(_rows(_CONTRADICTED, **given), now)
    return len(changed)


def _look_later(done: Iterable[tuple[int, ...]], now: datetime) -> None:
    """Ask WeCom about friends when the answer is sure to know of these last wishes (friend, wish) it was told."""
    work = [Work(LOOK, {"friend_id": friend, "wish_id": wish}, f"tags_look:{friend}") for friend, wish in done]
    jobs.enqueue(work=work, now=now, due_at=now + LAG + timedelta(seconds=1))


_NAMES = """
INSERT INTO members_tag AS t (brand_id, kind, code, group_name, name, corp, corp_tag_id, is_active)
SELECT (SELECT CASE WHEN count(*) = 1 THEN min(id) END FROM retail_brand WHERE corp = %(corp)s),
    'company', c.tag_id, c.group_name, c.name, c.corp, c.tag_id, true
FROM clerks_corptag c WHERE c.corp = %(corp)s AND c.deleted_at IS NULL ORDER BY c.id
ON CONFLICT (corp, corp_tag_id) WHERE corp_tag_id <> '' DO UPDATE
SET name = excluded.name, group_name = excluded.group_name, is_active = true
WHERE (t.name, t.group_name, t.is_active) IS DISTINCT FROM (excluded.name, excluded.group_name, true)
RETURNING t.corp_tag_id
"""
_DELETED = """
UPDATE members_tag t SET is_active = false FROM clerks_corptag c
WHERE c.corp = %(corp)s AND c.deleted_at IS NOT NULL AND t.corp = c.corp AND t.corp_tag_id = c.tag_id AND t.is_active
RETURNING t.id
"""
_TAKEN_OFF = """
UPDATE members_membertag SET until = %(now)s WHERE tag_id = ANY(%(tags)s::bigint[]) AND until IS NULL
RETURNING member_id
"""


@transaction.atomic
def mirror(*, corp: str, now: datetime) -> None:
    """The words are those of the corp: new, renamed, deleted with everything they were on.

    A corp of one brand has tags of that brand; those of a corp of several are the whole group's.
    """
    given: dict[str, Any] = {"corp": corp, "now": now}
    named = [tag_id for (tag_id,) in _rows(_NAMES, **given)]
    if gone := [tag_id for (tag_id,) in _rows(_DELETED, **given)]:
        members = {member_id for (member_id,) in _rows(_TAKEN_OFF, tags=gone, **given)}
        profiles.retag(member_ids=sorted(members), now=now)
    if named:
        marked = Friend._base_manager.filter(corp=corp, tags__overlap=named, member__isnull=False)
        for ids in profiles.chunks(marked.order_by("member").values_list("member", flat=True).distinct()):
            read(member_ids=ids, now=now)


def _rows(statement: str, **given: Any) -> list[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return cursor.fetchall()


def _run(statement: str, **given: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
