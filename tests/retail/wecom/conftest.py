from collections.abc import Iterator
from typing import Any

import pytest

from retail.wecom import gateway
from retail.wecom.gateway import Gateway
from tests.factories import wecom
from tests.retail.wecom.standin import StandIn, serving


@pytest.fixture
def app(db: None) -> Any:
    return wecom.app()


@pytest.fixture
def standin(settings: Any) -> Iterator[StandIn]:
    """WeCom's stand-in, which the gateway talks to."""
    with serving(StandIn()) as standin:
        settings.WECOM_API_URL = standin.url
        yield standin
        gateway.hang_up()


@pytest.fixture
def asked(app: Any, standin: StandIn) -> Gateway:
    return Gateway(app)
