"""What the web server and the workers may do to which table: read and write rows, and take away only what is named.

Every table is in one of three classes. `APPEND_ONLY` is history: nobody changes it, a trigger refuses even its owner,
and its rows are sealed (retail.seals). `DELETABLE` is what some code takes away, each with who does. All others, so
also a table that is made tomorrow, are facts: they may be corrected and never vanish.
"""

from collections.abc import Iterator
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from retail import guards, logins
from retail.logins import JOB, WEB

APPEND_ONLY = (
    "commissions_actionevent",
    "commissions_buyersnapshot",
    "commissions_claimrow",
    "commissions_countmark",
    "commissions_companyleg",
    "commissions_disputestep",
    "commissions_entry",
    "commissions_payout",
    "members_consent",
    "members_pointsentry",
    "members_couponmove",
    "retail_auditrow",
    "retail_orderversion",
    "retail_refundversion",
    "retail_seal",
    "retail_suppression",
)
DELETABLE = {
    "auth_group_permissions": "what a role may do, brought up to date",
    "axes_accessattempt": "forgotten after a sign-in that worked",
    "axes_accessattemptexpiration": "likewise",
    "clerks_broadcast_stores": "a broadcast that is not sent yet goes to other stores",
    "clerks_customer": "a row of clerks.book, made of facts: the relation ended",
    "clerks_department": "a mirror of WeCom's address book",
    "clerks_friendmove": "a conclusion gives way to what was told",
    "clerks_groupchatmember": "a mirror of who is in a group chat",
    "clerks_pooled": "a row of clerks.pooled, made of facts: somebody has a clerk now",
    "clerks_tagwish": "a tag on its way to WeCom that has arrived",
    "commissions_actionrate": "part of a draft; a trigger keeps those of approved versions",
    "commissions_attainment": "part of a draft; a trigger keeps those of approved versions",
    "commissions_attainmentstep": "likewise",
    "commissions_plancase": "likewise",
    "commissions_rule": "likewise",
    "commissions_share": "likewise",
    "django_session": "ended",
    "materials_favourite": "a clerk needs it no more",
    "materials_material_products": "a material goes with other products",
    "materials_material_regions": "a material is for other regions",
    "materials_material_stores": "a material is for other stores",
    "materials_materialcategory": "an empty shelf",
    "materials_materialfile": "part of a draft",
    "materials_opening": "its browser turned out to be one of our own people's",
    "materials_posterpicture": "drawn again when it is asked for",
    "materials_shareday": "rolled up again",
    "materials_sharesale": "attributed otherwise by now",
    "materials_uploadedfile": "looked at, and now part of a draft",
    "leads_score": "a row of clerks.leads.scoring, made of purchases: there are none left",
    "members_behind": "what is rolled up of them has caught up",
    "members_segmentmember": "somebody leaves a segment; the move stays",
    "otp_static_staticdevice": "recovery codes, replaced by new ones",
    "otp_static_statictoken": "a recovery code, used up",
    "otp_totp_totpdevice": "a second factor, replaced or taken away",
    "retail_apicall": "stored answers, kept for a week",
    "retail_job": "done jobs, kept for a week",
    "retail_storegroup_stores": "a store leaves a group",
    "retail_user_groups": "a person loses a role",
    "retail_user_user_permissions": "likewise",
    "wecom_formerkey": "a token or key that was given up and is over",
    "wecom_use": "counts of calls, kept for three months",
    "wecom_valve": "the pace of an address nobody asks any more",
}
# What no request may switch off or slow down: the sweeper, the doctor, sealing.
CLOCK = (
    "django_celery_beat_clockedschedule",
    "django_celery_beat_crontabschedule",
    "django_celery_beat_intervalschedule",
    "django_celery_beat_periodictask",
    "django_celery_beat_periodictasks",
    "django_celery_beat_solarschedule",
)
READ_ONLY = {WEB: ("django_migrations", "retail_seal", *CLOCK), JOB: ("django_migrations",)}

# What of the owner's powers others may use, by a function that does one thing: who may call which.
FUNCTIONS = {
    "make_event_month(date)": (WEB, JOB),
    "drop_event_months(date)": (JOB,),
    "make_opening_month(date)": (WEB, JOB),
    "drop_opening_months(date)": (JOB,),
}


def of(login: str, table: str) -> frozenset[str]:
    """The rights of `daogou_web` or `daogou_job` to a table: the same, but workers alone seal and keep the clock."""
    if table in READ_ONLY[login]:
        return frozenset({"SELECT"})
    if table in APPEND_ONLY:
        return frozenset({"SELECT", "INSERT"})
    if table in DELETABLE:
        return frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
    return frozenset({"SELECT", "INSERT", "UPDATE"})


@transaction.atomic
def grant() -> None:
    """Give both logins exactly their rights to every table. Runs after every migrate, as the owner.

    Raises ImproperlyConfigured where the logins are missing: nothing else would keep requests from being the owner.
    """
    with connection.cursor() as cursor:
        if missing := sorted({WEB, JOB} - logins.powers(cursor).keys()):
            raise ImproperlyConfigured(
                f"PostgreSQL has no login {' and no login '.join(missing)}: run `manage.py create_logins` once as the"
                " administrator of the server (docs/settings.md)."
            )
        both = f"{WEB}, {JOB}"
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {both}")
        cursor.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {both}")
        cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {both}")
        for (login, rights), tables in _by_rights(cursor).items():
            names = ", ".join(map(connection.ops.quote_name, tables))
            cursor.execute(f"GRANT {', '.join(sorted(rights))} ON {names} TO {login}")
        for function, callers in FUNCTIONS.items():
            cursor.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC, {both}")
            cursor.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {', '.join(callers)}")


def _by_rights(cursor: CursorWrapper) -> dict[tuple[str, frozenset[str]], list[str]]:
    tables: dict[tuple[str, frozenset[str]], list[str]] = {}
    for table in connection.introspection.table_names(cursor):
        for login in (WEB, JOB):
            tables.setdefault((login, of(login, table)), []).append(table)
    return tables


# ── Whether it is so ─────────────────────────────────────────────────────────────────────────────────────────────────
class Held(NamedTuple):
    login: str
    table: str
    right: str


# Of a single column, too: an owner may have given away no more than `fen`.
_HELD = """
SELECT login, relname, privilege FROM pg_class, unnest(%s::text[]) login,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) privilege
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND CASE WHEN privilege IN ('DELETE', 'TRUNCATE', 'TRIGGER')
        THEN has_table_privilege(login, pg_class.oid, privilege)
        ELSE has_any_column_privilege(login, pg_class.oid, privilege) END
"""


def held() -> set[Held]:
    """What both logins may do, as the catalogue of the database says."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, [[WEB, JOB]])
        return {Held(*row) for row in cursor.fetchall()}


def faults() -> Iterator[str]:
    """Where logins, rights and guards of this database are not what they are to be."""
    with connection.cursor() as cursor:
        known = logins.powers(cursor)
        for login in (WEB, JOB):
            if known.get(login) != logins.POWERS[login]:
                said = ", ".join(sorted(known[login])) if login in known else "it is missing"
                yield f"{login}: {said}; to be {', '.join(sorted(logins.POWERS[login]))}"
        if WEB in known and (idle := logins.idle(cursor)) != logins.IDLE:
            yield f"{WEB} may leave a transaction open for {idle or 'ever'}; to be {logins.IDLE}"
        yield from (f"{login} can become {role}" for role, login in logins.memberships(cursor))
        if {WEB, JOB} <= known.keys():
            yield from _wrong_rights(connection.introspection.table_names(cursor))
            yield from _powers_by_the_way(cursor)
            yield from _wrong_callers(cursor)
    yield from guards.faults(append_only=APPEND_ONLY)


def _wrong_rights(tables: list[str]) -> Iterator[str]:
    wanted = {Held(login, table, right) for login in (WEB, JOB) for table in tables for right in of(login, table)}
    found = held()
    yield from (f"{login} may {right} {table}" for login, table, right in sorted(found - wanted))
    yield from (f"{login} may not {right} {table}" for login, table, right in sorted(wanted - found))


_BY_THE_WAY = """
SELECT format('%%s owns something', rolname) FROM pg_roles
WHERE rolname = ANY(%s) AND EXISTS (SELECT FROM pg_shdepend WHERE refobjid = pg_roles.oid AND deptype = 'o')
UNION ALL
SELECT format('%%s may make tables and functions', rolname) FROM pg_roles
WHERE rolname = ANY(%s) AND has_schema_privilege(rolname, 'public', 'CREATE')
UNION ALL
SELECT format('triggers are off by a setting of %%s', coalesce(setrole::regrole::text, 'this database'))
FROM pg_db_role_setting, unnest(setconfig) said WHERE said ~ '^session_replication_role=' AND said !~ '=origin$'
"""


def _powers_by_the_way(cursor: CursorWrapper) -> Iterator[str]:
    cursor.execute(_BY_THE_WAY, [[WEB, JOB], [WEB, JOB]])
    yield from (said for (said,) in cursor.fetchall())


# A function that runs as its owner does what its caller may not: so each of them is named, with its callers.
_CALLERS = """
SELECT p.oid::regprocedure::text, login FROM pg_proc p, unnest(%s::text[]) login
WHERE pronamespace = 'public'::regnamespace AND prosecdef AND has_function_privilege(login, p.oid, 'EXECUTE')
"""


def _wrong_callers(cursor: CursorWrapper) -> Iterator[str]:
    cursor.execute(_CALLERS, [[WEB, JOB]])
    found = set(cursor.fetchall())
    wanted = {(function, login) for function, callers in FUNCTIONS.items() for login in callers}
    yield from (f"{login} may call {function}" for function, login in sorted(found - wanted))
    yield from (f"{login} may not call {function}" for function, login in sorted(wanted - found))
