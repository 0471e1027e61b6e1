"""The applications and their secrets: added, corrected, switched off and on, rotated with the old ones valid for a
while, never shown.
"""

import secrets
import time
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import F

from retail import audit, privacy
from retail.wecom import crypto
from retail.wecom.models import App, Credential, FormerKey

OVERLAP = timedelta(hours=24)  # for how long the pair before still holds


class BadKey(ValueError):
    """This cannot be a secret of WeCom's; the words do not hold it."""


class BadAddress(ValueError):
    """This cannot be where a WeCom answers."""


CORRECTED = ("name", "corp_id", "agent_id", "base_url")


class Held(NamedTuple):
    """A token or key, opened, and until when it holds (None: it is the present one)."""

    value: str
    until: datetime | None = None


class InUse(NamedTuple):
    """An application with its keys opened, the present ones first."""

    app: App
    every_token: list[Held]
    every_aes_key: list[Held]

    def tokens(self, *, now: datetime) -> list[str]:
        return _holding(self.every_token, now)

    def aes_keys(self, *, now: datetime) -> list[str]:
        """Any of them may come with any of the tokens."""
        return _holding(self.every_aes_key, now)


def _holding(held: list[Held], now: datetime) -> list[str]:
    return [one.value for one in held if one.until is None or now < one.until]


def opened(*, app: App, now: datetime) -> InUse:
    """An application with what holds of its keys now, newest first."""
    former = list(FormerKey.objects.filter(app=app, until__gt=now).order_by("-pk"))
    tokens = [Held(one.value, one.until) for one in former if one.part == FormerKey.Part.TOKEN]
    aes_keys = [Held(one.value, one.until) for one in former if one.part == FormerKey.Part.AES_KEY]
    return InUse(app, [Held(app.token), *tokens], [Held(app.aes_key), *aes_keys])


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
        known = opened(app=app, now=now)
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
    base_url: str = "",
) -> App:
    """A new application. Raises BadKey; IntegrityError where the slug, or the corp's agent, is there already."""
    _require(token=token, aes_key=aes_key)
    app = App(slug=slug, name=name or slug, base_url=_address(base_url), corp_id=corp_id, agent_id=agent_id)
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
    """Give an application new secrets. A token or key it had before holds by itself until `overlap` is over.

    What was given up earlier keeps its own end. A new `secret` ends the tokens got with the one before. Raises BadKey.
    """
    app = App.objects.select_for_update().get(pk=app.pk)
    changed = [name for name, given in (("token", token), ("aes_key", aes_key), ("secret", secret)) if given]
    if token or aes_key:
        _require(token=token or app.token, aes_key=aes_key or app.aes_key)
    if token:
        _give_up(app, FormerKey.Part.TOKEN, app.token, now, overlap)
        _seal(app, token=token)
    if aes_key:
        _give_up(app, FormerKey.Part.AES_KEY, app.aes_key, now, overlap)
        _seal(app, aes_key=aes_key)
    if secret:
        _seal(app, secret=secret)
        _end_credentials(app)
    app.save()
    _in_use.pop(app.slug, None)
    audit.record(by=by, action="wecom_app.rotate", target=app, now=now, after={"changed": changed})
    return app


def _give_up(app: App, part: str, value: str, now: datetime, overlap: timedelta) -> None:
    """Keep what was in use for a while; what is over by now goes."""
    FormerKey.objects.filter(app=app, until__lte=now).delete()
    former = FormerKey(app=app, part=part, until=now + overlap)
    former.sealed = privacy.sealed_in(former, "sealed", value.encode())
    former.save(force_insert=True)


def _end_credentials(app: App) -> None:
    Credential.objects.filter(app=app).update(value=None, expires_at=F("refreshed_at"))


@transaction.atomic
def switch(*, app: App, is_active: bool, by: Any, now: datetime) -> App:
    """Off: callbacks find nobody here (other processes see it within a second) and nothing is asked of WeCom any
    more; what waits to be sent goes out once it is on again, unless its time is over by then.
    """
    app = App.objects.select_for_update().get(pk=app.pk)
    if app.is_active != is_active:
        app.is_active = is_active
        app.save(update_fields=["is_active"])
        _in_use.pop(app.slug, None)
        audit.record(by=by, action="wecom_app.on" if is_active else "wecom_app.off", target=app, now=now)
    return app


@transaction.atomic
def correct(*, app: App, by: Any, now: datetime, **changes: Any) -> App:
    """Other names or numbers for an application: `name`, `corp_id`, `agent_id`, `base_url`. What came in and went out
    stays with it. Raises BadAddress; IntegrityError where the corp's agent is there already.
    """
    app = App.objects.select_for_update().get(pk=app.pk)
    if "base_url" in changes:
        changes["base_url"] = _address(changes["base_url"])
    before = {name: getattr(app, name) for name in CORRECTED if name in changes}
    after = {name: changes[name] for name, value in before.items() if changes[name] != value}
    if not after:
        return app
    for name, value in after.items():
        setattr(app, name, value)
    app.save(update_fields=list(after))
    if after.keys() - {"name"}:
        _end_credentials(app)
    _in_use.pop(app.slug, None)
    was = {name: before[name] for name in after}
    audit.record(by=by, action="wecom_app.set", target=app, now=now, before=was, after=after)
    return app


def _address(base_url: str) -> str:
    """An address of a server and nothing behind it. Raises BadAddress."""
    try:
        parts = urlsplit(base_url)
        is_one = not base_url or (parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/"))
        parts.port  # noqa: B018  # raises for what is no number
    except ValueError:
        is_one = False
    if not is_one or (base_url and (parts.query or parts.username)):
        raise BadAddress("An address is https://HOST or http://HOST:PORT, without anything behind it.")
    return base_url.rstrip("/")


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
