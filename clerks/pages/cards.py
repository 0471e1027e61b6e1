"""A sale as the phone shows it: the earnings of one order beside the name of who bought."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from django.utils.translation import gettext as _

from commissions.earnings import Sale
from commissions.models import Entry
from members.models import Member
from retail import privacy


class Card(NamedTuple):
    sale: Sale
    buyer: str


def of(sales: Sequence[Sale]) -> list[Card]:
    """The cards of these sales. One statement."""
    names = buyers({sale.order.pk for sale in sales})
    return [Card(sale, names.get(sale.order.pk) or _("顾客")) for sale in sales]


def names_of(member_ids: Collection[int]) -> dict[int, str]:
    """What customers call themselves with whom somebody had to do; who gives ids may know it. One statement."""
    rows = Member._base_manager.filter(pk__in=member_ids).values_list("pk", "name")
    return {member_id: privacy.without_numbers(name) for member_id, name in rows if name}


def buyers(order_ids: Iterable[int]) -> dict[int, str]:
    """What the buyers call themselves; reached through the entries, so never further than the scope."""
    rows = Entry.objects.filter(order__in=order_ids).values_list("order", "order__purchase__membership__member__name")
    return {order_id: privacy.without_numbers(name) for order_id, name in rows.distinct() if name}
