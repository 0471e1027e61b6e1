from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from retail.wecom import gateway
from retail.wecom.gateway import Gateway
from tests.factories import wecom
from tests.retail.wecom.standin import StandIn, serving


@pytest.fixture
def app(db: None) -> Any:
    return wecom.app()


@pytest.fixture
def later(time_machine: Any) -> Callable[[timedelta], None]:
    """Let so much time pass."""
    return lambda delta: time_machine.move_to(timezone.now() + delta)


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
