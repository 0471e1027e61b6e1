"""All addresses of the product."""

from django.contrib import admin
from django.urls import include, path

from retail import health
from retail.desk import material_results, portraits, relations
from retail.desk import site as _desk  # noqa: F401  registers its pages before the admin lists its addresses
from retail.wecom import webhook

urlpatterns = [
    path("api/", include("retail.api.urls")),
    path("m/", include("clerks.pages.urls")),
    path("s/", include("clerks.pages.shared_urls")),
    path("wecom/<slug:slug>/callback", webhook.callback, name="wecom_callback_bare"),  # typed without the slash
    path("wecom/<slug:slug>/callback/", webhook.callback, name="wecom_callback"),
    path("admin/", include("retail.desk.entrance_urls")),  # before the admin's own, which answer everything below
    path("admin/members/member/<int:member_id>/portrait/", portraits.portrait, name="portrait"),
    path("admin/materials/results/", material_results.material_results, name="material_results"),
    path("admin/relations/", relations.relations, name="relations"),
    path("admin/", admin.site.urls),
    path("healthz/live", health.live, name="live"),
    path("healthz/ready", health.ready, name="ready"),
    path("metrics", health.metrics, name="metrics"),
    path("", include("retail.desk.urls")),
]

handler400 = "retail.hardening.bad_request"
handler404 = "retail.hardening.not_found"
handler500 = "retail.hardening.server_error"
