"""对照组: who is left alone on purpose, so that what leads bring can be told from what would have come anyway.

A member's arm follows from a secret of the quarter, the brand and the OneID alone. So it is settled before anything
is scored or fires, it is the same for all types, and nobody can work out who is in it, or move anybody.
"""

import hashlib
from datetime import date

from django.utils.crypto import get_random_string

from clerks.leads import rules
from clerks.leads.models import Holdout
from retail.models import Brand

MILLION = 1_000_000
# SQL: the same for a column of member ids. Needs the parameters `salt`, `brand` and `holdout_ppm`.
IS_WITHHELD = """(('x' || left(encode(sha256(convert_to(
    %(salt)s || ':' || %(brand)s || ':' || {member}, 'UTF8')), 'hex'), 12))::bit(48)::bigint %% 1000000
    < %(holdout_ppm)s)"""


def of_quarter(*, brand: Brand, day: date) -> Holdout:
    """The holdout of the quarter of that day, drawn at the first look; a later change of its size is for the next."""
    since = rules.quarter(day)
    drawn = {"salt": get_random_string(32), "ppm": rules.of(brand).holdout_ppm}
    return Holdout._base_manager.get_or_create(brand=brand, since=since, defaults=drawn)[0]


def is_withheld(*, holdout: Holdout, member_id: int) -> bool:
    said = f"{holdout.salt}:{holdout.brand_id}:{member_id}"
    return int(hashlib.sha256(said.encode()).hexdigest()[:12], 16) % MILLION < holdout.ppm
