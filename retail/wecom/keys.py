"""The applications and their secrets: added, rotated with two pairs valid for a while, never shown."""

import secrets
import time
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F

from retail import audit, privacy
from retail.wecom import crypto
from retail.wecom.models import App, Credential

OVERLAP = timedelta(hours=24)  # for how long the pair before still holds


class BadKey(ValueError):
    """This cannot be a secret of WeCom's; the words do not hold it."""


class InUse(NamedTuple):
    """An application with its keys opened."""

    app: App
    opened: list[tuple[str, str]]

    def pairs(self, *, now: datetime) -> list[tuple[str, str]]:
        """The (token, aes_key) that hold now, newest first."""
        until = self.app.previous_until
        return self.opened if until is not None and now < until else self.opened[:1]


_FRESH = 1.0  # seconds: that much later than another process callbacks see a change
_in_use: dict[str, tuple[float, InUse]] = {}


def in_use(*, slug: str, now: datetime) -> InUse | None:
    """The application that is called at this address, from the memory of this process for a second."""
    until, known = _in_use.get(slug, (0.0, None))
    if known is None or time.monotonic() >= until:
        app = App.objects.active().filter(slug=slug).first()
        if app is None:
            _in_use.pop(slug, None)
            return None
        known = InUse(app, app.keys(now=now))
        _in_use[slug] = time.monotonic() + _FRESH, known
    return known


@transaction.atomic
def add(
    *,
    slug: str,
    corp_id: str,
    agent_id: int,
    secret: str,
    token: str,
    aes_key: str,
    by: Any,
    now: datetime,
    name: str = "",
) -> App:
    """A new application. Raises BadKey; IntegrityError where the slug, or the corp's agent, is there already."""
    _require(token=token, aes_key=aes_key)
    app = App(slug=slug, name=name or slug, corp_id=corp_id, agent_id=agent_id)
    _seal(app, secret=secret, token=token, aes_key=aes_key)
    app.save(force_insert=True)
    _in_use.pop(slug, None)
    audit.record(by=by, action="wecom_app.add", target=app, now=now, after={"corp_id": corp_id, "agent_id": agent_id})
    return app


@transaction.atomic
def rotate(
    *,
    app: App,
    by: Any,
    now: datetime,
    token: str = "",
    aes_key: str = "",
    secret: str = "",
    overlap: timedelta = OVERLAP,
) -> App:
    """Give an application new secrets. Callbacks signed the way before are taken until `overlap` is over.

    A new `secret` ends the tokens got with the one before. Raises BadKey.
    """
    app = App.objects.select_for_update().get(pk=app.pk)
    changed = [name for name, given in (("token", token), ("aes_key", aes_key), ("secret", secret)) if given]
    if token or aes_key:
        _require(token=token or app.token, aes_key=aes_key or app.aes_key)
        _seal(app, previous_token=app.token, previous_aes_key=app.aes_key)
        app.previous_until = now + overlap
        _seal(app, token=token or app.token, aes_key=aes_key or app.aes_key)
    if secret:
        _seal(app, secret=secret)
        Credential.objects.filter(app=app).update(value=None, expires_at=F("refreshed_at"))
    app.save()
    _in_use.pop(app.slug, None)
    audit.record(by=by, action="wecom_app.rotate", target=app, now=now, after={"changed": changed})
    return app


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def new_aes_key() -> str:
    """43 letters and digits, as WeCom makes them."""
    return "".join(secrets.choice(_LETTERS) for _place in range(43))


def new_token() -> str:
    return secrets.token_hex(16)


def _require(*, token: str, aes_key: str) -> None:
    if not (token.isascii() and token.isalnum() and len(token) <= 32):
        raise BadKey("A Token is up to 32 letters and digits.")
    try:
        crypto.require_aes_key(aes_key)
    except ValueError as error:
        raise BadKey(str(error)) from None


def _seal(app: App, **texts: str) -> None:
    """Put the texts into their fields, each sealed for its own: a value moved to another field does not open there."""
    for name, text in texts.items():
        setattr(app, f"sealed_{name}", privacy.sealed_in(app, f"sealed_{name}", text.encode()))
