"""Whom PostgreSQL takes us for: the owner changes tables, `daogou_web` answers requests, `daogou_job` does the rest.

Neither of the two may change or empty an append-only table, drop a trigger or alter a table. `DAOGOU_DB_ROLE` names
the role a process acts in after connecting; without it a process is whoever its login is.

The second net (docs/adr/0010): for `daogou_web` a row of `retail_buyerkey` is there only while the setting
`daogou.stores` admits it, which a request publishes with its scope. A query that forgot its scope finds no keys.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from django.db import connection, connections
from django.db.utils import DEFAULT_DB_ALIAS

from retail.scope import Scope

WEB, JOB = "daogou_web", "daogou_job"

ROLES = """
DO $$
DECLARE
    app text;
    history record;
BEGIN
    FOREACH app IN ARRAY ARRAY['daogou_web', 'daogou_job'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = app) THEN CONTINUE; END IF;
        BEGIN
            -- COPY into a table with row security is only for those whom it does not bind.
            EXECUTE format('CREATE ROLE %I NOLOGIN', app) || CASE app WHEN 'daogou_job' THEN ' BYPASSRLS' ELSE '' END;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this cluster was first
            WHEN insufficient_privilege THEN
                BEGIN
                    EXECUTE format('CREATE ROLE %I NOLOGIN', app);
                EXCEPTION
                    WHEN duplicate_object OR unique_violation THEN NULL;
                    WHEN insufficient_privilege THEN
                        RAISE NOTICE 'role % is missing and may not be made by %', app, current_user;
                END;
        END;
    END LOOP;
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('daogou_web', 'daogou_job')) < 2 THEN RETURN; END IF;

    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            GRANT daogou_web, daogou_job TO CURRENT_USER;
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'daogou_web and daogou_job could not be granted to %: %', current_user, SQLERRM;
        END;
    END IF;
    GRANT USAGE ON SCHEMA public TO daogou_web, daogou_job;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO daogou_web, daogou_job;
    GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO daogou_web, daogou_job;
    -- Of tables still to come the least; the rest follows at the end of the migration that makes them.
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO daogou_web, daogou_job;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO daogou_web, daogou_job;
    REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM daogou_web, daogou_job;
    FOR history IN
        SELECT tgrelid::regclass AS name FROM pg_trigger WHERE tgname = 'append_only' AND NOT tgisinternal
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM daogou_web, daogou_job', history.name);
    END LOOP;
END $$
"""


def make_roles() -> None:
    """Make the two roles where they are missing and bring their rights up to date. Runs after every migrate.

    Where the owner may not make roles nothing happens but a notice: the product then runs as its login, unprotected.
    """
    with connection.cursor() as cursor:
        cursor.execute(ROLES)


def act_as(role: str, *, thread_only: bool = False) -> None:
    """Be this role from the next connection on: in the whole process, or in this thread alone."""
    options = {"OPTIONS": {**connection.settings_dict.get("OPTIONS", {}), "options": f"-c role={role}"}}
    if connection.settings_dict["OPTIONS"] == options["OPTIONS"]:
        return
    connection.close()
    if thread_only:
        connection.settings_dict = {**connection.settings_dict, **options}
    else:
        connections.settings[DEFAULT_DB_ALIAS].update(options)


_said: ContextVar[str] = ContextVar("published", default="")


@contextmanager
def published(visible: Scope) -> Iterator[None]:
    """Let the second net admit the buyer keys of this scope, to this connection, until the block ends."""
    if connection.settings_dict.get("OPTIONS", {}).get("options") != f"-c role={WEB}":
        yield
        return
    token = _said.set(_spelled(visible))
    _publish(_said.get())
    try:
        yield
    finally:
        _said.reset(token)
        # What a broken transaction published goes with it.
        if not connection.needs_rollback:
            _publish(_said.get())


def _spelled(visible: Scope) -> str:
    """`*` for everything, else the stores as an array of PostgreSQL; nothing for a clerk, whose pages show no keys."""
    if visible.is_everything:
        return "*"
    if not visible.store_ids or visible.staff_id is not None:
        return ""
    return "{" + ",".join(map(str, sorted(visible.store_ids))) + "}"


def _publish(said: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('daogou.stores', %s, false)", [said])


def planned(statement: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement that the server plans once for each connection, and return its rows.

    For the few that run hundreds of times a second: planning takes as long as running them. Django's own cursors put
    values into the text, which is another one each time.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        line = connection.connection
        line.prepare_threshold = 0  # asked for with each statement; Django's cursors do not
        with psycopg.Cursor(line) as cursor:
            cursor.execute(statement, given, prepare=True)
            return cursor.fetchall()
