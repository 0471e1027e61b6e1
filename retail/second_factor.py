"""The second factor of people who use the admin: codes of an authenticator, and recovery codes for when it is lost."""

import hashlib
import secrets
from datetime import datetime
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.http import HttpRequest
from django_otp import oath, verify_token
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from retail import audit
from retail.models import User

RECOVERY_CODES = 10


def device_of(user: User) -> TOTPDevice | None:
    """The authenticator of a user. In the demo everybody has one, with a secret made of the name."""
    device = TOTPDevice.objects.filter(user=user, confirmed=True).first()
    if device is None and settings.DEMO:
        key = hashlib.sha1(f"daogou demo {user.username}".encode()).hexdigest()
        device, _ = TOTPDevice.objects.get_or_create(user=user, confirmed=True, defaults={"key": key, "name": "demo"})
    return device


def new_key() -> str:
    return secrets.token_hex(20)


def unsaved(*, user: User, key: str) -> TOTPDevice:
    """An authenticator that is being set up: for its address in a QR code."""
    return TOTPDevice(user=user, key=key, name="authenticator")


def shown_now(user: User, *, now: datetime) -> str:
    """The code that the authenticator of a demo account shows now. Outside the demo this is nobody's to know."""
    device = device_of(user) if settings.DEMO else None
    if device is None:
        return ""
    totp = oath.TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    totp.time = now.timestamp()
    return f"{totp.token():06d}"


@transaction.atomic
def enrol(*, user: User, key: str, code: str, by: User, now: datetime) -> tuple[TOTPDevice, list[str]] | None:
    """Take an authenticator into use that shows the right code; the older one and its recovery codes go.

    Returns the device and fresh recovery codes, or None when the code was wrong.
    """
    device = unsaved(user=user, key=key)
    device.save()
    if not device.verify_token(code):
        transaction.set_rollback(True)
        return None
    TOTPDevice.objects.filter(user=user).exclude(pk=device.pk).delete()
    audit.record(by=by, action="second_factor.enrol", target=user, now=now)
    return device, new_recovery_codes(user=user, by=by, now=now)


@transaction.atomic
def new_recovery_codes(*, user: User, by: User, now: datetime) -> list[str]:
    """Ten codes, each good once, in place of all earlier ones."""
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="recovery")
    codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    audit.record(by=by, action="second_factor.codes", target=user, now=now)
    return codes


def codes_left(user: User) -> int:
    return StaticToken.objects.filter(device__user=user).count()


@transaction.atomic
def reset(*, user: User, by: User | None, now: datetime) -> None:
    """Take the second factor of somebody away who lost it: the next sign-in sets up another."""
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    audit.record(by=by, action="second_factor.reset", target=user, now=now)


def check(*, request: HttpRequest, user: User, typed: str) -> Device | None:
    """The device of the user that the typed code belongs to. A wrong code counts as a failed sign-in."""
    if is_locked(request=request, user=user):
        return None
    code = "".join(typed.split()).lower()
    found = _matching(user, code)
    if found is None:
        failed(request=request, user=user)
    return found


def _matching(user: User, code: str) -> Device | None:
    # Each kind of code has its own shape, so a wrong one is counted by one device only.
    device: Any = device_of(user) if code.isdecimal() else StaticDevice.objects.filter(user=user).first()
    return verify_token(user, device.persistent_id, code) if device and code.isascii() else None


def failed(*, request: HttpRequest, user: User) -> None:
    """Tell the lock that somebody failed to prove they are this user."""
    user_login_failed.send(sender=__name__, credentials={"username": user.get_username()}, request=request)


def is_locked(*, request: HttpRequest, user: User) -> bool:
    """Whether too many failures have locked this user out from this address. Marks the request as such."""
    if AxesProxyHandler.is_allowed(request, {"username": user.get_username()}):
        return False
    request.axes_locked_out = True  # type: ignore[attr-defined]  # read by AxesMiddleware
    return True


def forget_failures(*, request: HttpRequest, user: User) -> None:
    """After both factors were right; after the password alone a thief of it could go on guessing codes."""
    AxesProxyHandler.update_request(request)
    AxesProxyHandler.reset_attempts(username=user.get_username(), ip_address=request.axes_ip_address)  # type: ignore[attr-defined]
