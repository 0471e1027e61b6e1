"""Personal data: one table of identifying values, keys kept outside the database, masks for everything shown.

A phone number, unionid or card number is stored once, as a `BuyerKey`: an HMAC to find it by, an HMAC of its last
four characters for the counter search, and an AES-GCM cipher to show it to somebody who may. Every other table holds
the id of that row.

Keys: `settings.PRIVACY_KEYS`, or a key file that the demo makes on its first start. Each key is 32 bytes with an id of
one byte; the first one encrypts, every one decrypts. The HMAC secret is derived from the *oldest* key, so that adding
a key at the front never loses the index.
"""

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.utils.translation import gettext_lazy as _


class Known(NamedTuple):
    """One way a buyer is known, as the feed says it. `scope` is what makes the value unique (corp, channel, brand)."""

    type: str
    scope: str
    value: str


class BuyerKey(models.Model):
    """One identifying value of a buyer. Opaque outside this module."""

    class Type(models.TextChoices):
        PHONE = "phone", _("手机号")
        UNIONID = "unionid", _("微信 unionid")
        EXTERNAL_USERID = "external_userid", _("企业微信客户")
        CARD = "card", _("会员卡号")
        CHANNEL_ID = "channel_id", _("渠道买家号")

    type = models.CharField(max_length=16, choices=Type.choices)
    scope = models.CharField(max_length=64, blank=True, default="")
    hmac = models.BinaryField(max_length=32)
    hmac_last4 = models.BinaryField(max_length=32)
    cipher = models.BinaryField(null=True)  # null once erased
    masked = models.CharField(max_length=32)

    class Meta:
        # The HMAC covers type and scope too, so it alone tells identities apart.
        constraints = [models.UniqueConstraint(fields=["hmac"], name="buyer_key_once")]
        indexes = [models.Index(fields=["hmac_last4"], name="buyer_key_last4")]

    def __str__(self) -> str:
        return self.masked


class BadValue(ValueError):
    """An identifying value that cannot be one (an empty card number, a phone of letters)."""


_SEPARATORS = re.compile(r"[\s\-()()]")
_PHONE = re.compile(r"\+?\d{5,20}", flags=re.ASCII)


def normalised(known: Known) -> Known:
    """The same identity in one spelling: phones lose +86, spaces and dashes. Raises BadValue."""
    value = known.value.strip()
    if "\x00" in value or not value or len(value) > 128:
        raise BadValue(f"{known.type}: must be 1 to 128 characters without NUL")
    if known.type == BuyerKey.Type.PHONE:
        value = _SEPARATORS.sub("", value)
        value = value.removeprefix("+86").removeprefix("0086")
        if not _PHONE.fullmatch(value):
            raise BadValue("phone: must be a phone number of 5 to 20 digits")
    return Known(known.type, known.scope, value)


def mask(type: str, value: str) -> str:
    """What anybody may see: 138****5678 for a phone, first two and last two characters of anything else."""
    if type == BuyerKey.Type.PHONE and len(value) >= 7:
        return f"{value[:3]}****{value[-4:]}"
    return f"{value[:2]}****{value[-2:]}" if len(value) > 6 else "****"


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Ring(NamedTuple):
    newest_id: int
    ciphers: dict[int, AESGCM]
    index_secret: bytes


@cache
def _ring() -> _Ring:
    spelled = settings.PRIVACY_KEYS or _key_file(settings.PRIVACY_KEY_FILE)
    keys: dict[int, bytes] = {}
    for item in spelled:
        key_id, separator, encoded = item.partition(":")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            raw = b""
        if not separator or not key_id.isdigit() or not 0 < int(key_id) < 256 or len(raw) != 32:
            raise ImproperlyConfigured("DAOGOU_PRIVACY_KEYS: each key is `id:base64 of 32 bytes`, id from 1 to 255.")
        keys[int(key_id)] = raw
    ids = list(keys)
    oldest = keys[ids[-1]]
    return _Ring(
        newest_id=ids[0],
        ciphers={key_id: AESGCM(raw) for key_id, raw in keys.items()},
        index_secret=hashlib.blake2b(b"buyer key index", key=oldest, digest_size=32).digest(),
    )


def _key_file(path: Path) -> list[str]:
    """Read the key file; in demo and tests make it on the first start."""
    if not path.exists():
        if not (settings.DEMO or settings.TESTING):
            raise ImproperlyConfigured("DAOGOU_PRIVACY_KEYS must be set (id:base64 of 32 random bytes).")
        path.parent.mkdir(parents=True, exist_ok=True)
        key = "1:" + base64.b64encode(os.urandom(32)).decode()
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(key + "\n")
        except FileExistsError:  # another process was first
            pass
    return path.read_text().split()


def _index(text: str) -> bytes:
    return hmac.digest(_ring().index_secret, text.encode(), "sha256")


def fingerprint(known: Known) -> bytes:
    """The blind index of a normalised identity."""
    return _index(f"{known.type}\x1f{known.scope}\x1f{known.value}")


def _seal(value: str) -> bytes:
    ring, nonce = _ring(), os.urandom(12)
    return bytes([ring.newest_id]) + nonce + ring.ciphers[ring.newest_id].encrypt(nonce, value.encode(), None)


def reveal(key: BuyerKey) -> str:
    """The value itself. Callers are few, ask for a reason and leave an audit row. Raises LookupError once erased."""
    if key.cipher is None:
        raise LookupError("This value was erased.")
    sealed = bytes(key.cipher)
    return _ring().ciphers[sealed[0]].decrypt(sealed[1:13], sealed[13:], None).decode()


# ── Storing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def row(known: Known) -> tuple[str, str, bytes, bytes, bytes, str]:
    """The column values (type, scope, hmac, hmac_last4, cipher, masked) of one identity, for COPY."""
    return (
        known.type,
        known.scope,
        fingerprint(known),
        _index(f"last4\x1f{known.value[-4:]}"),
        _seal(known.value),
        mask(known.type, known.value),
    )


def keep(identities: Iterable[Known]) -> dict[Known, int]:
    """Store normalised identities that are new, and return the id of each. One to three statements however many."""
    wanted = {fingerprint(known): known for known in set(identities)}
    if not wanted:
        return {}
    found = _ids(list(wanted))
    # Sorted, so that two feeds with the same new buyers wait for each other instead of deadlocking.
    if missing := sorted(set(wanted) - set(found)):
        found |= _insert([row(wanted[print_]) for print_ in missing])
    if beaten := set(wanted) - set(found):  # somebody else stored them meanwhile
        found |= _ids(list(beaten))
    return {wanted[print_]: key_id for print_, key_id in found.items()}


def _insert(rows: list[tuple[str, str, bytes, bytes, bytes, str]]) -> dict[bytes, int]:
    """The ids of the rows that were not there yet."""
    types, scopes, hmacs, last4s, ciphers, masks = map(list, zip(*rows, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO retail_buyerkey (type, scope, hmac, hmac_last4, cipher, masked)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::bytea[], %s::text[])"
            " ON CONFLICT (hmac) DO NOTHING RETURNING hmac, id",
            [types, scopes, _array(hmacs), _array(last4s), _array(ciphers), masks],
        )
        return {bytes(print_): key_id for print_, key_id in cursor.fetchall()}


def _ids(fingerprints: list[bytes]) -> dict[bytes, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT hmac, id FROM retail_buyerkey WHERE hmac = ANY(%s::bytea[])", [_array(fingerprints)])
        return {bytes(print_): key_id for print_, key_id in cursor.fetchall()}


def _array(values: Iterable[bytes]) -> str:
    """A bytea[] as PostgreSQL spells it: psycopg takes longer to dump such a list than the statement takes to run."""
    return "{" + ",".join(f'"\\\\x{value.hex()}"' for value in values) + "}"
