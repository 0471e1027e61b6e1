"""Personal data: one table of identifying values, keys kept outside the database, masks for everything shown.

A phone number, unionid or card number is stored once, as a `BuyerKey`: an HMAC to find it by, what of it anybody may
see, and an AES-GCM cipher to show it to somebody who may. Every other table holds the id of that row.

Keys: `settings.PRIVACY_KEYS`, or a key file that the demo makes on its first start. Each key is 32 bytes with an id of
one byte; the first one encrypts, every one decrypts. The HMAC secret is derived from the *oldest* key, so that adding
a key at the front never loses the index; so the oldest key stays for good, only those between may be dropped once
`retail.rotation` has re-encrypted what they sealed (docs/privacy.md).
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models, transaction
from django.utils.translation import gettext_lazy as _

from retail import audit


class Known(NamedTuple):
    """One way a buyer is known, as the feed says it. `scope` is what makes the value unique (corp, channel, brand)."""

    type: str
    scope: str
    value: str


class SealedField(models.BinaryField):
    """What `sealed_in` returned. A column of this kind is sealed anew when the keys change, with all others.

    `of` names the fields that tell a row from all others and never change: what was sealed for one row opens in no
    other, nor in another column, whoever copies it there.
    """

    def __init__(self, *args: Any, of: Sequence[str] = ("pk",), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.of = tuple(of)  # of no concern to the database, and so to no migration


PERMISSION = "unmask_buyerkey"


class BuyerKey(models.Model):
    """One identifying value of a buyer. Opaque outside this module."""

    class Type(models.TextChoices):
        PHONE = "phone", _("手机号")
        UNIONID = "unionid", _("微信 unionid")
        EXTERNAL_USERID = "external_userid", _("企业微信客户")
        CARD = "card", _("会员卡号")
        CHANNEL_ID = "channel_id", _("渠道买家号")

    type = models.CharField(_("类型"), max_length=16, choices=Type.choices)
    scope = models.CharField(_("范围"), max_length=64, blank=True, default="")
    hmac = models.BinaryField(_("索引"), max_length=32)
    cipher = SealedField(_("密文"), null=True, of=["hmac"])  # null once erased
    masked = models.CharField(_("号码（已打码）"), max_length=32)

    class Meta:
        verbose_name = _("顾客标识")
        verbose_name_plural = _("顾客标识")
        # The HMAC covers type and scope too, so it alone tells identities apart.
        constraints = [models.UniqueConstraint(fields=["hmac"], name="buyer_key_once")]
        permissions = [(PERMISSION, _("查看完整号码"))]

    def __str__(self) -> str:
        return self.masked

    @property
    def is_erased(self) -> bool:
        return self.cipher is None


class Suppression(models.Model):
    """The blind index of an erased identity: it tells that this person asked to be forgotten, and when."""

    hmac = models.BinaryField(_("索引"), max_length=32)
    at = models.DateTimeField(_("时间"))

    class Meta:
        verbose_name = _("已抹去的标识")
        verbose_name_plural = _("已抹去的标识")
        constraints = [models.UniqueConstraint(fields=["hmac", "at"], name="suppression_once")]


class BadValue(ValueError):
    """An identifying value that cannot be one (an empty card number, a phone of letters)."""


class MissingKey(LookupError):
    """A value cannot be read: its key is not among the keys of this installation."""


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


_POSSIBLE = re.compile(r"1[3-9]\d{9}|0\d{9,11}|[2-9]\d{7}|(?:\+|00)[1-9]\d{7,14}", flags=re.ASCII)


def is_possible(phone: str) -> bool:
    """Whether a normalised number can be somebody's: a mobile, a line with its area, or one of another country.

    Orders come with whatever the till took. Who tells us of people is asked to tell us what can be true.
    """
    return _POSSIBLE.fullmatch(phone) is not None


def mask(type: str, value: str) -> str:
    """What anybody may see: 138****5678 for a phone, first two and last two characters of anything else.

    Of a shorter number only its end is shown: what is hidden must never be few enough to guess.
    """
    if type == BuyerKey.Type.PHONE and len(value) < 11:
        return f"****{value[-4:]}" if len(value) > 8 else f"****{value[-2:]}" if len(value) > 4 else "****"
    if type == BuyerKey.Type.PHONE:
        return f"{value[:3]}****{value[-4:]}"
    return f"{value[:2]}****{value[-2:]}" if len(value) > 6 else "****"


_LONG_NUMBER = re.compile(r"\d(?:[\W_]*\d){6,}")  # however its digits are set apart; \d is any script's


def without_numbers(name: str) -> str:
    """A name as it may be shown: some give their phone number for one."""
    return _LONG_NUMBER.sub(lambda number: mask(BuyerKey.Type.PHONE, re.sub(r"\D", "", number[0])), name)


def has_number(text: str) -> bool:
    """Whether a text may be part of a phone number. Two digits are enough to spell one out, pair by pair."""
    return re.search(r"\d[\W_]*\d", text) is not None


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Ring(NamedTuple):
    ids: tuple[int, ...]  # newest first
    ciphers: dict[int, AESGCM]
    index_secret: bytes


def _ring() -> _Ring:
    return _read(tuple(settings.PRIVACY_KEYS), settings.PRIVACY_KEY_FILE)


@cache
def _read(given: tuple[str, ...], file: Path) -> _Ring:
    keys: dict[int, bytes] = {}
    for item in given or _key_file(file):
        key_id, raw = _spelled(item)
        if key_id in keys:
            raise ImproperlyConfigured(f"DAOGOU_PRIVACY_KEYS: id {key_id} is given twice.")
        keys[key_id] = raw
    if not keys:
        raise ImproperlyConfigured("DAOGOU_PRIVACY_KEYS: no key is given.")
    ids = list(keys)
    return _Ring(
        ids=tuple(ids),
        ciphers={key_id: AESGCM(raw) for key_id, raw in keys.items()},
        index_secret=hashlib.blake2b(b"buyer key index", key=keys[ids[-1]], digest_size=32).digest(),
    )


def _spelled(item: str) -> tuple[int, bytes]:
    """ "1:base64 of 32 bytes" as id and key. Raises ImproperlyConfigured, without the key in its words."""
    key_id, separator, encoded = item.partition(":")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    is_id = key_id.isascii() and key_id.isdigit() and 0 < int(key_id) < 256
    if not separator or not is_id or len(raw) != 32:
        raise ImproperlyConfigured("DAOGOU_PRIVACY_KEYS: each key is `id:base64 of 32 bytes`, id from 1 to 255.")
    # 32 random bytes have at least 20 different ones; a typed or padded key has not.
    if not _is_playground() and len(set(raw)) < 16:
        raise ImproperlyConfigured(f"DAOGOU_PRIVACY_KEYS: key {key_id} is not random.")
    return int(key_id), raw


def _is_playground() -> bool:
    return bool(settings.DEMO or settings.TESTING)


def require_keys() -> None:
    """Raise ImproperlyConfigured unless there are good keys: asked at every start outside demo and tests."""
    _ring()


def key_ids() -> tuple[int, ...]:
    """The ids of the keys, newest first."""
    return _ring().ids


def new_key(id: int) -> str:
    return f"{id}:{base64.b64encode(os.urandom(32)).decode()}"


def _key_file(path: Path) -> list[str]:
    """Read the key file; in demo and tests make it on the first start."""
    if not path.exists():
        if not _is_playground():
            raise ImproperlyConfigured("DAOGOU_PRIVACY_KEYS must be set (id:base64 of 32 random bytes).")
        write_key_file(path, [new_key(1)])
    if not _is_playground() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ImproperlyConfigured(f"{path.name}: only its owner may read it (chmod 600).")
    return path.read_text().split()


def write_key_file(path: Path, spelled: list[str], *, replace: bool = False) -> None:
    """Put the file there whole or not at all: who starts at the same time never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(spelled) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        (os.replace if replace else os.link)(scratch, path)
    except FileExistsError:  # another process was first
        pass
    finally:
        scratch.unlink(missing_ok=True)
    _read.cache_clear()


def _index(text: str) -> bytes:
    return hmac.digest(_ring().index_secret, text.encode(), "sha256")


def fingerprint(known: Known) -> bytes:
    """The blind index of a normalised identity."""
    return _index(f"{known.type}\x1f{known.scope}\x1f{known.value}")


def blind(text: str) -> str:
    """64 hex digits that stand for the text where the text itself must not: they tell nothing without our keys."""
    return _index(f"blind\x1f{text}").hex()


def mac(text: str) -> bytes:
    """Proves later that we said this: nobody makes it without our keys, and nothing else we compute is like it."""
    return _index(f"mac\x1f{text}")


# ── Sealed ───────────────────────────────────────────────────────────────────────────────────────────────────────────
# 0, the id of the key, 12 random bytes, cipher and tag: bound to its place. Before there were places the id came
# first, and what is in that form opens anywhere until `rotation.rotate` has sealed it anew; ids begin with 1.
BOUND = 0


def seal(plain: bytes, *, place: str) -> bytes:
    """Encrypt with the newest key, so that it opens for this place alone."""
    ring, nonce = _ring(), os.urandom(12)
    key_id = ring.ids[0]
    return bytes([BOUND, key_id]) + nonce + ring.ciphers[key_id].encrypt(nonce, plain, place.encode())


def open_sealed(sealed: bytes, *, place: str) -> bytes:
    """What was sealed for this place. Raises MissingKey when its key is gone or another, or it is of another place."""
    is_bound = sealed[0] == BOUND
    body = sealed[1:] if is_bound else sealed
    key_id, nonce, cipher = body[0], body[1:13], body[13:]
    if key_id not in _ring().ciphers and not settings.PRIVACY_KEYS:
        _read.cache_clear()  # another process put a new key into the file
    try:
        return _ring().ciphers[key_id].decrypt(nonce, cipher, place.encode() if is_bound else None)
    except (KeyError, InvalidTag):
        raise MissingKey(
            f"Key {key_id} of DAOGOU_PRIVACY_KEYS is missing or was changed, or a value lies where it was not sealed."
        ) from None


def place_of(table: str, column: str, identity: Iterable[Any]) -> str:
    said = (bytes(part).hex() if isinstance(part, bytes | memoryview) else str(part) for part in identity)
    return "\x1f".join((table, column, *said))


def _place_in(row: models.Model, name: str) -> str:
    field: Any = row._meta.get_field(name)
    identity = [getattr(row, name) for name in identity_of(type(row), field)]
    if any(part is None for part in identity):
        raise ValueError(f"{row._meta.label}.{name}: what its row is called must be known before it is sealed.")
    return place_of(row._meta.db_table, field.column, identity)


def identity_of(model: type[models.Model], field: SealedField) -> list[str]:
    """The columns that say which row it is; attributes of a row are called the same."""
    rows: Any = model._meta
    return [str((rows.pk if name == "pk" else rows.get_field(name)).column) for name in field.of]


def sealed_in(row: models.Model, name: str, plain: bytes) -> bytes:
    """Encrypted for this field of this row, saved or not."""
    return seal(plain, place=_place_in(row, name))


def opened(row: models.Model, name: str) -> bytes:
    """What this field of this row holds; b"" where it holds nothing. Raises MissingKey."""
    sealed = getattr(row, name)
    return open_sealed(bytes(sealed), place=_place_in(row, name)) if sealed else b""


def reveal(key: BuyerKey) -> str:
    """The value itself. Callers are few, ask for a reason and leave an audit row. Raises LookupError once erased."""
    if key.cipher is None:
        raise LookupError("This value was erased.")
    return opened(key, "cipher").decode()


# ── Storing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def row(known: Known) -> tuple[str, str, bytes, bytes, str]:
    """The column values (type, scope, hmac, cipher, masked) of one identity, for COPY."""
    print_ = fingerprint(known)
    return (
        known.type,
        known.scope,
        print_,
        seal(known.value.encode(), place=place_of("retail_buyerkey", "cipher", [print_])),
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


def _insert(rows: list[tuple[str, str, bytes, bytes, str]]) -> dict[bytes, int]:
    """The ids of the rows that were not there yet."""
    types, scopes, hmacs, ciphers, masks = map(list, zip(*rows, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO retail_buyerkey (type, scope, hmac, cipher, masked)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::text[])"
            " ON CONFLICT (hmac) DO NOTHING RETURNING hmac, id",
            [types, scopes, as_array(hmacs), as_array(ciphers), masks],
        )
        return {bytes(print_): key_id for print_, key_id in cursor.fetchall()}


def _ids(fingerprints: list[bytes]) -> dict[bytes, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT hmac, id FROM retail_buyerkey WHERE hmac = ANY(%s::bytea[])", [as_array(fingerprints)])
        return {bytes(print_): key_id for print_, key_id in cursor.fetchall()}


def as_array(values: Iterable[bytes]) -> str:
    """A bytea[] as PostgreSQL spells it: psycopg takes longer to dump such a list than the statement takes to run."""
    return "{" + ",".join(f'"\\\\x{value.hex()}"' for value in values) + "}"


# ── Shown to a person ────────────────────────────────────────────────────────────────────────────────────────────────
class NoReason(ValueError):
    """Nobody sees a value without saying why."""


class QuotaUsed(PermissionError):
    """Enough for one day; the words are for the person who asked."""


def unmask(*, key: BuyerKey, about: models.Model, by: Any, reason: str, now: datetime) -> str:
    """The value itself, for a person: with a reason, within the day's quota, and never without its audit row.

    `about` is the row on whose page the masked value stood, fetched through the scope of `by`. Who may ask at all is
    the page's business. Raises NoReason, QuotaUsed, LookupError once erased.
    """
    with transaction.atomic():
        value = reveal(key)
        # Its number, not its mask: the journal cannot be changed when the person wants to be forgotten.
        shown = {"type": key.type, "key": key.pk}
        spend_look(by=by, action=UNMASK, target=about, after=shown, reason=reason, now=now)
    return value


UNMASK, FIND = "unmask", "member.find"


@transaction.atomic
def spend_look(
    *,
    by: Any,
    action: str,
    target: models.Model | type[models.Model],
    after: dict[str, Any],
    reason: str,
    now: datetime,
) -> None:
    """Write down that a person sees whose number it is, or which number is whose. Raises NoReason, QuotaUsed."""
    if not 2 <= len(reason.strip()) <= 200:
        raise NoReason(_("请写明为什么要看，2 到 200 个字。"))
    audit.one_by_one(by=by, action=UNMASK)
    if unmasked_today(by=by, now=now) >= most_a_day():
        words = _("今天已经看了 %(count)s 个完整号码，到了每天的上限。请明天再看，或请总部调整上限。")
        raise QuotaUsed(words % {"count": most_a_day()})
    audit.record(by=by, action=action, target=target, now=now, after=after, reason=reason.strip())


def most_a_day() -> int:
    return int(settings.UNMASK_PER_DAY)


def unmasked_today(*, by: Any, now: datetime) -> int:
    """How many values this person has seen, or asked for, since midnight, here."""
    return sum(audit.count_of_today(by=by, action=action, now=now) for action in (UNMASK, FIND))


# ── Forgotten ────────────────────────────────────────────────────────────────────────────────────────────────────────
def read_for_long() -> None:
    """Whoever writes down, in a transaction of some length, what is known of people: nobody is forgotten meanwhile.

    Else the copy would be there after they are, with what was read of them before.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtext('forgetting'))")


def forget_alone() -> None:
    """Before somebody is forgotten: who is reading finishes first, whom nobody can stop, and who begins waits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('forgetting'))")


@transaction.atomic
def erase(*, key_id: int, by: Any, reason: str, now: datetime) -> bool:
    """Forget one value for good; False when it was forgotten before.

    The row stays, since facts hold its id, but tells nothing any more: no cipher, no mask, and random bytes for its
    indexes. The blind index moves to the suppressions. Whoever comes back with the same value gets a new row that
    nothing old hangs on; `suppressed` still knows that the person asked to be left alone.
    """
    key = BuyerKey.objects.select_for_update().get(pk=key_id)
    if key.is_erased:
        return False
    Suppression.objects.bulk_create([Suppression(hmac=key.hmac, at=now)], ignore_conflicts=True)
    key.cipher, key.masked, key.hmac = None, "****", os.urandom(32)
    key.save(update_fields=["cipher", "masked", "hmac"])
    # The journal outlives the value: it keeps what kind of value went, not even the masked form.
    audit.record(by=by, action="erase", target=key, now=now, before={"type": key.type}, reason=reason)
    return True


def mentions(row: models.Model, name: str, values: Iterable[bytes]) -> bool:
    """Whether a sealed text holds one of these values; one that no key opens any more tells nobody anything."""
    try:
        plain = opened(row, name)
    except MissingKey:
        return False
    return any(value in plain for value in values)


def are_suppressed(key_ids: Iterable[int]) -> bool:
    """Whether somebody who is known by one of these keys asked, under an earlier one, to be forgotten."""
    hmacs = BuyerKey.objects.filter(pk__in=list(key_ids)).values("hmac")
    return Suppression.objects.filter(hmac__in=hmacs).exists()


def suppressed(identities: Iterable[Known]) -> dict[Known, datetime]:
    """Those of the normalised identities whose owner asked to be forgotten, and when they last did."""
    wanted = {fingerprint(known): known for known in identities}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT hmac, max(at) FROM retail_suppression WHERE hmac = ANY(%s::bytea[]) GROUP BY 1", [as_array(wanted)]
        )
        return {wanted[bytes(print_)]: at for print_, at in cursor.fetchall()}
