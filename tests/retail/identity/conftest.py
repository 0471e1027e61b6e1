"""The people of the admin again, and what a person's page sends."""

from tests.retail.desk.conftest import Person, shop, sign_in

__all__ = ["Person", "shop", "sign_in"]
