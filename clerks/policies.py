"""专属规则: what a brand lays down about whose customer somebody is.

The policy in force stands with the brand. When it is changed, what held until then is kept (`PastPolicy`), and what
happened before the change is judged by it for ever: a new rule takes nobody's customers after the fact.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.db import connection, transaction

from clerks.models import PastPolicy, Policy
from retail import audit
from retail.models import Brand

FIELDS = (
    "protection_days",
    "rebind",
    "rebind_idle_days",
    "counts_purchases",
    "counts_replies",
    "counts_materials",
    "exclusive",
    "customers_cap",
)


class Sign(StrEnum):
    """What a customer does that may count as being in touch with their clerk."""

    PURCHASE = "purchase"
    REPLY = "reply"
    MATERIAL = "material"


class Rules(NamedTuple):
    """One policy. `counts`: what prolongs the protection; `is_per_store`: it holds against the same store's only."""

    protection: timedelta
    rebind: str
    idle: timedelta
    counts: frozenset[Sign] = frozenset(Sign)
    is_per_store: bool = False

    @classmethod
    def of(cls, row: Brand | PastPolicy) -> "Rules":
        said = {
            Sign.PURCHASE: row.counts_purchases,
            Sign.REPLY: row.counts_replies,
            Sign.MATERIAL: row.counts_materials,
        }
        return cls(
            timedelta(days=row.protection_days),
            row.rebind,
            timedelta(days=row.rebind_idle_days),
            frozenset(sign for sign, counts in said.items() if counts),
            row.exclusive == Brand.Exclusive.STORE,
        )


class Rulebook(NamedTuple):
    """The policies of a brand, each for its time. `past`: until when which one held, the oldest first."""

    today: Rules
    past: tuple[tuple[datetime, Rules], ...] = ()

    def at(self, moment: datetime | None) -> Rules:
        """What held at that moment; None: now."""
        if moment is not None:
            for until, rules in self.past:
                if moment < until:
                    return rules
        return self.today

    def changed(self, rules: Rules, *, since: datetime) -> "Rulebook":
        """The same, had the policy been changed to these rules then."""
        before = tuple(one for one in self.past if one[0] < since)
        return Rulebook(rules, (*before, (since, self.at(since))))


def rulebook(brand: Brand) -> Rulebook:
    """All policies of a brand. No statement where there has been but one."""
    if brand.policy_since is None:
        return Rulebook(Rules.of(brand))
    past = PastPolicy._base_manager.filter(brand=brand).order_by("until")
    return Rulebook(Rules.of(brand), tuple((row.until, Rules.of(row)) for row in past))


def rulebooks(brands: Iterable[Brand]) -> dict[int, Rulebook]:
    """Of several, by brand; each is read once."""
    return {brand.pk: rulebook(brand) for brand in {brand.pk: brand for brand in brands}.values()}


@transaction.atomic
def change(*, brand: Brand, wanted: Mapping[str, Any], by: Any, now: datetime) -> bool:
    """Lay down something else from now on (`wanted`: some of FIELDS). Whether anything is otherwise than it was.

    Who is protected now is protected by the new number of days since they last were in touch.
    """
    row = Policy._base_manager.select_for_update(of=("self",)).get(pk=brand.pk)
    before = {name: getattr(row, name) for name in FIELDS}
    after = {name: wanted.get(name, before[name]) for name in FIELDS}
    names = [name for name in FIELDS if after[name] != before[name]]
    if not names:
        return False
    PastPolicy._base_manager.create(brand_id=row.pk, until=now, by=by, **before)
    Brand._base_manager.filter(pk=row.pk).update(policy_since=now, **after)
    if "protection_days" in names:
        _shift(row.pk, after["protection_days"] - before["protection_days"])
    _journal(row, names, before, after, by, now)
    brand.refresh_from_db()
    return True


def _shift(brand_id: int, days: int) -> None:
    """Of every relation in force the protection ends `protection_days` after the last sign of life."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE clerks_binding SET protected_until = protected_until + make_interval(days => %s)"
            " WHERE brand_id = %s AND ended_at IS NULL",
            [days, brand_id],
        )


def _journal(
    policy: Policy, names: Iterable[str], before: Mapping[str, Any], after: Mapping[str, Any], by: Any, now: datetime
) -> None:
    was, became = ({name: _plain(said[name]) for name in names} for said in (before, after))
    audit.record(by=by, action="policy.change", target=policy, now=now, before=was, after=became)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value
