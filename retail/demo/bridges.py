"""Who is in WeCom with their clerk when the demo begins.

Friends of one store, whose phones the simulator plays, and of the brand that no simulator plays. A full comparison
with WeCom finds the former, and never asks for the latter.
"""

from datetime import datetime

from django.db import connection

from clerks import book
from clerks.models import Friend
from retail.demo import logins
from retail.models import Brand, Post, Store

EACH = 40  # friends of a clerk, the latest first
_AT_ONCE = 2_000

_MAKE = """
WITH picked AS (
    SELECT b.member_id, b.staff_id, b.store_id, s.code AS userid, k.id AS key_id, b.started_at AS since,
        row_number() OVER (PARTITION BY b.staff_id ORDER BY b.started_at DESC, b.member_id) AS turn
    FROM clerks_binding b JOIN retail_staff s ON s.id = b.staff_id
    JOIN members_identity i ON i.member_id = b.member_id
    JOIN retail_buyerkey k ON k.id = i.key_id AND k.type = 'external_userid' AND k.scope = %(corp)s
    WHERE b.brand_id = %(brand)s AND b.ended_at IS NULL AND b.lost_at IS NULL
        AND (%(store)s::bigint IS NULL OR b.store_id = %(store)s)
), made AS (
    INSERT INTO clerks_friend (corp, userid, key_id, member_id, staff_id, store_id, state, since, state_code, tags)
    SELECT %(corp)s, userid, key_id, member_id, staff_id, store_id, 'friend', since, '', '{}'
    FROM picked WHERE turn <= %(each)s ORDER BY staff_id, turn
    ON CONFLICT DO NOTHING RETURNING id, since
)
INSERT INTO clerks_friendmove (friend_id, kind, at, state_code, is_read)
SELECT id, 'added', since, '', false FROM made
"""


def write(*, now: datetime) -> None:
    """Straight into the tables: as if they had scanned a code long ago."""
    played = _played(now)
    for brand in Brand.objects.exclude(corp="").order_by("pk"):
        store = played.pk if played.brand_id == brand.pk else None
        with connection.cursor() as cursor:
            cursor.execute(_MAKE, {"brand": brand.pk, "corp": brand.corp, "store": store, "each": EACH})
    members = list(Friend.objects.order_by("pk").values_list("member", flat=True))
    for first in range(0, len(members), _AT_ONCE):
        book.refresh(member_ids=members[first : first + _AT_ONCE], now=now)


def _played(now: datetime) -> Store:
    """The store of the demo's clerk."""
    post = Post.objects.at(now).filter(staff__user__username=logins.CLERK.username)
    store: Store = post.select_related("store").get().store
    return store
