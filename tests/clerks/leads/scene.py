"""A store with two clerks and customers to whom things happen; most of it written straight into the tables."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from clerks import book
from clerks.leads import kinds, making
from clerks.leads.models import Lead, LeadPolicy, Score
from clerks.models import Binding, Friend
from members import behaviour
from members.models import Event, Member, Membership, Profile
from retail import privacy
from tests import factories
from tests.factories import NOW, World

CORP = "ww-leads"
NOON = NOW.replace(hour=12, minute=0)
_numbers = count(1)


@dataclass
class Scene:
    """Everybody is A1's friend and customer unless told otherwise. No holdout, so that what fires is seen."""

    shop: World
    members: list[Member] = field(default_factory=list)

    @classmethod
    def make(cls, *, holdout_ppm: int = 0, **policy: Any) -> "Scene":
        shop = factories.world(corp=CORP)
        for code in ("A1", "A2"):
            shop.hire(f"{code}-{factories.number()}")
        LeadPolicy.objects.create(brand=shop.brand, holdout_ppm=holdout_ppm, **policy)
        return cls(shop)

    @property
    def clerks(self) -> list[Any]:
        return list(self.shop.staff.values())

    def member(self, *, of: int | None = 0, is_friend: bool = True, **fields: Any) -> Member:
        """`of`: whose customer of the two clerks, None for nobody's."""
        number, shop = next(_numbers), self.shop
        member = Member.objects.create(name=f"顾客{number}", created_at=NOW, **fields)
        Membership.objects.create(
            brand=shop.brand, member=member, registered_at=NOW - timedelta(days=200), registered_store=shop.store
        )
        if of is not None:
            staff = self.clerks[of]
            since = NOW - timedelta(days=100)
            Binding.objects.create(
                brand=shop.brand, member=member, staff=staff, store=shop.store, source="manual",
                started_at=since, protected_until=NOW + timedelta(days=90),
            )  # fmt: skip
            if is_friend:
                known = privacy.Known("external_userid", CORP, f"wm-{number}")
                key = {"key_id": privacy.keep([known])[known], "member": member}
                place = {"staff": staff, "store": shop.store, "userid": staff.code}
                Friend.objects.create(corp=CORP, state="friend", since=since, **key, **place)
        self.members.append(member)
        book.refresh(member_ids=[member.pk], now=NOW)
        return member

    def bought(
        self, member: Member, *, days_ago: float, orders: int = 3, score: float = 0.5, band: str = "high"
    ) -> None:
        """As if they had: what is rolled up, and a score."""
        at = NOW - timedelta(days=days_ago)
        first_at, membership = at - timedelta(days=80), Membership.objects.get(member=member)
        Membership.objects.filter(pk=membership.pk).update(first_purchase_at=first_at, last_purchase_at=at)
        known = {"orders": orders, "first_at": first_at, "last_at": at, "refreshed_at": NOW}
        Profile.objects.update_or_create(membership=membership, defaults={**known, "last_store": self.shop.store})
        why = [{"code": "rhythm", "gap": 40, "since": 37}]
        said = {
            "reasons": why,
            "score": score,
            "band": band,
            "rank_basis": "logistic",
            "expected_fen": 32000,
            "scored_on": NOW.date(),
        }
        Score.objects.update_or_create(brand=self.shop.brand, member=member, defaults=said)

    def did(self, member: Member, kind: str, *, hours_ago: float, now: datetime = NOON, **fields: Any) -> None:
        number = f"e{next(_numbers)}"
        seen = behaviour.Seen(number, now - timedelta(hours=hours_ago), kind, self.shop.brand.pk, (), **fields)
        behaviour.keep(channel_id=self.shop.pos.pk, events=[seen], now=now)
        Event.objects.filter(outer_event_id=number).update(member=member)

    def news(self, kind: str, *, hours_ago: float, now: datetime = NOON, fen: int | None = None) -> None:
        """Of the product of the shop; nobody's."""
        at, said = now - timedelta(hours=hours_ago), (self.shop.brand.pk, (), self.shop.product.pk)
        seen = behaviour.Seen(f"n{next(_numbers)}", at, kind, *said, fen=fen)
        behaviour.keep(channel_id=self.shop.pos.pk, events=[seen], now=now)

    def make_leads(self, *, now: datetime = NOON, is_daily: bool = True) -> dict[str, making.Made]:
        return making.make_all(brand=self.shop.brand, now=now, is_daily=is_daily)

    def make_kind(self, code: str, *, now: datetime = NOON) -> making.Made:
        return making.make(brand=self.shop.brand, kind=kinds.KINDS[code], now=now)


def kinds_of(member: Member) -> set[str]:
    return set(Lead._base_manager.filter(member=member).values_list("kind", flat=True))


def told(member: Member, *, now: datetime = NOON) -> Iterator[str]:
    for lead in Lead._base_manager.filter(member=member).select_related("product"):
        yield from kinds.sentences(lead, now=now)
