"""A shop with two clerks and a manager, and materials for them."""

from collections.abc import Callable
from functools import partial

import pytest

from clerks.materials.models import Material
from retail.models import Post
from tests import factories
from tests.factories import World, materials


@pytest.fixture
def shop(everything: None) -> World:
    made = factories.world(corp="ww0demo0materials")
    made.hire("li")
    made.hire("wang")
    made.hire("chen", role=Post.Role.STORE_MANAGER)
    return made


@pytest.fixture
def material(shop: World) -> Callable[..., Material]:
    """`material("link", stores=[…])`: an approved one of the shop's brand (tests.factories.materials)."""
    return partial(materials.material, shop)


@pytest.fixture
def post(shop: World) -> Callable[[str], Post]:
    """The post of one of the shop's people."""

    def of(code: str) -> Post:
        return Post._base_manager.select_related("store", "staff").get(staff=shop.staff[code])

    return of
