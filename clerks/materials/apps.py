from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MaterialsConfig(AppConfig):
    name = "clerks.materials"
    label = "materials"
    verbose_name = _("内容素材")

    def ready(self) -> None:
        from clerks.materials import library
        from commissions import action_words
        from commissions.models import ActionType

        action_words.NAMED[ActionType.OPENED] = library.name_of
