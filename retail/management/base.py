"""What the commands of this project share."""

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor


class TablesCommand(BaseCommand):
    """A command that works on the tables. Raises CommandError, in one line, where they are missing or old."""

    requires_migrations_checks = True

    def check_migrations(self) -> None:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError(
                "The tables of this database are missing or not up to date: run `manage.py migrate` first"
                " (or `make demo`, which does it)."
            )
