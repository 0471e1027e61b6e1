"""The journal refuses to change, adds up to zero, and books nothing into what is closed; periods only go forward."""

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
# Tables with their schema, or a session could put a temporary one of the same name in front.
# Locked, so that a closing waits for us, and we for one that came first and then see what it did.
NOT_CLOSED = """
CREATE FUNCTION refuse_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed bigint;
BEGIN
    SELECT id INTO closed FROM (
        SELECT id, status FROM public.commissions_period
        WHERE id IN (SELECT DISTINCT period_booked_id FROM written) ORDER BY id FOR SHARE
    ) booked WHERE status = 'closed' LIMIT 1;
    IF closed IS NOT NULL THEN
        RAISE EXCEPTION 'period % is closed: nothing is booked into it any more', closed
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER period_not_closed AFTER INSERT ON commissions_entry
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_closed_period()
"""
CLOSED_STAYS = """
CREATE FUNCTION refuse_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    steps text[] := ARRAY['open', 'closing', 'closed'];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'periods are not emptied' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.status = 'closed' AND NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'period % is closed and stays as it is', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND coalesce(array_position(steps, NEW.status), 0) < array_position(steps, OLD.status) THEN
        RAISE EXCEPTION 'period % is %, and goes forward only', OLD.id, OLD.status USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER closed_stays BEFORE UPDATE OR DELETE ON commissions_period
    FOR EACH ROW EXECUTE FUNCTION refuse_reopening();
CREATE TRIGGER not_emptied BEFORE TRUNCATE ON commissions_period
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_reopening()
"""
# Periods of a brand follow each other without a gap (and without overlap, which is a constraint of the table).
NO_GAP = """
CREATE FUNCTION refuse_gap() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    gap bigint;
BEGIN
    SELECT p.brand_id INTO gap FROM public.commissions_period p
    WHERE p.brand_id IN (SELECT brand_id FROM written)
    GROUP BY p.brand_id HAVING sum(p.ends_on - p.starts_on) <> max(p.ends_on) - min(p.starts_on) LIMIT 1;
    IF gap IS NOT NULL THEN
        RAISE EXCEPTION 'a gap between the periods of brand %', gap USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER no_gap AFTER INSERT ON commissions_period
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_gap()
"""


class Migration(migrations.Migration):
    dependencies = [("commissions", "0001_initial"), ("retail", "0002_guards")]

    operations = [
        append_only("commissions_actionevent"),
        append_only("commissions_buyersnapshot"),
        append_only("commissions_claimrow"),
        append_only("commissions_countmark"),
        append_only("commissions_entry"),
        migrations.RunSQL(
            ZERO_SUM, "DROP TRIGGER legs_add_up ON commissions_entry; DROP FUNCTION refuse_unbalanced()"
        ),
        migrations.RunSQL(
            NOT_CLOSED,
            "DROP TRIGGER period_not_closed ON commissions_entry; DROP FUNCTION refuse_closed_period()",
        ),
        migrations.RunSQL(
            CLOSED_STAYS,
            "DROP TRIGGER closed_stays ON commissions_period; DROP TRIGGER not_emptied ON commissions_period;"
            " DROP FUNCTION refuse_reopening()",
        ),
        migrations.RunSQL(NO_GAP, "DROP TRIGGER no_gap ON commissions_period; DROP FUNCTION refuse_gap()"),
    ]
