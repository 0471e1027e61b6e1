"""What people did to relations by hand: a changed policy, customers given to a colleague, ties nobody has decided."""

from datetime import datetime, timedelta

from django.db import connection
from django.utils.translation import gettext as _

from clerks import binding
from clerks.models import Binding, PastPolicy
from clerks.policies import FIELDS
from retail import org
from retail.models import Brand, Post

_GIVEN = 12  # customers of each brand whom a manager gave to a colleague
_TIED = 8
# Nobody's customers who bought in a store, and the first two clerks of it.
_TIES = """
WITH posts AS (
    SELECT p.store_id, p.staff_id, row_number() OVER (PARTITION BY p.store_id ORDER BY p.id) AS place
    FROM retail_post p JOIN retail_store s ON s.id = p.store_id
    WHERE p.role = 'clerk' AND p.starts_at <= %(now)s AND p.ends_at IS NULL AND s.brand_id = %(brand)s
), loose AS (
    SELECT m.member_id, min(p.store_id) AS store_id
    FROM members_membership m JOIN members_purchase p ON p.membership_id = m.id
    WHERE m.brand_id = %(brand)s AND NOT EXISTS (SELECT FROM clerks_binding b
        WHERE b.brand_id = m.brand_id AND b.member_id = m.member_id)
    GROUP BY 1 HAVING min(p.store_id) IS NOT NULL ORDER BY 1 LIMIT %(count)s
), made AS (
    INSERT INTO clerks_tie (brand_id, member_id, made_at)
    SELECT %(brand)s, member_id, %(now)s - interval '3 days' FROM loose RETURNING id, member_id
)
INSERT INTO clerks_rival (tie_id, staff_id, store_id, fen)
SELECT made.id, posts.staff_id, posts.store_id, 29900 + 10000 * mod(made.id, 7)
FROM made JOIN loose USING (member_id) JOIN posts USING (store_id) WHERE posts.place <= 2 ORDER BY 1, 2
"""


def run(*, now: datetime) -> None:
    """Before the books are made (`jottings`)."""
    for brand in Brand.objects.order_by("pk"):
        _changed(brand, now - timedelta(days=150))
        _given(brand, now)
        with connection.cursor() as cursor:
            cursor.execute(_TIES, {"brand": brand.pk, "now": now, "count": _TIED})


def _changed(brand: Brand, at: datetime) -> None:
    """Until then the protection lasted half a year."""
    before = {name: getattr(brand, name) for name in FIELDS} | {"protection_days": 180}
    PastPolicy.objects.create(brand=brand, until=at, **before)
    Brand.objects.filter(pk=brand.pk).update(policy_since=at)


def _given(brand: Brand, at: datetime) -> None:
    """To a colleague in the same store, by whoever leads it."""
    leads = Post.objects.at(at).filter(role=Post.Role.STORE_MANAGER, store__brand=brand, staff__user__isnull=False)
    manager = leads.select_related("staff__user", "store").order_by("pk").first()
    if manager is None:
        return
    clerks = Post.objects.at(at).filter(role=Post.Role.CLERK, store=manager.store, ends_at=None)
    ids = list(clerks.order_by("pk").values_list("staff", flat=True)[:2])
    roster = org.roster(since=at, until=at, staff_ids=ids)
    held = Binding.objects.filter(brand=brand, staff=ids[0], ended_at=None, started_at__lt=at) if len(ids) == 2 else ()
    to = roster.person(at=at, staff_id=ids[-1]) if ids else None
    if not held or to is None:
        return
    binding.transfer(
        to={(brand.pk, row.member_id): to for row in held.order_by("pk")[:_GIVEN]},
        source=Binding.Source.MANUAL, end=Binding.End.MANUAL, by=manager.staff.user, now=at,
        reason=_("顾客常在周末来，周末是她当班"),
    )  # fmt: skip
