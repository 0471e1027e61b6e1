"""The form of a segment: its condition is built on the page and sent as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from members import segments
from members.models import Segment
from members.segments import grammar, kinds
from retail.models import Brand
from retail.scoped_admin import StrictJSON

LONGEST = 20_000  # characters of a condition


class Written(dict):
    """A condition that the journal tells as a sentence."""

    def __init__(self, condition: Mapping[str, Any], brand: Brand) -> None:
        super().__init__(condition)
        self._brand = brand

    def __str__(self) -> str:
        try:
            return str(segments.understand(condition=dict(self), brand=self._brand))
        except grammar.Refused:
            return json.dumps(self, ensure_ascii=False)


class Builder(forms.Widget):
    """Groups and conditions, drawn by segments.js from the grammar; what they say stands in a hidden field."""

    def __init__(self) -> None:
        super().__init__()
        self.brand: Brand | None = None

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        document = _document(value)
        context = {
            "name": name,
            "value": json.dumps(document, ensure_ascii=False),
            "brand": self.brand,
            "grammar": _grammar(),
            "names": _names(document, self.brand),
            "preview": reverse("admin:members_segment_preview"),
            "values": reverse("admin:members_segment_values"),
        }
        return render_to_string("admin/members/segment/builder.html", context)


def _document(value: Any) -> Any:
    """What was kept or sent; something to begin with where that is nothing that could be shown."""
    try:
        document = json.loads(value, cls=StrictJSON) if isinstance(value, str) else value
    except ValueError:
        document = None
    return document if isinstance(document, dict) and "of" in document else {"match": "all", "of": []}


def _grammar() -> dict[str, Any]:
    return {
        "kinds": [kind.spec() for kind in kinds.KINDS.values()],
        "matches": [[code, str(words)] for code, words in grammar.MATCHES.items()],
        "most_depth": grammar.MOST_DEPTH,
        "words": {name: str(words) for name, words in _WORDS.items()},
    }


def _names(document: Any, brand: Brand | None) -> dict[str, dict[str, str]]:
    try:
        return segments.understand(condition=document, brand=brand).names.pairs() if brand else {}
    except grammar.Refused:
        return {}


_WORDS = {
    "add": gettext_lazy("＋ 加条件…"),
    "add_group": gettext_lazy("＋ 加一组条件"),
    "remove": gettext_lazy("去掉"),
    "day": gettext_lazy("近几天"),
    "month": gettext_lazy("近几个月"),
    "days": gettext_lazy("从哪天到哪天"),
    "ever": gettext_lazy("不限时间"),
    "from": gettext_lazy("从"),
    "to": gettext_lazy("到"),
    "search": gettext_lazy("输入名称或编码"),
    "nothing": gettext_lazy("没有找到"),
    "further": gettext_lazy("限定范围"),
    "yuan": gettext_lazy("元"),
    "group": gettext_lazy("下面的条件"),
    "offline": gettext_lazy("没有连上，改一下再试。"),
}


class ConditionField(forms.JSONField):
    widget = Builder

    def __init__(self, **options: Any) -> None:
        super().__init__(decoder=StrictJSON, **options)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) > LONGEST:
            raise forms.ValidationError(_("条件太多了，最多 %(most)s 个。") % {"most": grammar.MOST_PARTS})
        return super().to_python(value)


class SegmentForm(forms.ModelForm):
    condition = ConditionField(label=gettext_lazy("谁在里面"))

    class Meta:
        model = Segment
        fields = ("brand", "name", "kind", "condition", "is_dormant_only", "rest_days")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field = self.fields.get("condition")
        if field is None:
            return
        brand = self.instance.brand if self.instance.brand_id else None
        field.widget.brand = brand
        if brand is not None:
            self.initial["condition"] = Written(self.instance.condition, brand)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        brand = self.instance.brand if self.instance.pk else cleaned.get("brand")
        self._refuse_a_second_name(brand, cleaned.get("name"))
        if brand is None or "condition" not in cleaned:
            return cleaned
        try:
            segments.check(condition=cleaned["condition"], brand=brand)
            cleaned["condition"] = Written(cleaned["condition"], brand)
        except grammar.Refused as refused:
            self.add_error("condition", str(refused))
        return cleaned

    def _refuse_a_second_name(self, brand: Brand | None, name: str | None) -> None:
        """The constraint asks whether the other one has ended; Django skips those that ask for what is in no form."""
        others = Segment._base_manager.filter(brand=brand, name=name, ended_at=None).exclude(pk=self.instance.pk)
        if brand and name and self.instance.ended_at is None and others.exists():
            self.add_error("name", _("这个品牌已经有一个叫这个名字的人群。"))
