"""A second evaluator of plans, written from the rules of the format alone: slow, plain, without the engine.

It takes the JSON of a case of kind `plan` and tries every rule on every line. Nothing is shared with the
engine, not even a rounding function, so that a mistake has to be made twice to stay unseen.
"""

from datetime import datetime
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo

PLACES = ["channel", "store", "store_group", "ownership", "brand", "category", "product"]


def rounded(value):
    """Half away from zero."""
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def split_amount(amount, weights):
    """Largest remainder, one spare fen at a time."""
    if not any(weights):
        weights = [1 for _ in weights]
    exact = [Fraction(abs(amount) * weight, sum(weights)) for weight in weights]
    parts = [floor(share) for share in exact]
    while sum(parts) < abs(amount):
        missing = [share - part for share, part in zip(exact, parts, strict=True)]
        winner = min(range(len(parts)), key=lambda i: (-missing[i], i))
        parts[winner] += 1
    return [part if amount >= 0 else -part for part in parts]


def wall(text, tz):
    moment = datetime.fromisoformat(text)
    return moment.astimezone(ZoneInfo(tz)).replace(tzinfo=None) if moment.tzinfo else moment


def is_negative(line):
    for number in (line["paid_fen"], line["qty"], line["tag_fen"]):
        if number:
            return number < 0
    return False


def twin_of(line):
    numbers = {key: abs(line[key]) for key in ("paid_fen", "tag_fen", "qty")}
    cost = line.get("cost_fen")
    return {**line, **numbers, "cost_fen": None if cost is None else abs(cost)}


def why_not(rule, order, line, tz):
    """The first condition that fails, in the order of the format; "" when the rule matches."""
    valid, when = rule.get("valid", {}), rule.get("when", {})
    paid_at = wall(order["paid_at"], tz)
    if "from" in valid and paid_at < wall(valid["from"], tz):
        return "before_valid_from"
    if "to" in valid and not paid_at < wall(valid["to"], tz):
        return "after_valid_to"
    where = {
        **{name: [order.get(name)] for name in ("channel", "store", "ownership")},
        **{name: [line.get(name)] for name in ("brand", "category", "product")},
        "store_group": order.get("store_groups", []),
    }
    for name in PLACES:
        if name in when and not set(where[name]) & set(when[name]):
            return name
    is_new = order.get("member_is_new", False)
    if "member" in when and (when["member"] == "new") != is_new:
        return f"not_{when['member']}_member"
    for name in ("tier", "live_event", "material"):
        if name in when and order.get(name) not in when[name]:
            return name
    days = order.get("dormant_days")
    if "min_dormant_days" in when and (days is None or days < when["min_dormant_days"]):
        return "dormant"
    twin = twin_of(line)
    if "min_discount_bp" in when and twin["paid_fen"] * 10000 < twin["tag_fen"] * when["min_discount_bp"]:
        return "discount_floor"
    if "min_line_fen" in when and twin["paid_fen"] < when["min_line_fen"]:
        return "min_line"
    if "min_order_fen" in when and sum(each["paid_fen"] for each in order["lines"]) < when["min_order_fen"]:
        return "min_order"
    if rule.get("base") == "margin" and twin["cost_fen"] is None:
        return "no_cost"
    return ""


def pool_of(rule, line):
    twin, calc = twin_of(line), rule["calc"]
    base = {
        "paid": twin["paid_fen"],
        "tag": twin["tag_fen"],
        "margin": max(0, twin["paid_fen"] - (twin["cost_fen"] or 0) * twin["qty"]),
    }[rule.get("base", "paid")]
    kind = calc["type"]
    if kind == "rate":
        pool = rounded(Fraction(base * calc["ppm"], 10**6))
    elif kind == "fixed":
        pool = calc["fen"]
    elif kind == "per_qty":
        pool = calc["fen"] * twin["qty"]
    elif kind == "rate_plus":
        pool = rounded(Fraction(base * calc["ppm"], 10**6)) + calc["fen"] * twin["qty"]
    else:
        kept = [ppm for bp, ppm in calc["steps"] if twin["paid_fen"] * 10000 >= twin["tag_fen"] * bp]
        pool = rounded(Fraction(base * kept[0], 10**6)) if kept else 0
    if pool != 0:
        pool = max(pool, rule.get("floor_fen", 0))
        pool = min(pool, rule.get("cap_fen", pool))
    return -pool if is_negative(line) else pool


def roles_of(order, line):
    roles = {**order["roles"], **line.get("roles", {})}
    return {role: who for role, who in roles.items() if who and who != order.get("buyer_clerk")}


def parts_of(rule, pool, roles):
    """[(role, holder, fen)] of those who are there, whatever the fen."""
    shares = [(share["role"], share["weight"]) for share in rule.get("split", [{"role": "bound", "weight": 1}])]
    missing = rule.get("missing", "forfeit")
    if not any(weight for _, weight in shares):
        shares = [(role, 1) for role, _ in shares]
    if missing == "reallocate":
        shares = [(role, weight) for role, weight in shares if role in roles]
    elif missing != "forfeit" and missing["to_role"] in roles:
        heir = missing["to_role"]
        orphaned = sum(weight for role, weight in shares if role not in roles)
        kept = {role: weight for role, weight in shares if role in roles}
        kept[heir] = kept.get(heir, 0) + orphaned
        shares = list(kept.items())
    if not shares:
        return []
    fens = split_amount(pool, [weight for _, weight in shares])
    return [(role, roles[role], fen) for (role, _), fen in zip(shares, fens, strict=True) if role in roles]


def walk(plan, order, line):
    """Return (rules that take their group, {rule id: reason} of the others)."""
    tz, modes = plan.get("tz", "Asia/Shanghai"), plan.get("group_modes", {})
    reasons = {rule["id"]: why_not(rule, order, line, tz) for rule in plan["rules"]}
    matching = [rule for rule in plan["rules"] if not reasons[rule["id"]]]
    matching.sort(
        key=lambda rule: (
            -rule.get("priority", 0),
            -len([name for name in rule.get("when", {}) if name in PLACES]),
            rule["id"],
        )
    )
    winners, taken, is_stopped = [], set(), False
    for rule in matching:
        group = rule.get("group", "base")
        mode = modes.get(group, "list_order")
        if is_stopped:
            # A group already taken was lost before the walk ended; where all may pay nothing can be lost.
            reasons[rule["id"]] = "lost_in_group" if group in taken and mode != "sum" else "stopped"
        elif group in taken and mode != "sum":
            reasons[rule["id"]] = "lost_in_group"
        else:
            best = rule
            if mode in ("highest", "lowest"):
                rivals = [other for other in matching if other.get("group", "base") == group]
                pools = [abs(pool_of(other, line)) for other in rivals]
                best = rivals[pools.index((max if mode == "highest" else min)(pools))]
            winners.append(best)
            taken.add(group)
            is_stopped = best.get("stop", False)
            if best is not rule:
                reasons[rule["id"]] = "lost_in_group"
    for rule in winners:
        reasons[rule["id"]] = ""
    return winners, reasons


def evaluate(source):
    """Return {entries, skipped, totals} of a case of kind `plan` without refunds."""
    entries, skipped, seen = [], set(), set()
    for order in source["orders"]:
        for line in order["lines"]:
            if (order["id"], line["id"]) in seen:
                continue
            seen.add((order["id"], line["id"]))
            winners, reasons = walk(source["plan"], order, line)
            skipped |= {(line["id"], rule, reason) for rule, reason in reasons.items() if reason}
            roles = roles_of(order, line)
            for rule in winners:
                pool = pool_of(rule, line)
                paid = [part for part in parts_of(rule, pool, roles) if part[2]] if pool else []
                entries += [[line["id"], rule["id"], *part] for part in paid]
                if not pool:
                    skipped.add((line["id"], rule["id"], "zero_pool"))
                elif not paid:
                    split = [share["role"] for share in rule.get("split", [{"role": "bound"}])]
                    absent = [f"no_{role}" for role in split if role not in roles]
                    skipped |= {(line["id"], rule["id"], reason) for reason in absent or ["house_only"]}
    totals = {}
    for *_, clerk, fen in entries:
        totals[clerk] = totals.get(clerk, 0) + fen
    return {
        "entries": entries,
        "skipped": skipped,
        "totals": {who: fen for who, fen in totals.items() if fen},
    }
