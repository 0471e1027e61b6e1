"""The worlds of the matrix are made once for all its tests; what a test does to them is taken back."""

import pytest
from django.core.cache import cache
from django.db import transaction

from retail import scope
from tests.matrix import worlds as made


@pytest.fixture(scope="module")
def worlds(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic():
        with scope.within(scope.EVERYTHING):
            built = made.build()
        yield built
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def unthrottled():
    """The throttle counts in the cache, which tests share."""
    cache.clear()
