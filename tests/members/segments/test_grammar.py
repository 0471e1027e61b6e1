"""What is no condition is refused, with the place and in words; what is one becomes a sentence."""

import json

import pytest

from members.segments import grammar
from members.segments.fields import Within, months_before
from members.segments.names import Names
from members.segments.words import sentence

SPENT = {"kind": "spent", "within": {"last": 12, "unit": "month"}, "is": "ge", "fen": 300_000}


def one(**condition):
    return {"match": "all", "of": [condition]}


def faults(document):
    with pytest.raises(grammar.Refused) as refused:
        grammar.parse(document)
    return {fault.place: fault.words for fault in refused.value.faults}


def test_the_example_of_the_product_in_one_sentence():
    """B5."""
    document = {
        "match": "all",
        "of": [
            SPENT,
            {"kind": "last_purchase", "is": "not_in", "within": {"last": 60, "unit": "day"}},
            {"kind": "tier", "is": "at_least", "tier": ["金卡"]},
            {"kind": "contacted", "is": "not_in", "within": {"last": 14, "unit": "day"}},
            {"match": "none", "of": [{"kind": "tags", "is": "any", "tag": ["员工"]}]},
        ],
    }
    assert sentence(grammar.parse(document), Names()) == (
        "近 12 个月消费满 3,000 元，并且近 60 天没有购买，并且等级达到金卡，并且近 14 天没有联系过，"
        "并且排除（有标签「员工」）。"
    )


HOSTILE = [
    (None, ""),
    ([], ""),
    ("1=1", ""),
    ({"match": "all"}, ""),
    ({"match": "all", "of": []}, ""),
    ({"match": "xor", "of": [SPENT]}, "match"),
    ({"match": ["all"], "of": [SPENT]}, "match"),
    ({"match": "all", "of": [SPENT], "sql": "true"}, ""),
    ({"match": "all", "of": [[]]}, "of.0.kind"),
    (one(kind="sql"), "of.0.kind"),
    (one(kind=["spent"]), "of.0.kind"),
    (one(kind="__class__"), "of.0.kind"),
    (one(**{**SPENT, "fen": "300000"}), "of.0.fen"),
    (one(**{**SPENT, "fen": True}), "of.0.fen"),
    (one(**{**SPENT, "fen": 0.5}), "of.0.fen"),
    (one(**{**SPENT, "fen": -1}), "of.0.fen"),
    (one(**{**SPENT, "fen": 10**30}), "of.0.fen"),
    (one(**{**SPENT, "is": "ge; DROP TABLE members_member"}), "of.0.is"),
    (one(**{**SPENT, "is": {}}), "of.0.is"),
    (one(**{**SPENT, "within": "12"}), "of.0.within"),
    (one(**{**SPENT, "within": {"last": 0, "unit": "day"}}), "of.0.within"),
    (one(**{**SPENT, "within": {"last": 10**9, "unit": "day"}}), "of.0.within"),
    (one(**{**SPENT, "within": {"last": 1, "unit": ["day"]}}), "of.0.within"),
    (one(**{**SPENT, "within": {"from": "2026-02-30", "to": "2026-03-01"}}), "of.0.within"),
    (one(**{**SPENT, "within": {"from": "2026-03-02", "to": "2026-03-01"}}), "of.0.within"),
    (one(**{**SPENT, "within": {"from": "0001-01-01", "to": "9999-12-31"}}), "of.0.within"),
    (one(**{**SPENT, "store": "S1"}), "of.0.store"),
    (one(**{**SPENT, "store": ["S\x001"]}), "of.0.store"),
    (one(**{**SPENT, "store": [1]}), "of.0.store"),
    (one(**{**SPENT, "store": ["x" * 65]}), "of.0.store"),
    (one(**{**SPENT, "store": [f"S{n}" for n in range(51)]}), "of.0.store"),
    (one(**{**SPENT, "channel": ["pos", "shop"]}), "of.0.channel"),
    (one(**{**SPENT, "secret": 1}), "of.0"),
    (one(kind="last_purchase", **{"is": "in"}), "of.0.within"),
    (one(kind="last_purchase", **{"is": "never", "within": {"last": 1, "unit": "day"}}), "of.0.within"),
    (one(kind="birthday", month=["13"]), "of.0.month"),
    (one(kind="birthday", month=[{"a": 1}]), "of.0.month"),
]


@pytest.mark.parametrize(("document", "place"), HOSTILE, ids=lambda value: json.dumps(value)[:60])
def test_what_is_no_condition_is_refused_where_it_stands(document, place):
    found = faults(document)
    assert list(found) == [place] and found[place]


def test_everything_wrong_is_said_at_once():
    document = {"match": "all", "of": [{"kind": "spent"}, {"match": "any", "of": [{"kind": "nothing"}]}]}
    assert set(faults(document)) == {"of.0.is", "of.0.fen", "of.1.of.0.kind"}


def test_depth_and_number_are_bounded():
    deep = SPENT
    for _ in range(grammar.MOST_DEPTH):
        deep = {"match": "all", "of": [deep]}
    grammar.parse(deep)
    assert "层" in next(iter(faults({"match": "all", "of": [deep]}).values()))
    grammar.parse({"match": "any", "of": [SPENT] * grammar.MOST_PARTS})
    assert "最多" in faults({"match": "any", "of": [SPENT] * (grammar.MOST_PARTS + 1)})[""]


def test_a_month_is_a_month_of_the_calendar():
    from datetime import date

    assert months_before(date(2026, 3, 31), 1) == date(2026, 2, 28)
    assert months_before(date(2028, 3, 31), 1) == date(2028, 2, 29)
    assert months_before(date(2026, 1, 15), 1) == date(2025, 12, 15)
    assert months_before(date(2026, 10, 12), 12) == date(2025, 10, 12)
    assert f"{Within(3, True).since(date(2026, 5, 31)):%Y-%m-%d %H:%M %z}" == "2026-02-28 00:00 +0800"
