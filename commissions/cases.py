"""The cases a version carries, in the public format of docs/commission.md: what goes in, and what has to come out.

A case need not repeat what its version says. One of kind `plan` is judged by the version's rules, whatever plan it may
carry; one of kind `tier` or `restate` may name an `attainment` of the version in place of its tiers and mode.
"""

from collections.abc import Callable, Mapping
from typing import Any

from commissions import documents, engine
from commissions.engine.cases import Verdict, evaluate
from commissions.models import PlanCase, PlanVersion

Json = dict[str, Any]


def judge(version: PlanVersion) -> list[tuple[PlanCase, Verdict]]:
    """Every case of a version with what came of it, in order of code."""
    rows = list(version.cases.order_by("code"))
    verdicts = judge_documents(version, [as_document(row) for row in rows])
    return list(zip(rows, verdicts, strict=True))


def judge_documents(version: PlanVersion, cases: list[Json]) -> list[Verdict]:
    """The verdicts on cases in the public format, stored or not."""
    if not cases:
        return []
    try:
        plan = documents.compiled(version, version.rules.prefetch_related("shares"))
    except engine.PlanError as error:
        return [Verdict(str(case.get("id")), None, {}, tuple(error.messages)) for case in cases]
    said = {name: tell(version) for name, tell in _SAID_BY_VERSION.items()}
    return [evaluate(_filled(case, said), plan=plan) for case in cases]


def as_document(case: PlanCase) -> Json:
    return {"id": case.code, "kind": case.kind, "input": case.input, "expect": case.expect}


# ── What a version says for its cases ────────────────────────────────────────────────────────────────────────────────
def _scales(version: PlanVersion) -> dict[str, Json]:
    """Code of an attainment → what a case of kind `tier` says of a scale."""
    return {
        row.code: {"mode": row.mode, "tiers": list(row.steps.values("from_fen", "ppm", "fixed_fen"))}
        for row in version.attainments.prefetch_related("steps")
    }


def _with_scale(given: Json, scales: Mapping[str, Json]) -> Json:
    scale = scales.get(str(given.get("attainment")))
    rest = {name: value for name, value in given.items() if name != "attainment"}
    return {**rest, **scale} if scale else given


def _with_restated_scale(given: Json, scales: Mapping[str, Json]) -> Json:
    filled = _with_scale(given, scales)
    return {"tier_mode" if name == "mode" else name: value for name, value in filled.items()}


_SAID_BY_VERSION: dict[str, Callable[[PlanVersion], Any]] = {"scales": _scales}
_FILLED_BY: dict[str, tuple[str, Callable[[Json, Any], Json]]] = {
    "tier": ("scales", _with_scale),
    "restate": ("scales", _with_restated_scale),
}
"""Kind of case → which of the things the version says fills it, and how."""


def _filled(case: Json, said: Mapping[str, Any]) -> Json:
    given = case.get("input")
    if not isinstance(given, dict) or case.get("kind") not in _FILLED_BY:
        return case
    source, fill = _FILLED_BY[case["kind"]]
    return {**case, "input": fill(given, said[source])}
