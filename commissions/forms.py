"""Forms of plans, all but the rule's own (rule_form)."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import BaseDialogForm, PaginationInlineFormSet
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from commissions import cases, plans, rule_words
from commissions.models import PlanCase, PlanVersion
from retail.scoped_admin import StrictJSON
from retail.templatetags.figures import percent


class ReadableJSON(forms.JSONField):
    """JSON as a person types it: Chinese as Chinese, errors in plain words."""

    default_error_messages = {"invalid": gettext_lazy("不是正确的 JSON：请检查引号、逗号和括号。")}

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"decoder": StrictJSON, **options})

    def to_python(self, value: Any) -> Any:
        read = super().to_python(value)
        if "\\u0000" in json.dumps(read):  # PostgreSQL has no such character
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return read

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=1) if value is not None else ""


class PageWidget(forms.Widget):
    """A widget whose template is one of the product's pages: Django looks for those of widgets elsewhere."""

    def _render(self, template_name: str, context: dict[str, Any], renderer: Any = None) -> SafeString:
        return render_to_string(template_name, context)


class ShareFormSet(PaginationInlineFormSet):
    """The parts of a pool: together never more than the whole."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        kept = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        total = sum(row["ppm"] for row in kept)
        if total > plans.WHOLE_PPM:
            raise ValidationError(_("分成合计 %(total)s，不能超过 100%%。") % {"total": percent(total)})


class StepFormSet(PaginationInlineFormSet):
    """Tiers of an attainment: each starts somewhere else."""

    def clean(self) -> None:
        super().clean()
        starts = [form.cleaned_data.get("from_fen") for form in self.forms if form.cleaned_data]
        if len(set(starts)) < len(starts):
            raise ValidationError(_("两档的起点不能相同。"))


# ── The version itself ───────────────────────────────────────────────────────────────────────────────────────────────
class ModesWidget(PageWidget):
    """A choice for each group that has rules: how they compete."""

    template_name = "admin/commissions/planversion/modes.html"
    groups: list[str] = []  # of the version whose page it is

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        modes = value if isinstance(value, dict) else {}
        groups = list(dict.fromkeys([*self.groups, *modes]))
        context = super().get_context(name, value, attrs)
        context["rows"] = [(group, modes.get(group, "list_order")) for group in groups]
        context["choices"] = list(rule_words.MODES.items())
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, str]:
        rows = zip(data.getlist(f"{name}_group"), data.getlist(f"{name}_mode"), strict=False)
        return {group: mode for group, mode in rows if mode != "list_order"}

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}_group" not in data


class ModesField(forms.Field):
    widget = ModesWidget

    def clean(self, value: Any) -> dict[str, str]:
        modes = value or {}
        if any(mode not in rule_words.MODES or "\x00" in group or len(group) > 32 for group, mode in modes.items()):
            raise ValidationError(_("没有这种规则组方式。"))
        return modes


class VersionForm(forms.ModelForm):
    group_modes = ModesField(
        label=gettext_lazy("规则组方式"),
        required=False,
        help_text=gettext_lazy("同一笔销售符合一组里的几条规则时，谁拿。不同组的佣金相加。"),
    )

    class Meta:
        model = PlanVersion
        fields = ("plan", "note", "group_modes")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "group_modes" in self.fields and self.instance.pk:
            groups = self.instance.rules.order_by("group").values_list("group", flat=True).distinct()
            self.fields["group_modes"].widget.groups = list(groups)


class RetireForm(BaseDialogForm):
    """From when nothing holds any more, in Shanghai time."""

    ends_at = forms.DateTimeField(
        label=gettext_lazy("到什么时候为止"),
        help_text=gettext_lazy("上海时间，例：2026-12-01 00:00。这一刻起付款的订单不再计佣，除非另有版本接上。"),
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-12-01 00:00"}),
    )
    reason = forms.CharField(label=gettext_lazy("原因"), max_length=200, widget=UnfoldAdminTextInputWidget())


# ── Cases and files ──────────────────────────────────────────────────────────────────────────────────────────────────
_JSON = {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 14, "spellcheck": "false", "class": "desk-code"})}


class CaseForm(forms.ModelForm):
    """One case as it stands; whether it can be evaluated at all is asked before it is kept."""

    input = ReadableJSON(label=gettext_lazy("输入"), **_JSON)
    expect = ReadableJSON(label=gettext_lazy("应得"), required=False, **_JSON)

    class Meta:
        model = PlanCase
        fields = ("version", "code", "title", "kind", "input", "expect")

    def clean_expect(self) -> Any:
        return self.cleaned_data["expect"] or {}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        version = cleaned.get("version") or getattr(self.instance, "version", None)
        if self.errors or version is None:
            return cleaned
        given = {
            "id": cleaned["code"],
            "kind": cleaned["kind"],
            "input": cleaned["input"],
            "expect": cleaned["expect"],
        }
        (verdict,) = cases.judge_documents(version, [given])
        for problem in verdict.problems:
            self.add_error("input", rule_words.fault(problem))
        others = PlanCase.objects.filter(version=version, code=cleaned["code"]).exclude(pk=self.instance.pk)
        if self.instance.pk and others.exists():
            self.add_error("code", _("这个版本里已经有这个编码。"))
        return cleaned


class PastedJSON(ReadableJSON):
    """[] and {} are something, and what is wrong with them is said."""

    empty_values = [None, ""]


class PasteForm(forms.Form):
    """A JSON file, read by the browser into the box or pasted."""

    document = PastedJSON(label=gettext_lazy("JSON 文件的内容"))


class ActivateForm(BaseDialogForm):
    """From when an approved version holds, in Shanghai time."""

    starts_at = forms.DateTimeField(
        label=gettext_lazy("从什么时候起生效"),
        help_text=gettext_lazy("上海时间，例：2026-12-01 00:00。现行版本到这一刻为止。"),
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-12-01 00:00"}),
    )
    reason = forms.CharField(
        label=gettext_lazy("更正原因"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("生效时间早于现在才要填：它会取代这段时间里的版本，已结算的订单要重算后才会变。"),
        widget=UnfoldAdminTextInputWidget(),
    )
