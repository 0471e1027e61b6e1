"""A closed period stays closed, as it is, and nothing is booked into it any more: whoever asks."""

from django.db import migrations

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
STAYS = """
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


class Migration(migrations.Migration):
    dependencies = [("commissions", "0002_guards")]

    operations = [
        migrations.RunSQL(
            NOT_CLOSED,
            "DROP TRIGGER period_not_closed ON commissions_entry; DROP FUNCTION refuse_closed_period()",
        ),
        migrations.RunSQL(
            STAYS,
            "DROP TRIGGER closed_stays ON commissions_period; DROP TRIGGER not_emptied ON commissions_period;"
            " DROP FUNCTION refuse_reopening()",
        ),
        # Guards that read tables read those of the schema, whatever a session calls by the same name.
        migrations.RunSQL(
            "ALTER FUNCTION refuse_sealed_content() SET search_path = public, pg_temp",
            "ALTER FUNCTION refuse_sealed_content() RESET search_path",
        ),
    ]
