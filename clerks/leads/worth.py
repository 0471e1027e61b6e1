"""What a model was worth on the newest window it could be tried on, for people to read."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clerks.leads import drift
from clerks.leads.models import IntentModel

OLD = timedelta(days=21)  # three weeks without a new one, of which there is to be one a week

FEATURES = {
    "orders": gettext_lazy("购买次数"),
    "recency": gettext_lazy("多久没买"),
    "tenure": gettext_lazy("首购至今"),
    "spend": gettext_lazy("累计消费"),
    "mean_spend": gettext_lazy("每次消费"),
    "orders_30": gettext_lazy("30 天内次数"),
    "orders_90": gettext_lazy("90 天内次数"),
    "orders_180": gettext_lazy("180 天内次数"),
    "gap": gettext_lazy("平均间隔"),
    "overdue": gettext_lazy("多久没买 ÷ 平均间隔"),
    "single": gettext_lazy("只买过一次"),
    "views_7": gettext_lazy("7 天内浏览"),
    "views_30": gettext_lazy("30 天内浏览"),
    "carts_7": gettext_lazy("7 天内加购"),
    "carts_30": gettext_lazy("30 天内加购"),
    "rfm": gettext_lazy("RFM 排位"),
}


class Tenth(NamedTuple):
    """A tenth of the members, the likeliest first; shares in ppm, widths in percent of the widest bar."""

    place: int
    members: int
    expected_ppm: int
    came_ppm: int
    expected_width: float
    came_width: float


class Line(NamedTuple):
    """Some order of the same people, and what it was worth."""

    name: object
    members: int
    auc: str
    ap: str
    lift: str


class Worth(NamedTuple):
    tenths: list[Tenth]
    lines: list[Line]
    ece_ppm: int | None
    weights: list[tuple[object, str]]


def of(model: IntentModel) -> Worth:
    said = model.metrics
    beside = (("old", _("在用的旧模型")), ("rfm", _("RFM 排位")), ("silent", _("其中 60 天没买的")))
    lines = [_line(_("这个模型"), said)] if said else []  # tried on nothing: a row made by hand
    lines += [_line(name, said[key]) for key, name in beside if key in said]
    weights = zip(model.features, model.weights, strict=True)
    return Worth(
        tenths=_tenths(said.get("tenths", [])),
        lines=lines,
        ece_ppm=None if said.get("ece") is None else _tenth_of_percent(said["ece"]),
        weights=[(FEATURES.get(name, name), f"{weight:+.3f}") for name, weight in weights],
    )


def _line(name: object, said: dict[str, Any]) -> Line:
    return Line(name, said["members"], figure(said["auc"]), figure(said["ap"]), times(said["lift"]))


def _tenths(said: list[dict[str, Any]]) -> list[Tenth]:
    most = max((max(one["expected"], one["came"]) for one in said), default=0) or 1
    return [
        Tenth(
            place,
            one["members"],
            _tenth_of_percent(one["expected"]),
            _tenth_of_percent(one["came"]),
            round(one["expected"] / most * 100, 1),
            round(one["came"] / most * 100, 1),
        )
        for place, one in enumerate(said, start=1)
    ]


def _tenth_of_percent(share: float) -> int:
    """In ppm, no finer than anybody reads."""
    return round(share * 1_000) * 1_000


def figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def times(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ×"


def warnings(newest: Iterable[IntentModel], *, now: datetime) -> list[str]:
    """What headquarters ought to know of the newest model of each brand."""
    said = []
    for model in newest:
        about = {"brand": model.brand, "day": f"{model.as_of:%Y-%m-%d}"}
        if model.refusal:
            why = {**about, "why": model.get_refusal_display()}
            said.append(_("%(brand)s：%(day)s 训练的模型没有启用（%(why)s），旧模型继续用。") % why)
        elif now - model.trained_at > OLD:
            said.append(_("%(brand)s：上次训练是 %(day)s，已经三周没有新模型。") % about)
        if (now_of := drift.of(model)) and now_of.is_much:
            said.append(_("%(brand)s：顾客和训练时已经很不一样，评分可能不准了。") % about)
    return said
