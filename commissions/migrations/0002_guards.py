"""The journal refuses to change, and every transaction of it adds up to zero."""

from django.db import migrations

from retail.guards import append_only

ZERO_SUM = """
CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad bigint;
BEGIN
    SELECT txn INTO bad FROM written GROUP BY txn HAVING sum(fen) <> 0 LIMIT 1;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'legs of transaction % do not add up to zero', bad USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER legs_add_up AFTER INSERT ON commissions_entry
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced()
"""

# A sealed version is what history was priced with: its content may neither change nor grow nor shrink.
SEALED = """
CREATE FUNCTION refuse_sealed_content() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched bigint[];
BEGIN
    touched := CASE TG_TABLE_NAME
        WHEN 'commissions_rule' THEN ARRAY[(to_jsonb(OLD) ->> 'version_id'), (to_jsonb(NEW) ->> 'version_id')]::bigint[]
        WHEN 'commissions_attainment' THEN
            ARRAY[(to_jsonb(OLD) ->> 'version_id'), (to_jsonb(NEW) ->> 'version_id')]::bigint[]
        WHEN 'commissions_share' THEN ARRAY(SELECT version_id FROM commissions_rule
            WHERE id::text IN (to_jsonb(OLD) ->> 'rule_id', to_jsonb(NEW) ->> 'rule_id'))
        ELSE ARRAY(SELECT version_id FROM commissions_attainment
            WHERE id::text IN (to_jsonb(OLD) ->> 'attainment_id', to_jsonb(NEW) ->> 'attainment_id'))
    END;
    IF EXISTS (SELECT 1 FROM commissions_planversion
               WHERE id = ANY(touched) AND status NOT IN ('draft', 'tested')) THEN
        RAISE EXCEPTION 'this plan version is sealed: copy it to a new draft' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
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
PARTS = ("rule", "share", "attainment", "attainmentstep")


class Migration(migrations.Migration):
    dependencies = [("commissions", "0001_initial"), ("retail", "0002_guards")]

    operations = [
        append_only("commissions_claimrow"),
        append_only("commissions_buyersnapshot"),
        append_only("commissions_entry"),
        migrations.RunSQL(
            SEALED,
            "DROP TRIGGER sealed ON commissions_planversion;"
            " DROP FUNCTION refuse_sealed_content(); DROP FUNCTION refuse_sealed_version()",
        ),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER sealed BEFORE INSERT OR UPDATE OR DELETE ON commissions_{part}"
                " FOR EACH ROW EXECUTE FUNCTION refuse_sealed_content()",
                f"DROP TRIGGER sealed ON commissions_{part}",
            )
            for part in PARTS
        ),
        migrations.RunSQL(ZERO_SUM, "DROP TRIGGER legs_add_up ON commissions_entry; DROP FUNCTION refuse_unbalanced()"),
    ]
