"""What makes the database itself refuse what must never happen: for migrations, and the list of it for the doctor."""

from collections.abc import Collection, Iterator

from django.db import connection, migrations

# Table → the triggers that guard it besides `append_only`, by name.
TRIGGERS = {
    "commissions_attainment": {"sealed"},
    "commissions_attainmentstep": {"sealed"},
    "commissions_entry": {"legs_add_up", "period_not_closed"},
    "commissions_period": {"closed_stays", "not_emptied"},
    "commissions_planversion": {"sealed"},
    "commissions_rule": {"sealed"},
    "commissions_share": {"sealed"},
    "commissions_statement": {"figures_stay"},
}
POLICIES = {"retail_buyerkey": "of_scope", "retail_exportfile": "of_person"}


def append_only(table: str) -> migrations.RunSQL:
    """Refuse UPDATE, DELETE and TRUNCATE of a table. Needs the function of retail/migrations/0002_guards.py.

    Such a table is also named in retail.rights.APPEND_ONLY.
    """
    return migrations.RunSQL(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
        f"DROP TRIGGER append_only ON {table}",
    )


def faults(*, append_only: Collection[str]) -> Iterator[str]:
    """Guards that are missing or switched off; and tables that refuse changes without being known as history."""
    wanted = {(table, trigger) for table, triggers in TRIGGERS.items() for trigger in triggers}
    wanted |= {(table, "append_only") for table in append_only}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, t.tgname, t.tgenabled IN ('O', 'A') FROM pg_trigger t"
            " JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace"
        )
        on = {(table, trigger): is_on for table, trigger, is_on in cursor.fetchall()}
        cursor.execute(
            "SELECT c.relname, p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relrowsecurity"
        )
        policies = set(cursor.fetchall())
    for table, trigger in sorted(wanted):
        if not on.get((table, trigger)):
            yield f"{table}: the guard {trigger} is {'off' if (table, trigger) in on else 'missing'}"
    for table, trigger in sorted(on.keys() - wanted):
        if trigger == "append_only":
            yield f"{table}: append-only, but not in the list of what is"
    for table, policy in POLICIES.items():
        if (table, policy) not in policies:
            yield f"{table}: the policy {policy} is off or missing"
