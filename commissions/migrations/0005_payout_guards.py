"""Statements are never emptied; a batch of them is there for good, with its figures, and is paid once."""

from django.db import migrations

# What may happen to a row is one step: somebody says that it was paid.
PAID_ONCE = """
CREATE FUNCTION refuse_other_payout() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said text[] := '{state,paid_by_id,paid_at,reference}';
BEGIN
    IF NEW IS DISTINCT FROM OLD AND (
        (OLD.state, NEW.state) IS DISTINCT FROM ('ready', 'paid') OR to_jsonb(NEW) - said <> to_jsonb(OLD) - said
    ) THEN
        RAISE EXCEPTION 'batch % keeps its figures, and is paid once', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER paid_once BEFORE UPDATE ON commissions_payoutbatch
    FOR EACH ROW EXECUTE FUNCTION refuse_other_payout();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON commissions_payoutbatch
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


class Migration(migrations.Migration):
    dependencies = [("commissions", "0004_statements"), ("retail", "0002_guards")]

    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER not_emptied BEFORE TRUNCATE ON commissions_statement"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
            "DROP TRIGGER not_emptied ON commissions_statement",
        ),
        migrations.RunSQL(
            PAID_ONCE,
            "DROP TRIGGER paid_once ON commissions_payoutbatch; DROP TRIGGER stays ON commissions_payoutbatch;"
            " DROP FUNCTION refuse_other_payout()",
        ),
    ]
