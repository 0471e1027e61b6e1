from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class RetailConfig(AppConfig):
    name = "retail"
    verbose_name = _("门店与订单")

    def ready(self) -> None:
        # The framework's own hooks, not business flow: the schedule's rows exist as soon as its table does.
        post_migrate.connect(_register_periodic_work, sender=self)
        connection_created.connect(_prepare_connection)
        if not (settings.DEMO or settings.TESTING):
            from retail import privacy

            privacy.require_keys()  # better no start than values that nobody can read again
        post_migrate.connect(_grant_rights, sender=apps.get_app_config("leads"))


def _prepare_connection(**signal: Any) -> None:
    from retail import database

    database.prepare(**signal)


def _register_periodic_work(**_options: object) -> None:
    from retail import periodic

    periodic.register(with_demo=settings.DEMO)


def _grant_rights(**options: object) -> None:
    """After the last app's tables, whichever that is; `flush` sends the same signal without a plan."""
    from retail import rights

    if "plan" in options:
        rights.grant()
