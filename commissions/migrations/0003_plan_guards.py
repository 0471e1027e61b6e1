"""A sealed plan version is what history was priced with: its content may neither change nor grow nor shrink."""

from django.db import migrations

VERSION = """
CREATE FUNCTION refuse_sealed_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status NOT IN ('draft', 'tested') AND (TG_OP = 'DELETE'
        OR NEW.status IN ('draft', 'tested')
        OR (NEW.plan_id, NEW.number, NEW.tz, NEW.group_modes, NEW.content_hash)
            IS DISTINCT FROM (OLD.plan_id, OLD.number, OLD.tz, OLD.group_modes, OLD.content_hash)) THEN
        RAISE EXCEPTION 'this plan version is sealed: copy it to a new draft' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER sealed BEFORE UPDATE OR DELETE ON commissions_planversion
    FOR EACH ROW EXECUTE FUNCTION refuse_sealed_version()
"""
# Parts of a version say so themselves; of the parts of those the guard is told how they hang on it.
# Tables with their schema: guards read those, whatever a session calls by the same name.
CONTENT = """
CREATE FUNCTION refuse_sealed_content() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    touched bigint[];
BEGIN
    touched := CASE TG_TABLE_NAME
        WHEN 'commissions_share' THEN ARRAY(SELECT version_id FROM public.commissions_rule
            WHERE id::text IN (to_jsonb(OLD) ->> 'rule_id', to_jsonb(NEW) ->> 'rule_id'))
        WHEN 'commissions_attainmentstep' THEN ARRAY(SELECT version_id FROM public.commissions_attainment
            WHERE id::text IN (to_jsonb(OLD) ->> 'attainment_id', to_jsonb(NEW) ->> 'attainment_id'))
        ELSE ARRAY[(to_jsonb(OLD) ->> 'version_id'), (to_jsonb(NEW) ->> 'version_id')]::bigint[]
    END;
    IF EXISTS (SELECT 1 FROM public.commissions_planversion
               WHERE id = ANY(touched) AND status NOT IN ('draft', 'tested')) THEN
        RAISE EXCEPTION 'this plan version is sealed: copy it to a new draft' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$
"""
# A guard for every part that names its version itself, whatever the table.
PART = """
CREATE FUNCTION refuse_sealed_part() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM commissions_planversion WHERE status NOT IN ('draft', 'tested')
               AND id::text IN (to_jsonb(OLD) ->> 'version_id', to_jsonb(NEW) ->> 'version_id')) THEN
        RAISE EXCEPTION 'this plan version is sealed: copy it to a new draft' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$
"""


def sealed(table: str, function: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER sealed BEFORE INSERT OR UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {function}()",
        f"DROP TRIGGER sealed ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("commissions", "0002_journal_guards")]

    operations = [
        migrations.RunSQL(
            VERSION, "DROP TRIGGER sealed ON commissions_planversion; DROP FUNCTION refuse_sealed_version()"
        ),
        migrations.RunSQL(CONTENT, "DROP FUNCTION refuse_sealed_content()"),
        sealed("commissions_attainment", "refuse_sealed_content"),
        sealed("commissions_attainmentstep", "refuse_sealed_content"),
        sealed("commissions_plancase", "refuse_sealed_content"),
        sealed("commissions_rule", "refuse_sealed_content"),
        sealed("commissions_share", "refuse_sealed_content"),
        migrations.RunSQL(PART, "DROP FUNCTION refuse_sealed_part()"),
        sealed("commissions_actionrate", "refuse_sealed_part"),
    ]
