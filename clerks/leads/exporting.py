"""Scores under the numbers by which a brand's own systems know their customers, for whoever judges them."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import groupby, islice
from typing import NamedTuple

from django.db import connection

from clerks.leads import scoring
from clerks.leads.models import IntentModel
from retail import audit, privacy
from retail.models import Brand, BuyerKey

_CHUNK = 5_000


class Row(NamedTuple):
    """`member_key`: the first number they were told under, the channel's, else the card's; never one to call."""

    member_key: str
    score: float
    rank_basis: str


def scores(*, brand: Brand, day: date, horizon_days: int, now: datetime) -> tuple[Iterator[Row], IntentModel | None]:
    """Of everybody who bought before the day, the likeliest first, and the model. It is put on record."""
    model = scoring.known_by(brand_id=brand.pk, day=day, horizon_days=horizon_days)
    said = {"day": day.isoformat(), "model": model.pk if model else None}
    audit.record(by=None, action="intent.export", target=brand, now=now, after=said)
    return _named(scoring.past(brand_id=brand.pk, day=day, model=model), scoring.Formula.of(model).basis), model


def _named(found: Iterator[scoring.Past], basis: str) -> Iterator[Row]:
    """Of equal scores the lower number first, so that a file does not depend on what has been settled."""
    for _score, equal in groupby(_keyed(found, basis), key=lambda row: row.score):
        yield from sorted(equal)


def _keyed(found: Iterator[scoring.Past], basis: str) -> Iterator[Row]:
    while chunk := list(islice(found, _CHUNK)):
        keys = _keys([past.who for past in chunk])
        yield from (Row(keys[past.who], past.score, basis) for past in chunk)


# A member merged of several keeps the number they were first told under.
_KEYS = """
SELECT DISTINCT ON (who) who, k.hmac, k.cipher FROM (
    SELECT m.id AS who, i.key_id, i.id AS turn FROM members_membership m
    JOIN members_identity i ON i.member_id = m.member_id WHERE m.id = ANY(%(members)s::bigint[])
    UNION ALL SELECT -key, key, 0 FROM unnest(%(keys)s::bigint[]) key
) told JOIN retail_buyerkey k ON k.id = told.key_id
WHERE k.type IN ('channel_id', 'card') AND k.cipher IS NOT NULL
ORDER BY who, k.type = 'card', turn
"""


def _keys(whos: Sequence[int]) -> dict[int, str]:
    """Where there is no such number, or it was erased: ours, which says nothing to anybody else."""
    named = {who: f"member-{who}" if who > 0 else f"buyer-{-who}" for who in whos}
    with connection.cursor() as cursor:
        asked = {"members": [who for who in whos if who > 0], "keys": [-who for who in whos if who < 0]}
        cursor.execute(_KEYS, asked)
        for who, hmac, cipher in cursor.fetchall():
            named[who] = privacy.reveal(BuyerKey(hmac=hmac, cipher=cipher))
    return named
