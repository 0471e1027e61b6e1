"""General rule engines on our orders and our 300 rules: each is asked which rule wins a line in each group.

That is all they are asked, no pool, no split, nothing in fen; facts stand ready in the form each of them takes. Their
rules stand in the order of our walk, so that the first match in a group is its winner and the others need no look.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Any

from commissions import engine, plans
from tests.bench.commission import facts_of
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.commissions.engine import naive
from tests.factories import NOW

LINES, ROUNDS = 5, 3
TIMES = 20  # ours is too fast to be timed once. So its memo is full, as it is in a bulk run after the first thousands
Facts = dict[str, Any]  # of a line, those of its order among them
Winners = dict[str, str]  # group → code of the rule that wins the line in it
Peer = Callable[[Any], list[Winners]]  # takes an order in the form it was given orders in


def peers(shop: Shop, *, full: bool) -> list[Verdict]:
    """CPU a line of finding the winning rules, the peers' against ours."""
    plan = plans.at(brand_id=shop.world.brand.pk, moment=NOW).plan
    rows = shop.orders(500 if full else 100, lines=LINES, prefix="peer")
    orders = [facts_of(shop, row, number) for number, row in enumerate(rows)]
    size = len(orders) * LINES
    ours = Way(f"engine: the winning rules, {TIMES} times", size * TIMES)
    whole = Way(f"engine.price: pools, splits and parts, too, {TIMES} times", size * TIMES)
    lines, documents = [_lines(order) for order in orders], [_document(order) for order in orders]
    asked, absent = _general([contender.rule for contender in plan.contenders])
    ways = {name: Way(name, size) for name in (*asked, _NAIVE)}
    for _ in range(ROUNDS):
        with ours.turn():
            for _ in range(TIMES):
                wanted = [_winners(plan, order) for order in orders]
        with whole.turn():
            for order in orders * TIMES:
                engine.price(plan, order)
        for name, way in ways.items():
            peer, given = (_naive(shop), documents) if name == _NAIVE else (asked[name], lines)
            with way.turn():
                found = [peer(order) for order in given]
            assert found == wanted, name
    notes = [f"{name} is not installed" for name in absent]
    for way in (ours, whole, *ways.values()):
        notes.append(f"{way.name}: {_cpu(way):,.1f} µs of CPU a line, {_cpu(way) / _cpu(ours):,.1f} × ours")
    ratio = _cpu(ways[_ZEN]) / _cpu(ours) if _ZEN in ways else None
    name = "zen-engine's decision tables, CPU a line against ours"
    return [Verdict(name, ratio, 80, [ours, whole, *ways.values()], is_floor=True, notes=notes)]


def _cpu(way: Way) -> float:
    """µs of one line."""
    return way.client_cpu / ROUNDS / way.units * 1e6


def _winners(plan: engine.CompiledPlan, order: engine.Order) -> list[Winners]:
    matching = plan.index.matching_order(order)
    found = [plan.winners(matching & plan.index.matching_line(line), line) for line in order.lines]
    return [{winner.rule.group: winner.rule.id for winner in winners} for winners in found]


def _lines(order: engine.Order) -> list[Facts]:
    of_order = {
        "channel": order.channel,
        "store": order.store,
        "member": "new" if order.member_is_new else "existing",
        "order_fen": order.paid_fen,
    }
    return [
        {
            "category": line.category,
            "product": line.product,
            "discount_bp": line.paid_fen * 10_000 // line.tag_fen,
            "line_fen": line.paid_fen,
            **of_order,
        }
        for line in order.lines
    ]


# ── The peers ────────────────────────────────────────────────────────────────────────────────────────────────────────
_ZEN = "zen-engine: decision tables, line by line"
_NAIVE = "each rule tried in plain Python (tests/commissions/engine/naive.py)"


def _general(rules: Sequence[engine.Rule]) -> tuple[dict[str, Peer], list[str]]:
    """The rule engines, which take the lines of an order, and the names of those that are not installed."""
    asked: dict[str, Peer] = {}
    absent = []
    try:
        zen = import_module("zen")
        asked[_ZEN] = _zen_line_by_line(zen, rules)
        asked["zen-engine: decision tables, order by order"] = _zen_order_by_order(zen, rules)
        asked["zen-engine: an expression a rule"] = _walk(rules, lambda text: zen.compile_expression(text).evaluate)
    except ImportError:
        absent.append("zen-engine")
    try:
        rule_engine = import_module("rule_engine")
        asked["rule-engine: an expression a rule"] = _walk(rules, lambda text: rule_engine.Rule(text).matches)
    except ImportError:
        absent.append("rule-engine")
    return asked, absent


def _walk(rules: Sequence[engine.Rule], compiled: Callable[[str], Callable[[Facts], bool]]) -> Peer:
    """Rule after rule, none of a group that has its winner."""
    tests = [(rule.group, rule.id, compiled(_expression(rule))) for rule in rules]

    def of_line(line: Facts) -> Winners:
        found: Winners = {}
        for group, code, matches in tests:
            if group not in found and matches(line):
                found[group] = code
        return found

    return lambda lines: [of_line(line) for line in lines]


def _expression(rule: engine.Rule) -> str:
    listed = [f"{name} in {json.dumps(sorted(values))}" for name, values in rule.accepts.items()]
    least = [f"{name.removeprefix('min_')} >= {bound}" for name, bound in rule.leasts.items()]
    return " and ".join([*listed, *least]) or "true"


def _zen_line_by_line(zen: Any, rules: Sequence[engine.Rule]) -> Peer:
    decision = zen.ZenEngine().create_decision(_graph(rules, executionMode="single"))
    return lambda lines: [decision.evaluate(line)["result"] for line in lines]


def _zen_order_by_order(zen: Any, rules: Sequence[engine.Rule]) -> Peer:
    decision = zen.ZenEngine().create_decision(_graph(rules, executionMode="loop", inputField="lines"))

    def of_order(lines: Sequence[Facts]) -> list[Winners]:
        found = decision.evaluate({"lines": lines})["result"]
        return [{group: winners[place][group] for group, winners in found.items()} for place in range(len(lines))]

    return of_order


def _graph(rules: Sequence[engine.Rule], **mode: str) -> str:
    """A table for each group, first hit, between input and output."""
    groups = sorted({rule.group for rule in rules})
    nodes = [_node("in", "inputNode"), _node("out", "outputNode")]
    nodes += [_node(group, "decisionTableNode", content=_table(group, rules, mode)) for group in groups]
    edges = [(source, target) for group in groups for source, target in (("in", group), (group, "out"))]
    edges = [{"id": f"{a}-{b}", "type": "edge", "sourceId": a, "targetId": b} for a, b in edges]
    return json.dumps({"contentType": "application/vnd.gorules.decision", "nodes": nodes, "edges": edges})


def _node(name: str, type: str, **content: Any) -> dict[str, Any]:
    return {"id": name, "name": name, "type": type, "position": {"x": 0, "y": 0}, **content}


def _table(group: str, rules: Sequence[engine.Rule], mode: dict[str, str]) -> dict[str, Any]:
    names = sorted({name for rule in rules for name in (*rule.accepts, *rule.leasts)})
    by_group = {"outputPath": group} if mode["executionMode"] == "loop" else {}
    return {
        "hitPolicy": "first",
        "inputs": [{"id": name, "name": name, "field": name.removeprefix("min_")} for name in names],
        "outputs": [{"id": "winner", "name": "winner", "field": group}],
        "rules": [_row(rule, names) for rule in rules if rule.group == group],
        **mode,
        **by_group,
    }


def _row(rule: engine.Rule, names: Sequence[str]) -> dict[str, str]:
    listed = {name: ", ".join(map(json.dumps, sorted(values))) for name, values in rule.accepts.items()}
    least = {name: f">= {bound}" for name, bound in rule.leasts.items()}
    return {**dict.fromkeys(names, ""), **listed, **least, "_id": rule.id, "winner": json.dumps(rule.id)}


def _naive(shop: Shop) -> Peer:
    """The second evaluator of our tests, which knows no index: it takes an order in the public format."""
    rules = shop.version.rules.prefetch_related("shares")
    plan = {"rules": [plans.as_document(rule, shop.version.tz) for rule in rules]}

    def of_order(order: Facts) -> list[Winners]:
        walks = [naive.walk(plan, order, line) for line in order["lines"]]
        return [{rule["group"]: rule["id"] for rule in winners} for winners, _ in walks]

    return of_order


def _document(order: engine.Order) -> Facts:
    return {**asdict(order), "paid_at": order.paid_at.isoformat()}
