"""How well purchases are foretold on a public log, and what it costs to score everybody.

`foretelling`: CDNOW, the first of February, March and April 1998 (in the product twenty years later), 30 days ahead.
`intent`: the statement that scores beside one plain aggregate over the same purchases, which is the least that scoring
from the facts can cost.
"""

import resource
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from statistics import mean
from typing import Any

import numpy as np
from django.db import connection, transaction

from clerks.leads import features, learning, scoring, training
from clerks.leads.models import IntentModel, Score
from retail import orders
from retail.imports import sample_world
from retail.imports.cdnow import YEARS_LATER, Cdnow
from retail.models import Brand
from tests.bench.crowd import Crowd, crowd
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

CUTS = [date(1998 + YEARS_LATER, month, 1) for month in (2, 3, 4)]
HORIZON = 30
# What is asked of the mean of the three: measure, bound, whether it is the least.
ASKED = [("auc", 0.815, True), ("ap", 0.33, True), ("lift", 4.5, True), ("ece", 0.02, False)]
ASKED_OF_SILENT = [("auc", 0.75, True), ("lift", 3.8, True)]
BATCH = 1_000
TURNS = 3
CLERKS_OF_1000, BEST = 4, 10  # four clerks to a thousand members
GROWTH = 200  # MB


# ── Whether it is right ──────────────────────────────────────────────────────────────────────────────────────────────
def foretelling(_shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """The log is the same at both sizes; nothing of it is settled, so the orders alone speak."""
    brand = _taken()
    found = [_foretold(brand, day) for day in CUTS]
    everybody, silent = [one for one, _ in found], [one for _, one in found]
    yield from _verdicts("everybody", ASKED, everybody)
    yield from _verdicts("silent for 60 days", ASKED_OF_SILENT, silent)


def _taken() -> Brand:
    log = Cdnow()
    world, batch = sample_world.World(log.setting, now=NOW), []
    for order in log.orders():
        batch.append(order)
        if len(batch) == BATCH:
            world.make_missing(batch)
            orders.record(channel=world.channel, data=batch, now=NOW)
            batch = []
    world.make_missing(batch)
    orders.record(channel=world.channel, data=batch, now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return Brand.objects.get(code=log.setting.code)


def _foretold(brand: Brand, day: date) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the model made for a day was worth in the days after it, of everybody and of those who had been silent."""
    model = training.train(brand=brand, as_of=day, horizon_days=HORIZON, is_trial=True, now=NOW)
    scores = {row.who: row.score for row in scoring.past(brand_id=brand.pk, day=day, model=model)}
    came = features.labelled(brand_id=brand.pk, day=day, horizon_days=HORIZON, features=["recency"], most=10**9)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT who, recency, bought FROM ({came.text}) came", came.params)
        rows = cursor.fetchall()
    assert {who for who, _, _ in rows} == set(scores)
    cut = learning.Cut(("recency",), np.array([[row[1]] for row in rows]), np.array([float(row[2]) for row in rows]))
    chances = np.array([scores[who] for who, _, _ in rows])
    silent = cut.known[:, 0] >= features.SILENT_DAYS
    return learning.measures(cut, chances), learning.measures(cut.where(silent), chances[silent])


def _verdicts(who: str, asked: list[tuple[str, float, bool]], found: list[dict[str, Any]]) -> Iterator[Verdict]:
    for name, bound, is_floor in asked:
        each = ", ".join(f"{day:%Y-%m-%d} {one[name]:.4f}" for day, one in zip(CUTS, found, strict=True))
        members = f"{found[0]['members']:,}"
        yield Verdict(
            f"{name} of CDNOW, {who}, mean of three days", mean(one[name] for one in found), bound, [],
            is_floor=is_floor, notes=[f"{each}; {members} members on the first day"],
        )  # fmt: skip


# ── What it costs ────────────────────────────────────────────────────────────────────────────────────────────────────
# Each sum is asked for: of what nobody reads PostgreSQL would work out nothing.
_PLAIN = """
SELECT count(*), sum(n), min(first), max(last), sum(fen) FROM (
    SELECT membership_id, count(*) AS n, min(paid_at) AS first, max(paid_at) AS last, sum(net_fen) AS fen
    FROM members_purchase GROUP BY 1
) plain
"""
_LISTS = f"""
SELECT count(*), count(DISTINCT staff_id) FROM unnest(%(clerks)s::bigint[]) WITH ORDINALITY clerk (id, n)
CROSS JOIN LATERAL (
    SELECT binding_id, staff_id FROM clerks_customer c WHERE c.staff_id = clerk.id
    ORDER BY intent DESC, binding_id DESC LIMIT {BEST}
) best
"""


def intent(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    made = crowd(shop, full=full)
    brand_id, day = shop.world.brand.pk, NOW.date()
    with transaction.atomic(), scoring.all_at_once():
        model = _model(shop.world.brand, day)
        past = scoring.past_sql(brand_id=brand_id, day=day + timedelta(days=1), model=model)
        formula = scoring.Formula.of(model)
        select = f"SELECT who, {formula.sql} AS score FROM described"
        rolled = features.rolled(brand_id=brand_id, day=day, features=formula.features, select=select)
        rolled.params.update(formula.params)
        _set_bands(model, rolled)
        plain = Way("plain GROUP BY member", made.size)
        facts, rollup = Way("all scores from the orders", made.size), Way("all scores from the rollup", made.size)
        count = made.size * CLERKS_OF_1000 // 1_000
        lists = Way(f"the best {BEST} of {count:,} clerks", count)
        clerks = [made.clerks[n % len(made.clerks)].pk for n in range(count)]
        ways: list[tuple[Way, Callable[[], tuple[Any, ...]]]] = [
            (plain, partial(_one, _PLAIN, {})),
            (facts, partial(_one, f"SELECT count(*), avg(score) FROM ({past.text}) s", past.params)),
            (rollup, partial(_one, f"SELECT count(*), avg(score) FROM ({rolled.text}) s", rolled.params)),
            (lists, partial(_one, _LISTS, {"clerks": clerks})),
        ]
        for _turn in range(TURNS):
            members, by_facts, by_rollup, best = [_timed(way, act) for way, act in ways]
            assert members[0] == by_facts[0] >= by_rollup[0] and best[0] > 0.9 * count * BEST
            assert abs(by_facts[1] - by_rollup[1]) < 0.01
        size = f"{made.size:,} members, {members[1]:,} orders"
        yield Verdict(f"scoring everybody from the facts, {size}", facts.median / plain.median, 2, [plain, facts])
        yield Verdict(f"the same from what is rolled up, {size}", rollup.median / plain.median, 0.5, [plain, rollup])
        yield Verdict("top lists", lists.median / plain.median, 4, [plain, lists])
        stored, growth = _stored(brand_id, day, made)
        note = f"memory of this process grew by {growth} MB, {GROWTH} are allowed; with bands, reasons and the lists"
        yield Verdict("writing down tonight's", stored.median / plain.median, None, [plain, stored], notes=[note])
        yield Verdict("memory grown by a night, in 200 MB", growth / GROWTH, 1, [])
        transaction.set_rollback(True)


def _model(brand: Brand, day: date) -> IntentModel:
    """With all features of purchases; what they weigh costs nothing."""
    names = list(features.PURCHASES)
    return IntentModel.objects.create(
        brand=brand, kind="logistic", as_of=day, horizon_days=HORIZON, features=names, weights=[0.1] * len(names),
        means=[1.0] * len(names), intercept=-4.0, middle_from=0.1, high_from=0.2, trained_at=NOW, active_from=NOW,
    )  # fmt: skip


def _set_bands(model: IntentModel, rolled: features.Sql) -> None:
    """As training sets them, or everybody would be 高."""
    sql = f"SELECT percentile_cont(ARRAY[0.7, 0.9]) WITHIN GROUP (ORDER BY score) FROM ({rolled.text}) s"
    model.middle_from, model.high_from = _one(sql, rolled.params)[0]
    model.save()


def _stored(brand_id: int, day: date, made: Crowd) -> tuple[Way, int]:
    """The first night writes all rows, the second goes over them."""
    way, before = Way("tonight's scores, written", made.size), _peak()
    for _night in range(2):
        with way.turn():
            count = scoring.score(brand_id=brand_id, as_of=day, now=NOW)
    assert count == Score.objects.filter(brand=brand_id).count()
    return way, _peak() - before


def _peak() -> int:
    """The most memory this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _timed(way: Way, act: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    with way.turn():
        return act()


def _one(sql: str, params: dict[str, Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()
