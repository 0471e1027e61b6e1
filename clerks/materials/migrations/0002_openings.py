"""The table of openings, divided by month as that of behaviour is (members/migrations/0002_events.py), and for its
reasons: old months are dropped whole, and what is asked of some days reads one or two.
"""

from django.db import migrations

TABLE = """
CREATE SEQUENCE materials_opening_id_seq;
CREATE TABLE materials_opening (
    id bigint NOT NULL DEFAULT nextval('materials_opening_id_seq'),
    at timestamptz NOT NULL,
    share_id bigint NOT NULL,
    visitor uuid,
    member_id bigint,
    seconds integer NOT NULL DEFAULT 0 CHECK (seconds >= 0),
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
ALTER SEQUENCE materials_opening_id_seq OWNED BY materials_opening.id;
CREATE INDEX opening_of_share ON materials_opening (share_id, at DESC);
CREATE INDEX opening_of_member ON materials_opening (member_id, at DESC) WHERE member_id IS NOT NULL;
CREATE INDEX opening_time ON materials_opening USING brin (at) WITH (autosummarize = on);
CREATE INDEX opening_of_visitor ON materials_opening (visitor, at DESC) WHERE member_id IS NULL;
"""
MAKE_MONTH = """
CREATE FUNCTION make_opening_month(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    first date := date_trunc('month', day);
    next date := first + interval '1 month';
    part text := 'materials_opening_' || to_char(first, 'YYYYMM');
BEGIN
    IF first < '2000-01-01' OR first >= '2100-01-01' THEN
        RAISE EXCEPTION 'no month of openings: %', day USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('opening months'));
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE materials_opening INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE materials_opening ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
            first::timestamp AT TIME ZONE 'Asia/Shanghai', next::timestamp AT TIME ZONE 'Asia/Shanghai');
    END IF;
END $$
"""
DROP_MONTHS = """
CREATE FUNCTION drop_opening_months(before date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    part record;
    until date := least(before, now() - interval '1 year');
    gone integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('opening months'));
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'materials_opening'::regclass
            AND c.relname < 'materials_opening_' || to_char(until, 'YYYYMM')
    LOOP
        EXECUTE format('DROP TABLE %I', part.relname);
        gone := gone + 1;
    END LOOP;
    RETURN gone;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("materials", "0001_initial")]

    operations = [
        migrations.RunSQL(TABLE, "DROP TABLE materials_opening"),
        migrations.RunSQL(MAKE_MONTH, "DROP FUNCTION make_opening_month(date)"),
        migrations.RunSQL(DROP_MONTHS, "DROP FUNCTION drop_opening_months(date)"),
    ]
