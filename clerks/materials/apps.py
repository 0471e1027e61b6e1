from django.apps import AppConfig
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class MaterialsConfig(AppConfig):
    name = "clerks.materials"
    label = "materials"
    verbose_name = _("内容素材")

    def ready(self) -> None:
        from clerks.materials.models import Material
        from commissions import values

        values.offer("material", Material, column="pk", among=Q(owner=None))  # without what clerks keep for themselves
