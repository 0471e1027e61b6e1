"""Guessing at the door: too many failures in a quarter of an hour close it, seen from three sides.

django-axes closes it for one name from one address. Here also one address that tries many names, and one name that is
tried from many addresses. Whoever has signed in before with a browser is known by it: from there only the first limit
counts, so that nobody can lock the staff out by failing in their names, or from the network of their office.
"""

from datetime import datetime
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse

from retail import audit, gate
from retail.models import User

KNOWN = "known"  # the cookie: the numbers of those who have signed in with this browser, signed
MOST_KNOWN = 5
SECONDS_KNOWN = 180 * 24 * 3600


class Handler(AxesDatabaseHandler):
    """What django-axes asks whether the door is closed, and tells of failures."""

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        return super().is_locked(request, credentials) or _is_spraying(request, credentials)

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        was_locked = getattr(request, "axes_locked_out", False)
        super().user_login_failed(sender, credentials, request, **kwargs)
        if request is not None and not was_locked:
            _note_failure(request, credentials)


def _is_spraying(request: Any, credentials: dict[str, Any] | None) -> bool:
    """Whether this address fails with many names, or this name from many addresses; a known browser is let try on."""
    name, now = gate.attempted_name(request, credentials), request.axes_attempt_time
    by_address = _failures(now, ip_address=request.axes_ip_address) >= settings.SIGN_IN_FAILURES_OF_ADDRESS
    by_name = bool(name) and _failures(now, username=name) >= settings.SIGN_IN_FAILURES_OF_NAME
    return (by_address or by_name) and not _is_known(request, name)


def _failures(now: datetime, **where: Any) -> int:
    rows = AccessAttempt.objects.filter(attempt_time__gte=now - settings.AXES_COOLOFF_TIME, **where)
    return rows.aggregate(sum=Sum("failures_since_start"))["sum"] or 0


def _note_failure(request: Any, credentials: dict[str, Any]) -> None:
    """Under which account somebody failed, if there is one: what else is typed for a name may be a password."""
    user = User.objects.filter(username=gate.attempted_name(request, credentials)).first()
    after = {"address": gate.masked_address(request.axes_ip_address)}
    if getattr(request, "axes_locked_out", False):
        after["locked"] = "True"
    audit.record(by=None, action="sign_in.failed", target=user or User, now=request.axes_attempt_time, after=after)


# ── Known browsers ───────────────────────────────────────────────────────────────────────────────────────────────────
def know(*, answer: HttpResponse, request: HttpRequest, user: User) -> None:
    """Let this browser be known from now on as one the user has signed in with."""
    others = [pk for pk in _known(request) if pk != str(user.pk)]
    answer.set_signed_cookie(
        KNOWN,
        ",".join([str(user.pk), *others][:MOST_KNOWN]),
        salt=__name__,
        max_age=SECONDS_KNOWN,
        path="/admin/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _known(request: HttpRequest) -> list[str]:
    said = request.get_signed_cookie(KNOWN, default="", salt=__name__, max_age=SECONDS_KNOWN)
    return said.split(",") if said else []


def _is_known(request: HttpRequest, name: str) -> bool:
    return User.objects.filter(username=name, pk__in=_known(request)).exists()
