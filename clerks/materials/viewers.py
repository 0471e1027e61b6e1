"""访客: whose browser it is, as far as we know, and what that says of the links it opened.

A browser is a random number in a cookie. It becomes somebody's when WeCom says who has opened the page, or when it is
one of ours; it becomes nobody's again when its owner asks for it. A shop or mini-program that tells of a view names
the buyer itself: its opening is theirs at once, or as soon as they become known by one of their keys.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from clerks.materials import openings
from clerks.materials.models import Opening, Share, Visitor
from clerks.materials.openings import Opened, Row
from members import behaviour
from members.behaviour import Seen
from members.models import Event

VIEW = "view"
_OVERLAP = 10_000  # as in members.behaviour: numbers are given out before they are committed


# ── Browsers ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def is_known(visitor: UUID) -> bool:
    """Whether we know already whose it is."""
    return Visitor.objects.filter(key=visitor).exclude(member=None, staff=None).exists()


@transaction.atomic
def recognise(*, visitor: UUID, member_id: int, now: datetime) -> None:
    """It is this member's: what it has opened so far, as nobody's, and what it will open. Our own people stay ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO materials_visitor AS v (key, member_id, known_at) VALUES (%s, %s, %s) ON CONFLICT (key)"
            " DO UPDATE SET member_id = excluded.member_id, known_at = excluded.known_at"
            " WHERE v.staff_id IS NULL RETURNING id",
            [visitor, member_id, now],
        )
        if cursor.fetchone() is None:
            return
        cursor.execute(
            "UPDATE materials_opening SET member_id = %s WHERE visitor = %s AND member_id IS NULL"
            " RETURNING share_id, member_id, at",
            [member_id, visitor],
        )
        openings.tell(opened=[Opened(*row) for row in cursor.fetchall()], now=now)


@transaction.atomic
def remember_staff(*, visitor: UUID, staff_id: int, now: datetime) -> None:
    """It is one of ours: what it opened before we knew counts for nobody."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO materials_visitor AS v (key, staff_id, known_at) VALUES (%s, %s, %s) ON CONFLICT (key)"
            " DO UPDATE SET staff_id = excluded.staff_id, member_id = NULL, known_at = excluded.known_at"
            " WHERE v.staff_id IS DISTINCT FROM excluded.staff_id RETURNING id",
            [visitor, staff_id, now],
        )
        if cursor.fetchone():
            cursor.execute("DELETE FROM materials_opening WHERE visitor = %s AND member_id IS NULL", [visitor])


@transaction.atomic
def forget(*, visitor: UUID) -> None:
    """Somebody does not want to be recorded: their openings are nobody's, their browser is one we have never seen.

    That a link was opened so many times stays.
    """
    row = Visitor.objects.select_for_update().filter(key=visitor).first()
    nobody = {"visitor": None, "member": None, "seconds": 0}
    Opening._base_manager.filter(visitor=visitor, member=None).update(**nobody)
    if row is not None and row.member_id is not None:
        Opening._base_manager.filter(visitor=visitor, member=row.member_id).update(**nobody)
        Visitor.objects.filter(pk=row.pk).update(member=None, known_at=None)


# ── What shops and mini-programs tell ────────────────────────────────────────────────────────────────────────────────
def take(*, channel_id: int, events: Sequence[Seen], now: datetime) -> int:
    """Views of a link, told by a channel for the first time, are openings of it; how many.

    In the transaction that keeps the events, so that each of them is one opening however often it is told. A code that
    is a clerk's own, another brand's, or of something that was over by then is none.
    """
    told = [one for one in events if one.kind == VIEW and one.share_code]
    found = _shares({one.share_code for one in told})
    meant = [one for one in told if _is_of(found.get(one.share_code), one)]
    if not meant:
        return 0
    whose = _members(channel_id, meant)
    rows = [
        Row(
            one.at,
            found[one.share_code].pk,
            of_buyer(min(one.buyer_keys)) if one.buyer_keys else None,
            whose.get(one.outer_event_id),
            min(one.seconds or 0, openings.MOST_SECONDS),
        )
        for one in meant
    ]
    openings.make_months(row.at for row in rows)
    openings.keep(rows=rows, now=now)
    return len(rows)


def _shares(codes: Collection[str]) -> Mapping[str, Share]:
    if not codes:
        return {}
    rows = Share._base_manager.filter(code__in=codes, material__is_active=True).select_related("material")
    return {row.code: row for row in rows}


def _is_of(share: Share | None, event: Seen) -> bool:
    if share is None or share.brand_id != event.brand_id or event.at < share.made_at - behaviour.AHEAD:
        return False
    ends_at = share.material.valid_until
    return ends_at is None or event.at < ends_at


def _members(channel_id: int, events: Sequence[Seen]) -> dict[str, int]:
    """Number → the member whose event it was found to be."""
    times = [one.at for one in events]
    rows = Event._base_manager.filter(channel=channel_id, outer_event_id__in=[one.outer_event_id for one in events])
    rows = rows.filter(at__range=(min(times), max(times))).exclude(member=None)
    return dict(rows.values_list("outer_event_id", "member_id"))


def of_buyer(key_id: int) -> UUID:
    """What stands for the browser of a buyer nobody knows yet, by their first key: the same buyer is one viewer."""
    return UUID(bytes=hashlib.md5(f"buyer:{key_id}".encode(), usedforsecurity=False).digest())


@transaction.atomic
def adopt(*, since: int, now: datetime) -> int:
    """Give openings told of buyers whom nobody knew to those who became known since; how many.

    `since`: the number of the identity up to which all were looked at, as in `behaviour.adopt`.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE materials_opening o SET member_id = i.member_id FROM members_identity i WHERE i.id > %s"
            " AND o.visitor = md5('buyer:' || i.key_id)::uuid AND o.member_id IS NULL"
            " RETURNING o.share_id, o.member_id, o.at",
            [max(0, since - _OVERLAP)],
        )
        opened = [Opened(*row) for row in cursor.fetchall()]
        openings.tell(opened=opened, now=now)
    return len(opened)
