"""Members merged and parted at random, while they buy, give back, get points and tiers, and ask to be left alone.

After every step everything lies with whom the oracle says (tests/clerks/persons.py), and no commission has changed by
a merge. A further rule of points is one more method here and one in the oracle.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from clerks import oneid
from clerks.models import Binding, Merge
from commissions.models import Entry
from members import consent, points, profiles, tiers
from members.models import Identity, Member, Membership, PointsRule, Purchase, Tier, TierRule
from retail import doctor, shapes
from tests.clerks.persons import STEPS, Joining, Persons
from tests.factories import NOW, World, number, world
from tests.figures import figure

COUNT = 4
WHO, BRAND = st.integers(0, COUNT - 1), st.integers(0, 1)
happened: Counter[str] = Counter()


class People(RuleBasedStateMachine):
    shops: list[World]

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.model, self.now = Persons(), NOW
        self.ids: dict[int, int] = {}  # person → member
        self.merges: list[tuple[Joining, Merge]] = []
        self.rows: list[tuple[World, shapes.Order, int]] = []

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    def later(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now

    @initialize()
    def everybody_buys_once(self) -> None:
        for who in range(COUNT):
            self.buy(who, who % 2, 3, "with card")
            key = Identity.objects.get(key__masked=f"138****000{who}")
            self.ids[who] = key.member_id

    @rule(who=WHO, brand=BRAND, yuan=st.integers(1, 9), card=st.none() | st.just("with card"))
    def buy(self, who: int, brand: int, yuan: int, card: str | None) -> None:
        self._sell(who, brand, yuan, f"C{who}-{brand}" if card else None)

    @rule(who=WHO, yuan=st.integers(1, 9))
    def buy_by_card(self, who: int, yuan: int) -> None:
        if (number := f"C{who}-{who % 2}") in self.model.taught:  # a card is one brand's
            self._sell(None, who % 2, yuan, number)
            happened["bought by card alone"] += bool(self.model.into)

    def _sell(self, phone: int | None, brand: int, yuan: int, card: str | None) -> None:
        shop = self.shops[brand]
        keys = [("phone", f"1380000000{phone}")] if phone is not None else []
        keys += [("card", card)] if card else []
        buyer = tuple(shapes.Buyer(*key) for key in keys)
        row = shop.order(
            channel=shop.channels["online"], lines=[{"paid_fen": yuan * 100}], buyer=buyer, paid_at=self.later()
        )
        shop.settle(row, channel=shop.channels["online"], now=self.now)
        self.rows.append((shop, row, yuan))
        self.model.buy(row.outer_order_id, phone, card, brand, yuan)

    @rule(data=st.data())
    def give_back(self, data: Any) -> None:
        place = data.draw(st.integers(0, len(self.rows) - 1))
        shop, row, yuan = self.rows[place]
        if yuan:
            fen = data.draw(st.integers(1, yuan)) * 100
            shop.refund(row, fen=fen, now=self.later())
            self.rows[place] = (shop, row, yuan - fen // 100)
            sale = self.model.sales[row.outer_order_id]
            sale.points -= fen // 100
            self.model.review(sale.brand, self.model.whose(sale.key))

    @rule(who=WHO, brand=BRAND, some=st.sampled_from([-5, 3, 7]))
    def points_by_hand(self, who: int, brand: int, some: int) -> None:
        if self.model.give(number(), who, brand, some):
            owner = self.ids[self.model.root(who)]
            membership = Membership.objects.get(brand=self.shops[brand].brand, member=owner)
            points.adjust(membership=membership, points=some, reason="补", by=None, now=self.later())

    @rule(who=WHO, brand=BRAND, rank=st.integers(0, 2), is_held=st.sampled_from([False, False, True]))
    def tier_by_hand(self, who: int, brand: int, rank: int, is_held: bool) -> None:
        if self.model.lift(who, brand, rank, is_held):
            shop, owner = self.shops[brand], self.ids[self.model.root(who)]
            membership = Membership.objects.get(brand=shop.brand, member=owner)
            tier = Tier.objects.get(brand=shop.brand, rank=rank)
            tiers.give(membership=membership, tier=tier, reason="补", by=None, now=self.later(), is_held=is_held)

    @rule(who=WHO)
    def asks_to_be_left_alone(self, who: int) -> None:
        member = Member.objects.get(pk=self.ids[self.model.root(who)])
        consent.stop(member=member, corp="ww", by=None, now=self.later())
        self.model.stop(who, COUNT)

    @rule(keep=WHO, drop=WHO, are_as_they_were=st.sampled_from([False, False, True]))
    def merge(self, keep: int, drop: int, are_as_they_were: bool) -> None:
        if not are_as_they_were:
            keep, drop = self.model.root(keep), self.model.root(drop)
        before = self._paid()
        ids = {"keep": self.ids[keep], "drop": self.ids[drop]}
        if not self.model.may_join(keep, drop):
            with pytest.raises(oneid.Refused), transaction.atomic():
                oneid.merge(**ids, evidence={}, by=None, now=self.later())
            return
        done = oneid.merge(**ids, evidence={}, by=None, now=self.later())
        self.merges.append((self.model.join(keep, drop), done))
        assert self._paid() == before
        happened["merged"] += 1

    @rule(data=st.data())
    def unmerge(self, data: Any) -> None:
        if not self.merges:
            return
        joining, done = data.draw(st.sampled_from(self.merges[-3:]))
        before = self._paid()
        if not self.model.may_undo(joining):
            with pytest.raises(oneid.Refused), transaction.atomic():
                oneid.unmerge(merge=done, by=None, now=self.later())
            happened["refused to part"] += 1
            return
        oneid.unmerge(merge=done, by=None, now=self.later())
        self.model.undo(joining)
        assert self._paid() == before
        happened["parted"] += 1

    def _paid(self) -> tuple[int, int | None]:
        legs = Entry.objects.filter(staff__isnull=False)
        return Entry.objects.count(), legs.aggregate(fen=Sum("fen"))["fen"]

    # ── What must hold ───────────────────────────────────────────────────────────────────────────────────────────────
    @invariant()
    def everything_is_whose_it_is(self) -> None:
        if not self.ids:
            return
        person = {member_id: who for who, member_id in self.ids.items()}
        bought = Purchase.objects.values_list("order__outer_order_id", "membership__member")
        assert {order: person[owner] for order, owner in bought} == {
            order: self.model.whose(sale.key) for order, sale in self.model.sales.items()
        }
        brands = {shop.brand.pk: place for place, shop in enumerate(self.shops)}
        rows = Membership.objects.filter(member__merged_into=None).values_list("brand", "member", "points")
        assert {(brands[brand], person[owner]): some for brand, owner, some in rows} == self.model.balances()
        stand = Membership.objects.filter(member__merged_into=None)
        ranks = stand.values_list("brand", "member", "tier__rank", "tier_is_held")
        assert {
            (brands[brand], person[owner]): (-1 if rank is None else rank, held) for brand, owner, rank, held in ranks
        } == self.model.tiers()
        keys = Identity.objects.filter(key__type="phone").values_list("key__masked", "member")
        assert {int(masked[-1]): person[owner] for masked, owner in keys} == {
            who: self.model.root(who) for who in range(COUNT)
        }

    @invariant()
    def nothing_lies_with_who_is_somebody_else(self) -> None:
        gone = Member.objects.exclude(merged_into=None)
        assert not Identity.objects.filter(member__in=gone).exists()
        assert not Purchase.objects.filter(membership__member__in=gone).exists()
        assert not Binding.objects.filter(member__in=gone, ended_at=None).exists()
        emptied = Membership.objects.filter(member__in=gone)
        assert not emptied.exclude(points=0, tier=None).exists()
        assert not list(doctor.INVARIANTS["purchase_dates"](doctor.Look(self.now, None)))
        living = Membership.objects.filter(member__merged_into=None).values_list("pk", flat=True)
        assert not list(profiles.otherwise(membership_ids=living, now=self.now))

    @invariant()
    def stop_means_stop(self) -> None:
        for who in self.model.stopped:
            asked = {"corp": "ww", "channel": "wecom", "purpose": "marketing"}
            assert not consent.allows(member_id=self.ids[self.model.root(who)], **asked)
            assert not consent.allows(member_id=self.ids[who], **asked)


@pytest.mark.usefixtures("everything")
def test_people_at_random(size: Literal["quick", "full"]) -> None:
    shops = [world(corp="ww"), world(corp="ww")]
    for shop in shops:
        shop.channels = {"online": shop.channel("mini_program")}
        PointsRule.objects.create(brand=shop.brand, name="每元一分", starts_on=NOW.date() - timedelta(days=99))
        shop.plan({"id": "r", "calc": {"type": "rate", "ppm": 50_000}, "split": [{"role": "bound", "weight": 1}]})
        TierRule.objects.create(brand=shop.brand, metric="spend", window_days=365, keep_days=180)
        for rank, yuan in enumerate(STEPS):
            Tier.objects.create(brand=shop.brand, code=str(rank), name=str(rank), rank=rank, threshold=yuan * 100)
    happened.clear()
    run_state_machine_as_test(
        type("People", (People,), {"shops": shops}),
        settings=settings(
            max_examples=400 if size == "full" else 12,
            stateful_step_count=40 if size == "full" else 30,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
    assert {"merged", "parted", "refused to part", "bought by card alone"} <= happened.keys()
    told = ", ".join(f"{count} × {what}" for what, count in sorted(happened.items()))
    figure("P6", f"people at random: {told}: 0 others than an oracle says")
