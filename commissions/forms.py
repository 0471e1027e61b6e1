"""Forms of plans: a rule is judged by the engine itself before it is kept."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import BaseDialogForm, PaginationInlineFormSet
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from commissions import engine, plans, rule_words
from commissions.models import Rule
from retail.scoped_admin import StrictJSON
from retail.templatetags.figures import percent

_JSON = {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false"})}


class ReadableJSON(forms.JSONField):
    """JSON as a person types it: Chinese as Chinese, errors in plain words."""

    default_error_messages = {"invalid": gettext_lazy("不是正确的 JSON：请检查引号、逗号和括号。")}

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"decoder": StrictJSON, **options})

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str) and value != "forfeit" and value != "reallocate":
            return value
        return json.dumps(value, ensure_ascii=False) if value not in (None, "") else ""


class RuleForm(forms.ModelForm):
    when = ReadableJSON(
        label=gettext_lazy("条件"),
        required=False,
        initial=dict,
        help_text=gettext_lazy(
            "不填 = 不限。写成列表的："
            "channel store store_group ownership brand category product tier live_event material；"
            "另有 member（new 新客，existing 老客）、min_discount_bp（9000 就是 9 折）、"
            "min_line_fen 和 min_order_fen（分）、min_dormant_days。"
            '例：{"channel": ["pos"], "member": "new"}'
        ),
        **_JSON,
    )
    calc = ReadableJSON(
        label=gettext_lazy("算法"),
        help_text=gettext_lazy(
            '比例 {"type": "rate", "ppm": 30000}，30000 就是 3%；每行 {"type": "fixed", "fen": 500}；'
            '每件 {"type": "per_qty", "fen": 200}；比例加每件 {"type": "rate_plus", "ppm": 10000, "fen": 100}；'
            '看折扣 {"type": "discount_tier", "steps": [[9000, 30000], [7000, 20000]]}。'
        ),
        **_JSON,
    )
    missing = ReadableJSON(
        label=gettext_lazy("缺人时"),
        required=False,
        help_text=gettext_lazy('"forfeit" 留在公司；"reallocate" 由在场的人分；{"to_role": "manager"} 归某个角色。'),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false"}),
    )

    class Meta:
        model = Rule
        exclude: tuple[str, ...] = ()

    def clean_when(self) -> dict[str, Any]:
        return self.cleaned_data["when"] or {}

    def clean_missing(self) -> Any:
        return self.cleaned_data["missing"] or "forfeit"

    def clean(self) -> dict[str, Any]:
        """Everything but the split, which the rows below bring; faults are shown at the field they are in."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            engine.parse_rule(plans.as_document(self._without_split(cleaned), "Asia/Shanghai"))
        except engine.PlanError as error:
            for message in error.messages:
                path, words = rule_words.problem(message)
                field = path.split(".")[0].split("[")[0]
                said = _("%(name)s：%(what)s") % {"name": path, "what": words} if path else words
                self.add_error(field if field in self.fields else None, said)
        starts, ends = cleaned.get("valid_from"), cleaned.get("valid_to")
        if starts and ends and ends <= starts:
            self.add_error("valid_to", _("结束要晚于开始。"))
        return cleaned

    @staticmethod
    def _without_split(cleaned: dict[str, Any]) -> Rule:
        names = {field.name for field in Rule._meta.fields} - {"id", "version"}
        rule = Rule(pk=0, **{name: value for name, value in cleaned.items() if name in names})
        rule._prefetched_objects_cache = {"shares": ()}
        return rule


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
