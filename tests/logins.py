"""Real connections as one of the product's logins.

Another connection sees only what was committed: within a test this is for those that commit.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def logged_in(login: str) -> Iterator[None]:
    """Until the block ends, whoever uses the database of the test logs in under this name."""
    theirs = connection.settings_dict
    known = theirs["USER"]
    connection.close()
    theirs["USER"] = login
    try:
        yield
    finally:
        connection.close()
        theirs["USER"] = known
