"""How callbacks are signed and sealed, both directions. Knows no Django and no database.

A sealed text is base64 of AES-256-CBC over: 16 random bytes, its length as four bytes, the text itself, the id of the
receiver; padded to blocks of 32. The key is the 43 characters of EncodingAESKey, its first 16 bytes the first vector.
A signature says only that somebody who knows the token put the four parts together: the same signature holds for
other ways to cut them into timestamp and nonce, so it cannot tell a replay. The digest of the message does.
"""

import base64
import binascii
import hashlib
import hmac
import os
from functools import lru_cache
from itertools import repeat

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

BLOCK = 32
_HEAD = 20  # random bytes and length


class Refused(ValueError):
    """This is not from WeCom, or not for us. `reason`: signature, decrypt, receiveid, shape, size."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# ── Signatures ───────────────────────────────────────────────────────────────────────────────────────────────────────
def signature(*, token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """What WeCom sends as `msg_signature`: 40 lower-case hex digits."""
    parts = "".join(sorted((token, timestamp, nonce, encrypted)))
    return hashlib.sha1(parts.encode("utf-8", "surrogatepass")).hexdigest()


def verify(*, token: str, timestamp: str, nonce: str, encrypted: str, given: str) -> None:
    """Raise Refused unless `given` is the signature. Takes the same time however much of it is right."""
    expected = signature(token=token, timestamp=timestamp, nonce=nonce, encrypted=encrypted)
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass")):
        raise Refused("signature")


def js_signature(*, ticket: str, nonce: str, timestamp: str | int, url: str) -> str:
    """The signature of a page that uses the JS-SDK. `url` is cut at its `#`, and is not encoded."""
    page = url.partition("#")[0]
    text = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={page}"
    return hashlib.sha1(text.encode()).hexdigest()


# ── Sealed texts ─────────────────────────────────────────────────────────────────────────────────────────────────────
def decrypt(*, aes_key: str, encrypted: str, receive_id: str) -> bytes:
    """The text within. `receive_id` is that of the configuration: what the envelope says may differ, and is not asked.

    Raises Refused for whatever is wrong with it.
    """
    padded = _deciphered(aes_key, encrypted)
    # PKCS#7: every byte of the padding says how long it is.
    padding = padded[-1]
    if not 1 <= padding <= BLOCK or not padded.endswith(bytes(repeat(padding, padding))):
        raise Refused("decrypt")
    end = _HEAD + int.from_bytes(padded[16:_HEAD], "big")
    last = len(padded) - padding
    if not _HEAD <= end <= last:
        raise Refused("decrypt")
    if not hmac.compare_digest(padded[end:last], receive_id.encode()):
        raise Refused("receiveid")
    return padded[_HEAD:end]


def _deciphered(aes_key: str, encrypted: str) -> bytes:
    try:
        sealed = base64.b64decode(encrypted, validate=True)
    except ValueError:
        raise Refused("decrypt") from None
    if not sealed or len(sealed) % BLOCK:
        raise Refused("decrypt")
    decryptor = _cipher(aes_key).decryptor()
    return decryptor.update(sealed) + decryptor.finalize()


def encrypt(*, aes_key: str, plain: bytes, receive_id: str, random: bytes | None = None) -> str:
    """Seal a text as WeCom does. `random`: 16 bytes, to get the same again."""
    text = (random or os.urandom(16)) + len(plain).to_bytes(4, "big") + plain + receive_id.encode()
    padding = BLOCK - len(text) % BLOCK
    encryptor = _cipher(aes_key).encryptor()
    sealed = encryptor.update(text + bytes(repeat(padding, padding))) + encryptor.finalize()
    return base64.b64encode(sealed).decode()


@lru_cache(maxsize=64)
def _cipher(aes_key: str) -> Cipher[CBC]:
    """Raises ValueError for what is no EncodingAESKey; its words do not hold the key."""
    try:
        key = base64.b64decode(f"{aes_key}=", validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(aes_key) != 43 or len(key) != 32:
        raise ValueError("An EncodingAESKey is 43 letters and digits.")
    return Cipher(AES(key), CBC(key[:16]))


def require_aes_key(aes_key: str) -> None:
    """Raise ValueError for what is no EncodingAESKey."""
    _cipher(aes_key)
