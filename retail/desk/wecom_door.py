"""Signing in to the admin through WeCom, in place of the password. The second factor is asked for all the same."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from unfold.forms import AuthenticationForm

from retail import gate, sso
from retail.wecom.models import App


class SignInForm(AuthenticationForm):
    """The form of name and password; the page shows the other ways in below it."""

    @property
    def wecom_apps(self) -> list[App]:
        return sso.apps()


@require_safe
@never_cache
def go(request: HttpRequest) -> HttpResponse:
    """To WeCom, through the application `app`, or the first; `next` is where to go on."""
    apps = {app.slug: app for app in sso.apps()}
    app = apps.get(request.GET.get("app", ""), next(iter(apps.values()), None))
    if app is None:
        return _refusal(request, sso.Refused("no_app"))
    wanted = sso.local_path(request.GET.get("next", ""), below=reverse("admin:index"))
    back_here = request.build_absolute_uri(reverse("entrance:wecom_back"))
    return redirect(sso.begin(request=request, app=app, back=back_here, wanted=wanted, now=timezone.now()))


@require_safe
@never_cache
def back(request: HttpRequest) -> HttpResponse:
    """Here WeCom sends the browser with `code` and `state`: signed in, and now for the second factor."""
    try:
        arrival = sso.finish(request=request, now=timezone.now())
        if arrival.staff.user is None or not arrival.staff.user.is_staff:
            raise sso.Refused("not_staff")
    except sso.Refused as refused:
        return _refusal(request, refused)
    gate.enter(request=request, post=arrival.posts[0], way="wecom", now=timezone.now())
    request.session[sso.APP] = arrival.app.slug
    return redirect(arrival.wanted)


def _refusal(request: HttpRequest, refused: sso.Refused) -> HttpResponse:
    status, title, text = sso.REFUSALS[refused.reason]
    context = {"title": title, "is_popup": True, "problem": text, "userid": refused.userid}
    return render(request, "admin/entrance/refused.html", gate.framed(request, context), status=status)
