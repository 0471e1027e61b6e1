"""The editor of a material: what it is and who may send it, and, while it may be written on, what it says."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
)

from clerks.materials import documents, files, pictures, uploads, writing
from clerks.materials.models import Material, MaterialFile, MaterialVersion
from retail.models import Brand
from retail.scoped_admin import YuanField

Kind = Material.Kind
# What each kind says; the fields of its editor, in order.
CONTENT: dict[str, tuple[str, ...]] = {
    Kind.TEXT: ("text",),
    Kind.PICTURES: ("files", "text"),
    Kind.LINK: ("title", "text", "url", "files"),
    Kind.VIDEO: ("files", "text"),
    Kind.FILE: ("files", "text"),
    Kind.MINIPROGRAM: ("title", "appid", "page", "files", "text"),
    Kind.PRODUCT: ("title", "text", "price_fen", "url", "files"),
    Kind.LIVE: ("title", "text", "live_at", "url", "files"),
    Kind.POSTER: ("price_fen", "text"),
}
ACCEPT = {Kind.VIDEO: ".mp4,video/mp4", Kind.FILE: ".pdf,.docx,.xlsx,.pptx"}
PICTURES = ".jpg,.jpeg,.png,.webp,image/jpeg,image/png,image/webp"
_BETWEEN = re.compile(r"[,;\s\uff0c\u3001\uff1b]+")  # of any keyboard


class SeveralFiles(forms.ClearableFileInput):
    allow_multiple_selected = True
    template_name = "django/forms/widgets/file.html"


class FilesField(forms.FileField):
    """Any number of files at once; the value is a list of them."""

    widget = SeveralFiles

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = data if isinstance(data, list | tuple) else [data]
        return [super(FilesField, self).clean(one, None) for one in given if one]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data)


class LabelsField(forms.CharField):
    """Several short words in one line, with commas of any keyboard between them."""

    def __init__(self, *, most: int = 20, **options: Any) -> None:
        super().__init__(**{"required": False, "widget": UnfoldAdminTextInputWidget, "max_length": 400, **options})
        self.most = most

    def prepare_value(self, value: Any) -> Any:
        return str(_("、")).join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> list[str]:  # type: ignore[override]
        found = list(dict.fromkeys(filter(None, _BETWEEN.split(super().clean(value) or ""))))
        if any(len(one) > self.most for one in found):
            raise ValidationError(_("每个词最多 %(count)s 个字。") % {"count": self.most})
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != list(filter(None, _BETWEEN.split(data or "")))


class MaterialForm(ModelForm):
    """Besides the material's own fields those of its open version. Files are looked at here, before any is kept."""

    labels = LabelsField(label=gettext_lazy("标签"), help_text=gettext_lazy("几个词，用逗号隔开。"))
    grades = LabelsField(
        label=gettext_lazy("只给这些职级"), most=16, help_text=gettext_lazy("和员工资料里的职级一样写，用逗号隔开。")
    )
    title = forms.CharField(
        label=gettext_lazy("标题"), required=False, max_length=64, widget=UnfoldAdminTextInputWidget
    )
    text = forms.CharField(
        label=gettext_lazy("文字"),
        required=False,
        max_length=4000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5}),
        help_text=gettext_lazy("可以写 {customer}、{clerk}、{store}、{product}、{coupon}，发的时候换成真的名字。"),
    )
    url = forms.URLField(
        label=gettext_lazy("网址"),
        required=False,
        max_length=500,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text=gettext_lazy("要以 https:// 开头，用公开的域名。"),
    )
    appid = forms.CharField(
        label=gettext_lazy("小程序 AppID"), required=False, max_length=32, widget=UnfoldAdminTextInputWidget
    )
    page = forms.CharField(
        label=gettext_lazy("小程序页面"), required=False, max_length=255, widget=UnfoldAdminTextInputWidget
    )
    price_fen = YuanField(
        label=gettext_lazy("价格（元）"), required=False, min_value=0, help_text=gettext_lazy("不填就不写价格。")
    )
    live_at = forms.SplitDateTimeField(
        label=gettext_lazy("开播时间"), required=False, widget=UnfoldAdminSplitDateTimeWidget
    )
    live_from = forms.SplitDateTimeField(
        label=gettext_lazy("定时上线"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=gettext_lazy("不填，审核通过就上线。到点以前，导购发的还是上一版。"),
    )
    files = FilesField(label=gettext_lazy("上传文件"), required=False, max_length=255)

    draft: MaterialVersion | None = None  # set by the page
    kind = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in writing.CONTENT:
            if name in self.fields and self.draft is not None:
                self.initial[name] = getattr(self.draft, name)
        if "files" in self.fields:
            self.fields["files"].help_text = _help(self.kind)
            self.fields["files"].widget.attrs |= {
                "multiple": files.MOST[Kind(self.kind)] > 1,
                "accept": ACCEPT.get(Kind(self.kind), PICTURES),
                "class": "desk-input",
            }
        self.looked: list[files.Looked] = []

    def kept(self) -> list[int]:
        """The files that stay, in the order the person gave them."""
        if self.draft is None:
            return []
        asked = []
        for row in self.draft.files.order_by("place"):
            if f"drop_{row.pk}" not in self.data:
                said = self.data.get(f"place_{row.pk}", "")
                is_number = said.isascii() and said.isdecimal() and len(said) < 4
                asked.append((int(said) if is_number else row.place + 1, row.place, row.pk))
        return [pk for _place, _was, pk in sorted(asked)]

    def clean_files(self) -> list[Any]:
        given = self.cleaned_data["files"]
        if fault := files.too_many(kind=self.kind, count=len(self.kept()) + len(given)) if given else "":
            raise ValidationError(fault)
        faults = []
        for one in given:
            try:
                self.looked.append(_looked(self.kind, one))
            except files.Unfit as unfit:
                name = documents.display_name(one.name)
                faults.append(_("%(name)s：%(why)s") % {"name": name, "why": unfit})
        if faults:
            raise ValidationError(faults)
        return given

    def content(self) -> dict[str, Any]:
        """What the version says now, of the fields on the page."""
        given = self.cleaned_data
        return {name: given[name] for name in writing.CONTENT if name in given}


def _looked(kind: str, given: Any) -> files.Looked:
    if given.size > uploads.MOST_EACH:
        raise files.Unfit(_("文件太大：一个最多 %(size)s MB。") % {"size": uploads.MOST_EACH // 1024 // 1024})
    return files.look(kind=kind, name=given.name, data=given.read())


def _help(kind: str) -> str:
    if kind == Kind.VIDEO:
        return _("一个 MP4，%(size)s MB 以内。") % {"size": documents.MOST_VIDEO // 1024 // 1024}
    if kind == Kind.FILE:
        size = documents.MOST_DOCUMENT // 1024 // 1024
        return _("一个 PDF、Word、Excel 或 PPT 文件，%(size)s MB 以内。") % {"size": size}
    said = {"size": pictures.MOST_BYTES // 1024 // 1024, "count": files.MOST[Kind(kind)]}
    if said["count"] == 1:
        return _("一张封面图：JPG、PNG 或 WebP，%(size)s MB 以内。") % said
    return _("JPG、PNG 或 WebP，每张 %(size)s MB 以内，可以一次选好几张，最多 %(count)s 张。") % said


def kind_asked(request: HttpRequest) -> str:
    """The kind of a new material, by the form or the address; "" where none of ours is named."""
    said = request.POST.get("kind") or request.GET.get("kind") or ""
    return said if said in Kind.values else ""


@transaction.atomic
def write(form: Any, *, by: Any) -> None:
    """Keep what the editor says of the version. Raises writing.Refused."""
    now = timezone.now()
    if form.draft is None:
        draft = writing.begin(material=form.instance, by=by, now=now, content=form.content())
    else:
        draft = writing.change(version=form.draft, by=by, now=now, content=form.content())
        if "files" in form.cleaned_data:
            writing.keep_files(version=draft, ids=form.kept(), by=by, now=now)
    for file in form.looked:
        writing.add_file(version=draft, file=file, by=by, now=now)


def typed(request: HttpRequest) -> tuple[MaterialVersion, list[MaterialFile]]:
    """The version as the form stands, with the files it has; of a field that is wrong what was typed is left out."""
    number = request.GET.get("material", "")
    is_number = number.isascii() and number.isdecimal() and len(number) < 19
    material = Material.objects.select_related("brand").filter(pk=number).first() if is_number else None
    draft = writing.newest(material) if material else None
    if material is None:
        brand = request.POST.get("brand", "")
        found = (
            Brand.objects.filter(pk=brand).first()
            if brand.isascii() and brand.isdecimal() and len(brand) < 19
            else None
        )
        material = Material(brand=found, kind=kind_asked(request), name=request.POST.get("name", "")[:64])
    version = MaterialVersion(material=material)
    for name in ("title", "text", "url"):
        setattr(version, name, request.POST.get(name, "")[:4000])
    for name in ("price_fen", "live_at"):
        setattr(version, name, _read(name, request))
    return version, list(draft.files.select_related("media").order_by("place")) if draft else []


def _read(name: str, request: HttpRequest) -> Any:
    field = MaterialForm.base_fields[name]
    try:
        return field.clean(field.widget.value_from_datadict(request.POST, request.FILES, name))
    except ValidationError:
        return None
