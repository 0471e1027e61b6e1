"""How likely everybody is to buy: one statement over a brand, with the coefficients of a model.

    fewer than two purchases          no band: purchases tell nothing of them, events and dates do (the other leads)
    too little history for a model    the mean of three places, how lately, how often and how much (RFM)
    else                              the logistic model in force

`score` writes down tonight's, from what is rolled up. `past` says what would have been said on an earlier day, from
the facts before it. Both put the same aggregates into the same formula (`clerks.leads.features`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from clerks.leads import features, reasons
from clerks.leads.models import IntentModel, Score
from members.models import Membership
from retail import database
from retail.models import Brand

HORIZON = 30  # days; leads live a week, and a month of labels is what a shop of 500 customers can learn from
LIKE_OTHERS = 3  # a member's own mean spending counts as much as the brand's once they have bought so often
_RFM_MIDDLE, _RFM_HIGH = 0.65, 0.8  # of three places: about two in ten, about one in ten
_CHUNK = 5_000
_MEMORY = "128MB"  # everybody is hashed at once


@dataclass(frozen=True, slots=True)
class Formula:
    """What a model comes to: z = intercept + Σ weight × feature, a probability; without one, the mean of three places.

    `weights`: feature → its weight and its mean over the members the model was learned from.
    """

    basis: str
    weights: dict[str, tuple[float, float]]
    intercept: float = 0.0
    middle_from: float = _RFM_MIDDLE
    high_from: float = _RFM_HIGH

    @classmethod
    def of(cls, model: IntentModel | None) -> "Formula":
        if model is None:
            return cls(Score.Basis.RFM, {})
        pairs = zip(model.weights, model.means, strict=True)
        weights = dict(zip(model.features, pairs, strict=True))
        return cls(model.kind, weights, model.intercept, model.middle_from, model.high_from)

    @property
    def features(self) -> list[str]:
        return list(self.weights) or ["rfm"]

    @property
    def sql(self) -> str:
        """Over a row of `described`. Beyond ±700 e^z is no number any more."""
        if not self.weights:
            return "x_rfm"
        terms = "".join(f" + %(w_{name})s::float8 * x_{name}" for name in self.weights)
        return f"1 / (1 + exp(-greatest(-700, least(700, %(intercept)s::float8{terms}))))"

    @property
    def params(self) -> dict[str, float]:
        return {"intercept": self.intercept, **{f"w_{name}": weight for name, (weight, _) in self.weights.items()}}


def in_force(*, brand_id: int) -> IntentModel | None:
    """The model by which tonight is scored."""
    return IntentModel._base_manager.filter(brand=brand_id, active_from__isnull=False, active_until=None).first()


def known_by(*, brand_id: int, day: date, horizon_days: int) -> IntentModel | None:
    """The newest model that knew nothing of this day or later, tried or in force."""
    rows = IntentModel._base_manager.filter(brand=brand_id, as_of__lte=day, horizon_days=horizon_days)
    return rows.order_by("-as_of", "-pk").first()


# ── Tonight ──────────────────────────────────────────────────────────────────────────────────────────────────────────
_BAND = """CASE WHEN orders < 2 THEN 'none' WHEN score >= %(high)s::float8 THEN 'high'
    WHEN score >= %(middle)s::float8 THEN 'middle' ELSE 'low' END"""
_SCORED = f"""
SELECT who, member_id, score, band, round((spend + {LIKE_OTHERS} * usual.fen) / (orders + {LIKE_OTHERS}))::bigint,
    CASE WHEN band IN ('high', 'middle') THEN {{reasons}} ELSE '[]' END
FROM (SELECT *, {_BAND} AS band FROM (SELECT *, {{score}} AS score FROM described) scored) banded, (
    SELECT coalesce(sum(p.paid_fen) / nullif(sum(p.orders), 0), 0)::float8 AS fen
    FROM members_profile p JOIN members_membership m ON m.id = p.membership_id
    WHERE m.brand_id = %(brand)s AND p.orders > 0
) usual
"""
_KEPT = "score, rank_basis, band, expected_fen, reasons, version_id, scored_on"
_STORE = f"""
INSERT INTO leads_score AS s (brand_id, member_id, {_KEPT})
SELECT %(brand)s, member_id, score, %(basis)s, band, fen, said, %(version)s, %(day)s
FROM ({{scored}}) found (who, member_id, score, band, fen, said)
ON CONFLICT (brand_id, member_id) DO UPDATE SET ({_KEPT}) = ROW (
    excluded.score, excluded.rank_basis, excluded.band, excluded.expected_fen, excluded.reasons, excluded.version_id,
    excluded.scored_on)
"""
# What purchases tell nothing of any more: given back, or joined to another member.
_GONE = "DELETE FROM leads_score WHERE brand_id = %(brand)s AND scored_on <> %(day)s"
# Customers come by it in the list on the phone. In steps of a thousandth: its index need not follow every night.
_LISTED = """
UPDATE clerks_customer c SET intent = said.intent FROM (
    SELECT b.id, CASE WHEN s.band <> 'none' THEN round(s.score * 1000)::int * 1000 ELSE 0 END AS intent
    FROM clerks_binding b LEFT JOIN leads_score s ON s.brand_id = b.brand_id AND s.member_id = b.member_id
    WHERE b.brand_id = %(brand)s AND b.ended_at IS NULL
) said WHERE c.binding_id = said.id AND c.intent <> said.intent
"""


def scored(*, brand_id: int, model: IntentModel | None, day: date) -> features.Sql:
    """The query of tonight's scores: who, member, score, band, what they usually spend, reasons."""
    formula = Formula.of(model)
    why, numbers = reasons.sql(weights=formula.weights if "orders" in formula.weights else reasons.PLAIN)
    wanted = {*formula.features, *(reasons.PLAIN if "orders" not in formula.weights else ())}
    select = _SCORED.format(reasons=why, score=formula.sql)
    base = features.rolled(brand_id=brand_id, day=day, features=sorted(wanted), select=select)
    bounds = {"middle": formula.middle_from, "high": formula.high_from}
    return features.Sql(base.text, {**base.params, **formula.params, **numbers, **bounds})


@transaction.atomic
def score(*, brand_id: int, as_of: date, now: datetime) -> int:
    """Write down how likely each member of a brand is to buy as of the morning of this day; how many there are.

    Once more on the same day writes the same. It reads the profiles, so they have to be of this day: for one gone by
    see `past`. Raises ValueError.
    """
    if as_of < timezone.localtime(now).date():
        raise ValueError(f"Scores of {as_of} are no longer to be had from what is rolled up by now.")
    Brand._base_manager.select_for_update(of=("self",), no_key=True).get(pk=brand_id)
    model = in_force(brand_id=brand_id)
    query = scored(brand_id=brand_id, model=model, day=as_of)
    kept = {"basis": Formula.of(model).basis, "version": model.pk if model else None, "day": as_of}
    params = {**query.params, **kept}
    with all_at_once() as cursor:
        cursor.execute(_STORE.format(scored=query.text), params)
        count: int = cursor.rowcount
        cursor.execute(_GONE, params)
        cursor.execute(_LISTED, params)
    return count


def score_all(*, as_of: date, now: datetime) -> int:
    """The same for every brand that is in business, each in a transaction of its own; how many members that are."""
    return sum(score(brand_id=brand.pk, as_of=as_of, now=now) for brand in in_business())


def in_business() -> QuerySet[Brand]:
    return Brand._base_manager.filter(Exists(Membership._base_manager.filter(brand=OuterRef("pk")))).order_by("pk")


# ── A day of the past ────────────────────────────────────────────────────────────────────────────────────────────────
class Past(NamedTuple):
    """`who`: a membership, or where the order waits to be settled the negative number of a buyer key."""

    who: int
    score: float


def past_sql(*, brand_id: int, day: date, model: IntentModel | None) -> features.Sql:
    """The query of what everybody who had bought before a day would have scored on its morning."""
    formula = Formula.of(model)
    select = f"SELECT who, {formula.sql} AS score FROM described"
    base = features.as_of(brand_id=brand_id, day=day, features=formula.features, select=select)
    return features.Sql(base.text, {**base.params, **formula.params})


def past(*, brand_id: int, day: date, model: IntentModel | None) -> Iterator[Past]:
    """Nothing is written, and nothing that happened on this day or later has a part in it. The likeliest first.

    Some thousands at a time, in one transaction that lasts until the last of them is asked for.
    """
    query = past_sql(brand_id=brand_id, day=day, model=model)
    with transaction.atomic(), all_at_once(), connection.chunked_cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({query.text}) found ORDER BY score DESC, who", query.params)
        while rows := cursor.fetchmany(_CHUNK):
            yield from map(Past._make, rows)


@contextmanager
def all_at_once() -> Iterator[CursorWrapper]:
    """A cursor with room for everybody of a brand, within the caller's transaction."""
    # All rows are wanted, not the first of them soon.
    with database.planning(work_mem=_MEMORY, cursor_tuple_fraction="1"), connection.cursor() as cursor:
        yield cursor
