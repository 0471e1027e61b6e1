"""People who sign in to the admin, each through a post, as in the shops."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.test import Client

from retail import scope
from retail.desk import roles
from retail.models import Staff, User
from tests.factories import World, number, world
from tests.signing_in import signed_in


@dataclass
class Person:
    """A signed-in browser, the account behind it, and the person employed."""

    client: Client
    user: User
    staff: Staff

    def get(self, path: str, **query):
        return self.client.get(path, query)

    def post(self, path: str, **data):
        return self.client.post(path, data)


@pytest.fixture
def shop(db) -> World:
    """One brand, one store, a clerk with a sale."""
    with scope.within(scope.EVERYTHING):
        made = world()
        made.hire(f"C{number()}")
    return made


@pytest.fixture
def sign_in(db) -> Callable[..., Person]:
    """sign_in(world, "store_manager", store=…): a person with that post, signed in."""

    def enter(shop: World, role: str, **place) -> Person:
        with scope.within(scope.EVERYTHING):
            staff = shop.hire(f"{role}-{number()}", role=role, **place)
            account = User.objects.create(username=staff.code)  # no password: hashing one takes longer than the test
            staff.user = account
            staff.save()
            roles.grant(user=account, role=role)
        return Person(signed_in(account), account, staff)

    return enter
