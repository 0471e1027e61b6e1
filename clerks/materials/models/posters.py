"""海报: templates that headquarters draw, and pictures made of them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from retail.models import Brand
from retail.scope import ANY, Paths, Scoped


class PosterTemplate(Scoped):
    """海报模板: a background and the areas on it, in pixels of the background.

    `areas`: [{"kind": picture | title | body | text | price | clerk | store | code, "x", "y", "w", "h", and for words
    "size", "color", "align", "bold", and for a text "text"}], checked by `clerks.materials.areas`. A change is told by
    `number`: pictures made before are not shown any more.
    """

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("名称"), max_length=64)
    background = models.BinaryField(_("底图"), editable=False)  # JPEG, drawn anew from what was uploaded
    width = models.PositiveIntegerField(_("宽"), editable=False)
    height = models.PositiveIntegerField(_("高"), editable=False)
    areas = models.JSONField(_("区域"), default=list)
    number = models.PositiveIntegerField(_("版本"), default=1, editable=False)
    is_active = models.BooleanField(_("启用"), default=True)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("海报模板")
        verbose_name_plural = _("海报模板")

    def __str__(self) -> str:
        return self.name


class PosterPicture(models.Model):
    """A poster as it was drawn, by a hash of all that went into it; the same again is not drawn twice."""

    key = models.CharField(_("键"), max_length=64, primary_key=True)
    data = models.BinaryField(_("图片"))
    made_at = models.DateTimeField(_("创建"))

    class Meta:
        verbose_name = _("海报图片")
        verbose_name_plural = _("海报图片")
        indexes = [models.Index(fields=["made_at"], name="poster_picture_age")]

    def __str__(self) -> str:
        return self.key
