"""A corp in the simulator, a shop of its people, nothing heard yet."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories import corp
from tests.factories.corp import Corp


@pytest.fixture
def wecom_corp(everything: None, settings: Any) -> Iterator[Corp]:
    with corp.running(settings) as running:
        yield running
