"""Who left: nothing more will be owed to them, so what they owe is settled, and what they have to get is paid."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from django.db.models import Q

from commissions import engine
from commissions.booking import Leg, book
from commissions.models import Entry, PayTerms, Period
from commissions.models.ledger import midnight
from retail.models import Employment


class Account(Protocol):
    """What one company owes one person in a period, before it is closed."""

    @property
    def staff_id(self) -> int: ...
    @property
    def payer_id(self) -> int | None: ...
    @property
    def store_id(self) -> int | None: ...
    @property
    def due_fen(self) -> int: ...


class Key(NamedTuple):
    """One person with one company: whose account it is."""

    staff_id: int
    payer_id: int | None


def key_of(account: Account) -> Key:
    return Key(account.staff_id, account.payer_id)


def gone(*, period: Period, staff_ids: Collection[int]) -> set[int]:
    """Who of them works here no more when the period ends, and has nothing more to come. Two statements."""
    if not staff_ids:
        return set()
    end = midnight(period.ends_on)
    employed = Employment.objects.filter(Q(ends_at=None) | Q(ends_at__gt=end), staff__in=staff_ids)
    later = Period.objects.filter(brand=period.brand_id, starts_on__gte=period.ends_on)
    to_come = Entry.objects.filter(staff__in=staff_ids, fen__gt=0, period_booked__in=later)
    staying = {*employed.values_list("staff", flat=True), *to_come.values_list("staff", flat=True)}
    return {*staff_ids} - staying


def settle_debts(
    *, period: Period, accounts: Sequence[Account], terms: PayTerms, least: Mapping[int, int], now: datetime
) -> bool:
    """Take off what leavers owe and can no longer make up for; whether there was any.

    `least`: what is guaranteed to whom, and not touched.
    """
    debtors = [account for account in accounts if account.due_fen < 0]
    left = gone(period=period, staff_ids={account.staff_id for account in debtors})
    spare = _Spare(accounts, least)
    for account in (one for one in debtors if one.staff_id in left):
        legs = [Leg(account.staff_id, account.store_id, -account.due_fen)]
        if terms.leaver_debt == PayTerms.LeaverDebt.STORE_POOL:
            legs += spare.share(account)
        source = f"leaver {period.pk} {account.staff_id} {account.payer_id}"
        book(period=period, payer_id=account.payer_id, kind=Entry.Kind.ADJUST, legs=legs, source=source, now=now)
    return bool(left)


class _Spare:
    """What each has to get above what is guaranteed to them: more than that nobody gives for others."""

    def __init__(self, accounts: Sequence[Account], least: Mapping[int, int]) -> None:
        self._accounts = accounts
        self._of_account = {key_of(one): one.due_fen for one in accounts}
        self._of_person: dict[int, int] = defaultdict(int)
        for one in accounts:
            self._of_person[one.staff_id] += one.due_fen
        for staff_id, fen in least.items():
            self._of_person[staff_id] -= fen

    def _left(self, account: Account) -> int:
        return max(0, min(self._of_account[key_of(account)], self._of_person[account.staff_id]))

    def share(self, debtor: Account) -> list[Leg]:
        """A debt in equal parts on the store's; what some have not is shared by the others, and then the house's."""
        place = (debtor.store_id, debtor.payer_id)
        able = [one for one in self._accounts if (one.store_id, one.payer_id) == place and self._left(one)]
        given: dict[Key, int] = {}
        while able:
            left_fen = -debtor.due_fen - sum(given.values())
            parts = dict(zip(map(key_of, able), engine.allocate(left_fen, [1] * len(able)), strict=True))
            short = [one for one in able if self._left(one) < parts[key_of(one)]]
            given |= {key_of(one): self._left(one) for one in short} or parts
            able = [one for one in able if one not in short] if short else []
        for key, fen in given.items():
            self._of_account[key] -= fen
            self._of_person[key.staff_id] -= fen
        return [Leg(staff_id, debtor.store_id, -fen) for (staff_id, _payer), fen in given.items() if fen]
