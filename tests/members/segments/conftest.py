"""The world of the segments is made once for all their tests; what a test does to it is taken back."""

import pytest
from django.db import transaction

from retail import scope
from tests.members.segments import town as made


@pytest.fixture(scope="package")
def town(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic():
        with scope.within(scope.EVERYTHING):
            built = made.build()
        yield built
        transaction.set_rollback(True)
