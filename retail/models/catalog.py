"""What is sold: categories and products with their tag price."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from retail.models.org import Brand
from retail.scope import ANY, Paths, Scoped


class Category(Scoped):
    code = models.CharField(_("编码"), max_length=64, unique=True)
    name = models.CharField(_("名称"), max_length=64)

    scope_paths = Paths(brand=ANY, store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("品类")
        verbose_name_plural = _("品类")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Product(Scoped):
    """One SKU. `tag_fen` is the price on the tag (吊牌价) of one piece; null when the feed never said."""

    sku = models.CharField(_("SKU"), max_length=64, unique=True)
    name = models.CharField(_("名称"), max_length=128)
    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="products")
    category = models.ForeignKey(Category, verbose_name=_("品类"), on_delete=models.PROTECT, related_name="products")
    tag_fen = models.BigIntegerField(_("吊牌价（分）"), null=True, blank=True)
    is_sold = models.BooleanField(_("在售"), default=True)

    scope_paths = Paths(brand="brand", store=ANY, staff=ANY)

    class Meta:
        verbose_name = _("商品")
        verbose_name_plural = _("商品")
        ordering = ["sku"]
        constraints = [
            models.CheckConstraint(
                name="product_tag_not_negative",
                condition=models.Q(tag_fen__gte=0),
                violation_error_message=_("吊牌价不能为负。"),
            )
        ]

    def __str__(self) -> str:
        return self.name
