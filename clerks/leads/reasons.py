"""Why somebody stands out, in the plain words of a clerk: what a model counts in their favour, as fixed sentences.

A reason is {"code": …, numbers}. Words that a page does not know any more are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

MOST = 3


class Reason(NamedTuple):
    """What a feature is to a clerk.

    topic: of one topic only the strongest is said. is_less: they stand out by having less of it. name, number: what of
    a row of `described` the sentence tells, under which name.
    """

    topic: str
    code: str
    name: str
    number: str
    is_less: bool = False


# Of these features alone something can be said that is true and means something to a clerk. `overdue` is no reason by
# what it weighs: that somebody is about due is said of everybody of whom it is true (`RHYTHM`).
OF: dict[str, Reason] = {
    "orders": Reason("orders", "often", "count", "orders"),
    "recency": Reason("recency", "fresh", "since", "floor(recency)::int", is_less=True),
    "tenure": Reason("tenure", "loyal", "days", "floor(tenure)::int"),
    "mean_spend": Reason("spend", "spends", "fen", "round(spend / greatest(orders, 1))::bigint"),
    "orders_30": Reason("lately", "month", "count", "orders_30"),
    "orders_90": Reason("lately", "lately", "count", "orders_90"),
    "orders_180": Reason("lately", "half_year", "count", "orders_180"),
    "gap": Reason("rhythm", "regular", "gap", "greatest(1, round(gap))::int", is_less=True),
    "views_7": Reason("views", "looked", "count", "views_7"),
    "carts_7": Reason("carts", "carted", "count", "carts_7"),
}
# About due: three orders make a rhythm, and it is neither long until nor long after the next one.
RHYTHM = "orders >= 3 AND recency BETWEEN 0.7 * gap AND 1.5 * gap AND gap >= 1"
# Where no model was learned: what a shopkeeper would look at, as weights, against twice, once and a month ago.
PLAIN = {"orders_90": (1.0, 0.69), "orders": (0.5, 1.1), "recency": (-0.3, 3.4)}


def sql(*, weights: Mapping[str, tuple[float, float]]) -> tuple[str, dict[str, float]]:
    """An expression over a row of `described`, a list of at most three reasons; weights: feature → weight and mean."""
    known = {name: pair for name, pair in weights.items() if name in OF}
    numbers = {f"{kind}_{name}": pair[place] for name, pair in known.items() for place, kind in enumerate(("g", "m"))}
    rows = [_row(name, OF[name]) for name in known]
    rhythm = f"('rhythm', 'rhythm', 'gap', round(gap)::bigint, CASE WHEN {RHYTHM} THEN 'infinity'::float8 ELSE 0 END)"
    return _CHOSEN.format(rows=", ".join([rhythm, *rows])), numbers


# The documents are made of those alone that are said: they are what costs most.
_CHOSEN = f"""(
    SELECT coalesce(jsonb_agg(CASE code
        WHEN 'rhythm' THEN jsonb_build_object('code', code, 'gap', number, 'since', floor(recency)::int)
        ELSE jsonb_build_object('code', code, name, number) END ORDER BY gain DESC), '[]')
    FROM (SELECT * FROM (
        SELECT DISTINCT ON (topic) code, name, number, gain
        FROM (VALUES {{rows}}) one (topic, code, name, number, gain) WHERE gain > 0 ORDER BY topic, gain DESC
    ) best ORDER BY gain DESC LIMIT {MOST}) top
)"""


def _row(name: str, reason: Reason) -> str:
    """Only what is true of them: more than the others have of it, or less."""
    stands_out = f"x_{name} {'<' if reason.is_less else '>'} %(m_{name})s::float8"
    return (
        f"('{reason.topic}', '{reason.code}', '{reason.name}', ({reason.number})::bigint,"
        f" CASE WHEN {stands_out} THEN %(g_{name})s::float8 * (x_{name} - %(m_{name})s::float8) ELSE 0 END)"
    )


# ── In words ─────────────────────────────────────────────────────────────────────────────────────────────────────────
SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "rhythm": lambda said: _("常 %(gap)s 天买一次，已经 %(since)s 天没买") % said,
    "regular": lambda said: _("平均 %(gap)s 天买一次") % said,
    "month": lambda said: _("近 30 天买了 %(count)s 次") % said,
    "lately": lambda said: _("近 90 天买了 %(count)s 次") % said,
    "half_year": lambda said: _("近半年买了 %(count)s 次") % said,
    "often": lambda said: _("一共买过 %(count)s 次") % said,
    "fresh": lambda said: _("%(since)s 天前刚买过") % said if said["since"] else _("今天刚买过"),
    "loyal": lambda said: _("第一次来是 %(days)s 天前") % said,
    "spends": lambda said: _("每次大约花 ¥%(yuan)s") % {"yuan": f"{round(said['fen'] / 100):,}"},
    "looked": lambda said: _("近 7 天看了 %(count)s 次") % said,
    "carted": lambda said: _("近 7 天加购了 %(count)s 次") % said,
}


def sentences(reasons: Sequence[Mapping[str, Any]]) -> list[str]:
    return [write(reason) for reason in reasons if (write := SENTENCES.get(str(reason.get("code"))))]
