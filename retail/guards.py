"""What makes the database itself refuse what must never happen: for migrations, and the list of it for the doctor.

Migrations make the guards; here stands what each of them is, as PostgreSQL tells it. So a guard that was taken away,
switched off, or rewritten to let everything pass is found. Whoever changes one in a migration changes it here, too:
`manage.py doctor` and tests/retail/test_database.py say what is, and what stands here.
"""

from collections.abc import Collection, Iterator

from django.db import connection, migrations, transaction

_APPEND_ONLY = "BEFORE DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()"
_SEALED = "BEFORE INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION public.refuse_sealed_content()"
_ON_WRITTEN = "AFTER INSERT REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION "

# All triggers there are, besides `append_only` of what is history: (table, name) → what it does.
TRIGGERS = {
    ("commissions_actionrate", "sealed"): "BEFORE INSERT OR DELETE OR UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_sealed_part()",
    ("commissions_attainment", "sealed"): _SEALED,
    ("commissions_attainmentstep", "sealed"): _SEALED,
    ("commissions_companyleg", "legs_add_up"): _ON_WRITTEN + "public.refuse_unbalanced_companies()",
    ("commissions_dispute", "closed_once"): "BEFORE DELETE OR UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_other_case()",
    ("commissions_dispute", "not_emptied"): "BEFORE TRUNCATE FOR EACH STATEMENT"
    " EXECUTE FUNCTION public.refuse_change()",
    ("commissions_entry", "legs_add_up"): _ON_WRITTEN + "public.refuse_unbalanced()",
    ("commissions_entry", "period_not_closed"): _ON_WRITTEN + "public.refuse_closed_period()",
    ("commissions_payout", "within_statement"): _ON_WRITTEN + "public.refuse_overpaying()",
    ("commissions_payoutbatch", "paid_once"): "BEFORE UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_other_payout()",
    ("commissions_payoutbatch", "stays"): "BEFORE DELETE OR TRUNCATE FOR EACH STATEMENT"
    " EXECUTE FUNCTION public.refuse_change()",
    ("commissions_period", "closed_stays"): "BEFORE DELETE OR UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_reopening()",
    ("commissions_period", "no_gap"): _ON_WRITTEN + "public.refuse_gap()",
    ("commissions_period", "not_emptied"): "BEFORE TRUNCATE FOR EACH STATEMENT"
    " EXECUTE FUNCTION public.refuse_reopening()",
    ("commissions_plancase", "sealed"): _SEALED,
    ("commissions_planversion", "sealed"): "BEFORE DELETE OR UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_sealed_version()",
    ("commissions_rule", "sealed"): _SEALED,
    ("commissions_share", "sealed"): _SEALED,
    ("commissions_statement", "figures_stay"): "BEFORE DELETE OR UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_other_figures()",
    ("commissions_statement", "not_emptied"): "BEFORE TRUNCATE FOR EACH STATEMENT"
    " EXECUTE FUNCTION public.refuse_change()",
    ("materials_materialfile", "approved_stays"): "BEFORE INSERT OR DELETE OR UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_other_files()",
    ("materials_materialfile", "not_emptied"): "BEFORE TRUNCATE FOR EACH STATEMENT"
    " EXECUTE FUNCTION public.refuse_change()",
    ("materials_materialversion", "approved_stays"): "BEFORE DELETE OR UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_other_material()",
    ("materials_materialversion", "not_emptied"): "BEFORE TRUNCATE FOR EACH STATEMENT"
    " EXECUTE FUNCTION public.refuse_change()",
    ("members_membership", "points_by_entries"): "BEFORE UPDATE FOR EACH ROW WHEN"
    " ((old.points IS DISTINCT FROM new.points)) EXECUTE FUNCTION public.refuse_other_points()",
    ("members_membership", "points_from_zero"): "BEFORE INSERT FOR EACH ROW WHEN ((new.points <> 0))"
    " EXECUTE FUNCTION public.refuse_other_points()",
    ("members_pointsentry", "balance"): _ON_WRITTEN + "public.add_points()",
    ("retail_apitoken", "stays_revoked"): "BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION public.refuse_revival()",
    ("retail_user", "power_from_the_server"): "BEFORE INSERT OR UPDATE FOR EACH ROW"
    " EXECUTE FUNCTION public.refuse_power()",
}
# All policies there are, and so all tables whose rows are not for everybody.
POLICIES = {
    ("retail_buyerkey", "of_scope"): "PERMISSIVE ALL TO public USING (public.daogou_sees_key(id)) WITH CHECK (true)",
    ("retail_exportfile", "of_person"): "PERMISSIVE ALL TO public USING (((CURRENT_USER = 'daogou_job'::name) OR"
    " (asked_by_id = (NULLIF(current_setting('daogou.person'::text, true), ''::text))::bigint)))",
}
# The functions those call: the start of the SHA-256 over the statement that makes one.
FUNCTIONS = {
    "add_points()": "3d8711d726f4d6e9de5206a7a810bfe4",
    "daogou_sees_key(wanted bigint)": "8daea54664064bff0d1c5f3062b89534",
    "name_grams(name text)": "c0d695b0559b4938fbf6b2a4faae596e",
    "name_sought(name text)": "d7772478961150d5f838a2c26ebe70f4",
    "drop_event_months(before date)": "0cae954bd6088d1a56de12aa89cc882f",
    "drop_opening_months(before date)": "8f943ff8afde866b38b0f4bb5611a2e5",
    "make_event_month(day date)": "bc8f7bd679530d4fddf46b5f9732de62",
    "make_opening_month(day date)": "6c0248fd08d9cedf413cdeae61da06da",
    "refuse_change()": "3e49f50ded122e39186776418c0359c8",
    "refuse_closed_period()": "8f91dbbf439f6e20eadd428a98656696",
    "refuse_gap()": "6bf9d90f9dc87d81aaae068e73d32197",
    "refuse_other_case()": "8b0982a4f64638702e219f5cb3f9736a",
    "refuse_other_figures()": "fea570d60dee446beb4b294917c4c3b8",
    "refuse_other_payout()": "4c94d24dbca52f60921ce6a3d61e5a32",
    "refuse_other_files()": "58b1a76677d7be4ff3e820ed8b7bd9fa",
    "refuse_other_material()": "a1a6175caf021f18f83c40acc4af6e74",
    "refuse_other_points()": "c7f6595b2eab3a246969d2574e73cd46",
    "refuse_overpaying()": "ec55be8772e6ec4ba429a21dffe90013",
    "refuse_power()": "7ec820ddc520ce36f7a1374295880273",
    "refuse_reopening()": "6db62811438ba3f8296cf67579c7ba01",
    "refuse_revival()": "69bb63f35db23588f76da93fcbecf0f4",
    "refuse_sealed_content()": "8259c362a2b506239428b4f2256349b7",
    "refuse_sealed_part()": "b9813fd847dc780fd7416650d8ff8f35",
    "refuse_sealed_version()": "6a27652b87d0fe649301183501ae8c97",
    "refuse_unbalanced()": "b641cd52d7ef672442ff168754997880",
    "refuse_unbalanced_companies()": "5f198ad204fd8550ed154b2934ee7387",
}


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
    """Guards that are missing, switched off or other than they are to be; and what nobody here knows."""
    wanted = _wanted(append_only)
    found = _found()
    for guard in sorted(wanted.keys() - found.keys()):
        yield f"{guard} is missing"
    for guard in sorted(found.keys() - wanted.keys()):
        yield f"{guard} is not in the list of what is to be"
    for guard in sorted(wanted.keys() & found.keys()):
        if found[guard] != wanted[guard]:
            yield f"{guard} is {found[guard]}; to be {wanted[guard]}"


def _wanted(append_only: Collection[str]) -> dict[str, str]:
    triggers = TRIGGERS | {(table, "append_only"): _APPEND_ONLY for table in append_only}
    wanted = {f"{table}: the guard {name}": said for (table, name), said in triggers.items()}
    wanted |= {f"{table}: the policy {name}": said for (table, name), said in POLICIES.items()}
    wanted |= {f"{table}: row security": "on" for table, _ in POLICIES}
    return wanted | {f"the function {name}": digest for name, digest in FUNCTIONS.items()}


# A rule could swallow a statement before a trigger sees it.
_FOUND = """
SELECT format('%s: the guard %s', c.relname, t.tgname), CASE WHEN t.tgenabled NOT IN ('O', 'A') THEN 'off' ELSE
    replace(substr(pg_get_triggerdef(t.oid), length(format('CREATE TRIGGER %I ', t.tgname)) + 1),
        format(' ON public.%I ', c.relname), ' ') END
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT format('%s: the policy %s', tablename, policyname), concat(permissive, ' ', cmd, ' TO ',
    array_to_string(roles, ', '), ' USING (' || qual || ')', ' WITH CHECK (' || with_check || ')')
FROM pg_policies WHERE schemaname = 'public'
UNION ALL
SELECT format('%s: row security', relname), 'on' FROM pg_class
WHERE relrowsecurity AND relnamespace = 'public'::regnamespace
UNION ALL
SELECT format('%s: the rule %s', tablename, rulename), definition FROM pg_rules WHERE schemaname = 'public'
UNION ALL
SELECT format('the function %s(%s)', proname, pg_get_function_identity_arguments(oid)),
    left(encode(sha256(convert_to(pg_get_functiondef(oid), 'UTF8')), 'hex'), 32)
FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e'
)
"""


def _found() -> dict[str, str]:
    """What there is. Asked with nothing but PostgreSQL's own in the path: else names could mean something else."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = pg_catalog")
        cursor.execute(_FOUND)
        found = dict(cursor.fetchall())
        transaction.set_rollback(True)  # for the path alone
    return found
