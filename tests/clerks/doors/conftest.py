"""A shop of a brand whose corp has WeCom: a simulator of it runs, and two clerks and a manager have accounts there."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.conf import LazySettings
from django.http import HttpResponse
from django.test import Client

from retail.models import Post, StaffAccount
from retail.wecom import gateway
from retail.wecom.models import App
from tests import factories, wecom_server
from tests.factories import World
from tests.factories import wecom as wecom_factory
from tests.wecom_server import AGENT, CLERK, COLLEAGUE, CORP, SECRET, Wecom

IN_WECOM = {"User-Agent": "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Mobile wxwork/4.1.20 MicroMessenger/7.0.1"}


@pytest.fixture
def wecom(settings: LazySettings) -> Iterator[Wecom]:
    with wecom_server.running() as running:
        settings.WECOM_API_URL = settings.WECOM_OAUTH_URL = running.url
        yield running
        gateway.hang_up()


@pytest.fixture
def app(db: None) -> App:
    return wecom_factory.app(slug="demo", name="导购台", corp_id=CORP, agent_id=AGENT, secret=SECRET)


@pytest.fixture
def shop(everything: None, app: App) -> World:
    shop = factories.world(corp=CORP)
    for code, userid in (("A1", CLERK), ("A2", COLLEAGUE)):
        staff = shop.hire(code)
        StaffAccount.objects.create(staff=staff, corp=CORP, userid=userid)
    manager = shop.hire("M1", role=Post.Role.STORE_MANAGER)
    StaffAccount.objects.create(staff=manager, corp=CORP, userid="mgr_chen")
    return shop


def authorized(answer: HttpResponse, who: str) -> str:
    """Follow the way to WeCom as this person; the address to which it sends the browser, without our host."""
    told = requests.get(f"{answer['Location'].partition('#')[0]}&as={who}", allow_redirects=False, timeout=5)
    assert told.status_code == 302, told.text
    back = urlsplit(told.headers["Location"])
    return f"{back.path}?{back.query}"


def state_of(answer: HttpResponse) -> str:
    return parse_qs(urlsplit(answer["Location"]).query)["state"][0]


def through_wecom(client: Client, who: str, *, wanted: str = "/m/", begin: str = "/m/sign-in/") -> HttpResponse:
    """Sign in on a phone, inside WeCom, as this person; the last answer of ours."""
    begun = client.get(begin, {"next": wanted}, headers=IN_WECOM)
    return client.get(authorized(begun, who), headers=IN_WECOM)
