"""The form of a rule: a field for each condition, the calculation as a choice, all of it typed as people say it.

What is kept is the JSON of the public format. A stored condition this form does not know stays as it is, and so does a
value whose row is gone; the engine judges the whole before it is kept.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminMultipleAutocompleteWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from commissions import engine, plans, rule_words, values
from commissions.forms import PageWidget
from commissions.models import Rule
from commissions.models.plans import Role
from retail.scoped_admin import PercentField, ScaledField, YuanField

SEARCHED = ("store", "store_group", "brand", "category", "product", "tier", "live_event", "material")
TICKED = ("channel", "ownership")
LEASTS = ("min_dormant_days", "min_discount_bp", "min_line_fen", "min_order_fen")
CONDITIONS = ("channel", "store", "store_group", "ownership", "brand", "category", "product", "member", "tier")
CONDITIONS += (*LEASTS, "live_event", "material")

CALCS = {
    "rate": gettext_lazy("按比例"),
    "fixed": gettext_lazy("每行商品固定金额"),
    "per_qty": gettext_lazy("每件固定金额"),
    "rate_plus": gettext_lazy("按比例，每件再加固定金额"),
    "discount_tier": gettext_lazy("按折扣分档"),
}
TERMS = {
    "rate": ("ppm",),
    "fixed": ("fen",),
    "per_qty": ("fen",),
    "rate_plus": ("ppm", "fen"),
    "discount_tier": ("steps",),
}
MOST_STEPS = 12


class FoldField(ScaledField):
    """Basis points of the tag price, typed as 折: 9000 is 9 折."""

    factor = 1000

    def __init__(self, **options: Any) -> None:
        usual = {"decimal_places": 3, "max_digits": 5, "min_value": 0, "widget": UnfoldAdminTextInputWidget}
        super().__init__(**{**usual, **options})


# ── Values found by searching ────────────────────────────────────────────────────────────────────────────────────────
class CodesSelect(UnfoldAdminMultipleAutocompleteWidget):
    """Chosen codes with their names; the others are found while somebody types."""

    option_template_name = "django/forms/widgets/select_option.html"


class CodesField(forms.MultipleChoiceField):
    """The codes a list condition allows. What is stored stays allowed, also when its row is gone."""

    widget = CodesSelect

    def __init__(self, condition: str, **options: Any) -> None:
        super().__init__(required=False, **options)
        self.condition = condition
        self.stored: frozenset[str] = frozenset()

    def valid_value(self, value: Any) -> bool:
        return True

    def validate(self, value: Any) -> None:
        super().validate(value)
        new = set(value) - self.stored
        if too_long := [code for code in new if len(code) > 64 or "\x00" in code]:
            raise ValidationError(_("没有这个编码：%(code)s") % {"code": too_long[0][:64].replace("\x00", "")})
        if self.condition not in values.FREE and (lost := new - set(values.named({self.condition: new}))):
            raise ValidationError(_("没有这个编码：%(code)s") % {"code": _("、").join(sorted(lost))})


# ── Tiers by discount ────────────────────────────────────────────────────────────────────────────────────────────────
class StepsWidget(PageWidget):
    """Rows of two boxes: from which 折 on, how many percent."""

    template_name = "admin/commissions/rule/steps.html"

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        rows = [self._shown(pair) for pair in value or ()]
        rows += [("", "")] * max(2, 4 - len(rows))
        context = super().get_context(name, value, attrs)
        context["rows"] = rows[:MOST_STEPS]
        return context

    @staticmethod
    def _shown(pair: Any) -> tuple[Any, Any]:
        bp, ppm = pair
        return FoldField().prepare_value(bp), PercentField().prepare_value(ppm)

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[tuple[str, str]]:
        typed = zip(data.getlist(f"{name}_fold"), data.getlist(f"{name}_percent"), strict=False)
        return [(fold.strip(), rate.strip()) for fold, rate in typed if fold.strip() or rate.strip()][:MOST_STEPS]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}_fold" not in data


class StepsField(forms.Field):
    """[[bp, ppm], …], typed as 折 and percent; rows left blank are none."""

    widget = StepsWidget

    def to_python(self, value: Any) -> list[list[int]]:
        steps = []
        for place, (fold, rate) in enumerate(value or (), start=1):
            try:
                steps.append([FoldField(max_value=100).clean(fold), PercentField(min_value=0).clean(rate)])
            except ValidationError as error:
                said = _("；").join(error.messages)
                raise ValidationError(_("第 %(place)s 档：%(what)s") % {"place": place, "what": said}) from None
        return steps

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return [list(step) for step in initial or ()] != self.to_python(data)
        except ValidationError:
            return True


# ── The form ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _ticks(condition: str, label: Any) -> forms.MultipleChoiceField:
    choices = list(values.FIXED[condition].items())
    widget = UnfoldAdminCheckboxSelectMultipleWidget
    return forms.MultipleChoiceField(label=label, required=False, choices=choices, widget=widget)


class RuleForm(forms.ModelForm):
    channel = _ticks("channel", gettext_lazy("渠道"))
    store = CodesField("store", label=gettext_lazy("门店"))
    store_group = CodesField("store_group", label=gettext_lazy("门店组"))
    ownership = _ticks("ownership", gettext_lazy("经营方式"))
    brand = CodesField("brand", label=gettext_lazy("品牌标记"))
    category = CodesField("category", label=gettext_lazy("品类"))
    product = CodesField("product", label=gettext_lazy("商品"))
    member = forms.ChoiceField(
        label=gettext_lazy("顾客"),
        required=False,
        choices=[("", gettext_lazy("不限")), *values.FIXED["member"].items()],
        widget=UnfoldAdminSelectWidget,
    )
    tier = CodesField("tier", label=gettext_lazy("会员等级"))
    min_dormant_days = forms.IntegerField(
        label=gettext_lazy("沉睡满多少天"),
        required=False,
        min_value=0,
        max_value=100_000,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    min_discount_bp = FoldField(
        label=gettext_lazy("折扣不低于（折）"), required=False, help_text=gettext_lazy("9 就是 9 折，8.5 就是 85 折。")
    )
    min_line_fen = YuanField(label=gettext_lazy("这行满（元）"), required=False, min_value=0)
    min_order_fen = YuanField(label=gettext_lazy("整单满（元）"), required=False, min_value=0)
    live_event = CodesField("live_event", label=gettext_lazy("直播"))
    material = CodesField("material", label=gettext_lazy("素材"))
    calc_type = forms.ChoiceField(
        label=gettext_lazy("算法"), choices=list(CALCS.items()), initial="rate", widget=UnfoldAdminSelectWidget
    )
    calc_ppm = PercentField(label=gettext_lazy("比例（%）"), required=False, min_value=0)
    calc_fen = YuanField(label=gettext_lazy("金额（元）"), required=False, min_value=0)
    calc_steps = StepsField(
        label=gettext_lazy("各档"),
        required=False,
        help_text=gettext_lazy("从高折扣写到低折扣，用第一个够得着的；比最后一档还低的不给。"),
    )
    absent = forms.ChoiceField(
        label=gettext_lazy("缺人时"),
        required=False,
        help_text=gettext_lazy("某个角色当时没有人，那一份怎么办。"),
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = Rule
        exclude = ("when", "calc", "missing")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        rule = self.instance
        self._was = {"when": dict(rule.when or {}), "calc": rule.calc, "missing": rule.missing}
        if self.instance.pk:
            self.initial = {**self._shown(), **self._was, **self.initial}
        for name, field in self.fields.items():
            if isinstance(field, CodesField):
                field.stored = frozenset(_texts(self._was["when"].get(name)))
            elif name in TICKED:
                field.choices = _with_stored(field.choices, self._was["when"].get(name))
        if "absent" in self.fields:
            self.fields["absent"].choices = _absent_choices(self._was["missing"])
        self._name_the_chosen()

    def _shown(self) -> dict[str, Any]:
        """The stored JSON, taken apart into what the fields show."""
        when, calc, missing = self._was["when"], self._was["calc"] or {}, self._was["missing"]
        shown = {name: _texts(value) if name in (*SEARCHED, *TICKED) else value for name, value in when.items()}
        shown["calc_type"] = calc.get("type")
        shown |= {f"calc_{term}": calc[term] for term in ("ppm", "fen", "steps") if term in calc}
        return {**shown, "absent": f"to:{missing['to_role']}" if isinstance(missing, Mapping) else missing}

    def _name_the_chosen(self) -> None:
        """Give the searched fields what is chosen, by name: a query for each table that is named at all."""
        fields = {name: field for name, field in self.fields.items() if isinstance(field, CodesField)}
        chosen = {name: self._chosen(name) for name in fields}
        names = values.named(chosen)
        page = reverse("admin:commissions_rule_values")
        for name, field in fields.items():
            field.choices = [(code, values.Value(code, names.get(code, code)).label) for code in chosen[name]]
            field.widget.attrs |= {"data-ajax--url": f"{page}?condition={name}"}
            if name in values.FREE:
                field.widget.attrs["data-tags"] = "true"

    def _chosen(self, name: str) -> list[str]:
        given = self.data.getlist(self.add_prefix(name)) if self.is_bound else self.initial.get(name, [])
        return [code for code in dict.fromkeys(given) if code and "\x00" not in code][:2000]

    @cached_property
    def changed_data(self) -> list[str]:
        """By the columns of the rule: the journal speaks of conditions and calculation, not of boxes."""
        return list(dict.fromkeys(_column_of(name) for name in super().changed_data))

    # What is kept
    def clean(self) -> dict[str, Any]:
        """Everything but the split, which the rows below bring; what is wrong is shown at its field."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        cleaned |= {"when": self._when(cleaned), "calc": self._calc(cleaned), "missing": self._missing(cleaned)}
        for column in ("when", "calc", "missing"):
            setattr(self.instance, column, cleaned[column])
        if not self.errors:
            self._ask_the_engine(cleaned)
        starts, ends = cleaned.get("valid_from"), cleaned.get("valid_to")
        if starts and ends and ends <= starts:
            self.add_error("valid_to", _("结束要晚于开始。"))
        self._refuse_second_code(cleaned)
        return cleaned

    def _when(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        was = self._was["when"]
        kept = {name: value for name, value in was.items() if name not in self.fields}
        for name in CONDITIONS:
            value = cleaned.get(name)
            if value in (None, "", []):
                continue
            # As it was written, where it says the same: numbers stay numbers, a single text stays one.
            is_same = name in was and isinstance(value, list) and set(_texts(was[name])) == set(value)
            kept[name] = was[name] if is_same else value
        return kept

    def _calc(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        kind = cleaned["calc_type"]
        calc: dict[str, Any] = {"type": kind}
        for term in TERMS[kind]:
            value = cleaned.get(f"calc_{term}")
            if value in (None, []):
                self.add_error(f"calc_{term}", _("没有填"))
            calc[term] = value
        return calc

    def _missing(self, cleaned: Mapping[str, Any]) -> Any:
        policy, separator, role = (cleaned.get("absent") or "forfeit").partition(":")
        return {"to_role": role} if separator else policy

    def _ask_the_engine(self, cleaned: Mapping[str, Any]) -> None:
        try:
            engine.parse_rule(plans.as_document(self._without_split(cleaned), "Asia/Shanghai"))
        except engine.PlanError as error:
            for message in error.messages:
                path, words = rule_words.problem(message)
                field = self._field_of(path)
                self.add_error(field, words if field else rule_words.fault(message))

    def _field_of(self, path: str) -> str | None:
        head, _dot, rest = path.partition(".")
        name = {"when": rest, "calc": f"calc_{rest}", "missing": "absent"}.get(head, head).partition("[")[0]
        return name if name in self.fields else None

    @staticmethod
    def _without_split(cleaned: Mapping[str, Any]) -> Rule:
        names = {field.name for field in Rule._meta.fields} - {"id", "version"}
        rule = Rule(pk=0, **{name: value for name, value in cleaned.items() if name in names})
        rule._prefetched_objects_cache = {"shares": ()}
        return rule

    def _refuse_second_code(self, cleaned: Mapping[str, Any]) -> None:
        """Of a kept rule the version is no field, and so the table's own rule would be met by the table alone."""
        version = cleaned.get("version") or getattr(self.instance, "version", None)
        others = Rule.objects.filter(version=version, code=cleaned.get("code")).exclude(pk=self.instance.pk)
        if self.instance.pk and others.exists():
            self.add_error("code", _("这个版本里已经有这个编码。"))


def _texts(value: Any) -> list[str]:
    """A list condition as texts; one written as a single text is a list of one."""
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _with_stored(choices: Iterable[Any], stored: Any) -> list[Any]:
    known = list(choices)
    return known + [(code, code) for code in _texts(stored) if code not in dict(known)]


def _absent_choices(stored: Any) -> list[tuple[str, Any]]:
    choices: list[tuple[str, Any]] = [
        ("forfeit", rule_words.missing("forfeit")),
        ("reallocate", rule_words.missing("reallocate")),
        *((f"to:{role}", rule_words.missing({"to_role": role})) for role in Role.values),
    ]
    if isinstance(stored, Mapping) and stored.get("to_role") not in Role.values:
        choices.append((f"to:{stored.get('to_role')}", rule_words.missing(stored)))
    return choices


def _column_of(name: str) -> str:
    if name in CONDITIONS:
        return "when"
    if name.startswith("calc_"):
        return "calc"
    return "missing" if name == "absent" else name
