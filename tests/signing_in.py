"""Signing in for tests: past the password and, where the admin asks for it, past the second factor."""

import time

from django.contrib.auth import SESSION_KEY
from django.test import Client
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.plugins.otp_totp.models import TOTPDevice

from retail import gate
from retail.models import Post, User


def signed_in(user: User, *, post: Post | None = None, is_confirmed: bool = True) -> Client:
    """A browser in which this user is signed in, just now and with both factors unless told otherwise."""
    client = Client()
    client.force_login(user)
    keep(client, **{gate.SEEN_AT: int(time.time())})
    if is_confirmed and user.is_staff:
        confirm(client)
    if post is not None:
        keep(client, **{gate.SESSION_KEY: post.pk})
    return client


def confirm(client: Client) -> TOTPDevice:
    """Let an authenticator of the signed-in user have confirmed this browser just now."""
    user_id = client.session[SESSION_KEY]
    device, _ = TOTPDevice.objects.get_or_create(user_id=user_id, confirmed=True, defaults={"name": "test"})
    now = int(time.time())
    keep(client, **{DEVICE_ID_SESSION_KEY: device.persistent_id, gate.PROVED_AT: now, gate.DESK_SEEN_AT: now})
    return device


def keep(client: Client, **values: object) -> None:
    """Write into the session of a browser."""
    session = client.session
    session.update(values)
    session.save()
