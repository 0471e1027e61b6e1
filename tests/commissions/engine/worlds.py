"""Random plans and orders in the public format, small on purpose: few values, so that everything collides."""

from hypothesis import strategies as st

ROLES = ["bound", "share", "serve", "manager"]
CLERKS = ["li", "wang", "zhao"]
# Midnights of Shanghai, a minute inside a day, and the same moments as other zones write them.
EDGES = [
    "2026-10-01T00:00:00",
    "2026-10-01T09:30:00",
    "2026-09-30T16:00:00+00:00",
    "2026-10-02T00:00:00+08:00",
]
MOMENTS = [
    "2026-09-30T15:59:59+00:00",
    "2026-10-01T00:00:00+08:00",
    "2026-10-01T09:29:59+08:00",
    "2026-10-01T01:30:00+00:00",
    "2026-10-01T23:59:59.999999+08:00",
    "2026-10-01T12:00:00-04:00",
]
FENS = st.sampled_from([0, 1, 2, 3, 5, 99, 100, 101, 4999, 5000, 8999, 9000, 10000, 33333])


def some_of(values):
    return st.lists(st.sampled_from(values), min_size=1, max_size=len(values), unique=True)


CALCS = st.one_of(
    st.fixed_dictionaries({"type": st.just("rate"), "ppm": st.sampled_from([0, 1, 5000, 25000, 33333, 500000])}),
    st.fixed_dictionaries({"type": st.just("fixed"), "fen": FENS}),
    st.fixed_dictionaries({"type": st.just("per_qty"), "fen": FENS}),
    st.fixed_dictionaries({"type": st.just("rate_plus"), "ppm": st.sampled_from([0, 15000]), "fen": FENS}),
    st.fixed_dictionaries(
        {
            "type": st.just("discount_tier"),
            "steps": st.sampled_from([[[9000, 60000], [5000, 20000]], [[10000, 25000]], [[5000, 1], [0, 333333]]]),
        }
    ),
)
WHEN = st.fixed_dictionaries(
    {},
    optional={
        "channel": some_of(["pos", "douyin"]),
        "store": some_of(["S1", "S2"]),
        "store_group": some_of(["east", "west"]),
        "ownership": some_of(["direct", "franchise"]),
        "brand": some_of(["A", "B"]),
        "category": some_of(["dress", "coat"]),
        "product": some_of(["P1", "P2"]),
        "member": st.sampled_from(["new", "existing"]),
        "tier": some_of(["gold", "silver"]),
        "live_event": st.just(["L1"]),
        "material": st.just(["m1"]),
        "min_dormant_days": st.sampled_from([0, 60]),
        "min_discount_bp": st.sampled_from([0, 5000, 9000, 10000]),
        "min_line_fen": FENS,
        "min_order_fen": FENS,
    },
)


@st.composite
def rules(draw):
    valid = draw(st.sampled_from([{}, {"from": EDGES[0]}, {"to": EDGES[1]}, {"from": EDGES[2], "to": EDGES[3]}]))
    # Most conditions would make most rules fail: keep a few of those drawn.
    when = dict(list(draw(WHEN).items())[: draw(st.integers(0, 2))])
    split = draw(
        st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(ROLES), "weight": st.sampled_from([0, 1, 1, 2, 3, 7])}),
            min_size=1,
            max_size=4,
            unique_by=lambda share: share["role"],
        )
    )
    optional = draw(st.fixed_dictionaries({}, optional={"floor_fen": FENS, "cap_fen": FENS}))
    return {
        "group": draw(st.sampled_from(["base", "base", "bonus", "extra"])),
        "priority": draw(st.sampled_from([0, 0, 0, 1, -1])),
        "stop": draw(st.sampled_from([False, False, False, True])),
        "valid": valid,
        "when": when,
        "base": draw(st.sampled_from(["paid", "paid", "tag", "margin"])),
        "calc": draw(CALCS),
        "split": split,
        "missing": draw(st.sampled_from(["forfeit", "reallocate", {"to_role": "manager"}, {"to_role": "bound"}])),
        **optional,
    }


@st.composite
def lines(draw):
    tag, qty = draw(FENS), draw(st.integers(1, 3))
    paid = min(tag, draw(FENS))
    sign = draw(st.sampled_from([1, 1, 1, -1]))
    return {
        "id": draw(st.sampled_from(["L1", "L2", "L3"])),
        "paid_fen": sign * paid,
        "tag_fen": sign * tag,
        "qty": sign * qty,
        "brand": draw(st.sampled_from(["A", "B"])),
        "category": draw(st.sampled_from(["dress", "coat"])),
        "product": draw(st.sampled_from(["P1", "P2"])),
        **draw(st.fixed_dictionaries({}, optional={"cost_fen": FENS, "roles": staff()})),
    }


def staff():
    return st.dictionaries(st.sampled_from(ROLES), st.sampled_from([*CLERKS, None]), max_size=4)


ORDERS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["O1", "O2"]),
        "paid_at": st.sampled_from(MOMENTS),
        "channel": st.sampled_from(["pos", "douyin"]),
        "store": st.sampled_from(["S1", "S2"]),
        "roles": staff(),
        "lines": st.lists(lines(), min_size=1, max_size=3),
    },
    optional={
        "member_is_new": st.booleans(),
        "buyer_clerk": st.sampled_from(CLERKS),
        "store_groups": st.sampled_from([[], ["east"], ["east", "west"]]),
        "ownership": st.sampled_from(["direct", "franchise"]),
        "tier": st.sampled_from(["gold", "silver"]),
        "dormant_days": st.sampled_from([0, 59, 60]),
        "live_event": st.sampled_from(["L1", "L2"]),
        "material": st.just("m1"),
    },
)


@st.composite
def plans(draw):
    drawn = draw(st.lists(rules(), min_size=1, max_size=8))
    # "r10" before "r9", and an id that is a number: ids are compared as text.
    for name, rule in zip(["r9", "r10", "a", "r1", "B", "8", "10", "z"], drawn, strict=False):
        rule["id"] = name
    modes = draw(st.dictionaries(st.sampled_from(["base", "bonus"]), st.sampled_from(["highest", "lowest", "sum"])))
    return {"tz": "Asia/Shanghai", "rules": drawn, "group_modes": modes}


WORLDS = st.fixed_dictionaries({"plan": plans(), "orders": st.lists(ORDERS, min_size=1, max_size=3)})
