"""WSGI entry point for production servers."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "retail.settings")

pages = get_wsgi_application()

from retail.wecom.lane import with_lane  # noqa: E402  Django is set up now

application = with_lane(pages)
