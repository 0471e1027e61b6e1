"""Stored answers: a call with an Idempotency-Key has one effect and one answer, however often it is sent.

The answer is a row written in the transaction of the facts themselves: either both exist or neither.
"""

import hashlib
from datetime import datetime

from django.db import connection

from retail.models import ApiCall, ApiToken


class OtherBody(ValueError):
    """The key was used before, for another request."""


def request_hash(*, path: str, body: bytes) -> bytes:
    return hashlib.sha256(path.encode() + b"\n" + body).digest()


def find(*, token: ApiToken, key: str, request_hash: bytes) -> ApiCall | None:
    """The answer stored for this key. Until commit nobody else gets past here with it. Raises OtherBody."""
    with connection.cursor() as cursor:
        # A statement of its own: the next one must see what the call we may wait for here has committed.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [key, token.pk])
    call = ApiCall.objects.filter(token=token, key=key).first()
    if call is not None and bytes(call.request_hash) != request_hash:
        raise OtherBody
    return call


def keep(*, token: ApiToken, key: str, request_hash: bytes, status: int, answer: bytes, now: datetime) -> None:
    ApiCall.objects.create(
        token=token, key=key, request_hash=request_hash, status=status, answer=answer, created_at=now
    )
