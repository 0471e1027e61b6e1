"""What one writes first: a Django view that looks the code up, inserts a row and redirects. The same settings."""

import os
from uuid import uuid4

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "retail.settings")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from django.http import HttpRequest, HttpResponse  # noqa: E402  Django is set up now
from django.shortcuts import get_object_or_404, redirect  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402

from clerks.materials.models import Opening, Share  # noqa: E402
from retail import urls  # noqa: E402


def link(request: HttpRequest, code: str) -> HttpResponse:
    share = get_object_or_404(Share._base_manager, code=code)
    visitor = uuid4()
    Opening._base_manager.create(at=timezone.now(), share=share, visitor=visitor)
    response = redirect("shared:look", code=code)
    response.set_cookie("daogou_visitor", str(visitor), max_age=365 * 86_400, httponly=True, samesite="Lax")
    return response


urls.urlpatterns.insert(0, path("s/<str:code>", link))
