"""The logins of PostgreSQL: one owns the tables and migrates, one answers requests, one does everything else.

They are logins, none a member of another: who gets any SQL past `daogou_web` has nobody else to become. They belong to
the server, not to a database, and only its administrator can make them: the launcher of the embedded PostgreSQL at
every start, `manage.py create_logins` on a server of yours. What each may do to which table: retail.rights.

Knows no Django, for the launcher runs before it.
"""

import secrets
from typing import Any

OWNER, WEB, JOB = "daogou_owner", "daogou_web", "daogou_job"

# All they can do but read and write. COPY into a table with row security is only for those whom it does not bind.
POWERS = {OWNER: {"LOGIN"}, WEB: {"LOGIN"}, JOB: {"LOGIN", "BYPASSRLS"}}
IDLE = "5min"  # of a request, in the middle of a transaction
_COLUMNS = {
    "LOGIN": "rolcanlogin",
    "SUPERUSER": "rolsuper",
    "CREATEDB": "rolcreatedb",
    "CREATEROLE": "rolcreaterole",
    "REPLICATION": "rolreplication",
    "BYPASSRLS": "rolbypassrls",
}


def powers(cursor: Any) -> dict[str, set[str]]:
    """What those of the three that there are can do."""
    columns = ", ".join(_COLUMNS.values())
    cursor.execute(f"SELECT rolname, {columns} FROM pg_roles WHERE rolname = ANY(%s)", [[*POWERS]])
    return {name: {power for power, has in zip(_COLUMNS, row, strict=True) if has} for name, *row in cursor.fetchall()}


def memberships(cursor: Any) -> list[tuple[str, str]]:
    """Whom requests and workers could become: (role, login). There are to be none."""
    among = "pg_get_userbyid(member) = ANY(%s)"
    cursor.execute(
        f"SELECT pg_get_userbyid(roleid), pg_get_userbyid(member) FROM pg_auth_members WHERE {among} ORDER BY 1, 2",
        [[WEB, JOB]],
    )
    return cursor.fetchall()


def idle(cursor: Any) -> str:
    """After how long the database ends a transaction that a request has left open; "" = never."""
    cursor.execute(
        "SELECT split_part(said, '=', 2) FROM pg_db_role_setting, unnest(setconfig) said"
        " WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = %s) AND said LIKE 'idle_in_transaction%%'"
        " AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
        " ORDER BY setdatabase DESC LIMIT 1",  # that of one database goes before that of all
        [WEB],
    )
    row = cursor.fetchone()
    return row[0] if row else ""


def make(cursor: Any) -> list[str]:
    """Make the logins that are missing and leave all with their powers and no others; returns the new ones.

    `cursor` is one of the server's administrator.
    """
    known = powers(cursor)
    for name, wanted in POWERS.items():
        if known.get(name) != wanted:
            words = " ".join(power if power in wanted else f"NO{power}" for power in _COLUMNS)
            cursor.execute(f"{'ALTER' if name in known else 'CREATE'} ROLE {name} {words}")
    for role, login in memberships(cursor):
        cursor.execute(f'REVOKE "{role}" FROM {login}')
    # A transaction that was left open keeps what it wrote from being sealed, and others from what it locked.
    cursor.execute(f"ALTER ROLE {WEB} SET idle_in_transaction_session_timeout = '{IDLE}'")
    return [name for name in POWERS if name not in known]


def make_database(cursor: Any, name: str) -> None:
    """Make the database where it is missing, outside a transaction, and let the owner own it."""
    cursor.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [name])
    known = cursor.fetchone()
    if known is None:
        cursor.execute(f'CREATE DATABASE "{name}" OWNER {OWNER}')
    elif known[0] != OWNER:
        cursor.execute(f'ALTER DATABASE "{name}" OWNER TO {OWNER}')


_HAND_OVER = f"""
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT format('ALTER TABLE %s OWNER TO {OWNER}', c.oid::regclass) AS statement FROM pg_class c
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
            AND pg_get_userbyid(relowner) <> '{OWNER}'
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO {OWNER}', p.oid::regprocedure) FROM pg_proc p
        WHERE pronamespace = 'public'::regnamespace AND pg_get_userbyid(proowner) <> '{OWNER}' AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
        )
    LOOP
        EXECUTE found.statement;
    END LOOP;
END $$
"""


def hand_over(cursor: Any) -> None:
    """Let the owner own every table and function of this database that was made before there was an owner."""
    cursor.execute(_HAND_OVER)


def give_password(cursor: Any, login: str) -> str:
    """Give a login a new random password and return it; the server, its log included, learns the hash alone."""
    password = secrets.token_urlsafe(24)
    hashed = cursor.connection.pgconn.encrypt_password(password.encode(), login.encode()).decode()
    cursor.execute(f"ALTER ROLE {login} PASSWORD '{hashed}'")
    return password
