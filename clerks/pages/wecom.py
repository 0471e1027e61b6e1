"""Which application of WeCom a page of the phone speaks through."""

from django.http import HttpRequest

from retail import sso
from retail.wecom.models import App, apps_of


def app_of(request: HttpRequest) -> App | None:
    """One of the corp of this store's brand: the one in the address (`app`), the one signed in through, or the first.

    The client checks an application against the one whose sidebar it has opened, so the address goes first.
    """
    corp = request.post.store.brand.corp
    found = {app.slug: app for app in apps_of(corp=corp)} if corp else {}
    asked = (request.GET.get("app", ""), request.session.get(sso.APP, ""))
    return next((found[slug] for slug in asked if slug in found), next(iter(found.values()), None))
