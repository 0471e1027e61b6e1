"""A shop at random: sales, refunds, other rules, corrections, closings, clerks who move and leave, everything again.

After every step the journal must be what a model says that knows nothing of it: the naive evaluator on the facts as
they were, and a reversal reckoned from the whole of what came back. What is closed stays what it was.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Count, Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from commissions import closing, plans
from commissions.models import Entry, Period, Plan, PlanVersion, Statement
from retail import intake, scope
from retail.models import Employment, Post
from retail.shapes import Buyer, Order
from tests.commissions.engine import naive
from tests.factories import LONG_AGO, NOW, add_rule, franchisee, number, world

CLERKS = ("A1", "A2", "A3")
FENS = st.sampled_from([0, 1, 99, 3333, 5000, 10_000, 99_999])
SPLITS = [{"serve": 1}, {"serve": 3, "manager": 1}, {"bound": 1, "serve": 1}, {"bound": 2, "serve": 2, "manager": 1}]
RULES = st.fixed_dictionaries(
    {
        "calc": st.sampled_from(
            [
                {"type": "rate", "ppm": 33_333},
                {"type": "rate", "ppm": 5_000},
                {"type": "per_qty", "fen": 7},
                {"type": "fixed", "fen": 101},
            ]
        ),
        "split": st.sampled_from(
            [[{"role": role, "weight": weight} for role, weight in one.items()] for one in SPLITS]
        ),
        "group": st.sampled_from(["base", "base", "more"]),
        "stop": st.booleans(),
        "missing": st.sampled_from(["forfeit", "reallocate", {"to_role": "manager"}]),
        "when": st.sampled_from([{}, {"member": "new"}, {"min_line_fen": 5_000}, {"channel": ["pos"]}]),
    },
    optional={"cap_fen": st.just(150), "floor_fen": st.just(30)},
)
PLANS = st.lists(RULES, min_size=1, max_size=2)
LINES = st.lists(st.tuples(FENS, st.integers(1, 3)), min_size=1, max_size=2)


@dataclass
class Sold:
    """An order as the model remembers it: what was true when it was paid, and what came back of each line."""

    id: int
    row: Order
    roles: dict[str, str]
    is_new: bool
    back: Counter[str] = field(default_factory=Counter)


class Shop(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.everything = scope.within(scope.EVERYTHING)
        self.everything.__enter__()
        self.shop = world()
        for clerk in CLERKS:
            self.shop.hire(clerk)
        self.shop.hire("M1", role="store_manager")
        self.now = NOW
        self.sold: list[Sold] = []
        self.bound: dict[str, str] = {}
        self.working = set(CLERKS)
        self.closed: dict[int, tuple[Any, ...]] = {}
        self.plans: list[tuple[datetime, list[dict[str, Any]]]] = []
        first = {"calc": {"type": "rate", "ppm": 33_333}, "split": [{"role": "serve", "weight": 1}]}
        self._put_in_force([first], LONG_AGO)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.everything.__exit__(None, None, None)
        self.block.__exit__(None, None, None)

    # ── What happens ──
    @rule(days=st.integers(1, 25))
    def time_goes_by(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(
        clerk=st.sampled_from([*CLERKS, "stranger"]),
        buyer=st.sampled_from([None, "13800000001", "13800000002"]),
        lines=LINES,
    )
    def sell(self, clerk: str, buyer: str | None, lines: list[tuple[int, int]]) -> None:
        row = self.shop.order(
            paid_at=self.now,
            serving_clerk=clerk,
            buyer=(Buyer("phone", buyer),) if buyer else (),
            lines=[{"paid_fen": fen, "tag_fen": max(fen, 100), "qty": qty} for fen, qty in lines],
        )
        roles = {"manager": "M1"}
        if clerk in self.working:
            roles["serve"] = clerk
            if buyer:
                self.bound.setdefault(buyer, clerk)
        if buyer and self.bound.get(buyer) in self.working:
            roles["bound"] = self.bound[buyer]
        is_new = buyer is not None and not any(one.row.buyer == row.buyer for one in self.sold)
        (order_id,) = self.shop.settle(row, now=self.now)
        self.sold.append(Sold(order_id, row, roles, is_new))
        self._tick()

    @precondition(lambda self: self.sold)
    @rule(data=st.data())
    def refund(self, data: Any) -> None:
        one = data.draw(st.sampled_from(self.sold))
        line = data.draw(st.sampled_from(one.row.lines))
        if line.paid_fen:
            fen = data.draw(st.sampled_from([1, line.paid_fen // 3, line.paid_fen, 2 * line.paid_fen]))
            self.shop.refund(one.row, line=line.outer_line_id, fen=fen, refunded_at=self.now, now=self.now)
            one.back[line.outer_line_id] = min(line.paid_fen, one.back[line.outer_line_id] + fen)
        self._tick()

    @rule(rules=PLANS)
    def other_rules_from_now_on(self, rules: list[dict[str, Any]]) -> None:
        self._put_in_force(rules, self.now)
        self._tick()

    @precondition(lambda self: self.sold)
    @rule(rules=PLANS, data=st.data())
    def the_rules_were_wrong(self, rules: list[dict[str, Any]], data: Any) -> None:
        """A correction from some sale on, and all that was sold since judged again."""
        since = data.draw(st.sampled_from(self.sold)).row.paid_at
        self.plans = [(starts_at, document) for starts_at, document in self.plans if starts_at < since]
        self._put_in_force(rules, since)
        assert (
            intake.recompute(order_ids=[one.id for one in self.sold if one.row.paid_at >= since], now=self.now) == []
        )
        self._tick()

    @rule()
    def close_a_month(self) -> None:
        period = Period.objects.filter(brand=self.shop.brand, status="open").order_by("starts_on").first()
        if period is None or self.now.date() < period.ends_on:
            return
        closing.close(period=period, by=None, now=self.now)
        if Statement.objects.unpaid().filter(period=period).exists():
            for batch in closing.make_batches(period=period, by=None, now=self.now):
                closing.mark_paid(batch=batch, reference="", by=None, now=self.now)
        self.closed[period.pk] = self._content(period.pk)
        self._tick()

    @rule(clerk=st.sampled_from(CLERKS), is_leaving=st.booleans())
    def a_clerk_moves_or_leaves(self, clerk: str, is_leaving: bool) -> None:
        staff = self.shop.staff[clerk]
        if clerk in self.working:
            Post.objects.filter(staff=staff, ends_at=None).update(ends_at=self.now)
            Employment.objects.filter(staff=staff, ends_at=None).update(ends_at=self.now)
        self.working.discard(clerk)
        if not is_leaving:
            store = self.shop.another_store(franchisee=franchisee())
            Employment.objects.create(staff=staff, starts_at=self.now)
            Post.objects.create(staff=staff, role="clerk", store=store, starts_at=self.now)
            self.working.add(clerk)
        self._tick()

    @precondition(lambda self: self.sold)
    @rule()
    def everything_again(self) -> None:
        before = Entry.objects.count()
        ids = [one.id for one in self.sold]
        assert intake.settle_orders(order_ids=ids, now=self.now) == []
        assert intake.settle_refunds(order_ids=ids, now=self.now) == []
        assert intake.recompute(order_ids=ids, now=self.now) == []
        assert Entry.objects.count() == before

    # ── What must hold ──
    @invariant()
    def every_transaction_adds_up_to_zero(self) -> None:
        assert not Entry.objects.values("txn").annotate(total=Sum("fen")).exclude(total=0).order_by().exists()

    @invariant()
    def the_journal_is_what_the_model_says(self) -> None:
        booked: Counter[tuple[Any, ...]] = Counter()
        rows = Entry.objects.of_staff().filter(order__isnull=False)
        for *key, fen in rows.values_list("order", "line__outer_line_id", "rule__code", "role", "staff__code", "fen"):
            booked[tuple(key)] += fen
        expected = {key: fen for one in self.sold for key, fen in self._expected(one)}
        assert {key: fen for key, fen in booked.items() if fen} == expected

    @invariant()
    def what_is_closed_stays_and_its_statements_are_its_entries(self) -> None:
        for period_id, content in self.closed.items():
            assert self._content(period_id) == content
            entries = Entry.objects.of_staff().filter(period_booked=period_id).exclude(kind=Entry.Kind.PAYOUT)
            sums = {tuple(row) for row in entries.values_list("staff", "payer").annotate(Sum("fen")).order_by()}
            stated = Statement.objects.filter(period=period_id).values_list("staff", "payer", "net_fen")
            assert {row for row in stated if row[2]} == {row for row in sums if row[2]}

    # ── The model ──
    def _expected(self, one: Sold) -> Any:
        rules = [document for starts_at, document in self.plans if starts_at <= one.row.paid_at][-1]
        lines = [
            {"id": line.outer_line_id, "paid_fen": line.paid_fen, "tag_fen": line.tag_fen, "qty": line.qty}
            for line in one.row.lines
        ]
        order = {
            "id": "O",
            "paid_at": one.row.paid_at.isoformat(),
            "channel": "pos",
            "roles": one.roles,
            "lines": lines,
        }
        found = naive.evaluate({"plan": {"rules": rules}, "orders": [{**order, "member_is_new": one.is_new}]})
        paid = {line["id"]: line["paid_fen"] for line in lines}
        for line_id, rule_id, role, clerk, fen in found["entries"]:
            if back := one.back[line_id]:
                fen -= naive.rounded(Fraction(fen * back, paid[line_id]))
            if fen:
                yield (one.id, line_id, rule_id, role, clerk), fen

    def _content(self, period_id: int) -> tuple[Any, ...]:
        """What a closed period holds; what pays it out comes later."""
        entries = Entry.objects.filter(period_booked=period_id).exclude(kind=Entry.Kind.PAYOUT)
        counted = entries.aggregate(count=Count("pk"), highest=Sum("pk"), fen=Sum("fen"))
        return (*counted.values(), Period.objects.get(pk=period_id).digest)

    def _put_in_force(self, rules: list[dict[str, Any]], starts_at: datetime) -> None:
        documents = [{"priority": place % 2, **one, "id": f"r{place}"} for place, one in enumerate(rules)]
        plan, _ = Plan.objects.get_or_create(brand=self.shop.brand, defaults={"name": "方案"})
        version = PlanVersion.objects.create(plan=plan, number=number())
        for document in documents:
            add_rule(version, document)
        plans.approve(version=version, by=None, now=self.now)
        plans.activate(version=version, starts_at=starts_at, by=None, now=self.now, reason="a test")
        self.plans.append((starts_at, documents))

    def _tick(self) -> None:
        self.now += timedelta(minutes=1)


@pytest.mark.django_db
def test_a_shop_at_random(size):
    examples, steps = (300, 40) if size == "full" else (12, 14)
    run_state_machine_as_test(
        Shop,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
