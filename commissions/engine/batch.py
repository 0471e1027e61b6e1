"""A batch of orders and refunds from plain JSON, settled in memory: what a case of kind `plan` describes.

It keeps the promises the ledger keeps with a database: an (order, line) and a refund id count once, a refund
is measured against what is left of its line, and the entries first written decide what it takes back.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from .document import Document, DocumentError
from .facts import Line, Order
from .plan import CompiledPlan, compile_plan
from .pricing import explain, price
from .refunds import Returned, reversal
from .rules import parse_rules

_Sale = tuple[str, str]
"""Order id and line id."""


class _Entry(NamedTuple):
    line: str
    rule: str
    role: str
    clerk: str
    fen: int


class _Refund(NamedTuple):
    id: str
    sale: _Sale
    fen: int | None
    cumulative_fen: int | None
    qty: int | None


@dataclass(slots=True)
class _Sold:
    """A line that was settled: its entries, and how much of it has come back."""

    returned: Returned
    entries: list[_Entry] = field(default_factory=list)

    def give_back(self, refund: _Refund) -> tuple[int, list[_Entry]]:
        """Take one refund in; return what of it was beyond the line, and the entries to post."""
        try:
            now, beyond = self.returned.plus(fen=refund.fen, cumulative_fen=refund.cumulative_fen, qty=refund.qty)
        except ValueError as error:
            raise DocumentError([f"refund {refund.id}: {error}"]) from None
        before, self.returned = self.returned, now
        moved = [entry._replace(fen=reversal(entry.fen, now.size, before.back, now.back)) for entry in self.entries]
        return beyond, [entry for entry in moved if entry.fen]


def settle(source: Document, *, plan: CompiledPlan | None = None) -> dict[str, Any]:
    """Settle `{plan, orders, refunds?}` and return `{totals, entries, skipped, parked, excess}`.

    `plan`, when given, stands in for the plan of the document. `parked` lists the refunds whose line is not
    known, `excess` what went beyond the line as [refund, fen]. Raises DocumentError for what cannot be read.
    """
    compiled = plan or _compile(source.child("plan"))
    orders = [_read_order(order, compiled.zone) for order in source.children("orders")]
    refunds = [_read_refund(refund) for refund in source.children("refunds")] if "refunds" in source else []
    source.check()
    sold, skipped = _sell(compiled, orders)
    entries = [entry for sale in sold.values() for entry in sale.entries]
    reversals, parked, excess = _take_back(sold, refunds)
    entries += reversals
    return {
        "totals": totals((entry.clerk, entry.fen) for entry in entries),
        "entries": [list(entry) for entry in entries],
        "skipped": skipped,
        "parked": parked,
        "excess": excess,
    }


def totals(amounts: Iterable[tuple[Hashable, int]]) -> dict[str, int]:
    """Return the sum of each clerk, those of 0 left out."""
    sums: Counter[str] = Counter()
    for clerk, fen in amounts:
        sums[str(clerk)] += fen
    return {clerk: fen for clerk, fen in sums.items() if fen}


def aware(moment: datetime, zone: tzinfo) -> datetime:
    """Return the moment; one without an offset is wall clock of the zone."""
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def _sell(plan: CompiledPlan, orders: Iterable[Order]) -> tuple[dict[_Sale, _Sold], list[list[str]]]:
    sold: dict[_Sale, _Sold] = {}
    skipped = []
    for order in orders:
        fresh = {line.id: line for line in order.distinct_lines() if (str(order.id), str(line.id)) not in sold}
        for line in fresh.values():
            sold[str(order.id), str(line.id)] = _Sold(Returned(paid_fen=line.paid_fen, qty=line.qty))
            skipped += [[str(line.id), *reason] for reason in explain(plan, order, line.id).skipped()]
        for award in price(plan, order):
            if award.line_id in fresh:
                sold[str(order.id), str(award.line_id)].entries += [
                    _Entry(str(award.line_id), award.rule_id, part.role, str(part.holder), part.fen)
                    for part in award.parts
                ]
    return sold, skipped


def _take_back(
    sold: dict[_Sale, _Sold], refunds: Iterable[_Refund]
) -> tuple[list[_Entry], list[str], list[list[str | int]]]:
    """Post the refunds in the order given; return the entries, the refunds parked and the excess cut off."""
    entries: list[_Entry] = []
    parked: dict[str, None] = {}
    excess: list[list[str | int]] = []
    counted: set[str] = set()
    for refund in refunds:
        sale = sold.get(refund.sale)
        if sale is None:
            parked[refund.id] = None
        elif refund.id not in counted:
            counted.add(refund.id)
            beyond, reversals = sale.give_back(refund)
            entries += reversals
            excess += [[refund.id, beyond]] if beyond else []
    return entries, list(parked), excess


def _compile(document: Document) -> CompiledPlan:
    document.allow_only("tz", "rounding", "rules", "group_modes")
    document.choice("rounding", ("half_away_from_zero",), default="half_away_from_zero")
    tz = document.text("tz", default="Asia/Shanghai")
    modes = document.child("group_modes")
    group_modes = {group: modes.text(group) for group in modes.names()}
    items = document.items("rules")
    document.check()
    return compile_plan(parse_rules(items), tz=tz, group_modes=group_modes)


def _read_order(document: Document, zone: tzinfo) -> Order:
    return Order(
        id=document.text("id"),
        paid_at=aware(document.moment("paid_at"), zone),
        channel=document.optional_text("channel"),
        store=document.optional_text("store"),
        roles=_read_roles(document),
        lines=[_read_line(line) for line in document.children("lines")],
        member_is_new=document.flag("member_is_new"),
        buyer_clerk=document.optional_text("buyer_clerk"),
        store_groups=document.texts("store_groups") if "store_groups" in document else (),
        ownership=document.optional_text("ownership"),
        tier=document.optional_text("tier"),
        dormant_days=document.optional_integer("dormant_days"),
        live_event=document.optional_text("live_event"),
        material=document.optional_text("material"),
    )


def _read_line(document: Document) -> Line:
    return Line(
        id=document.text("id"),
        paid_fen=document.integer("paid_fen"),
        tag_fen=document.integer("tag_fen"),
        qty=document.integer("qty"),
        brand=document.optional_text("brand"),
        category=document.optional_text("category"),
        product=document.optional_text("product"),
        cost_fen=document.optional_integer("cost_fen"),
        roles=_read_roles(document),
    )


def _read_roles(document: Document) -> dict[str, str | None]:
    """Read `{role: clerk}`; null or an empty text is nobody."""
    roles = document.child("roles")
    return {role: roles.optional_text(role) or None for role in roles.names()}


def _read_refund(document: Document) -> _Refund:
    return _Refund(
        id=document.text("id"),
        sale=(document.text("order"), document.text("line")),
        fen=document.optional_integer("fen", least=0),
        cumulative_fen=document.optional_integer("cumulative_fen", least=0),
        qty=document.optional_integer("qty", least=0),
    )
