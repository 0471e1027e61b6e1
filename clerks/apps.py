from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ClerksConfig(AppConfig):
    name = "clerks"
    verbose_name = _("导购")

    def ready(self) -> None:
        from clerks import book
        from commissions import values
        from members import profiles
        from members.models import Tier

        values.offer("tier", Tier)
        profiles.FOLLOWERS.append(book.refresh)
