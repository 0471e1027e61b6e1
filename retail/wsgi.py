"""WSGI entry point for production servers. Refuses to serve under a login that may do more than requests need."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "retail.settings")

pages = get_wsgi_application()

from clerks.pages.lane import with_links  # noqa: E402  Django is set up now
from retail import database, logins  # noqa: E402
from retail.wecom.lane import with_lane  # noqa: E402

database.require(logins.WEB)

application = with_links(with_lane(pages))
