"""Databases made for one test: a clone of the migrated one, dropped afterwards.

Tests that commit use them. No row outlives its test, sequences and the rows of migrations are as new, and the guards
that refuse TRUNCATE need not be lifted to clean up.
"""

from typing import Any

from django.db import connection, connections
from django.test import TransactionTestCase

from tests.logins import logged_in

_SUFFIX = "_clone"
_administrator = ""


def instead_of_flush() -> None:
    """From now on every test case that commits gets a clone, made by whoever we are now."""
    global _administrator
    _administrator = connection.settings_dict["USER"]
    TransactionTestCase._fixture_setup = classmethod(lambda _case: _enter())  # type: ignore[method-assign]
    TransactionTestCase._fixture_teardown = lambda _case: _leave()  # type: ignore[method-assign]


def administrator() -> str:
    """The login that owns the tables, for what only it may do."""
    return _administrator


def _enter() -> None:
    settings = connection.settings_dict
    home, clone = settings["NAME"], settings["NAME"] + _SUFFIX
    connections.close_all()
    # A thread, or Playwright's event loop, may still hold a connection of an earlier test.
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    _server((others, [home]), (f'DROP DATABASE IF EXISTS "{clone}" WITH (FORCE)', None))
    _server((f'CREATE DATABASE "{clone}" TEMPLATE "{home}" STRATEGY FILE_COPY', None))
    settings["NAME"] = clone


def _leave() -> None:
    settings = connection.settings_dict
    clone = settings["NAME"]
    connections.close_all()
    settings["NAME"] = clone.removesuffix(_SUFFIX)
    _server((f'DROP DATABASE "{clone}" WITH (FORCE)', None))


def _server(*statements: tuple[str, Any]) -> None:
    with logged_in(_administrator), connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        for statement, values in statements:
            cursor.execute(statement, values)
