"""Who calls the API: not a person but a system, by a token of which only the SHA-256 is kept."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from retail import org
from retail.models import ApiToken, Brand, Channel, Franchisee, Region, Staff, Store
from retail.scope import Scope

if TYPE_CHECKING:  # the settings name classes of this module, so that rest_framework.views imports it first
    from rest_framework.views import APIView


def issue(
    *,
    name: str,
    channel: Channel | None = None,
    can_read: bool = False,
    brand: Brand | None = None,
    region: Region | None = None,
    store: Store | None = None,
    franchisee: Franchisee | None = None,
    staff: Staff | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its secret, which nobody can be shown again."""
    secret = secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        name=name,
        digest=_digest(secret),
        channel=channel,
        can_read=can_read,
        brand=brand,
        region=region,
        store=store,
        franchisee=franchisee,
        staff=staff,
    )
    return token, secret


def _digest(secret: str) -> str:
    # A fast hash is enough: 256 random bits cannot be guessed, however fast one tries.
    return hashlib.sha256(secret.encode()).hexdigest()


def scope_of_token(token: ApiToken) -> Scope:
    """What the token may read, should it be allowed to read at all. Several places must all hold; none: everything."""
    place = {"region": token.region_id, "franchisee": token.franchisee_id, "pk": token.store_id}
    limits = {name: pk for name, pk in place.items() if pk is not None}
    brands = frozenset([token.brand_id]) if token.brand_id else None
    return org.scope_of_stores(brand_ids=brands, **limits) if limits else Scope(brand_ids=brands)


@dataclass(frozen=True, slots=True)
class Caller:
    """The `request.user` of a call: a system, never a User row."""

    token: ApiToken
    is_authenticated: ClassVar[bool] = True


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <secret>`; `request.auth` becomes the ApiToken, its channel and brand with it."""

    def authenticate(self, request: Request) -> tuple[Caller, ApiToken] | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = (
            ApiToken.objects.filter(digest=_digest(secret.strip()), revoked_at=None)
            .select_related("channel__brand", "staff")
            .first()
        )
        if token is None or (token.staff and not org.posts_of(staff=token.staff, now=timezone.now())):
            raise AuthenticationFailed("Unknown or revoked token.")
        return Caller(token), token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class TokenPermission(BasePermission):
    """Reading takes `can_read`, posting a channel."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.method in SAFE_METHODS:
            self.message = "This token may not read."
            return request.auth.can_read
        self.message = "This token has no channel to post for."
        return request.auth.channel_id is not None


class TokenThrottle(SimpleRateThrottle):
    """So many calls of one token in a time; 429 says when to come back."""

    scope = "token"

    def get_rate(self) -> str:
        return settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"][self.scope]

    def get_cache_key(self, request: Request, view: "APIView") -> str | None:
        return f"throttle_{request.auth.pk}" if request.auth else None
