"""What came back of the lines of an order, whatever order its refunds arrived in."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from commissions.engine import Returned
from retail.models import OrderLine, Refund
from retail.models.orders import SoldLine


@dataclass(frozen=True, slots=True)
class Tally:
    """`back`: line id → how much of it came back. The rest is what no line could take, by refund id:

    `excess`: what went beyond the line, in fen (pieces where the line paid nothing); `astray`: refunds of lines that
    the order does not have.
    """

    back: dict[int, Returned] = field(default_factory=dict)
    excess: dict[int, int] = field(default_factory=dict)
    astray: list[int] = field(default_factory=list)


def tally(*, lines: Iterable[OrderLine | SoldLine], refunds: Iterable[Refund]) -> Tally:
    """Add the refunds up by their own time: a cumulative figure covers all that came before it."""
    by_number = {line.outer_line_id: line for line in lines}
    found = Tally()
    for refund in sorted(refunds, key=lambda refund: (refund.refunded_at, refund.outer_refund_id)):
        line = by_number.get(refund.outer_line_id)
        if line is None:
            found.astray.append(refund.pk)
            continue
        before = found.back.get(line.pk) or Returned(paid_fen=line.paid_fen, qty=line.qty)
        found.back[line.pk], excess = before.plus(fen=refund.fen, cumulative_fen=refund.cumulative_fen, qty=refund.qty)
        if excess:
            found.excess[refund.pk] = excess
    return found
