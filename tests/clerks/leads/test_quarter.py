"""A quarter of a brand at random: things happen to customers, clerks work their leads or do not, one leaves.

    every day at 9, 15, 20 and 22   events ▸ leads made ▸ digests ▸ clerks act ▸ orders ▸ what is over ends

At the size of the promise (100 clerks, 90 days): DAOGOU_TEST_SIZE=full pytest tests/clerks/leads/test_quarter.py
"""

import contextlib
import random
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from clerks.leads import cards, dealing, making, push, rules
from clerks.leads.models import Lead, Score
from clerks.models import Binding, Friend, Notice, Touch
from members.models import Member, Membership, Purchase
from retail.models import Order, Post, Staff
from tests.clerks.leads.scene import NOON, Scene
from tests.factories import number
from tests.figures import figure

pytestmark = [pytest.mark.usefixtures("everything"), pytest.mark.slow]
HOURS = (9, 15, 20, 22)
EACH = 6  # customers of a clerk
ENDS = {"won", "lost", "expired", "withdrawn", "withheld"}


@dataclass
class Quarter:
    scene: Scene
    dice: random.Random
    friend_of: dict[int, Staff] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    on_lists: int = 0  # cards seen
    ghosts_seen: int = 0
    twice_on_a_list: int = 0
    above_most: int = 0

    @classmethod
    def begin(cls, *, clerks: int) -> "Quarter":
        scene, dice = Scene.make(holdout_ppm=200_000), random.Random(90)
        for place in range(2, clerks):
            scene.shop.hire(f"Q{place}-{number()}")
        for place in range(clerks):
            for _ in range(EACH):
                bought = scene.member(of=place)
                scene.bought(bought, days_ago=dice.choice((20, 40, 90, 200)), score=dice.random())
        quarter = cls(scene, dice)
        quarter.friend_of = {one.member_id: one.staff for one in Friend.objects.select_related("staff")}
        quarter.posts = list(Post.objects.filter(role="clerk").select_related("staff", "store__brand"))
        return quarter

    def day(self, noon: datetime) -> None:
        Score.objects.update(scored_on=noon.date())
        for hour in HOURS:
            now = noon.replace(hour=hour)
            self._events(now)
            making.make_all(brand=self.scene.shop.brand, now=now, is_daily=hour == HOURS[0])
            push.digest(brand=self.scene.shop.brand, now=now)
            self._look(now + timedelta(minutes=5))
            self._act(now + timedelta(minutes=10))
            self._orders(now + timedelta(minutes=20))
            dealing.tend(brand=self.scene.shop.brand, now=now + timedelta(minutes=30))
        if self.dice.random() < 0.1:  # somebody deletes their clerk
            Binding.objects.filter(member=self.dice.choice(self.scene.members)).update(lost_at=noon)

    def _events(self, now: datetime) -> None:
        members, dice = self.scene.members, self.dice
        for member in dice.sample(members, max(1, len(members) // 12)):
            kind = dice.choices(("cart", "asked", "live_watch", "complained"), (5, 2, 3, 0.1))[0]
            more = {"seconds": 600} if kind == "live_watch" else {"product_id": self.scene.shop.product.pk}
            self.scene.did(member, kind, hours_ago=3, now=now, **more)
        if dice.random() < 0.1:  # what many have had in their cart is there again
            self.scene.news("restocked", hours_ago=1, now=now)

    def _look(self, now: datetime) -> None:
        """What some clerks see, and the pool of the store."""
        ghosts = set(Lead._base_manager.filter(arm="withheld").values_list("pk", flat=True))
        for post in self.dice.sample(self.posts, min(3, len(self.posts))):
            board = cards.board(post=post, now=now)
            seen = [card.head for card in board.cards]
            seen_often = Counter(head.member_id for head in seen)
            self.on_lists += len(seen)
            self.twice_on_a_list += sum(times > 1 for times in seen_often.values())
            self.above_most += sum(head.rank > 2 for head in seen) > max(0, board.most - board.done)
            self.ghosts_seen += len({head.pk for head in seen} & ghosts)
        pooled = dealing.pool(post=self.posts[0], now=now).values_list("pk", flat=True)
        self.ghosts_seen += (
            len(set(pooled) & ghosts)
            + Notice.objects.filter(about_type="leads.lead", about_id__in=map(str, ghosts)).count()
        )

    def _act(self, now: datetime) -> None:
        waiting = list(Lead.objects.waiting(now).select_related("brand"))
        for lead in self.dice.sample(waiting, len(waiting) // 3):
            with contextlib.suppress(dealing.Refused):
                self._deal(lead, now)

    def _deal(self, lead: Lead, now: datetime) -> None:
        what = self.dice.random()
        if lead.staff_id is None:
            dealing.claim(lead_id=lead.pk, post=self.dice.choice(self.posts), now=now)
        elif what < 0.7:
            dealing.touch(lead=lead, by=self.friend_of[lead.member_id], now=now)
        elif what < 0.85:
            dealing.put_off(lead=lead, until=now + timedelta(hours=3))
        else:
            dealing.turn_down(lead=lead, refusal="other", now=now)

    def _orders(self, now: datetime) -> None:
        some = self.dice.sample(self.scene.members, max(1, len(self.scene.members) // 100))
        for member in some:
            self._order(member, now)

    def _order(self, member: Member, now: datetime) -> None:
        shop, membership = self.scene.shop, Membership.objects.get(member=member)
        order = Order.objects.create(
            channel=shop.pos, outer_order_id=f"Q{number()}", fingerprint=b"", brand=shop.brand, store=shop.store,
            paid_at=now, buyer_keys=[1], tag_fen=10000, paid_fen=10000, received_at=now, settled_at=now,
            settled_version=1,
        )  # fmt: skip
        bought = Purchase.objects.create(
            order=order, membership=membership, store=shop.store, paid_at=now, net_fen=10000, is_first=False
        )
        Membership.objects.filter(pk=membership.pk).update(last_purchase_at=now)
        dealing.close_won(purchases={order.pk: bought}, now=now)

    def leave(self, now: datetime) -> None:
        """A clerk goes; nobody takes the customers over yet."""
        post = self.posts.pop()
        Post.objects.filter(pk=post.pk).update(ends_at=now)


def test_a_quarter_of_leads(everything: None, size: str) -> None:
    days, clerks = (90, 100) if size == "full" else (30, 10)
    quarter = Quarter.begin(clerks=clerks)
    for day in range(days):
        quarter.day(NOON + timedelta(days=day))
        if day == days // 2:
            quarter.leave(NOON + timedelta(days=day, hours=11))
    for later in (4, 15, 20):
        dealing.tend(brand=quarter.scene.shop.brand, now=NOON + timedelta(days=days + later))
    leads, touches = list(Lead._base_manager.order_by("pk")), _contacts()
    ghosts = [lead for lead in leads if lead.arm == "withheld"]
    states = Counter(lead.state for lead in leads)
    figure("D4", f"{days} days of {clerks} clerks: {len(leads)} leads {dict(states)}, {Touch.objects.count()} touches")

    assert all(lead.closed_at and lead.state in ENDS for lead in leads)
    assert set(states) == ENDS, "each end was reached by some"
    assert above_caps(touches, quarter) == 0
    assert disturbed_at_rest(leads, touches, quarter) == []
    assert open_twice(leads) == []
    assert (quarter.ghosts_seen, quarter.twice_on_a_list, quarter.above_most) == (0, 0, 0) and quarter.on_lists
    assert len(ghosts) > days and all(one.contacted_at is one.viewed_at is None for one in ghosts)
    assert not Touch.objects.filter(effect__in=[f"lead:{one.pk}" for one in ghosts]).exists()
    assert max(Counter(Notice.objects.values_list("staff", "created_at__date")).values()) <= push.A_DAY


def _contacts() -> dict[int, list[datetime]]:
    found: dict[int, list[datetime]] = defaultdict(list)
    for member_id, at in Touch.objects.filter(purpose="marketing").order_by("at").values_list("member", "at"):
        found[member_id].append(at)
    return found


def above_caps(touches: dict[int, list[datetime]], quarter: Quarter) -> int:
    """How many contacts were above a cap, within any window that ends with one of them."""
    limits = rules.limits(rules.of(quarter.scene.shop.brand))
    return sum(
        sum(at - timedelta(days=days) < one <= at for one in some) > most
        for some in touches.values()
        for at in some
        for most, days in limits.windows
    )


def disturbed_at_rest(leads: list[Lead], touches: dict[int, list[datetime]], quarter: Quarter) -> list[Lead]:
    """Leads that came about too soon after a contact with their customer, or after the end of one of their type."""
    policy, ended, found = rules.of(quarter.scene.shop.brand), defaultdict(list), []
    for lead in leads:
        ended[lead.member_id, lead.kind].append(lead.closed_at)
    for lead in leads:
        if lead.rank > 2:
            rest = timedelta(days=policy.score_rest_days if lead.rank in (9, 10) else policy.rest_days)
            contacts = touches.get(lead.member_id, [])
            place = bisect_right(contacts, lead.created_at)
            lately = [*contacts[max(0, place - 1) : place], *ended[lead.member_id, lead.kind]]
            found += [lead] if any(lead.created_at - rest < at <= lead.created_at for at in lately) else []
    return found


def open_twice(leads: list[Lead]) -> list[Lead]:
    """Leads that came about while another of the same customer and type was open."""
    found, until = [], {}
    for lead in sorted(leads, key=lambda one: one.created_at):
        key = lead.member_id, lead.kind
        found += [lead] if lead.created_at < until.get(key, lead.created_at) else []
        until[key] = lead.closed_at
    return found
