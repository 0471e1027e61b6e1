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


class Migration(migrations.Migration):
    dependencies = [("commissions", "0001_initial"), ("retail", "0002_guards")]

    operations = [
        append_only("commissions_claimrow"),
        append_only("commissions_buyersnapshot"),
        append_only("commissions_entry"),
        migrations.RunSQL(ZERO_SUM, "DROP TRIGGER legs_add_up ON commissions_entry; DROP FUNCTION refuse_unbalanced()"),
    ]
