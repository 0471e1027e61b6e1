"""The editor of a material: what it is and who may send it, and, while it may be written on, what it says."""

from collections.abc import Iterable
from typing import Any, NamedTuple

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

from clerks.admin.material_fields import FilesField, LabelsField
from clerks.materials import documents, files, pictures, uploads, writing
from clerks.materials.models import Material, MaterialFile, MaterialVersion, PosterTemplate
from retail.models import Brand, Product, Staff
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
    Kind.POSTER: ("title", "text", "price_fen", "files"),
}
ACCEPT = {Kind.VIDEO: ".mp4,video/mp4", Kind.FILE: ".pdf,.docx,.xlsx,.pptx"}
PICTURES = ".jpg,.jpeg,.png,.webp,image/jpeg,image/png,image/webp"


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
        for name in ("category", "template"):  # of several brands they are called alike
            if name in self.fields and not self.instance.pk and Brand.objects.count() > 1:
                self.fields[name].label_from_instance = lambda row: f"{row.brand} · {row}"  # type: ignore[attr-defined]
            elif name in self.fields and self.instance.pk:
                rows: Any = self.fields[name]
                rows.queryset = rows.queryset.filter(brand=self.instance.brand_id)
        self.looked: list[files.Looked] = []
        self.unfit: list[str] = []

    def kept(self) -> list[int]:
        """The files that stay, in the order the person gave them."""
        if self.draft is None or (self.looked and self._takes_one()):
            return []
        asked = []
        for row in self.draft.files.order_by("place"):
            if f"drop_{row.pk}" not in self.data:
                said = self.data.get(f"place_{row.pk}", "")
                is_number = said.isascii() and said.isdecimal() and len(said) < 4
                asked.append((int(said) if is_number else row.place + 1, row.place, row.pk))
        return [pk for _place, _was, pk in sorted(asked)]

    def _takes_one(self) -> bool:
        return files.MOST[Kind(self.kind)] == 1

    def clean_files(self) -> list[Any]:
        """Of several those that can be used are kept, and the page names the others (`unfit`)."""
        given = self.cleaned_data["files"]
        there = 0 if self._takes_one() else len(self.kept())  # another one takes the place of the only one
        if fault := files.too_many(kind=self.kind, count=there + len(given)) if given else "":
            raise ValidationError(fault)
        for one in given:
            try:
                self.looked.append(_looked(self.kind, one))
            except files.Unfit as unfit:
                name = documents.display_name(one.name)
                self.unfit.append(_("%(name)s：%(why)s") % {"name": name, "why": unfit})
        if self.unfit and not self.looked:
            raise ValidationError(self.unfit)
        return given

    def clean_grades(self) -> list[str]:
        """One that nobody has would hide the material from everybody."""
        given = self.cleaned_data["grades"]
        known = set(Staff.objects.exclude(grade="").values_list("grade", flat=True).distinct()) if given else set()
        if strange := [one for one in given if one not in known]:
            said = {"strange": _("、").join(strange), "known": _("、").join(sorted(known)[:20]) or "–"}
            raise ValidationError(_("没有员工是这个职级：%(strange)s。现在有：%(known)s。") % said)
        return given

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        self._of_one_brand(given)
        if self.errors and self.looked:
            self.add_error("files", _("选好的文件浏览器不会留着：把别的地方改好，再选一次。"))
        return given

    def _of_one_brand(self, given: dict[str, Any]) -> None:
        """A clerk of one brand sends no poster, product or shelf of another."""
        brand = given.get("brand") or (self.instance.brand if self.instance.brand_id else None)
        if brand is None:
            return
        for name in ("category", "template", "products", "stores"):
            said = given.get(name)
            rows = [said] if name in ("category", "template") else (said or ())
            if strange := [str(row) for row in rows if row is not None and row.brand_id != brand.pk]:
                words = _("%(names)s 不是 %(brand)s 的。")
                self.add_error(name, words % {"names": _("、").join(strange[:5]), "brand": brand})

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
    if kind == Kind.POSTER:
        return _("画在海报上的图。不传，就用同一个商品别的素材的第一张图。")
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


def put_forward(rows: Iterable[Material], *, by: Any) -> tuple[int, list[str]]:
    """How many drafts wait for somebody now, and why others do not."""
    sent, refused = 0, []
    for row in rows:
        try:
            if version := writing.newest(row):
                writing.submit(version=version, by=by, now=timezone.now())
                sent += 1
        except writing.Refused as refusal:
            refused.append(_("%(name)s：%(why)s") % {"name": row.name, "why": refusal})
    return sent, refused


class Typed(NamedTuple):
    """The version as the form stands, with the files it has and its product; what is wrong is left out."""

    version: MaterialVersion
    files: list[MaterialFile]
    product: Product | None


def typed(request: HttpRequest) -> Typed:
    material = _one(Material.objects.select_related("brand"), request.GET.get("material", ""))
    draft = writing.newest(material) if material else None
    if material is None:
        brand = _one(Brand.objects, request.POST.get("brand", ""))
        material = Material(brand=brand, kind=kind_asked(request), name=request.POST.get("name", "")[:64])
    if "template" in request.POST:
        material.template = _one(PosterTemplate.objects, request.POST["template"])
    version = MaterialVersion(material=material)
    for name in ("title", "text", "url"):
        setattr(version, name, request.POST.get(name, "")[:4000])
    for name in ("price_fen", "live_at"):
        setattr(version, name, _read(name, request))
    kept = list(draft.files.select_related("media").order_by("place")) if draft else []
    return Typed(version, kept, _one(Product.objects, request.POST.get("products", "")))


def _one(rows: Any, number: str) -> Any:
    is_number = number.isascii() and number.isdecimal() and len(number) < 19
    return rows.filter(pk=number).first() if is_number else None


def _read(name: str, request: HttpRequest) -> Any:
    field = MaterialForm.base_fields[name]
    try:
        return field.clean(field.widget.value_from_datadict(request.POST, request.FILES, name))
    except ValidationError:
        return None
