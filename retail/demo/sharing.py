"""A month of what clerks of the demo sent: links, who opened them, and who bought after it.

The links and openings are written with the facts; whose order a link brought is found when orders are settled, as
always. Most openings are a clerk's own customers', some are strangers' browsers. What it came to is rolled up and paid
for at the end. Whoever is to buy is taken from those who did, a few days before.
"""

import string
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone

from clerks import rewards
from clerks.materials import results, shares
from clerks.materials.models import MaterialVersion, Opening, Share
from commissions.actions import Action
from commissions.models.actions import ActionType
from retail.demo import copying, logins, seasons
from retail.demo.materials import Library
from retail.demo.people import People, Stint

DAYS = 30
BATCH = 4_000
_OFTEN, _SELDOM = 14, 3  # links in a month, about: of the tenth who share most, and of the others
_VIA = {"pictures": "moments", "live": "moments", "poster": "poster", "link": "copy"}  # else in a chat
_LETTERS = string.ascii_letters + string.digits
_OPENING = "at, share_id, visitor, member_id, seconds"


class _Sent(NamedTuple):
    """A link before it is written, and when it was opened: by whom (None: somebody unknown), for how long."""

    share: Share
    opened: list[tuple[datetime, int | None, int]]


def write(rng: Random, *, library: Library, people: People, now: datetime) -> None:
    """Before anything is settled. What happens today moves with the hour, in the same order."""
    today = seasons.midnight(now)
    with connection.cursor() as cursor:
        for back in (DAYS + 7, 0):
            cursor.execute("SELECT make_opening_month(%s)", [(today - timedelta(days=back)).date()])
    own = _customers(today - timedelta(days=DAYS + 7))
    sent = [*_everyday(rng, library, people, own, now), *_before_buying(rng, library, now)]
    sent.sort(key=lambda one: (one.share.made_at, one.share.code))
    Share.objects.bulk_create(one.share for one in sent)
    copying.copy("materials_opening", _OPENING, sorted(_openings(rng, sent)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE materials_share, materials_opening")


def _openings(rng: Random, sent: list[_Sent]) -> Iterator[tuple[datetime, int, str | None, int | None, int]]:
    for one in sent:
        for at, member_id, seconds in one.opened:
            yield at, one.share.pk, str(UUID(int=rng.getrandbits(128), version=4)), member_id, seconds


def _customers(since: datetime) -> dict[int, list[int]]:
    """Clerk → some of their customers, theirs since before that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT staff_id, (array_agg(member_id ORDER BY member_id))[:40] FROM clerks_binding"
            " WHERE ended_at IS NULL AND started_at < %s GROUP BY staff_id",
            [since],
        )
        return dict(cursor.fetchall())


def _everyday(
    rng: Random, library: Library, people: People, own: dict[int, list[int]], now: datetime
) -> Iterator[_Sent]:
    for stints in people.stints.values():
        for place, stint in enumerate(stints):
            is_keen = place % 10 == 0  # the clerks behind the doors are the first of their stores
            for _ in range(rng.randrange(2 * (_OFTEN if is_keen else _SELDOM))):
                if one := _one(rng, library, stint, own.get(stint.staff.pk, []), now):
                    yield one


def _one(rng: Random, library: Library, stint: Stint, own: list[int], now: datetime) -> _Sent | None:
    day = now.date() - timedelta(days=int(DAYS * rng.random()))
    at = seasons.moment(rng, day, in_shop=True, now=now)
    version = _some(rng, library.sendable[stint.store.brand_id])
    via = _VIA.get(version.material.kind, "chat")
    to = rng.choice(own) if via == "chat" and own else None
    share = _share(rng, version, stint.staff.pk, stint.store.pk, at, via, to)
    opened = list(_opened(rng, share, own, now))
    return _Sent(share, opened) if stint.holds(at) else None


def _some(rng: Random, versions: list[MaterialVersion]) -> MaterialVersion:
    """What stands first is sent most."""
    return versions[int(len(versions) * rng.random() ** 1.6)]


def _share(
    rng: Random, version: MaterialVersion, staff_id: int, store_id: int, at: datetime, via: str, to: int | None
) -> Share:
    return Share(
        code="".join(rng.choices(_LETTERS, k=shares.LENGTH)),
        brand_id=version.material.brand_id,
        material_id=version.material_id,
        version=version,
        staff_id=staff_id,
        store_id=store_id,
        member_id=to,
        via=via,
        made_at=at,
        sent_at=at if via in ("chat", "moments") else None,
    )


def _opened(rng: Random, share: Share, own: list[int], now: datetime) -> Iterator[tuple[datetime, int | None, int]]:
    """One customer opens what was sent to them more often than not; moments and posters are seen by several."""
    many = rng.randrange(7) if share.via != "chat" else int(rng.random() < 0.65) + int(rng.random() < 0.2)
    today = seasons.midnight(now)
    for _ in range(many):
        later, draw, seconds = timedelta(minutes=rng.expovariate(1 / 300)), rng.random(), int(rng.expovariate(1 / 25))
        is_today = share.made_at >= today
        at = share.made_at + ((now - share.made_at) * (later / (later + timedelta(hours=4))) if is_today else later)
        known = share.member_id or (rng.choice(own) if own and draw < 0.5 else None)
        if is_today or at < today:
            yield at, known if share.via != "chat" or draw < 0.85 else None, min(seconds, 600)


# The buyer of an order that names no code, with their clerk; a hash says who of them had opened something before.
_BUYERS = """
SELECT DISTINCT ON (o.id) o.paid_at, b.brand_id, b.member_id, b.staff_id, b.store_id
FROM retail_order o JOIN members_identity i ON i.key_id = ANY (o.buyer_keys)
JOIN clerks_binding b ON b.member_id = i.member_id AND b.brand_id = o.brand_id AND b.ended_at IS NULL
JOIN retail_staff s ON s.id = b.staff_id LEFT JOIN retail_user u ON u.id = s.user_id
WHERE o.paid_at >= %(since)s AND o.share_code = '' AND b.started_at < %(since)s - interval '10 days'
    AND (o.id %% 12 = 0 OR u.username = %(star)s AND o.id %% 2 = 0)
ORDER BY o.id, b.id
"""


def _before_buying(rng: Random, library: Library, now: datetime) -> Iterator[_Sent]:
    """Sent in a chat some days before the purchase and opened soon."""
    since = seasons.midnight(now) - timedelta(days=DAYS - 7)
    with connection.cursor() as cursor:
        cursor.execute(_BUYERS, {"since": since, "star": logins.CLERK.username})
        buyers = cursor.fetchall()
    for paid_at, brand_id, member_id, staff_id, store_id in buyers:
        before = timezone.localtime(paid_at).replace(hour=10, minute=0, second=0, microsecond=0)
        at = before - timedelta(days=1 + int(3 * rng.random()), minutes=-int(600 * rng.random()))
        share = _share(rng, _some(rng, library.sendable[brand_id]), staff_id, store_id, at, "chat", member_id)
        opened_at = at + timedelta(minutes=2 + int(60 * rng.random()))
        yield _Sent(share, [(opened_at, member_id, 8 + int(90 * rng.random()))])


# ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────────────
def finish(*, now: datetime) -> None:
    """Once everything is settled."""
    known = Opening.objects.filter(member__isnull=False).select_related("share").order_by("at", "id")
    opened = [_action(one) for one in known]
    for start in range(0, len(opened), BATCH):
        rewards.of_openings(opened=opened[start : start + BATCH], now=now)
    today = now.date()
    results.roll_up(days=[today - timedelta(days=back) for back in range(DAYS + 8)], now=now)


def _action(one: Opening) -> Action:
    """As `clerks.responses` tells it."""
    assert one.member_id is not None
    return Action(
        number=f"opened:{one.share_id}:{one.member_id}:{timezone.localtime(one.at):%Y%m%d}",
        type=ActionType.OPENED,
        brand_id=one.share.brand_id,
        staff_id=one.share.staff_id,
        store_id=one.share.store_id,
        at=one.at,
        customer=one.member_id,
        content=str(one.share.material_id),
    )
