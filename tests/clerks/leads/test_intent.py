"""Who is likely to buy: the statement is the library's formula, the past is only the past, a model proves itself."""

import csv
import math
from datetime import date, datetime, timedelta

import numpy as np
import pytest
import time_machine
from django.core.management import CommandError, call_command
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clerks.leads import features, learning, reasons, scoring, training
from clerks.leads.models import IntentModel, Score
from members.models import Membership, Profile, Purchase
from retail import intake, periodic, scope, shapes, tasks
from retail.models import Order, OrderLine, Refund
from tests.clerks.leads.logs import BEGAN, SHANGHAI, log, rolled_up
from tests.factories import world

pytestmark = pytest.mark.usefixtures("everything")
AS_OF = BEGAN + timedelta(days=300)
NOW = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 5, tzinfo=SHANGHAI)
PURCHASES = list(features.PURCHASES)


@pytest.fixture(scope="module")
def shop(django_db_setup, django_db_blocker):
    """A year of 900 customers, and its model of day 300; tests change it, each in a transaction rolled back."""
    with django_db_blocker.unblock(), scope.within(scope.EVERYTHING):
        from django.db import transaction

        with transaction.atomic():
            made = log(members=900, days=365)
            rolled_up(made, on=AS_OF)
            training.train(brand=made.shop.brand, as_of=AS_OF, is_trial=True, now=NOW)
            yield made
            transaction.set_rollback(True)


# ── One statement ────────────────────────────────────────────────────────────────────────────────────────────────────
def plain_features(shop, day):
    """By a loop over what everybody bought before the day, in the order of `features.PURCHASES`."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    told = {}
    for place, at, fen in shop.buys:
        if at < midnight:
            told.setdefault(shop.memberships[place].pk, []).append((at, fen))
    return {pk: _figures(some, midnight) for pk, some in told.items()}


def _figures(bought, midnight):
    days = [(midnight - at) / timedelta(days=1) for at, _ in bought]
    n, spend, recency, tenure = len(days), float(sum(fen for _, fen in bought)), min(days), max(days)
    gap = (tenure - recency) / (n - 1) if n > 1 else 0
    counts = [sum(day <= window for day in days) for window in (30, 90, 180)]
    overdue = recency / max(gap, 1) if n > 1 else 0
    plain = [n, recency, tenure, spend, spend / n, *counts, gap, overdue]
    return [math.log1p(value) for value in plain] + [float(n == 1)]


def test_a_score_is_the_library_s_to_the_last_digits(shop):
    known = plain_features(shop, AS_OF)
    later = shop.bought(since=AS_OF, until=AS_OF + timedelta(days=30))
    x, y = np.array(list(known.values())), np.array([pk in later for pk in known])
    library = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y)
    scaler, line = library[0], library[1]
    weights = line.coef_[0] / scaler.scale_
    model = IntentModel(
        kind="logistic", features=PURCHASES, weights=weights.tolist(), means=scaler.mean_.tolist(),
        intercept=float(line.intercept_[0] - weights @ scaler.mean_), middle_from=0.1, high_from=0.2,
    )  # fmt: skip

    found = list(scoring.past(brand_id=shop.shop.brand.pk, day=AS_OF, model=model))

    wanted = dict(zip(known, library.predict_proba(x)[:, 1], strict=True))
    assert len(found) == len(known) > 600
    assert max(abs(row.score - wanted[row.who]) for row in found) < 1e-12


def refund(order, *, at, fen):
    """A refund as settling leaves it."""
    Refund.objects.create(
        channel=order.channel, outer_refund_id=f"R{order.pk}", outer_order_id=order.outer_order_id, outer_line_id="1",
        order=order, refunded_at=at, fen=fen, received_at=at, settled_at=at,
    )  # fmt: skip
    Purchase.objects.filter(order=order).update(net_fen=order.paid_fen - fen)


def forget_later():
    """As if it were the morning of that day."""
    for rows in (Purchase.objects, OrderLine.objects, Order.objects):
        at = "order__paid_at__gte" if rows.model is OrderLine else "paid_at__gte"
        rows.filter(**{at: features.midnight(AS_OF)}).delete()


def test_what_comes_later_changes_no_score_and_what_is_rolled_up_says_the_same(shop):
    brand, midnight = shop.shop.brand, features.midnight(AS_OF)
    earlier = Order.objects.filter(paid_at__lt=midnight - timedelta(days=9)).order_by("-paid_at")
    model = IntentModel.objects.get(brand=brand)
    untouched = dict(scoring.past(brand_id=brand.pk, day=AS_OF, model=model))
    whole, half, late = earlier[:3]
    refund(whole, at=midnight - timedelta(days=3), fen=whole.paid_fen)
    refund(half, at=midnight - timedelta(days=3), fen=half.paid_fen // 2)
    refund(late, at=midnight, fen=late.paid_fen)
    everything = dict(scoring.past(brand_id=brand.pk, day=AS_OF, model=model))

    Refund.objects.filter(refunded_at__gte=midnight).delete()
    Purchase.objects.filter(order=late).update(net_fen=late.paid_fen)
    forget_later()

    earlier_only = dict(scoring.past(brand_id=brand.pk, day=AS_OF, model=model))
    assert earlier_only == everything
    moved = {who for who, score in everything.items() if score != untouched[who]}
    assert moved == set(Purchase.objects.filter(order__in=[whole, half]).values_list("membership", flat=True))
    rolled_up(shop, on=AS_OF)
    IntentModel.objects.update(is_trial=False, active_from=NOW)
    scoring.score(brand_id=brand.pk, as_of=AS_OF, now=NOW)
    members = dict(Membership.objects.filter(profile__orders__gt=0).values_list("member", "pk"))
    tonight = {members[member]: score for member, score in Score.objects.values_list("member", "score")}
    assert tonight.keys() == set(members.values())
    assert max(abs(score - everything[who]) for who, score in tonight.items()) < 1e-12


# ── What clerks see of it ────────────────────────────────────────────────────────────────────────────────────────────
def test_tonight_s_scores_are_written_once_and_their_reasons_are_true(shop):
    brand = shop.shop.brand
    forget_later()
    rolled_up(shop, on=AS_OF)
    scoring.score(brand_id=brand.pk, as_of=AS_OF, now=NOW)
    assert set(Score.objects.values_list("rank_basis", "version")) == {("rfm", None)}  # nothing is in force yet
    IntentModel.objects.update(is_trial=False, active_from=NOW)

    scoring.score(brand_id=brand.pk, as_of=AS_OF, now=NOW)
    first = list(Score.objects.order_by("pk").values())
    scoring.score(brand_id=brand.pk, as_of=AS_OF, now=NOW)

    assert list(Score.objects.order_by("pk").values()) == first
    assert {row["rank_basis"] for row in first} == {"logistic"}
    profiles_of = {row.membership.member_id: row for row in Profile.objects.select_related("membership")}
    assert {row["member_id"] for row in first} == {pk for pk, row in profiles_of.items() if row.orders}
    bands = {row["member_id"]: row["band"] for row in first}
    once = {pk for pk, row in profiles_of.items() if row.orders == 1}
    assert {pk for pk, band in bands.items() if band == "none"} == once
    twice = [band for band in bands.values() if band != "none"]
    assert 0.05 < twice.count("high") / len(twice) < 0.2 and 0.1 < twice.count("middle") / len(twice) < 0.35
    said = [(profiles_of[row["member_id"]], one) for row in first for one in row["reasons"]]
    assert len({one["code"] for _, one in said}) >= 4
    for profile, one in said:
        if one["code"] in ("lately", "often", "month"):
            column = {"lately": "orders_90", "often": "orders", "month": "orders_30"}[one["code"]]
            assert one["count"] == getattr(profile, column)
        assert reasons.sentences([one])
    assert all(bool(row["reasons"]) <= (row["band"] in ("high", "middle")) for row in first)
    assert all(len(row["reasons"]) <= 3 for row in first)


def test_every_reason_has_a_sentence():
    codes = {reason.code for reason in reasons.OF.values()} | {"rhythm"}
    assert codes == set(reasons.SENTENCES)


def test_a_day_that_is_over_is_not_scored_from_what_is_rolled_up_by_now(shop):
    with pytest.raises(ValueError, match="no longer"):
        scoring.score(brand_id=shop.shop.brand.pk, as_of=AS_OF - timedelta(days=1), now=NOW)


def test_a_night_scores_once_and_after_its_sums(shop):
    rolled_up(shop, on=AS_OF)
    with time_machine.travel(NOW, tick=False):
        assert tasks.judge_intent() == 0
        periodic.note(task="retail.members_night", now=NOW, found={"on": AS_OF.isoformat()})
        assert tasks.judge_intent() == Score.objects.count() > 600
        assert tasks.judge_intent() == 0


# ── Learning ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_model_foretells_better_than_places_and_says_how_sure_it_is(shop):
    model = IntentModel.objects.get()
    later = shop.bought(since=AS_OF, until=AS_OF + timedelta(days=30))

    found, places = (list(scoring.past(brand_id=shop.shop.brand.pk, day=AS_OF, model=one)) for one in (model, None))

    auc, of_places = (
        roc_auc_score([row.who in later for row in some], [row.score for row in some]) for some in (found, places)
    )
    assert auc > 0.75 and auc > of_places
    chances, came = np.array([row.score for row in found]), np.array([float(row.who in later) for row in found])
    cut = learning.Cut((), np.empty((len(came), 0)), came)
    worth = learning.measures(cut, chances)
    assert worth["ece"] - worth["ece_by_chance"] < 0.02
    assert model.kind == "logistic" and model.active_from is None and not model.refusal
    assert abs(model.metrics["auc"] - auc) < 0.05


def test_a_better_model_takes_over_and_a_worse_one_does_not(shop, monkeypatch):
    def trained():
        return training.train(brand=shop.shop.brand, as_of=AS_OF, is_trial=False, now=NOW)

    first, second = trained(), trained()
    monkeypatch.setattr(training, "WORST_ECE", -1)
    refused = trained()

    first.refresh_from_db()
    assert (first.active_until, second.active_from) == (NOW, NOW) and "old" in second.metrics
    assert (refused.refusal, refused.active_from) == ("ece", None)
    assert scoring.in_force(brand_id=shop.shop.brand.pk) == second
    assert scoring.known_by(brand_id=shop.shop.brand.pk, day=AS_OF - timedelta(days=1), horizon_days=30) is None


@pytest.mark.parametrize(
    ("changed", "gate"),
    [
        ({}, ""),
        ({"old": {"auc": 0.8, "new_auc": 0.796}}, ""),
        ({"old": {"auc": 0.8, "new_auc": 0.794}}, "auc"),
        ({"ece": 0.041}, "ece"),
        ({"ece": 0.041, "ece_by_chance": 0.02}, ""),
        ({"ap": 0.29}, "ap"),
        ({"auc": None, "ece": None, "ap": None}, ""),
    ],
)
def test_the_gates(changed, gate):
    good = {"auc": 0.8, "ece": 0.02, "ece_by_chance": 0.01, "ap": 0.35, "rfm": {"auc": 0.79, "ap": 0.3}}
    assert training.refusal({**good, **changed}) == gate


def test_no_label_reaches_the_day_it_is_learned_for():
    days = training.cut_days(first=date(2026, 1, 1), as_of=date(2026, 5, 1), horizon_days=30)
    assert days[0] == date(2026, 4, 1) and days[-1] >= date(2026, 1, 29) and len(days) == 5


def test_a_young_brand_is_ranked_by_places(shop):
    day = BEGAN + timedelta(days=75)
    model = training.train(brand=shop.shop.brand, as_of=day, is_trial=True, now=NOW)
    assert model.kind == "rfm" and model.features == ["rfm"]
    found = list(scoring.past(brand_id=shop.shop.brand.pk, day=day, model=model))
    assert all(0 < row.score < 1 for row in found) and found[0].score > found[-1].score
    assert training.train(brand=shop.shop.brand, as_of=BEGAN, is_trial=True, now=NOW) is None
    assert training.train(brand=world().brand, as_of=AS_OF, is_trial=True, now=NOW) is None


# ── The commands ─────────────────────────────────────────────────────────────────────────────────────────────────────
def exported(brand, out, as_of=AS_OF):
    call_command("score_intent", brand=brand.code, as_of=as_of.isoformat(), horizon=30, out=out)
    with out.open(encoding="utf-8") as file:
        return {row["member_key"]: row for row in csv.DictReader(file)}


def test_scores_stand_under_the_numbers_of_the_brand_settled_or_not(tmp_path):
    shop = world()
    known = {
        "c-1": (shapes.Buyer("phone", "13800000001"), shapes.Buyer("channel_id", "c-1")),
        "c-2": (shapes.Buyer("card", "k-2"), shapes.Buyer("channel_id", "c-2")),
        "k-3": (shapes.Buyer("card", "k-3"),),
        None: (shapes.Buyer("phone", "13800000004"),),
    }
    days = {"c-1": (3, 20, 40), "c-2": (50,), "k-3": (200, 260), None: (5,)}
    rows = [
        shop.order(buyer=known[name], paid_at=NOW - timedelta(days=day)) for name, some in days.items() for day in some
    ]
    rows.append(shop.order(buyer=(shapes.Buyer("channel_id", "late"),), paid_at=features.midnight(AS_OF)))
    taken = shop.take(*rows)

    waiting = exported(shop.brand, tmp_path / "a.csv")
    for outcome in taken:
        intake.settle_order(order_id=outcome.id, now=NOW)
    settled = exported(shop.brand, tmp_path / "b.csv")

    assert len(settled) == 4 and {"c-1", "c-2", "k-3"} < set(settled)
    assert not any("1380000" in key for key in {*waiting, *settled})
    assert [(row["score"], row["rank_basis"]) for row in waiting.values()] == [
        (row["score"], row["rank_basis"]) for row in settled.values()
    ]
    assert next(iter(settled)) == "c-1" and settled["c-1"]["rank_basis"] == "rfm"


def test_a_slip_of_the_pen_costs_no_older_file(shop, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    out.write_text("kept")
    for brand, day in (("nobody", AS_OF.isoformat()), (shop.shop.brand.code, "2026-02-30")):
        with pytest.raises(CommandError):
            call_command("score_intent", brand=brand, as_of=day, horizon=30, out=out)
    assert out.read_text() == "kept"
    with pytest.raises(CommandError, match="No such file"):
        exported(shop.shop.brand, tmp_path / "nowhere" / "a.csv")
    call_command("train_intent", brand=shop.shop.brand.code, as_of="2099-01-01")
    assert "lies ahead" in capsys.readouterr().err


def test_a_trained_trial_is_what_is_exported(shop, tmp_path, capsys):
    call_command("train_intent", brand=shop.shop.brand.code, as_of=AS_OF.isoformat(), horizon=30)
    assert "not in force" in capsys.readouterr().out

    found = exported(shop.shop.brand, tmp_path / "a.csv")

    model = IntentModel.objects.latest("pk")
    wanted = dict(scoring.past(brand_id=shop.shop.brand.pk, day=AS_OF, model=model))
    assert sorted(float(row["score"]) for row in found.values()) == sorted(wanted.values())
    assert {row["rank_basis"] for row in found.values()} == {"logistic"}
    assert scoring.in_force(brand_id=shop.shop.brand.pk) is None
