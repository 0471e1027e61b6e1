"""What the commands of this project share."""

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor

from retail import database, logins


class TablesCommand(BaseCommand):
    """A command that works on the tables. Raises CommandError, in one line, where they are missing or old.

    Under the login of requests it would find no buyer keys, and say nothing about it: that one is refused.
    """

    requires_migrations_checks = True

    def check_migrations(self) -> None:
        if database.login() == logins.WEB:
            raise CommandError(f"Commands log in as {logins.JOB}, not as {logins.WEB}: set DATABASE_URL to that.")
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError(
                "The tables of this database are missing or not up to date: run `manage.py migrate` first"
                " (or `make demo`, which does it)."
            )
