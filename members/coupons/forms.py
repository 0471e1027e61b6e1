"""Forms of the coupon pages: 折 as people write it, channels and kinds of goods to tick, codes pasted or in a file."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from members.coupons import issuing
from members.models import CouponType, Segment
from retail.models import Category, Channel, StoreGroup

MOST_CODES = issuing.MOST_CODES


class TenthsField(forms.DecimalField):
    """折: 8.5 stands for 15 % off; empty for none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=Decimal("0.1"),
            max_value=Decimal("9.9"),
            decimal_places=1,
            max_digits=2,
            required=False,
            widget=UnfoldAdminTextInputWidget,
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, int):
            return f"{Decimal(1_000_000 - value) / 100_000:f}" if value else ""
        return value

    def clean(self, value: Any) -> int:
        typed = super().clean(value)
        return 0 if typed is None else 1_000_000 - int(typed * 100_000)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.to_python(self.prepare_value(initial)), data)


class TypeForm(forms.ModelForm):
    """A coupon type. Once some were issued, what they promise stays."""

    channel_codes = forms.MultipleChoiceField(
        label=_("可用渠道"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("都不选，就是哪里都能用。"),
    )
    category_codes = forms.MultipleChoiceField(
        label=_("可用品类"),
        required=False,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text=_("不选，就是什么商品都能用。选了，满多少元只看这些商品。"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, model in (("channel_codes", Channel), ("category_codes", Category)):
            field: Any = self.fields.get(name)
            if field is not None:
                field.choices = [(one.code, f"{one.name} {one.code}") for one in model.objects.order_by("code")]

    def clean(self) -> dict[str, Any] | None:
        """Only what its kind gives is kept: who changes the kind need not empty the other fields."""
        cleaned = super().clean()
        if cleaned and "kind" in cleaned:
            kind = cleaned["kind"]
            cleaned["floor_fen"] = cleaned.get("floor_fen") or 0
            cleaned["off_fen"] = (cleaned.get("off_fen") or 0) if kind == CouponType.Kind.AMOUNT else 0
            cleaned["off_ppm"] = (cleaned.get("off_ppm") or 0) if kind == CouponType.Kind.PERCENT else 0
            cleaned["gift"] = cleaned.get("gift", "") if kind == CouponType.Kind.GIFT else ""
        return cleaned


class QuotaForm(forms.ModelForm):
    """A quota of one clerk, for a store of the brand the coupons are of."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        type = self.instance.type if self.instance.pk else cleaned.get("type")
        if cleaned.get("store") and type and cleaned["store"].brand_id != type.brand_id:
            raise forms.ValidationError(_("这家门店不是这个品牌的。"))
        return cleaned


class SegmentForm(forms.Form):
    """Which segment; then, on the second page, that it is meant: with the number that was shown."""

    segment = forms.ModelChoiceField(Segment.objects.none(), label=_("人群"), widget=UnfoldAdminSelectWidget)
    shown = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, type: CouponType, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["segment"]
        field.queryset = Segment.objects.filter(brand=type.brand_id, ended_at=None).order_by("name")


class CodesForm(forms.Form):
    lines = forms.CharField(label=_("券码，一行一个"), required=False, max_length=2_000_000)
    file = forms.FileField(
        label=_("或者选一个文本文件（一行一个）"), required=False, widget=UnfoldAdminFileFieldWidget
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        text, file = cleaned.get("lines") or "", cleaned.get("file")
        if file is not None:
            if file.size > 4_000_000:
                raise forms.ValidationError(_("文件太大，请分几次导入。"))
            try:
                text += "\n" + file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise forms.ValidationError(_("文件要是 UTF-8 文本。")) from None
        codes = [line.strip() for line in text.splitlines() if line.strip()]
        if not codes:
            raise forms.ValidationError(_("没有券码。"))
        if len(codes) > MOST_CODES:
            raise forms.ValidationError(_("一次最多 %(most)s 个券码。") % {"most": f"{MOST_CODES:,}"})
        return cleaned | {"codes": codes}


class MakeCodesForm(BaseDialogForm):
    count = forms.IntegerField(
        label=_("做几个券码"),
        min_value=1,
        max_value=issuing.MOST_CODES,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
    )


class QuotasForm(BaseDialogForm):
    limit = forms.IntegerField(
        label=_("每位导购几张"), min_value=0, max_value=100_000, widget=UnfoldAdminTextInputWidget
    )
    group = forms.ModelChoiceField(
        StoreGroup.objects.none(), label=_("哪些门店"), required=False, empty_label=_("这个品牌的全部门店"),
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["group"].queryset = StoreGroup.objects.order_by("code")


class VoidForm(BaseDialogForm):
    reason = forms.CharField(
        label=_("为什么作废"), min_length=2, max_length=200, widget=UnfoldAdminTextInputWidget(),
        help_text=_("例如：发错了。不要写姓名和号码。"),
    )  # fmt: skip
