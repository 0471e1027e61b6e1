"""Cases written by hand, taken from a file, or made of an order that happened: how they come into a draft."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from commissions import cases, documents, ledger, plans, rule_words
from commissions import claims as inputs
from commissions.engine.cases import Verdict, read_cases
from commissions.engine.document import DocumentError
from commissions.models import PlanCase, PlanVersion
from retail import audit
from retail.models import Order, Staff, User

Json = dict[str, Any]


@transaction.atomic
def take_in(*, version: PlanVersion, data: object, by: User | None, now: datetime) -> int:
    """Add the cases of a file: `{"cases": […]}`, or the list alone. How many.

    Raises documents.DocumentRefused, which names each place that is wrong; nothing is written then.
    """
    version = plans.open_for_editing(version=version)
    try:
        rows = documents.read_list("cases", read_cases(data))
    except DocumentError as error:
        raise documents.DocumentRefused(list(map(rule_words.fault, error.messages))) from None
    held = set(version.cases.values_list("code", flat=True))
    verdicts = cases.judge_documents(version, [cases.as_document(row) for row in rows])
    messages = []
    for place, (row, verdict) in enumerate(zip(rows, verdicts, strict=True)):
        if row.code in held:
            messages.append(_("cases[%(place)s]：编码「%(code)s」已经有了") % {"place": place, "code": row.code})
        messages += [f"cases[{place}].{rule_words.fault(problem)}" for problem in verdict.problems]
        row.version = version
    if messages:
        raise documents.DocumentRefused(messages)
    PlanCase.objects.bulk_create(rows)
    audit.record(by=by, action="plan.cases", target=version, now=now, after={"cases": [row.code for row in rows]})
    return len(rows)


# ── From an order ────────────────────────────────────────────────────────────────────────────────────────────────────
def of_order(*, version: PlanVersion, order: Order) -> tuple[Json, Verdict]:
    """A case of an order and its refunds, people by their number; it expects what the version gives now.

    Raises plans.PlanRefused for an order that was never settled, or that this version cannot price.
    """
    kept = inputs.kept(order=order)
    if kept is None:
        raise plans.PlanRefused(_("这笔订单还没有结算。"))
    case = {"id": order.outer_order_id, "kind": "plan", "title": _title(order), "input": _input(order, kept)}
    (verdict,) = cases.judge_documents(version, [case])
    if verdict.result is None:
        raise plans.PlanRefused(_("；").join(map(rule_words.fault, verdict.problems)))
    expected = {name: verdict.result[name] for name in ("totals", "entries")}
    return {**case, "expect": expected}, verdict


def _title(order: Order) -> str:
    return _("%(channel)s订单 %(number)s") % {"channel": order.channel.name, "number": order.outer_order_id}


@transaction.atomic
def keep_order(*, version: PlanVersion, order: Order, by: User | None, now: datetime) -> PlanCase:
    """Put the case of an order into a draft. Raises plans.PlanRefused."""
    version = plans.open_for_editing(version=version)
    document, _verdict = of_order(version=version, order=order)
    if version.cases.filter(code=document["id"]).exists():
        raise plans.PlanRefused(_("已经有这笔订单的用例。"))
    (row,) = documents.read_list("cases", [document])
    row.version = version
    row.save()
    audit.record(by=by, action="plan.cases", target=version, now=now, after={"cases": [row.code]})
    return row


def _input(order: Order, kept: inputs.Kept) -> Json:
    """The facts the rules are judged on, in the public format."""
    facts = ledger.order_facts(order=order, kept=kept)
    people = _codes([*facts.roles.values(), facts.buyer_clerk, *(who for line in facts.lines for who in _of(line))])
    numbers = {line.pk: line.outer_line_id for line in order.all_lines}
    optional = {
        "store_groups": list(facts.store_groups),
        "ownership": facts.ownership,
        "tier": facts.tier,
        "dormant_days": facts.dormant_days,
        "live_event": facts.live_event,
        "material": facts.material,
        "buyer_clerk": people.get(facts.buyer_clerk),
    }
    document = {
        "id": order.outer_order_id,
        "paid_at": order.paid_at.isoformat(),
        "channel": facts.channel,
        "store": facts.store,
        "roles": {role: people.get(who) for role, who in facts.roles.items()},
        "member_is_new": facts.member_is_new,
        **{name: value for name, value in optional.items() if value not in (None, [])},
        "lines": [_line(line, numbers, people) for line in facts.lines],
    }
    refunds = [_refund(refund) for refund in sorted(order.all_refunds, key=lambda it: (it.refunded_at, it.pk))]
    return {"orders": [document], **({"refunds": refunds} if refunds else {})}


def _of(line: Any) -> Iterable[Any]:
    return (line.roles or {}).values()


def _codes(ids: Iterable[Any]) -> dict[Any, str]:
    """Number of a person → the code they are known by."""
    return dict(Staff._base_manager.filter(pk__in={one for one in ids if one is not None}).values_list("pk", "code"))


def _line(line: Any, numbers: dict[int, str], people: dict[Any, str]) -> Json:
    names = ("paid_fen", "tag_fen", "qty", "brand", "category", "product")
    said: Json = {"id": numbers[line.id], **{name: getattr(line, name) for name in names}}
    if line.cost_fen is not None:
        said["cost_fen"] = line.cost_fen
    return {**said, "roles": {role: people.get(who) for role, who in line.roles.items()}} if line.roles else said


def _refund(refund: Any) -> Json:
    amounts = {name: getattr(refund, name) for name in ("fen", "cumulative_fen", "qty")}
    said = {"id": refund.outer_refund_id, "order": refund.outer_order_id, "line": refund.outer_line_id}
    return {**said, **{name: value for name, value in amounts.items() if value is not None}}
