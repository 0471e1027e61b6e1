"""A shop with one clerk who may open the phone pages, at a fixed moment."""

from collections.abc import Iterator

import pytest
import time_machine
from django.test import Client

from retail.models import Post, Staff
from tests import factories, signing_in
from tests.factories import NOW, World

RULES = (
    {
        "id": "counter",
        "name": "门店开单",
        "calc": {"type": "rate", "ppm": 30000},
        "split": [{"role": "serve", "weight": 9}, {"role": "manager", "weight": 1}],
    },
)


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world()
    shop.hire("A1")
    shop.hire("M1", role=Post.Role.STORE_MANAGER)
    shop.plan(*RULES)
    return shop


def signed_in(staff: Staff) -> Client:
    """A browser in which this person is signed in, in their only post."""
    staff.user = staff.user or factories.user()
    staff.save()
    return signing_in.signed_in(staff.user, post=staff.posts.get())


@pytest.fixture
def phone(shop: World) -> Client:
    """The phone of clerk A1."""
    return signed_in(shop.staff["A1"])


def sell(shop: World, *, count: int = 1, **fields: object) -> list[int]:
    """Sales of clerk A1 at 100 yuan, settled; the ids of the orders."""
    return shop.settle(*(shop.order(**{"serving_clerk": "A1", **fields}) for _ in range(count)))
