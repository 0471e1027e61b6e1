"""The table of behaviour, divided by month: old months are dropped whole, and a query of some days reads one or two.

No foreign keys: rows of the tables they would name are never deleted (retail.rights), and a new month would wait for
everybody who writes to one of them. Months are made and dropped by two functions of the owner, since nobody else may
change tables (retail.rights.FUNCTIONS says who may call them). Neither takes anything but a day, and neither can touch
another table.
"""

from django.db import migrations

TABLE = """
CREATE SEQUENCE members_event_id_seq;
CREATE TABLE members_event (
    id bigint NOT NULL DEFAULT nextval('members_event_id_seq'),
    at timestamptz NOT NULL,
    channel_id bigint NOT NULL,
    outer_event_id varchar(64) NOT NULL,
    kind varchar(16) NOT NULL,
    brand_id bigint NOT NULL,
    member_id bigint,
    buyer_keys bigint[] NOT NULL,
    product_id bigint,
    store_id bigint,
    share_code varchar(64) NOT NULL DEFAULT '',
    live_event varchar(64) NOT NULL DEFAULT '',
    seconds integer CHECK (seconds >= 0),
    outer_order_id varchar(64) NOT NULL DEFAULT '',
    fen bigint CHECK (fen >= 0),
    received_at timestamptz NOT NULL,
    former jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (id, at),
    CONSTRAINT event_once UNIQUE (channel_id, outer_event_id, at)
) PARTITION BY RANGE (at);
ALTER SEQUENCE members_event_id_seq OWNED BY members_event.id;
CREATE INDEX event_of_member ON members_event (member_id, at DESC) WHERE member_id IS NOT NULL;
CREATE INDEX event_of_nobody ON members_event USING gin (buyer_keys) WHERE member_id IS NULL;
CREATE INDEX event_of_product ON members_event (brand_id, product_id, at)
    WHERE kind IN ('restocked', 'sold_out', 'price_cut');
"""
# The months of the business, which begin at midnight in Shanghai. Made apart and then attached: readers and writers of
# the other months go on meanwhile. Who makes the same month at the same time waits and finds it there.
MAKE_MONTH = """
CREATE FUNCTION make_event_month(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    first date := date_trunc('month', day);
    next date := first + interval '1 month';
    part text := 'members_event_' || to_char(first, 'YYYYMM');
BEGIN
    IF first < '2000-01-01' OR first >= '2100-01-01' THEN
        RAISE EXCEPTION 'no month of events: %', day USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('event months'));
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE members_event INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE members_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
            first::timestamp AT TIME ZONE 'Asia/Shanghai', next::timestamp AT TIME ZONE 'Asia/Shanghai');
    END IF;
END $$
"""
# What is younger than a year stays, whoever asks and whatever they say.
DROP_MONTHS = """
CREATE FUNCTION drop_event_months(before date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    part record;
    until date := least(before, now() - interval '1 year');
    gone integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('event months'));
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'members_event'::regclass
            AND c.relname < 'members_event_' || to_char(until, 'YYYYMM')
    LOOP
        EXECUTE format('DROP TABLE %I', part.relname);
        gone := gone + 1;
    END LOOP;
    RETURN gone;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("members", "0001_initial")]

    operations = [
        migrations.RunSQL(TABLE, "DROP TABLE members_event"),
        migrations.RunSQL(MAKE_MONTH, "DROP FUNCTION make_event_month(date)"),
        migrations.RunSQL(DROP_MONTHS, "DROP FUNCTION drop_event_months(date)"),
    ]
