"""Whether those who are scored by now still are like those a model was learned from (漂移).

The population stability index over the scores: Σ (now − then) × ln(now ÷ then) over about ten parts that were equal
then. It needs no labels, so it is known the morning after, a month before anybody can say that the model got worse.
"""

from math import log
from typing import NamedTuple

from django.db import connection

from clerks.leads.models import IntentModel

SOME, MUCH = 0.1, 0.25  # as is usual for this index
_LEAST = 0.0005  # of an empty part: its logarithm would be none


class Part(NamedTuple):
    """Scores up to this one (ppm), and how many of all have them: then, and now (ppm)."""

    until_ppm: int | None
    then_ppm: int
    now_ppm: int


class Drift(NamedTuple):
    psi: float
    members: int
    parts: list[Part]

    @property
    def is_much(self) -> bool:
        return self.psi >= MUCH

    @property
    def is_some(self) -> bool:
        return SOME <= self.psi < MUCH


def of(model: IntentModel) -> Drift | None:
    """By the scores of last night. None where nobody is scored by it, or it was made before this was kept."""
    spread = model.metrics.get("spread")
    counts = _counts(model, spread["borders"]) if spread else {}
    members = sum(counts.values())
    if not members:
        return None
    now = [counts.get(place, 0) / members for place in range(len(spread["parts"]))]
    pairs = [(max(then, _LEAST), max(part, _LEAST)) for then, part in zip(spread["parts"], now, strict=True)]
    until = [*(_ppm(border) for border in spread["borders"]), None]
    parts = [Part(*one) for one in zip(until, map(_ppm, spread["parts"]), map(_ppm, now), strict=True)]
    return Drift(sum((part - then) * log(part / then) for then, part in pairs), members, parts)


def _counts(model: IntentModel, borders: list[float]) -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT width_bucket(score, %s::float8[]), count(*) FROM leads_score"
            " WHERE brand_id = %s AND version_id = %s GROUP BY 1",
            [borders, model.brand_id, model.pk],
        )
        return dict(cursor.fetchall())


def _ppm(share: float) -> int:
    return round(share * 1_000) * 1_000
