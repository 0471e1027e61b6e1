"""The arithmetic of learning: who came back out of who was known, as arrays. No tables; scikit-learn (extra `train`).

A `Cut` is a past day: everybody known by then, what was known of them, and whether they bought in the days after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]
TENTHS = 10
SPREAD = 1.0  # scikit-learn's C of features of one spread: hardly a restraint, yet none of them runs away
BAND_PLACES = (0.7, 0.9)  # of those with two purchases: where 中 and where 高 begin


@dataclass(frozen=True, slots=True)
class Cut:
    """`known`: one row a member, one column for each of `names`; `bought`: 1 or 0 of each."""

    names: tuple[str, ...]
    known: Floats
    bought: Floats

    def of(self, names: Sequence[str]) -> Floats:
        return self.known[:, [self.names.index(name) for name in names]]

    def where(self, chosen: NDArray[np.bool_]) -> "Cut":
        return Cut(self.names, self.known[chosen], self.bought[chosen])

    def halves(self) -> tuple["Cut", "Cut"]:
        even = np.arange(len(self.bought)) % 2 == 0
        return self.where(even), self.where(~even)


@dataclass(frozen=True, slots=True)
class Learned:
    """z = intercept + Σ weight × feature of features as they are, in no spread but their own."""

    names: tuple[str, ...]
    weights: Floats
    means: Floats
    intercept: float

    def chances(self, cut: Cut) -> Floats:
        return _sigmoid(self.intercept + cut.of(self.names) @ self.weights)


def can_learn(cuts: Sequence[Cut]) -> bool:
    """Whether some bought and some did not."""
    bought = sum(cut.bought.sum() for cut in cuts)
    return bool(0 < bought < sum(len(cut.bought) for cut in cuts))


def fit(cuts: Sequence[Cut], names: Sequence[str]) -> Learned:
    """A logistic regression over all cuts, at the level that may be expected next (`_levelled`); the newest first."""
    known, bought = np.vstack([cut.of(names) for cut in cuts]), np.concatenate([cut.bought for cut in cuts])
    scaler = StandardScaler().fit(known)
    model = LogisticRegression(C=SPREAD, max_iter=1000).fit(scaler.transform(known), bought)
    weights = model.coef_[0] / scaler.scale_
    plain = Learned(tuple(names), weights, scaler.mean_, float(model.intercept_[0] - weights @ scaler.mean_))
    return _levelled(plain, cuts[0])


def _levelled(learned: Learned, newest: Cut) -> Learned:
    """Half way from the level of all windows to that of the newest.

    The newest alone would carry last month's sale into this one; all alone would miss that a brand grows or fades.
    """
    z = learned.intercept + newest.of(learned.names) @ learned.weights
    wanted = (newest.bought.sum() + 0.5) / (len(newest.bought) + 1)
    low, high = -10.0, 10.0
    for _step in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _sigmoid(z + middle).mean() < wanted else (low, middle)
    return replace(learned, intercept=learned.intercept + low / 2)


def bands(learned: Learned, cut: Cut) -> tuple[float, float]:
    """From where on a chance is called 中, and 高: among those who bought twice or more."""
    chances = learned.chances(cut)
    twice = cut.of(["single"])[:, 0] == 0
    middle, high = np.quantile(chances[twice] if twice.any() else chances, BAND_PLACES)
    return float(middle), float(high)


def spread(learned: Learned, cut: Cut) -> dict[str, list[float]]:
    """How the chances of a cut lie: borders of about a tenth each, and the part between them. See `drift`."""
    chances = learned.chances(cut)
    borders = np.unique(np.round(np.quantile(chances, np.arange(1, TENTHS) / TENTHS), 6))
    counts = np.bincount(np.searchsorted(borders, chances, side="right"), minlength=len(borders) + 1)
    return {"borders": borders.tolist(), "parts": (counts / len(chances)).tolist()}


def _sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(z, -700, 700)))


# ── How good it is ───────────────────────────────────────────────────────────────────────────────────────────────────
def measures(cut: Cut, chances: Floats) -> dict[str, Any]:
    """Whether those who were to buy bought. AUC, average precision and lift are of the order; ECE of the numbers.

    lift: how many times as often the best tenth bought as all. ece: how far the numbers of each tenth are from what
    came, on average; ece_by_chance: how far the best possible numbers would be, so few as they are. None where nobody
    bought, or everybody.
    """
    found: dict[str, Any] = {"members": len(cut.bought), "bought": int(cut.bought.sum())}
    if not 0 < found["bought"] < found["members"]:
        return {**found, "auc": None, "ap": None, "lift": None, "ece": None, "ece_by_chance": None, "tenths": []}
    tenths = _tenths(cut.bought, chances)
    off = sum(abs(tenth["expected"] - tenth["came"]) * tenth["members"] for tenth in tenths)
    return {
        **found,
        "rate": float(cut.bought.mean()),
        "auc": float(roc_auc_score(cut.bought, chances)),
        "ap": float(average_precision_score(cut.bought, chances)),
        "lift": tenths[0]["came"] / float(cut.bought.mean()),
        "ece": off / found["members"],
        "ece_by_chance": _by_chance(chances),
        "tenths": tenths,
    }


def _by_chance(chances: Floats) -> float:
    """Of n people with chances p the share that comes is off by √(2/π · Σp(1 − p)) ÷ n on average."""
    tenths = np.array_split(np.sort(chances), TENTHS)
    return float(sum(np.sqrt(2 / np.pi * (some * (1 - some)).sum()) for some in tenths) / len(chances))


def _tenths(bought: Floats, chances: Floats) -> list[dict[str, Any]]:
    """The best first; of equal ones nobody is taken before the other by what came."""
    order = np.argsort(-chances, kind="stable")
    return [
        {"members": len(some), "expected": float(chances[some].mean()), "came": float(bought[some].mean())}
        for some in np.array_split(order, TENTHS)
        if len(some)
    ]


def rounded(found: Mapping[str, Any]) -> dict[str, Any]:
    """As they are kept and shown: six digits tell all there is."""
    kept: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, list):
            kept[name] = [rounded(one) if isinstance(one, dict) else round(one, 6) for one in value]
        elif isinstance(value, dict):
            kept[name] = rounded(value)
        else:
            kept[name] = round(value, 6) if isinstance(value, float) else value
    return kept
