"""Learning a brand's model anew, and whether it may take the place of the one in force.

Twelve past days, a fortnight apart, are looked back from; the days that follow each, their labels, end before the day
the model is made for. Half a year of windows evens out sales and seasons that six windows of ten weeks would learn for
good. Before it is taken a model has to prove itself on the newest of them, learned from such alone as were over by
then; taken or not, what it was worth is kept.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction

from clerks.leads import features, scoring
from clerks.leads.models import IntentModel
from retail.models import Brand

if TYPE_CHECKING:  # arrays: the extra `train`
    from clerks.leads.learning import Cut, Learned

CUTS = 12
APART = 14  # days
LEAST_LOOK_BACK = 28  # days of history that a cut needs
MOST_MEMBERS = 50_000  # of each cut, by chance: more make a model no better, only its making longer

# The ladder: below either, places among the others instead of a model of many features.
LEAST_LABELS = 300
LEAST_HISTORY = 90  # days

# The gates.
WORSE_THAN_OLD = 0.005  # AUC
WORST_ECE = 0.03  # beyond what chance alone makes of so few members


def is_possible() -> bool:
    """Whether what trains is installed (extra `train`); to score, nothing of it is needed."""
    return find_spec("sklearn") is not None


def train(
    *, brand: Brand, as_of: date, horizon_days: int = scoring.HORIZON, is_trial: bool, now: datetime
) -> IntentModel | None:
    """Make the next model of a brand from what was known before a day; it is in force from now on if it may be.

    A trial is only kept. None: there is nothing to learn from, nobody came back or everybody did.
    """
    first = features.first_purchase(brand_id=brand.pk, before=as_of)
    if first is None:
        return None
    old = None if is_trial else scoring.in_force(brand_id=brand.pk)
    days = cut_days(first=first, as_of=as_of, horizon_days=horizon_days)
    cuts = _cuts(brand, days, horizon_days, old)
    trained = _trained(cuts, horizon_days, (as_of - first).days, old)
    if trained is None:
        return None
    model = IntentModel(brand=brand, as_of=as_of, horizon_days=horizon_days, is_trial=is_trial, trained_at=now)
    return _keep(model, trained, now)


def train_all(*, as_of: date, now: datetime) -> dict[str, str]:
    """The same for every brand in business; by code what came of it: "on", the gate it did not pass, "none".

    Nothing where what trains is not installed: the page of models says so.
    """
    if not is_possible():
        return {}
    made = {brand.code: train(brand=brand, as_of=as_of, is_trial=False, now=now) for brand in scoring.in_business()}
    return {code: "none" if model is None else model.refusal or "on" for code, model in made.items()}


def cut_days(*, first: date, as_of: date, horizon_days: int) -> list[date]:
    """The past days to learn from, the newest first: as many as the history has."""
    days = (as_of - timedelta(days=horizon_days + APART * place) for place in range(CUTS))
    return [day for day in days if (day - first).days >= LEAST_LOOK_BACK]


def refusal(metrics: dict[str, Any]) -> str:
    """The first gate that a model does not pass; "" where it passes all, or where nothing can be said of it."""
    if metrics["auc"] is None:
        return ""
    if "old" in metrics and metrics["old"]["new_auc"] < metrics["old"]["auc"] - WORSE_THAN_OLD:
        return IntentModel.Gate.AUC
    if metrics["ece"] - metrics["ece_by_chance"] > WORST_ECE:
        return IntentModel.Gate.ECE
    return IntentModel.Gate.AP if metrics["ap"] < metrics["rfm"]["ap"] else ""


# ── What there is to learn from ──────────────────────────────────────────────────────────────────────────────────────
Cuts = dict[date, "Cut"]  # the newest first


def _cuts(brand: Brand, days: Sequence[date], horizon_days: int, old: IntentModel | None) -> Cuts:
    from clerks.leads.learning import Cut

    names = list(features.PURCHASES)
    if days and features.has_looks(brand_id=brand.pk, day=days[-1]):
        names += features.LOOKS
    names += sorted({"rfm", *(old.features if old else ())} - set(names))
    rows = {day: _rows(brand, day, horizon_days, names) for day in days}
    return {day: Cut(tuple(names), some[:, :-1], some[:, -1]) for day, some in rows.items() if len(some)}


def _rows(brand: Brand, day: date, horizon_days: int, names: list[str]) -> Any:
    """An array with a row of each member, its last column whether they bought.

    In the order of what stands there: the same figures make the same sums to the last digit, whoever has which number.
    """
    import numpy as np

    known = features.labelled(brand_id=brand.pk, day=day, horizon_days=horizon_days, features=names, most=MOST_MEMBERS)
    columns = ", ".join(f"x_{name}::float8" for name in names)
    with transaction.atomic(), scoring.all_at_once() as cursor:
        cursor.execute(f"SELECT {columns}, bought::float8 FROM ({known.text}) labelled", known.params)
        rows = np.array(cursor.fetchall(), dtype=np.float64)
    return rows[np.lexsort(rows.T[::-1])] if len(rows) else rows


# ── Learning and proving ─────────────────────────────────────────────────────────────────────────────────────────────
class _Trained(NamedTuple):
    kind: str
    learned: "Learned"
    middle_from: float
    high_from: float
    metrics: dict[str, Any]


def _trained(cuts: Cuts, horizon_days: int, history: int, old: IntentModel | None) -> _Trained | None:
    from clerks.leads import learning

    every = list(cuts.values())
    if not learning.can_learn(every):
        return None
    kind, names = _rung(every, history)
    learned = learning.fit(every, names)
    if kind == IntentModel.Kind.RFM and learned.weights[0] <= 0:
        return None  # here it is the others who come back; no order is better than the wrong one
    newest, earlier = _apart(cuts, horizon_days)
    proof = learning.fit(earlier, names) if learning.can_learn(earlier) else learned
    middle_from, high_from = learning.bands(learned, every[0])
    metrics = _metrics(newest, proof) | {"spread": learning.spread(learned, every[0])}
    if old is not None:
        # One that was made since knows what came of the newest window: then both are to.
        rival = learned if old.as_of > max(cuts) else proof
        metrics["old"] = _beside(newest, old, rival)
    return _Trained(kind, learned, middle_from, high_from, metrics)


def _rung(cuts: "Sequence[Cut]", history: int) -> tuple[str, list[str]]:
    """Which kind of model the history is enough for, and of which features."""
    if sum(cut.bought.sum() for cut in cuts) < LEAST_LABELS or history < LEAST_HISTORY:
        return IntentModel.Kind.RFM, ["rfm"]
    own = features.PURCHASES | features.LOOKS
    return IntentModel.Kind.LOGISTIC, [name for name in cuts[0].names if name in own]


def _apart(cuts: Cuts, horizon_days: int) -> tuple["Cut", "list[Cut]"]:
    """The newest cut, and those whose windows were over by then; where history is short, those before it, or half."""
    (newest_day, newest), *others = cuts.items()
    over = [cut for day, cut in others if day + timedelta(days=horizon_days) <= newest_day]
    if earlier := over or [cut for _, cut in others]:
        return newest, earlier
    one, other = newest.halves()
    return one, [other]


def _metrics(newest: "Cut", model: "Learned") -> dict[str, Any]:
    """What the model is worth on the newest cut; beside it the places of RFM, and those who are silent alone."""
    import numpy as np

    from clerks.leads import learning

    chances = model.chances(newest)
    silent = newest.of(["recency"])[:, 0] >= np.log1p(features.SILENT_DAYS)
    found = learning.measures(newest, chances)
    found["silent"] = _worth(newest.where(silent), chances[silent])
    found["rfm"] = _worth(newest, newest.of(["rfm"])[:, 0])
    return found


def _beside(newest: "Cut", old: IntentModel, rival: "Learned") -> dict[str, Any]:
    """What the model in force is worth on the newest cut, and the AUC there of the one that is to take its place."""
    import numpy as np

    from clerks.leads import learning

    known = learning.Learned(tuple(old.features), np.array(old.weights), np.array(old.means), old.intercept)
    return _worth(newest, known.chances(newest)) | {"new_auc": _worth(newest, rival.chances(newest))["auc"]}


def _worth(cut: "Cut", chances: Any) -> dict[str, Any]:
    from clerks.leads import learning

    found = learning.measures(cut, chances)
    return {name: found[name] for name in ("members", "bought", "auc", "ap", "lift", "ece")}


# ── Keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def _keep(model: IntentModel, trained: _Trained, now: datetime) -> IntentModel:
    """Write it down; where it may be, in force instead of the old one."""
    from clerks.leads import learning

    Brand._base_manager.select_for_update(of=("self",), no_key=True).get(pk=model.brand_id)
    model.kind, model.middle_from, model.high_from = trained.kind, trained.middle_from, trained.high_from
    model.features, model.intercept = list(trained.learned.names), trained.learned.intercept
    model.weights, model.means = trained.learned.weights.tolist(), trained.learned.means.tolist()
    model.metrics = learning.rounded(trained.metrics)
    model.refusal = refusal(trained.metrics)
    if not (model.is_trial or model.refusal):
        in_force = IntentModel._base_manager.filter(brand=model.brand_id, active_from__isnull=False)
        in_force.filter(active_until=None).update(active_until=now)
        model.active_from = now
    model.save()
    return model
