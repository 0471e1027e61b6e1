"""What the night computes of every member, tags and tiers, beside one plain look at the same purchases."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import F

from members import model_tags, tiers
from members.models import MemberTag, Profile, TierRule
from tests.bench.crowd import Crowd, crowd
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

TURNS = 5
# Scan and group: what each membership bought and paid over all orders, and nothing more.
_PLAIN = """
SELECT count(*), sum(orders), sum(fen) FROM (
    SELECT p.membership_id, count(*) AS orders, sum(o.paid_fen) AS fen
    FROM members_purchase p JOIN retail_order o ON o.id = p.order_id GROUP BY 1
) sums
"""


def night(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """The first night of the crowd writes all tags and some tiers, and is not timed; then nothing is otherwise."""
    made = crowd(shop, full=full)
    with transaction.atomic():
        TierRule.objects.create(brand=shop.world.brand, metric="spend", window_days=365, keep_days=365)
        assert tiers.nightly(now=NOW) > 0
        first = model_tags.recompute(now=NOW)
        assert (
            first.put == MemberTag.objects.filter(source="model", until=None, as_of__isnull=False).count() > made.size
        )
        yield _recompute(
            made, "all computed tags and tiers, as on Sundays", partial(_tags_and_tiers, model_tags.recompute)
        )
        later = NOW + timedelta(days=1)
        Profile.objects.alias(place=F("pk") % 25).filter(place=0).update(refreshed_at=later)
        few = partial(_tags_and_tiers, partial(model_tags.recompute_changed, since=later))
        yield _recompute(made, "all tiers and the computed tags of 4 in 100, whose profile changed by day", few)
        transaction.set_rollback(True)


def _tags_and_tiers(recompute: Callable[..., model_tags.Changed]) -> tuple[int, ...]:
    return (tiers.nightly(now=NOW), *recompute(now=NOW))


def _recompute(made: Crowd, name: str, act: Callable[[], tuple[int, ...]]) -> Verdict:
    peer, ours = Way("plain scan-and-group", made.size), Way(name, made.size)
    for turn in range(-1, TURNS):
        plain, changed = _turn(peer, _plain), _turn(ours, act)
        assert plain[1] > made.size and changed == (0, 0, 0, 0)
        if turn < 0:
            peer.wall.clear()
            ours.wall.clear()
    return Verdict(f"{name}, of {made.size:,} members", ours.median / peer.median, 5, [peer, ours])


def _turn(way: Way, act: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    with way.turn():
        return act()


def _plain() -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(_PLAIN)
        return cursor.fetchone()
