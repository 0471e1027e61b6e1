"""The site of the admin: its theme's, spared what no page of ours shows."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import sites
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from unfold.apps import BasicAppConfig
from unfold.sites import UnfoldAdminSite


class Site(UnfoldAdminSite):
    """Beside every page stands our own menu. The list of all tables was a third of a page's work and is seen nowhere
    but in the page that lists them, so it is made when somebody looks at it.
    """

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        return SimpleLazyObject(lambda: super(Site, self).get_app_list(request, app_label))


class ThemeConfig(BasicAppConfig):
    """In the place of the theme's own, which would set its site."""

    def ready(self) -> None:
        admin.site = sites.site = Site()
