"""A shop with a token for its till, and a way to call the API as that till does."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from retail import scope
from retail.api import tokens
from retail.models import ApiToken
from tests import factories


@dataclass
class Api:
    """Calls with one token, from outside any scope, as a web server does."""

    token: ApiToken
    secret: str

    def post(self, path: str, body: Any, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._call("post", path, data=raw, content_type="application/json", headers=headers)

    def get(self, path: str, data: Any = None, **headers: str) -> Any:
        return self._call("get", path, data=data, headers=headers)

    def _call(self, method: str, path: str, *, headers: dict[str, str], **options: Any) -> Any:
        address = path if path.startswith("http") else f"/api/v1/{path}"
        headers = {"Authorization": f"Bearer {self.secret}", "Accept-Language": "en", **headers}
        return getattr(Client(raise_request_exception=False), method)(address, headers=headers, **options)


@pytest.fixture(autouse=True)
def unthrottled():
    """The throttle counts in the cache, which tests share."""
    cache.clear()


@pytest.fixture
def shop(db) -> factories.World:
    with scope.within(scope.EVERYTHING):
        return factories.world()


@pytest.fixture
def till(shop) -> Api:
    """Posts for the shop's POS channel and reads everything."""
    return Api(*tokens.issue(name="till", channel=shop.pos, can_read=True))
